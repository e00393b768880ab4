"""What every fit of contracts says of the customers who are still there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvmodels.data.durations import Durations, checked_durations
from clvmodels.models import forecast
from clvmodels.models.base import given_or_training
from clvmodels.models.exceedance import Threshold, exceedance
from clvmodels.models.fit import Origin
from clvmodels.models.forecast import Forecast, IntervalOf
from clvmodels.models.survival.forecast import Payments, contract_forecast
from clvmodels.time import Horizon


class ContractFit:
    """What every fit of contracts says of the customers who are still there.

    A fit gives `origin`, `clock`, `support` (the longest tenure that it speaks of), `draw_count`, `posterior`, and

    - ``customer_columns(data)``: the tenure of each customer on the clock and his covariates, each (N,);
    - ``log_survival_at(t, columns, draws)``: (S, B), NaN beyond the support;
    - ``lifetimes(rng, columns, draws)``: simulated tenure at the end, (S, B), infinite beyond the support;
    - ``mean_residual_lifetime(t, columns)``: if the clock is time, the mean of the lifetime to come, counted up to t
      and to the support; if it is renewals, for an infinite t, the mean number of periods, the running one included.
    """

    model: Any
    method: Any
    seed: int
    origin: Origin
    data_hash: str
    data: Any
    posterior: Any
    clock: Any
    support: Any
    draw_count: Any
    customer_columns: Any
    log_survival_at: Any
    lifetimes: Any
    mean_residual_lifetime: Any

    drawn_from: ClassVar[str] = Forecast.drawn_from

    def predict(
        self,
        data: Durations | None = None,
        *,
        horizon: Horizon | None,
        interval: float | None = None,
        interval_of: IntervalOf = "outcome",
        seed: int | None = None,
    ) -> pd.DataFrame:
        """Whether and how long each active customer will stay.

        Parameters
        ----------
        data : Durations, optional
            Contracts in the unit of the fit; the training data if not given. Those that have ended are left out.
        horizon : str, number, date, timedelta or None
            ``"12 months"``, ``"1 year"``, an end date, or a number of the data's units. None is infinite: the mean
            lifetime, refused where that is infinite under any draw of the parameters.
        interval : float, optional
            Adds `lifetime_lower` and `lifetime_upper`, the ends of the central interval. An ml or map fit takes the
            draws of its parameters from the Laplace approximation.
        interval_of : {"outcome", "mean"}
            Interval of what will happen, or of its expectation.
        seed : int, optional
            Of the simulated outcomes; the fit's own if not given.

        Returns
        -------
        DataFrame, one row per active customer
            `p_retained` (over a finite horizon), `expected_lifetime`, the interval, of `KaplanMeier` and `Cox`
            `restricted`, and the attributes of the data. `attrs` says how they were made.

        Warns
        -----
        AssumptionWarning
            If the horizon reaches beyond the tenures that the fit speaks of: what lies beyond is then not counted.
        """
        data = given_or_training(data, self.data, checked_durations)
        return forecast.table(self, data, horizon, interval, interval_of, seed)

    def total(
        self,
        data: Durations | None = None,
        *,
        horizon: Horizon | None,
        by: str | None = None,
        interval: float | None = None,
        interval_of: IntervalOf = "outcome",
        seed: int | None = None,
    ) -> pd.DataFrame:
        """All active customers together, with the number `retained`; other parameters as in `predict`.

        Parameters
        ----------
        by : str, optional
            An attribute of the data: before the row of all customers comes one for each of its values. The rows are
            sums over the same draws, so their means add up, and the ends of their intervals do not.
        """
        data = given_or_training(data, self.data, checked_durations)
        return forecast.total(self, data, horizon, interval, interval_of, seed, by)

    def exceedance(
        self,
        threshold: Threshold,
        data: Durations | None = None,
        *,
        horizon: Horizon | None,
        quantity: str = "lifetime",
        by: str | None = None,
        seed: int | None = None,
    ) -> pd.DataFrame:
        """Probability that an outcome exceeds a threshold, and by how much it does or fails to.

        Parameters
        ----------
        threshold : number, str or mapping
            For each customer the same; the column of the data that holds each customer's; or a mapping from rows of
            `total(by=)` to what their totals are held against, such as ``{"all": 500}``.
        data, horizon, seed
            As in `predict`, but the horizon must be finite.
        quantity : {"lifetime", "retained"}
            The outcome: the lifetime within the horizon, or whether the customer stays to its end.
        by : str, optional
            An attribute of the data: one row for each of its values and one for all customers, the sum of their
            outcomes against the sum of their thresholds.

        Returns
        -------
        DataFrame, one row per active customer, or per segment
            The columns of `clvmodels.schema.EXCEEDANCE`, of segments `customers` besides. For whom `KaplanMeier` and
            `Cox` are `restricted`, the probability of a lifetime is that within the tenures they speak of, a lower
            bound, and that of being retained is missing.
        """
        data = given_or_training(data, self.data, checked_durations)
        return exceedance(self, data, threshold, quantity, horizon, by, seed)

    def draws(self, quantity: str, data: Durations | None = None, *, horizon: Horizon | None) -> NDArray[np.float64]:
        """Draws of a mean: `p_retained` or `expected_lifetime` by draw of the parameters, (S, N)."""
        return forecast.mean_draws(self, quantity, given_or_training(data, self.data, checked_durations), horizon)

    def outcome_draws(
        self, data: Durations | None = None, *, horizon: Horizon, seed: int | None = None
    ) -> Iterator[tuple[slice, dict[str, NDArray]]]:
        """Simulated outcomes of each customer, in blocks of customers: the predictive distribution.

        Customers share the parameters of a draw, and their fates are their own: sums over customers, draw by draw, are
        draws of the total.

        Yields
        ------
        slice, dict of ndarray, each (S, B)
            Which rows of the table of `predict`, and their draws: `retained` and `lifetime`.
        """
        data = given_or_training(data, self.data, checked_durations)
        return forecast.outcome_draws(self, data, horizon, seed)

    def new_customer(
        self,
        *,
        horizon: Horizon | None,
        interval: float | None = None,
        interval_of: IntervalOf = "outcome",
        seed: int | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> pd.DataFrame:
        """What a customer whose contract begins at the end of observation will do, in one row.

        Parameters
        ----------
        horizon, interval, interval_of, seed
            As in `predict`.
        attributes : mapping of str to value, optional
            What is known of the customer; a fit with covariates needs them.
        """
        return forecast.table(self, new_contract(self, attributes), horizon, interval, interval_of, seed)

    def forecast(self, data: Durations, t: float, payments: Payments | None = None) -> Forecast:
        """What this fit can compute for the active customers of `data` over t units."""
        return contract_forecast(self, data, t, payments)


def new_contract(
    fit: ContractFit, attributes: Mapping[str, Any] | None = None, period: str | None = None, value: float | None = None
) -> Durations:
    """A contract that begins at the end of observation, of the period of those that the fit knows."""
    design, strata = getattr(fit, "design", None), getattr(fit.model, "strata", None)
    needed = dict.fromkeys([*(design.columns if design is not None else ()), *filter(None, [strata])])
    if missing := [name for name in needed if name not in (attributes or {})]:
        told = ", ".join(f"{name!r}: ..." for name in missing)
        raise ValueError(f"the fit has covariates, and must know those of the new customer: attributes={{{told}}}")
    return contract_from_now(fit.origin, fit.clock, attributes, period or fit.origin.period, value)


def contract_from_now(
    known: Origin, clock: str, attributes: Mapping[str, Any] | None, period: str | None, value: float | None
) -> Durations:
    """A contract that begins at the end of observation of what is known."""
    row: dict[str, Any] = {**(attributes or {}), "event": 0, clock: 0}
    if period is not None:
        row["period"] = period
    if known.observation_end is not None:
        row["start"] = known.observation_end
    if value is not None:
        row["value"] = value
    table = pd.DataFrame(row, index=pd.Index(["new customer"], name="customer"))
    return Durations(table, known.unit, observation_end=known.observation_end)
