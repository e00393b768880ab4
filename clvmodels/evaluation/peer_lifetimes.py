"""LifetimesCLV: the BG/NBD and Gamma-Gamma of the package lifetimes, as they are, behind the same interface."""

from __future__ import annotations

import contextlib
import io
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvmodels.data.summary import Summary
from clvmodels.draws import check_interval
from clvmodels.errors import ConvergenceWarning, FitError, counted, examples, recorded
from clvmodels.evaluation.comparators import checked_shop, finite_days, plain_table
from clvmodels.models.base import Specification, summary_or_training
from clvmodels.models.fit import Origin, check_unit
from clvmodels.time import Horizon, unit_days

_ALONE = threading.Lock()  # what is put aside belongs to the process, and models may be fitted in threads


@dataclass(frozen=True, eq=False)
class LifetimesCLVFit:
    """A fitted `LifetimesCLV`.

    Attributes
    ----------
    model : LifetimesCLV
    origin : Origin
        What is known of the training data.
    transactions : lifetimes.BetaGeoFitter
    spend : lifetimes.GammaGammaFitter or None
        None where the summary knows no value.
    data : Summary
        The training data.
    """

    model: LifetimesCLV
    origin: Origin
    transactions: Any
    spend: Any
    data: Summary

    @property
    def parameters(self) -> pd.DataFrame:
        """Estimate and standard error of each parameter, as lifetimes gives them."""
        fitters = {"BGNBD": self.transactions} | ({"GammaGamma": self.spend} if self.spend else {})
        parts = {
            name: pd.DataFrame({"estimate": fitter.params_, "se": fitter.standard_errors_})
            for name, fitter in fitters.items()
        }
        return pd.concat(parts, names=["model", "parameter"])

    def predict(
        self, data: Summary | None = None, *, horizon: Horizon | None, interval: float | None = None
    ) -> pd.DataFrame:
        """What lifetimes expects of each customer.

        Parameters
        ----------
        data : Summary, optional
            Customers in the unit of the training data, which they are if not given.
        horizon : str, number, date or timedelta
            As for every model, but it must end.
        interval : float, optional
            lifetimes gives means alone: no columns come of it, and ``attrs["notes"]`` says so.

        Returns
        -------
        DataFrame, one row per customer
            `expected_transactions` and, where the summary knows value, `expected_spend`, `expected_revenue`,
            `historic_revenue` and `clv`; the attributes of the summary.

        Raises
        ------
        FitError
            If lifetimes gives no number, or one below 0, for a customer.
        """
        check_interval(interval)
        data = summary_or_training(data, self.data)
        check_unit(self, data)
        days = finite_days(self.model, data, horizon)
        x, t_x, T = (data.table[name].to_numpy(float) for name in ("frequency", "recency", "T"))
        with _quietly():
            number = self.transactions.conditional_expected_number_of_purchases_up_to_time(
                days / unit_days(data.unit), x, t_x, T
            )
            columns = {"expected_transactions": _usable(number, data, "expected transactions")}
            if self.spend is not None:
                value = self.spend.conditional_expected_average_profit(x, data.table["monetary_value"].to_numpy(float))
                columns["expected_spend"] = _usable(value, data, "expected spend")
                columns["expected_revenue"] = columns["expected_transactions"] * columns["expected_spend"]
        notes = ["fitted and computed by lifetimes"]
        if interval:
            notes.append("no intervals: lifetimes gives means alone")
        return plain_table(self.model, data, horizon, days, columns, notes)

    def __repr__(self) -> str:
        return f"{self.model!r}\n{self.parameters.to_string(float_format=lambda value: f'{value:.4g}')}"


class LifetimesCLV(Specification):
    """BG/NBD and Gamma-Gamma as the package lifetimes estimates and computes them, its defaults included.

    Its Gamma-Gamma sees the customers with a repeat transaction whose mean value is above 0, as it demands.

    Parameters
    ----------
    penalizer : float
        What lifetimes takes off the mean log-likelihood for each squared parameter; none by default.
    """

    results = LifetimesCLVFit

    def __init__(self, penalizer: float = 0.0) -> None:
        if not (isinstance(penalizer, (int, float, np.number)) and np.isfinite(penalizer) and penalizer >= 0):
            raise ValueError(f"penalizer must be a number, 0 or more; got {penalizer!r}")
        self.penalizer = penalizer

    def fit(self, data: Summary) -> LifetimesCLVFit:
        """Let lifetimes fit both models; where its Gamma-Gamma finds no fit, transactions are predicted alone.

        Raises
        ------
        DataError
            If the data are not a summary.
        FitError
            If its BG/NBD does not converge, or nobody has a repeat transaction with a value.

        Warns
        -----
        ConvergenceWarning
            If its Gamma-Gamma does not converge.
        """
        data = checked_shop(data, str(self))
        table = data.table
        paid = None
        if "monetary_value" in table.columns:
            paid = table[(table["frequency"] > 0) & (table["monetary_value"] > 0)]
            if paid.empty:
                raise FitError("lifetimes needs repeat transactions of some value, and there are none")
        with _quietly():
            from lifetimes import BetaGeoFitter, GammaGammaFitter

            transactions = _fitted(BetaGeoFitter(self.penalizer), table, "frequency", "recency", "T")
            spend, problem = None, None
            if paid is not None:
                try:
                    spend = _fitted(GammaGammaFitter(self.penalizer), paid, "frequency", "monetary_value")
                except FitError as error:
                    problem = error
        if problem is not None:
            warnings.warn(f"{problem}; only transactions are predicted", ConvergenceWarning, stacklevel=2)
        return LifetimesCLVFit(self, Origin.of(data), transactions, spend, data)

    def __repr__(self) -> str:
        return f"LifetimesCLV({f'penalizer={self.penalizer:g}' if self.penalizer else ''})"


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """What lifetimes warns of, prints and sets stays inside: it was made for an older pandas."""
    option = "mode.chained_assignment"
    with (
        _ALONE,
        recorded(),
        np.errstate(all="ignore"),
        contextlib.redirect_stdout(io.StringIO()),
        pd.option_context(option, pd.get_option(option)),
    ):
        yield


def _fitted(fitter: Any, table: pd.DataFrame, *columns: str) -> Any:
    from lifetimes.utils import ConvergenceError

    try:
        return fitter.fit(*(table[name].to_numpy() for name in columns))
    except (ConvergenceError, np.linalg.LinAlgError) as error:
        said = " ".join(str(error).split())
        raise FitError(f"lifetimes' {type(fitter).__name__} gives no fit: {said}") from error


def _usable(values: Any, data: Summary, what: str) -> NDArray[np.float64]:
    """The numbers, if they are."""
    values = np.asarray(values, float)
    if (wrong := ~(np.isfinite(values) & (values >= 0))).any():
        whom = counted(int(wrong.sum()), "customer")
        raise FitError(f"lifetimes gives no {what} for {whom}: {examples(data.table.index[wrong])}")
    return values
