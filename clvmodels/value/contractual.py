"""ContractualCLV: survival x payments x margin, discounted at the days of payment, draw by draw."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Unpack

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvmodels.data.contracts import Timing
from clvmodels.data.customers import Customers
from clvmodels.data.durations import AT_RENEWALS, ON_ANY_DAY, Clock, Durations, checked_durations
from clvmodels.draws import Of
from clvmodels.errors import AssumptionWarning, DataError
from clvmodels.inference.bayes import Sampling
from clvmodels.models import forecast
from clvmodels.models.base import Method, Specification, given_or_training
from clvmodels.models.exceedance import Threshold, exceedance
from clvmodels.models.fit import Origin
from clvmodels.models.forecast import Forecast, IntervalOf
from clvmodels.models.survival.base import SurvivalFit
from clvmodels.models.survival.contracts import ContractFit, new_contract
from clvmodels.models.survival.forecast import Payments
from clvmodels.models.survival.mixture import MixtureFit
from clvmodels.schema import refuse
from clvmodels.time import Horizon, rate_per_unit
from clvmodels.value.margin import Margin, checked_margin, margin_attribute, margins

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from xarray import DataTree


# So many endings tell on which days contracts end.
_TELLING = 20


@dataclass(frozen=True, eq=False)
class ContractualCLVFit:
    """A fitted `ContractualCLV`.

    Attributes
    ----------
    model : ContractualCLV
    survival : SurvivalFit, KaplanMeierFit or CoxFit
    """

    model: ContractualCLV
    survival: Any

    @functools.cached_property
    def posterior(self) -> ContractualCLVFit:
        """This fit with draws of the parameters."""
        return ContractualCLVFit(self.model, self.survival.posterior)

    @property
    def data(self) -> Durations | None:
        """The training data; a loaded fit has none."""
        return self.survival.data

    @property
    def origin(self) -> Origin:
        """What is known of the training data."""
        return self.survival.origin

    @property
    def method(self) -> str:
        """How the parameters were estimated."""
        return str(self.survival.method)

    @property
    def seed(self) -> int:
        """The seed of all draws."""
        return int(self.survival.seed)

    @property
    def data_hash(self) -> str:
        """Hash of what the likelihood saw."""
        return str(self.survival.data_hash)

    @property
    def parameters(self) -> pd.DataFrame:
        """Parameters of the survival model."""
        return self.survival.parameters

    def summary(self) -> pd.DataFrame:
        """The parameters with what each says about customers."""
        return self.survival.summary()

    @property
    def log_likelihood(self) -> float:
        """That of the survival model: prices are known, not estimated."""
        return float(self.survival.log_likelihood)

    @property
    def inference_data(self) -> DataTree:
        """That of the survival model: `Fit.inference_data`."""
        return self.survival.inference_data

    @property
    def aic(self) -> float:
        """That of the survival model."""
        return float(self.survival.aic)

    @property
    def bic(self) -> float:
        """That of the survival model."""
        return float(self.survival.bic)

    @property
    def diagnostics(self) -> dict[str, Any]:
        """Those of the survival model."""
        return dict(self.survival.diagnostics)

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with the fit of the survival model, in sentences: nothing, if all went well."""
        return tuple(getattr(self.survival, "problems", ()))  # a curve of steps is counted, not searched for

    def predict(
        self,
        data: Durations | None = None,
        *,
        horizon: Horizon | None,
        interval: float | None = None,
        interval_of: IntervalOf = "outcome",
        margin: Margin | None = None,
        discount_rate: float | None = None,
        seed: int | None = None,
    ) -> pd.DataFrame:
        """What each active customer will pay and be worth: the table of `clvmodels.schema.CONTRACT_PREDICTIONS`.

        Counted are the payments that are due within (end of observation, end of the horizon]. A customer who pays at
        the start of a period has paid for the running one. Prices stay what they are.

        Parameters
        ----------
        data : Durations, optional
            Contracts in the unit of the fit, with their `value`, the price of one period; the training data if not
            given. Those that have ended are left out.
        horizon : str, number, date, timedelta or None
            ``"12 months"``, ``"1 year"``, an end date, or a number of the data's units. None is infinite: `derl`
            (`clvmodels.schema.CONTRACT_INFINITE_HORIZON`) then takes the place of what may be infinite or says
            nothing, and without discounting it is refused where the mean lifetime is infinite.
        interval : float, optional
            Adds the ends of central intervals, such as 0.9 for 5 % on either side. An ml or map fit takes the draws
            of its parameters from the Laplace approximation.
        interval_of : {"outcome", "mean"}
            Interval of what will happen, or of its expectation.
        margin, discount_rate : optional
            Valuation instead of the model's own, written as there.
        seed : int, optional
            Of the simulated outcomes; the fit's own if not given.

        Returns
        -------
        DataFrame, one row per active customer
            The attributes of the data come last. `attrs` says how it was made. `KaplanMeier` and `Cox` add `restricted`
            (`clvmodels.schema.CONTRACT_RESTRICTED`).

        Raises
        ------
        DataError
            If an active customer's value or margin is missing, contracts of several periods meet a model of renewals,
            or the records were read with another timing.

        Warns
        -----
        AssumptionWarning
            If more than half of the clv is paid at tenures longer than the longest ever observed, or if the horizon
            reaches beyond what the fit speaks of.
        """
        data, worth = self._customers(data), self._worth(margin, discount_rate)
        return forecast.table(self, data, horizon, interval, interval_of, seed, **worth)

    def total(
        self,
        data: Durations | None = None,
        *,
        horizon: Horizon | None,
        by: str | None = None,
        interval: float | None = None,
        interval_of: IntervalOf = "outcome",
        margin: Margin | None = None,
        discount_rate: float | None = None,
        seed: int | None = None,
    ) -> pd.DataFrame:
        """All active customers together, with the number `retained`. Not the sum of the customers' intervals.

        Parameters
        ----------
        data, horizon, interval, interval_of, margin, discount_rate, seed
            As in `predict`.
        by : str, optional
            An attribute of the data: before the row of all customers comes one for each of its values. The rows are
            sums over the same draws, so their means add up, and the ends of their intervals do not.
        """
        data, worth = self._customers(data), self._worth(margin, discount_rate)
        return forecast.total(self, data, horizon, interval, interval_of, seed, by, **worth)

    def exceedance(
        self,
        threshold: Threshold,
        data: Durations | None = None,
        *,
        horizon: Horizon | None,
        quantity: str = "clv",
        by: str | None = None,
        margin: Margin | None = None,
        discount_rate: float | None = None,
        seed: int | None = None,
    ) -> pd.DataFrame:
        """Probability that an outcome exceeds a threshold, and what is lost on average by acting on it or not.

        As `NonContractualCLVFit.exceedance`, of the active customers.

        Parameters
        ----------
        threshold : number, str or mapping
            For each customer the same; the column of the data that holds each customer's; or a mapping from rows of
            `total(by=)` to what their totals are held against, such as ``{"all": 10_000}``.
        quantity : str
            The outcome: "retained", "lifetime", "revenue" or "clv".
        data, horizon, margin, discount_rate, seed
            As in `predict`. An infinite horizon needs a discount rate.
        by : str, optional
            An attribute of the data: one row for each of its values and one for all customers, the sum of their
            outcomes against the sum of their thresholds.

        Returns
        -------
        DataFrame, one row per active customer, or per segment
            The columns of `clvmodels.schema.EXCEEDANCE`, of segments `customers` besides. For whom `KaplanMeier` and
            `Cox` are `restricted`, probabilities are those within the tenures they speak of, lower bounds.
        """
        data, worth = self._customers(data), self._worth(margin, discount_rate)
        return exceedance(self, data, threshold, quantity, horizon, by, seed, **worth)

    def draws(
        self,
        quantity: str,
        data: Durations | None = None,
        *,
        horizon: Horizon | None,
        margin: Margin | None = None,
        discount_rate: float | None = None,
    ) -> NDArray[np.float64]:
        """Draws (S, N) of a mean column of `predict`, by draw of the parameters."""
        data, worth = self._customers(data), self._worth(margin, discount_rate)
        return forecast.mean_draws(self, quantity, data, horizon, **worth)

    def outcome_draws(
        self, data: Durations | None = None, *, horizon: Horizon, seed: int | None = None
    ) -> Iterator[tuple[slice, dict[str, NDArray]]]:
        """Simulated outcomes of each customer, in blocks of customers: the predictive distribution.

        Customers share the parameters of a draw, and their fates are their own: sums over customers, draw by draw, are
        draws of the total.

        Yields
        ------
        slice, dict of ndarray, each (S, B)
            Which rows of the table of `predict`, and their draws: `retained`, `lifetime`, `revenue` and `clv`.
        """
        data, worth = self._customers(data), self._worth(None, None)
        return forecast.outcome_draws(self, data, horizon, seed, **worth)

    def latent_draws(
        self, data: Durations | None = None, *, seed: int | None = None
    ) -> Iterator[tuple[slice, dict[str, NDArray]]]:
        """What is not seen of each active customer, of `SBG` and `BdW`: `MixtureFit.latent_draws`."""
        if not isinstance(self.survival, MixtureFit):
            raise ValueError(
                f"{type(self.survival.model).__name__} knows nothing of a customer that could be drawn; SBG and BdW "
                "give each a churn probability of his own"
            )
        found: Iterator[tuple[slice, dict[str, NDArray]]] = self.survival.latent_draws(data, seed=seed)
        return found

    def new_customer(
        self,
        *,
        value: float,
        horizon: Horizon | None,
        include_first_payment: bool = True,
        period: str | None = None,
        interval: float | None = None,
        interval_of: IntervalOf = "outcome",
        margin: Margin | None = None,
        discount_rate: float | None = None,
        seed: int | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> pd.DataFrame:
        """What a customer whose contract begins at the end of observation will pay and be worth, in one row.

        Its `clv` is the value at acquisition, before the cost of acquisition: what belongs beside that cost.

        Parameters
        ----------
        value : float
            Price of one period.
        horizon, interval, interval_of, margin, discount_rate, seed
            As in `predict`.
        include_first_payment : bool
            Count the payment of the first period: at once and undiscounted, or at its end. A year of a monthly contract
            holds twelve payments, whatever the timing: the renewal on its last day begins another.
        period : str, optional
            Such as "month"; that of the contracts that were fitted, if not given.
        attributes : mapping of str to value, optional
            What is known of the customer; covariates and a margin by segment need them.
        """
        check_price(value)
        worth = self._worth(margin, discount_rate)
        missing = margin_attribute(worth["margin"])
        if missing is not None and missing not in (attributes or {}):
            raise ValueError(
                f"the margin depends on {missing!r}, which nobody knows of a new customer; give a number, such as "
                f"margin=0.3, or attributes={{{missing!r}: ...}}"
            )
        if period is None and self.origin.period is None:
            raise ValueError(
                "contracts of several periods were fitted; say which the new one has, as in period='month'"
            )
        data = new_contract(self.survival, attributes, period, float(value))
        return forecast.table(
            self, data, horizon, interval, interval_of, seed, first_payment=include_first_payment, **worth
        )

    def plot(
        self,
        kind: Literal["survival"] = "survival",
        ax: Axes | None = None,
        *,
        of: Of = "posterior",
        seed: int | None = None,
    ) -> Axes:
        """The picture of the survival model."""
        if isinstance(self.survival, SurvivalFit):
            return self.survival.plot(kind, ax, of=of, seed=seed)
        if of != "posterior":
            self._check_parameters()
        return self.survival.plot(kind, ax=ax)

    def predictive_check(
        self, kind: str | None = None, *, of: Of = "posterior", interval: float = 0.9, seed: int | None = None
    ) -> pd.DataFrame:
        """Whether contracts that the survival model makes look like those it was fitted to: `Fit.predictive_check`."""
        self._check_parameters()
        return self.survival.predictive_check(kind, of=of, interval=interval, seed=seed)

    def _check_parameters(self) -> None:
        """Refuse a curve that follows the data by itself."""
        if not isinstance(self.survival, SurvivalFit):
            raise ValueError(
                f"{type(self.survival.model).__name__} takes its curve from the data and has no priors: to hold "
                "it against them would tell nothing; use a model such as SBG or Weibull"
            )

    def _customers(self, data: Durations | None) -> Durations:
        data = given_or_training(data, self.data, checked_durations)
        self.model.check_timing(data)
        return data

    def _worth(self, margin: Margin | None, discount_rate: float | None) -> dict[str, Any]:
        rate = self.model.discount_rate if discount_rate is None else discount_rate
        rate_per_unit(rate, "year")  # refused here, before anything is computed
        return {
            "margin": checked_margin(self.model.margin if margin is None else margin),
            "discount_rate": rate,
            "timing": self.model.timing,
        }

    def forecast(
        self,
        data: Durations,
        t: float,
        *,
        margin: Margin,
        discount_rate: float,
        timing: Timing,
        first_payment: bool | None = None,
    ) -> Forecast:
        """The forecast of the contracts, with money; of new customers if their first payment is asked about."""
        payments = Payments(rate_per_unit(discount_rate, data.unit), timing, first_payment)
        base: Forecast = self.survival.forecast(data, t, payments)
        paid, earned = prices(base.customers), margins(margin, base.customers)

        def means(columns: tuple[NDArray, ...]) -> dict[str, NDArray]:
            *contract, price, earned = columns
            found = base.means(tuple(contract))
            share = found.pop(forecast.SHARE)
            if "derl" in found:
                found["clv"] = earned * price * found["derl"]
            else:
                found["expected_revenue"] = price * found.pop("payments")
                found["clv"] = earned * price * found.pop("discounted")
            return found | {forecast.SHARE: share}

        def outcomes(columns: tuple[NDArray, ...], draws: slice, rng: np.random.Generator) -> dict[str, NDArray]:
            *contract, price, earned = columns
            found = base.outcomes(tuple(contract), draws, rng)
            if "payments" in found:
                found["revenue"] = price * found.pop("payments")
            return found | {"clv": earned * price * found.pop("discounted")}

        notes = ["the price of each contract stays what it is"]
        if (earned == 1).all():
            notes.append("margin 1: clv is discounted revenue, not profit")
        return Forecast(
            customers=base.customers,
            columns=(*base.columns, paid, earned),
            size=base.size,
            means=means,
            outcomes=outcomes,
            cost=lambda columns: base.cost(columns[:-2]),
            restricted=base.restricted,
            beyond=base.beyond,
            notes=(*notes, *base.notes),
            cautions=base.cautions,
            drawn_from=base.drawn_from,
        )

    def __repr__(self) -> str:
        return f"{self.model!r}\n{self.survival!r}"


def check_price(value: Any) -> None:
    """Refuse a price of a period that is none."""
    if not (isinstance(value, (int, float, np.number)) and math.isfinite(value) and value >= 0):
        raise ValueError(f"value must be the price of one period, finite and not negative; got {value!r}")


def prices(data: Customers) -> NDArray[np.float64]:
    """The price of a period of each contract, (N,)."""
    if "value" not in data.table.columns:
        raise DataError(
            "the value of contracts needs the column 'value', the price of one period; name it in Subscriptions(value=)"
        )
    found = data.table["value"].to_numpy(float)
    refuse(data.table, np.isnan(found), "value, the price of one period, is missing for active")
    return found


class ContractualCLV(Specification):
    """Customer lifetime value of contracts: a model of how long they last, their prices, a margin, a discount rate.

    Parameters
    ----------
    survival : SurvivalModel, KaplanMeier or Cox
        How long contracts last, such as ``SBG()``.
    margin : float, str or mapping
        Share of revenue that is earned, above 0 and at most 1: a number for all customers, the column of the data that
        holds each customer's, or a mapping by the values of a column, such as ``{"channel": {"web": 0.3, "store":
        0.25}}``. At 1, `clv` is discounted revenue.
    discount_rate : float
        Annual effective rate: what is paid in t years is worth its amount divided by (1 + rate)^t today.
    timing : {"start", "end"}
        When a period is paid: at its start or at its end. Whoever is a customer at its start owes it. Contract records
        must be read with the same, `Subscriptions(timing=)`.
    """

    results = ContractualCLVFit

    def __init__(
        self, survival: Any, margin: Margin = 1.0, discount_rate: float = 0.0, timing: Timing = "start"
    ) -> None:
        results = getattr(type(survival), "results", None)
        if not (isinstance(results, type) and issubclass(results, ContractFit)):
            raise ValueError(f"survival must be a model such as SBG() or Weibull(); got {survival!r}")
        if timing not in ("start", "end"):
            raise ValueError(f"timing must be 'start' or 'end' of the period that is paid; got {timing!r}")
        rate_per_unit(discount_rate, "year")
        self.survival, self.margin, self.discount_rate = survival, checked_margin(margin), discount_rate
        self.timing: Timing = timing

    def __str__(self) -> str:
        return str(self.survival)

    def __repr__(self) -> str:
        margin = f"{self.margin:g}" if isinstance(self.margin, float) else repr(self.margin)
        timing = "" if self.timing == "start" else f", timing={self.timing!r}"
        return f"ContractualCLV({self.survival!r}, margin={margin}, discount_rate={self.discount_rate:g}{timing})"

    def fit(
        self, data: Durations, method: Method = "ml", seed: int | None = None, **sampling: Unpack[Sampling]
    ) -> ContractualCLVFit:
        """Fit the survival model; method, seed and what else there is are passed on to it, as in `Model.fit`.

        Warns
        -----
        AssumptionWarning
            If the model's clock is not that of the endings: payments then fall to the wrong customers.
        """
        self.check_timing(checked_durations(data))
        fit = self.survival.fit(data, method=method, seed=seed, **sampling)
        _warn_of_clock(data, fit.clock)
        return ContractualCLVFit(self, fit)

    def check_timing(self, data: Durations) -> None:
        """Refuse contracts whose past payments are counted by another timing than those to come."""
        if data.timing not in (None, self.timing):
            raise DataError(
                f"ContractualCLV counts payments at the {self.timing} of a period, and these contracts were read with "
                f"timing={data.timing!r}: give Subscriptions and ContractualCLV the same timing="
            )


def _warn_of_clock(data: Durations, clock: Clock) -> None:
    """Say that contracts end at renewals and the model measures time, or the reverse."""
    share, ended = data.ends_on_renewal_days, int((data.table["event"] == 1).sum())
    if ended < _TELLING:
        return
    if clock == "duration" and share > AT_RENEWALS:
        told = "renewals are the clock here: use a model of renewals, such as SBG, or KaplanMeier(clock='renewals')"
        several = f"; fit each period apart, as in durations.select(period={data.periods[0]!r})"
        told += several if len(data.periods) > 1 else ""
    elif clock == "renewals" and share < ON_ANY_DAY:
        told = "contracts end on any day: use a model of time, such as Weibull"
    else:
        return
    warnings.warn(
        f"{share:.0%} of {ended:,} endings are on a renewal day of the contract, give or take a day, and the model's "
        f"clock is {clock}, which can put revenue far off: {told}",
        AssumptionWarning,
        stacklevel=3,
    )
