"""Cox: covariates multiply the rate of leaving, whose course over tenure may have any shape.

References
----------
Cox (1972), Regression Models and Life-Tables, JRSS B 34(2), 187-220.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special

from clvmodels.data.customers import MISSING
from clvmodels.data.durations import Clock, Durations
from clvmodels.draws import generator
from clvmodels.errors import ConvergenceWarning, DataError, FitError, counted, examples, recorded
from clvmodels.inference.bayes import Sampling
from clvmodels.models.base import Method, Specification
from clvmodels.models.fit import CONFIDENCE, Origin
from clvmodels.models.rows import Rows
from clvmodels.models.survival import design
from clvmodels.models.survival.base import check_endings, survival_data, warn_of_cause
from clvmodels.models.survival.design import Design
from clvmodels.models.survival.steps import StepFit, Steps, check_how
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
        cls,
        names: Sequence[str],
        x: Array,
        time: Array,
        event: Array,
        entry: Array,
        weight: Array,
        stratum: NDArray | None,
    ) -> Partial:
        """Maximise it over the coefficients of the covariates x (N, p)."""
        try:
            import lifelines
            from lifelines import exceptions
        except ImportError:
            raise FitError(
                "Cox needs the package lifelines, which is not installed: pip install 'clvmodels[survival]'"
            ) from None
        frame = pd.DataFrame(x, columns=list(names)).assign(**{"(time)": time, "(event)": event, "(weight)": weight})
        # lifelines' own choice, made for some thousands of rows, takes them one by one where there are very many.
        more: dict[str, Any] = {"batch_mode": True} if len(np.unique(time)) < len(time) / 2 else {}
        if (entry > 0).any():
            frame["(entry)"], more["entry_col"] = entry, "(entry)"
        if stratum is not None:
            frame["(stratum)"], more["strata"] = stratum, "(stratum)"
        with recorded(exceptions.ConvergenceWarning) as given:
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
        problems = [" ".join(str(one).split()) for one in given if isinstance(one, exceptions.ConvergenceWarning)]
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


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class CoxFit(StepFit):
    """A fitted `Cox`.

    Attributes
    ----------
    design : Design
        How covariates become numbers.
    partial : Partial
        Coefficients, their covariance, the partial log-likelihood.
    strata : tuple
        The values of the column of strata; empty without one.
    baselines : tuple of Baseline
        One for each of them, else one.

    See Also
    --------
    StepFit : the other attributes.
    """

    design: Design
    partial: Partial
    strata: tuple[Any, ...]
    baselines: tuple[Baseline, ...]

    @property
    def support(self) -> float:
        """The longest tenure that was observed, in each of the strata: predictions end there."""
        return min(baseline.table.last for baseline in self.baselines)

    @property
    def log_likelihood(self) -> float:
        """The partial one: only fits of `Cox` to the same contracts can be compared by it."""
        return self.partial.log_likelihood

    @property
    def parameters(self) -> pd.DataFrame:
        """Estimate, standard error and 95 % interval of each coefficient: by how much the log of the hazard differs."""
        estimate, error = self.partial.coefficients, np.sqrt(np.diag(self.partial.covariance))
        reach = special.ndtri((1 + CONFIDENCE) / 2) * error
        columns = {"estimate": estimate, "se": error, "lower": estimate - reach, "upper": estimate + reach}
        return pd.DataFrame(columns, index=pd.Index(self.design.names, name="parameter"))

    def summary(self) -> pd.DataFrame:
        """The parameters with the hazard ratios: how many times as fast customers leave."""
        return self.parameters.assign(hazard_ratio=np.exp(self.partial.coefficients))

    @functools.cached_property
    def change(self) -> Array:
        """Draws of the coefficients less their estimate, (S, p): normal; zeros where nothing is drawn."""
        p = len(self.partial.coefficients)
        if not self.drawn:
            return np.zeros((1, p))
        z = generator(self.seed, "coefficients").standard_normal((self.size, p))
        return np.asarray(z @ np.linalg.cholesky(self.partial.covariance).T)

    @functools.cached_property
    def steps(self) -> list[Steps]:
        """The baselines of the strata, or their draws: for a customer with average covariates."""
        if not self.drawn:
            return [baseline.steps() for baseline in self.baselines]
        return [
            baseline.draws(generator(self.seed, "baseline", number), self.change)
            for number, baseline in enumerate(self.baselines)
        ]

    def customer_columns(self, data: Durations) -> tuple[NDArray, ...]:
        """As `StepFit`: tenure, number of the stratum, covariates less their means."""
        (tenure,) = super().customer_columns(data)
        return (tenure, self.model.stratum(data, self.strata), *self.design.matrix(data.table).T)

    def log_survival_at(self, t: ArrayLike, columns: tuple[NDArray, ...], draws: slice = slice(None)) -> Array:
        """As `StepFit`: the baseline, multiplied by exp(x'b)."""
        return -self._baseline_at(np.asarray(t, float), columns[1], draws) * self._risk(columns, draws)

    def lifetimes(self, rng: np.random.Generator, columns: tuple[NDArray, ...], draws: slice = slice(None)) -> Array:
        """As `StepFit`."""
        risk = self._risk(columns, draws)
        level = self._baseline_at(columns[0], columns[1], draws) + rng.standard_exponential(risk.shape) / risk
        end = np.empty(level.shape)
        for number, steps in enumerate(self.steps):
            here = columns[1] == number
            end[:, here] = steps.reached(level[:, here], draws)
        return end

    def mean_residual_lifetime(self, t: float, columns: tuple[NDArray, ...]) -> Array:
        """As `StepFit`: the area under the curve, from step to step."""
        tenure, end = columns[0], np.minimum(columns[0] + t, self.support)
        risk = self._risk(columns, slice(None))
        start = self._baseline_at(tenure, columns[1], slice(None)) * risk
        times = np.append(np.unique(np.concatenate([steps.time[1:] for steps in self.steps])), np.inf)
        number = np.searchsorted(times, tenure, side="right")
        area, at = np.zeros(risk.shape), tenure
        stay = np.where(tenure <= self.support, np.ones(risk.shape), np.nan)
        while (at < end).any():
            then = np.maximum(np.minimum(times[number], end), at)
            area += stay * (then - at)
            stay = np.exp(start - self._baseline_at(then, columns[1], slice(None)) * risk)
            at, number = then, np.minimum(number + 1, len(times) - 1)
        return area

    def _risk(self, columns: tuple[NDArray, ...], draws: slice) -> Array:
        """exp(x'b), (S, B)."""
        return np.exp((self.partial.coefficients + self.change[draws]) @ np.stack(columns[2:]))

    def _baseline_at(self, t: Array, stratum: NDArray, draws: slice) -> Array:
        """Cumulative hazard of the average customer of the stratum (B,) at t, (B,) or (S, B)."""
        if len(self.steps) == 1:
            return self.steps[0].at(t, draws)
        t = np.broadcast_to(t, np.broadcast_shapes(t.shape, stratum.shape))
        hazard = np.empty((len(self.change[draws]), t.shape[-1]))
        for number, steps in enumerate(self.steps):
            here = np.broadcast_to(stratum == number, t.shape[-1:])
            hazard[:, here] = steps.at(t[..., here], draws)
        return hazard

    def _average(self) -> tuple[NDArray, ...]:
        if self.strata:
            raise ValueError(
                f"the strata of {self.model.strata!r} have curves of their own: name the customers, as in "
                "fit.survival(t, data=...)"
            )
        return (*super()._average(), np.zeros(1, np.intp), *np.zeros((len(self.design.names), 1)))

    def __repr__(self) -> str:
        lines = [
            f"Cox fitted to {counted(self.origin.customers, 'contract')} on the clock of {self.clock}",
            self.parameters.to_string(float_format=lambda value: f"{value:.4g}"),
            f"partial log-likelihood {self.log_likelihood:.3f}   seed {self.seed}",
            *(f"! {problem}" for problem in self.partial.problems),
        ]
        return "\n".join(lines)


class Cox(Specification):
    """Proportional hazards: covariates multiply the rate of leaving, and nothing is assumed of its course over tenure.

    Coefficients are those of the partial likelihood, by lifelines (``pip install 'clvmodels[survival]'``), ties as
    Efron does; the baseline is Breslow's, from who was at risk, so that contracts seen late count from their entry on.
    The curves end at the longest tenure observed and are never continued.

    Parameters
    ----------
    covariates : str or sequence of str
        A formula, such as ``"price + C(channel) + log(age)"``, or the names of columns.
    strata : str, optional
        A column whose values have baselines of their own.

    Examples
    --------
    >>> Cox(["price", "channel"], strata="country")
    Cox(covariates=('price', 'channel'), strata='country')
    """

    clock: Clock = "duration"
    results = CoxFit

    def __init__(self, covariates: str | Sequence[str], *, strata: str | None = None) -> None:
        self.covariates = design.checked(covariates)
        if strata is not None and not isinstance(strata, str):
            raise ValueError(f"strata must be the name of one column; got {strata!r}")
        self.strata = strata

    def __repr__(self) -> str:
        return f"Cox(covariates={self.covariates!r}{'' if self.strata is None else f', strata={self.strata!r}'})"

    def stratum(self, data: Durations, known: tuple[Any, ...]) -> NDArray[np.intp]:
        """Number of each customer's stratum, (N,).

        Raises
        ------
        DataError
            If the column is absent, or has a value that the training data did not have.
        """
        if self.strata is None:
            return np.zeros(len(data), np.intp)
        number = pd.Index(known).get_indexer(data.attribute(self.strata))
        if (number < 0).any():
            unknown = data.table.loc[number < 0, self.strata].drop_duplicates()
            raise DataError(
                f"the fit has no baseline for {self.strata} {examples(map(repr, unknown))}, the value of "
                f"{counted(int((number < 0).sum()), 'customer')}: {examples(data.table.index[number < 0])}"
            )
        return number

    def fit(self, data: Any, method: Method = "ml", seed: int | None = None, **sampling: Unpack[Sampling]) -> CoxFit:
        """Estimate coefficients and baseline.

        Parameters
        ----------
        data : Durations
            With `duration`.
        method : {"ml"}
            The partial likelihood.
        seed : int, optional
            Kept in the fit, so that its tables can be repeated; drawn if not given.
        draws : int, default 1000
            Number of draws that intervals are made of: coefficients from their normal approximation and, given them,
            the baseline from a gamma process whose prior weighs nothing (Kalbfleisch 1978).

        Raises
        ------
        DataError
            If the data cannot carry a fit.
        FitError
            If there is no optimum, or lifelines is not installed.

        Warns
        -----
        ConvergenceWarning
            If lifelines doubts the optimum.
        AssumptionWarning
            If the endings are those of one cause.
        """
        name = type(self).__name__
        data = survival_data(data, name, self.clock)
        seed, draws = check_how(name, method, seed, sampling)
        columns = data.clock_columns(self.clock)
        time, event, entry = columns
        check_endings(columns, data, name, shape=False)
        warn_of_cause(data, name)
        weight = np.ones(len(data)) if data.weights is None else data.weights
        matrix = Design.of(self.covariates, data.table, weight)
        x = matrix.matrix(data.table)
        strata: tuple[Any, ...] = ()
        if self.strata is not None:
            segments = data.segments(self.strata)
            strata = tuple(label for label in segments.labels if label != MISSING)
        stratum = self.stratum(data, strata)
        partial = Partial.fit(matrix.names, x, time, event, entry, weight, stratum if strata else None)
        for problem in partial.problems:
            warnings.warn(f"{name}: {problem}", ConvergenceWarning, stacklevel=2)
        baselines = [
            Baseline.of(x[here], partial.coefficients, time[here], event[here], entry[here], weight[here])
            for here in (stratum == number for number in range(max(len(strata), 1)))
        ]
        return CoxFit(
            model=self,
            seed=seed,
            size=draws,
            clock=self.clock,
            origin=Origin.of(data),
            data_hash=Rows.distinct(*columns, stratum, *x.T, weights=data.weights).hash(data.unit),
            data=data,
            design=matrix,
            partial=partial,
            strata=strata,
            baselines=tuple(baselines),
        )
