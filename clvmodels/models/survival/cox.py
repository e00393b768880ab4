"""Cox: proportional hazards over a baseline of any shape (Cox 1972), through lifelines."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvmodels.errors import FitError
from clvmodels.models.survival.steps import Steps
from clvmodels.product_limit import RiskTable

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Partial:
    """The maximum of the partial likelihood, ties as Efron does.

    Parameters
    ----------
    coefficients : ndarray, (p,)
    covariance : ndarray, (p, p)
    log_likelihood : float
    problems : tuple of str
        What lifelines warned of.
    """

    coefficients: Array
    covariance: Array
    log_likelihood: float
    problems: tuple[str, ...]

    @classmethod
    def fit(
        cls, names: list[str], x: Array, time: Array, event: Array, entry: Array, weight: Array, stratum: NDArray | None
    ) -> Partial:
        """Maximise it over the coefficients of the covariates x (N, p)."""
        try:
            import lifelines
            from lifelines import exceptions
        except ImportError:
            raise FitError(
                "Cox needs the package lifelines, which is not installed: pip install 'clvmodels[survival]'"
            ) from None
        frame = pd.DataFrame(x, columns=names).assign(**{"(time)": time, "(event)": event, "(weight)": weight})
        more = {}
        if (entry > 0).any():
            frame["(entry)"], more["entry_col"] = entry, "(entry)"
        if stratum is not None:
            frame["(stratum)"], more["strata"] = stratum, "(stratum)"
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                fitter = lifelines.CoxPHFitter().fit(
                    frame, duration_col="(time)", event_col="(event)", weights_col="(weight)", **more
                )
            except exceptions.ConvergenceError as error:
                first = str(error).strip().splitlines()[0]
                raise FitError(
                    f"Cox found no optimum: {first}; leave out covariates that others determine, or that tell exits "
                    "and customers apart without an exception"
                ) from None
        problems = [
            " ".join(str(one.message).split())
            for one in caught
            if issubclass(one.category, exceptions.ConvergenceWarning)
        ]
        return cls(
            fitter.params_.to_numpy(float),
            fitter.variance_matrix_.to_numpy(float),
            float(fitter.log_likelihood_),
            tuple(dict.fromkeys(problems)),
        )


@dataclass(frozen=True)
class Baseline:
    """Exits and who was at risk of them, of a customer with the covariates `centre`.

    Parameters
    ----------
    table : RiskTable
        Exits, and as numbers at risk the sums of exp(x'b).
    mean : ndarray, (J, p)
        Their mean covariates, less `centre`: how the logarithm of that sum changes with b.
    """

    table: RiskTable
    mean: Array

    @classmethod
    def of(cls, x: Array, coefficients: Array, time: Array, event: Array, entry: Array, weight: Array) -> Baseline:
        """Sum over the customers; x (N, p) is centred."""
        risk = weight * np.exp(x @ coefficients)
        table = RiskTable.of(time, event, entry, weight, risk)
        sums = [RiskTable.of(time, event, entry, weight, risk * column).at_risk for column in x.T]
        return cls(table, np.stack(sums, axis=-1) / table.at_risk[:, None])

    def steps(self) -> Steps:
        """Breslow's estimate of the baseline: exits over the sums at risk."""
        return Steps.drawn(self.table.time, self.table.last, 1, lambda part: self._rate[None, part])

    def draws(self, rng: np.random.Generator, change: Array) -> Steps:
        """Draws of the baseline, given draws of the coefficients less their estimate, (S, p).

        Given the coefficients the steps are independent, Gamma(exits) / sum at risk: the posterior of a gamma process
        whose prior weighs nothing. Kalbfleisch (1978), JRSS B 40(2). The sum at risk is that of the estimate, moved to
        first order.
        """
        table, size = self.table, len(change)

        def draw(part: slice) -> Array:
            moved = np.exp(change @ self.mean[part].T)
            return rng.gamma(table.events[part], size=(size, len(table.events[part]))) / (table.at_risk[part] * moved)

        return Steps.drawn(table.time, table.last, size, draw)

    @property
    def _rate(self) -> Array:
        return self.table.events / self.table.at_risk
