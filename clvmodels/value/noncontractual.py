"""NonContractualCLV: transactions x spend x margin, discounted, draw by draw."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Unpack, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvmodels.data.summary import Summary
from clvmodels.draws import Of, new_seed
from clvmodels.inference.bayes import Sampling
from clvmodels.models import forecast
from clvmodels.models.base import Method, Specification, check_kind, summary_or_training
from clvmodels.models.exceedance import Threshold, exceedance
from clvmodels.models.fit import Fit, Origin
from clvmodels.models.forecast import IntervalOf
from clvmodels.models.spend.base import SpendFit, SpendModel
from clvmodels.models.spend.independence import SpendAgainstFrequency
from clvmodels.models.transactions.base import KINDS, TransactionFit, TransactionModel
from clvmodels.models.transactions.events import EventForecast, Events, new_customer, outcomes_of, simulated
from clvmodels.time import Horizon, rate_per_unit
from clvmodels.value.margin import Margin, checked_margin, margin_attribute, margins

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from xarray import DataTree


@dataclass(frozen=True, eq=False)
class NonContractualCLVFit:
    """A fitted `NonContractualCLV`: one fit of transactions, one of spend.

    Attributes
    ----------
    model : NonContractualCLV
    transactions : TransactionFit
    spend : SpendFit
    """

    model: NonContractualCLV
    transactions: TransactionFit
    spend: SpendFit

    @property
    def _fits(self) -> tuple[Fit, Fit]:
        return self.transactions, self.spend

    @functools.cached_property
    def posterior(self) -> NonContractualCLVFit:
        """This fit with draws of the parameters of both models."""
        return NonContractualCLVFit(self.model, self.transactions.posterior, self.spend.posterior)

    @property
    def data(self) -> Summary | None:
        """The training data; a loaded fit has none."""
        return self.transactions.data

    @property
    def origin(self) -> Origin:
        """What is known of the training data."""
        return self.transactions.origin

    @property
    def method(self) -> Method:
        """How the parameters were estimated."""
        return self.transactions.method

    @property
    def seed(self) -> int:
        """The seed of all draws."""
        return self.transactions.seed

    @property
    def data_hash(self) -> str:
        """Hash of what the likelihoods saw."""
        return f"{self.transactions.data_hash}-{self.spend.data_hash}"

    @property
    def parameters(self) -> pd.DataFrame:
        """Parameters of both models, as `Fit.parameters`, indexed by model and parameter."""
        return pd.concat({type(fit.model).__name__: fit.parameters for fit in self._fits}, names=["model"])

    def summary(self) -> pd.DataFrame:
        """The parameters with what each says about customers."""
        return pd.concat({type(fit.model).__name__: fit.summary() for fit in self._fits}, names=["model"])

    @property
    def log_likelihood(self) -> float:
        """Sum of both log-likelihoods: spend does not depend on transactions."""
        return self.transactions.log_likelihood + self.spend.log_likelihood

    @property
    def inference_data(self) -> DataTree:
        """`Fit.inference_data` of both models, in the branches `transactions` and `spend`.

        ArviZ takes one branch at a time: ``az.summary(tree["transactions"])``, with 0.23 ``az.from_datatree`` of it.
        """
        from xarray import DataTree

        tree = DataTree(children={name: getattr(self, name).inference_data for name in ("transactions", "spend")})
        shared = tree["transactions"].attrs
        notes = [f"{name}: {branch.attrs['notes']}" for name, branch in tree.children.items() if branch.attrs["notes"]]
        tree.attrs.update(shared, model=repr(self.model), data_hash=self.data_hash, notes="; ".join(notes))
        del tree.attrs["distinct_rows"]  # each branch has its own
        return tree

    @property
    def aic(self) -> float:
        """Sum of both criteria."""
        return self.transactions.aic + self.spend.aic

    @property
    def bic(self) -> float:
        """Sum of both criteria."""
        return self.transactions.bic + self.spend.bic

    @property
    def diagnostics(self) -> dict[str, Any]:
        """Diagnostics of each model, by its name."""
        return {type(fit.model).__name__: fit.diagnostics for fit in self._fits}

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with either fit, in sentences: nothing, if all went well."""
        return tuple(f"{type(fit.model).__name__}: {problem}" for fit in self._fits for problem in fit.problems)

    def predict(
        self,
        data: Summary | None = None,
        *,
        horizon: Horizon | None,
        interval: float | None = None,
        interval_of: IntervalOf = "outcome",
        margin: Margin | None = None,
        discount_rate: float | None = None,
        seed: int | None = None,
    ) -> pd.DataFrame:
        """What each customer will do and be worth within the horizon: the table of `clvmodels.schema.PREDICTIONS`.

        Parameters
        ----------
        data : Summary, optional
            Customers in the unit of the fit; the training data if not given.
        horizon : str, number, date, timedelta or None
            ``"39 weeks"``, ``"1 year"``, an end date, or a number of the summary's units. None is infinite: `dert` and
            `clv_beyond_data` (`clvmodels.schema.INFINITE_HORIZON`) then take the place of what would be infinite, and
            without discounting it is refused where the mean is infinite under any draw of the parameters.
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
        DataFrame, one row per customer
            The attributes of the summary come last. `attrs` says how it was made.

        Warns
        -----
        AssumptionWarning
            If more than half of the clv over an infinite horizon is later than the data are long.
        """
        data, worth = summary_or_training(data, self.data), self._worth(margin, discount_rate)
        return forecast.table(self, data, horizon, interval, interval_of, seed, **worth)

    def total(
        self,
        data: Summary | None = None,
        *,
        horizon: Horizon | None,
        by: str | None = None,
        interval: float | None = None,
        interval_of: IntervalOf = "outcome",
        margin: Margin | None = None,
        discount_rate: float | None = None,
        seed: int | None = None,
    ) -> pd.DataFrame:
        """All customers together; other arguments as in `predict`. Not the sum of the customers' intervals.

        Parameters
        ----------
        by : str, optional
            An attribute of the summary: before the row of all customers comes one for each of its values. The rows
            are sums over the same draws, so their means add up, and the ends of their intervals do not.
        """
        data, worth = summary_or_training(data, self.data), self._worth(margin, discount_rate)
        return forecast.total(self, data, horizon, interval, interval_of, seed, by, **worth)

    def exceedance(
        self,
        threshold: Threshold,
        data: Summary | None = None,
        *,
        horizon: Horizon | None,
        quantity: str = "clv",
        by: str | None = None,
        margin: Margin | None = None,
        discount_rate: float | None = None,
        seed: int | None = None,
    ) -> pd.DataFrame:
        """Probability that an outcome exceeds a threshold, and what is lost on average by acting on it or not.

        Where a customer brings Y if `threshold` is spent and nothing if it is not (the cost of keeping an account, the
        price of a list), whoever spends it loses threshold - Y where Y is less, and whoever does not misses
        Y - threshold where it is more. The smaller mean loss is the better decision: their difference is the mean of Y
        less the threshold. P(Y > threshold) alone does not decide, since a few may bring much. An offer to people who
        would buy anyway must be judged by what it changes, and that no model of their purchases knows.

        Parameters
        ----------
        threshold : number, str or mapping
            For each customer the same; the column of the summary that holds each customer's; or a mapping from rows of
            `total(by=)` to what their totals are held against, such as ``{"all": 10_000}``.
        quantity : str
            The outcome: "transactions", "revenue" or "clv".
        data, horizon, margin, discount_rate, seed
            As in `predict`. An infinite horizon needs a discount rate.
        by : str, optional
            An attribute of the summary: one row for each of its values and one for all customers, the sum of their
            outcomes against the sum of their thresholds.

        Returns
        -------
        DataFrame, one row per customer or segment
            The columns of `clvmodels.schema.EXCEEDANCE`, of segments `customers` besides. The outcomes are simulated,
            the same as for the intervals of `predict` and `total`: of 1,000 draws a probability has a standard error of
            about 0.016 at most, of totals somewhat more.

        Raises
        ------
        DataError
            If a customer has no threshold, or there is no such column or row.
        """
        data, worth = summary_or_training(data, self.data), self._worth(margin, discount_rate)
        return exceedance(self, data, threshold, quantity, horizon, by, seed, **worth)

    def draws(
        self,
        quantity: str,
        data: Summary | None = None,
        *,
        horizon: Horizon | None,
        margin: Margin | None = None,
        discount_rate: float | None = None,
    ) -> NDArray[np.float64]:
        """Draws (S, N) of a mean column of `predict`, by draw of the parameters."""
        data, worth = summary_or_training(data, self.data), self._worth(margin, discount_rate)
        return forecast.mean_draws(self, quantity, data, horizon, **worth)

    def new_customer(
        self,
        *,
        horizon: Horizon | None,
        include_first_transaction: bool = True,
        interval: float | None = None,
        interval_of: IntervalOf = "outcome",
        margin: Margin | None = None,
        discount_rate: float | None = None,
        seed: int | None = None,
    ) -> pd.DataFrame:
        """What a customer who is acquired at the end of observation will do and be worth, in one row.

        Its `clv` is the value at acquisition, before the cost of acquisition: what belongs beside that cost, a bid or
        a payback.

        Parameters
        ----------
        horizon, interval, interval_of, margin, discount_rate, seed
            As in `predict`; but the margin must be a number, because nothing is known of a new customer.
        include_first_transaction : bool
            Count the first transaction, at time 0 and undiscounted, beside the repeat transactions.

        Returns
        -------
        DataFrame, one row
            `expected_transactions`, `expected_spend`, `expected_revenue` and `clv`; over an infinite horizon `dert`,
            `expected_spend`, `clv` and `clv_beyond_data`; and their intervals.
        """
        worth = self._worth(margin, discount_rate)
        if attribute := margin_attribute(worth["margin"]):
            raise ValueError(
                f"the margin depends on {attribute!r}, which nobody knows of a new customer; give a number, such as "
                "margin=0.3"
            )
        return new_customer(
            self, horizon, interval, interval_of, seed, include_first_transaction=include_first_transaction, **worth
        )

    def simulate_future(
        self, data: Summary | None = None, *, horizon: Horizon, seed: int | None = None
    ) -> Iterator[pd.DataFrame]:
        """Simulated transactions within the horizon, in blocks that fit in memory.

        Yields
        ------
        DataFrame
            One row per transaction: `customer`, `draw`, `time` after the end of observation in the data's unit, and
            `value`, gross and undiscounted.
        """
        data = summary_or_training(data, self.data)
        return simulated(self, data, horizon, seed, **self._worth(1.0, None))

    def outcome_draws(
        self, data: Summary | None = None, *, horizon: Horizon, seed: int | None = None
    ) -> Iterator[tuple[slice, dict[str, NDArray]]]:
        """Simulated outcomes of each customer, in blocks of customers: the predictive distribution.

        Customers share the parameters of a draw, and their fates are their own: sums over customers, draw by draw, are
        draws of the total.

        Yields
        ------
        slice, dict of ndarray, each (S, B)
            Which rows of the table of `predict`, and their draws: `transactions`, `revenue` and `clv`.
        """
        data, worth = summary_or_training(data, self.data), self._worth(None, None)
        return forecast.outcome_draws(self, data, horizon, seed, **worth)

    def latent_draws(
        self, data: Summary | None = None, *, seed: int | None = None
    ) -> Iterator[tuple[slice, dict[str, NDArray]]]:
        """What is not seen of each customer, drawn given the history: that of both models, as their fits give it."""
        bought, spent = (fit.latent_draws(data, seed=seed) for fit in (self.transactions, self.spend))
        return ((part, {**one, **other}) for (part, one), (_, other) in zip(bought, spent, strict=True))

    def count_distribution(
        self, data: Summary | None = None, *, horizon: Horizon, most: int | None = None
    ) -> pd.DataFrame:
        """P(0), P(1), ... transactions within the horizon: `TransactionFit.count_distribution`."""
        return self.transactions.count_distribution(data, horizon=horizon, most=most)

    def p_alive_at(
        self, data: Summary | None = None, *, horizon: Horizon, interval: float | None = None
    ) -> pd.DataFrame:
        """P(still a customer at the end of the horizon): `TransactionFit.p_alive_at`."""
        return self.transactions.p_alive_at(data, horizon=horizon, interval=interval)

    def spend_against_frequency(self, *, interval: float = 0.9, seed: int | None = None) -> SpendAgainstFrequency:
        """Evidence for or against the independence of spend and transactions, as `SpendFit` gives it."""
        return self.spend.spend_against_frequency(interval=interval, seed=seed)

    def plot(
        self,
        kind: Literal["frequency", "recency", "tracking", "spend"] = "frequency",
        ax: Axes | None = None,
        *,
        of: Of = "posterior",
        seed: int | None = None,
    ) -> Axes:
        """One of the pictures of its parts: "frequency", "recency" or "tracking" of the transactions, or "spend"."""
        return self._part(kind).plot(kind, ax, of=of, seed=seed)

    def predictive_check(
        self, kind: str | None = None, *, of: Of = "posterior", interval: float = 0.9, seed: int | None = None
    ) -> pd.DataFrame:
        """Whether data that the models make look like those they were fitted to, as `Fit.predictive_check`.

        Of a kind of `plot` the numbers of the picture; else a few statistics of the purchases, and of the spend.
        """
        if kind is not None:
            return self._part(kind).predictive_check(kind, of=of, interval=interval, seed=seed)
        parts = [fit.predictive_check(of=of, interval=interval, seed=seed) for fit in self._fits]
        frame = pd.concat(parts)
        notes = list(dict.fromkeys(note for part in parts for note in part.attrs["notes"]))
        frame.attrs = parts[0].attrs | {"model": repr(self.model), "data_hash": self.data_hash, "notes": notes}
        return frame

    def _part(self, kind: str) -> Any:
        """The fit that a kind of picture is about."""
        check_kind(kind, *KINDS, "spend")
        return self.spend if kind == "spend" else self.transactions

    def _worth(self, margin: Margin | None, discount_rate: float | None) -> dict[str, Any]:
        rate = self.model.discount_rate if discount_rate is None else discount_rate
        rate_per_unit(rate, "year")  # refused here, before anything is computed
        return {"margin": checked_margin(self.model.margin if margin is None else margin), "discount_rate": rate}

    def forecast(
        self,
        data: Summary,
        t: float,
        *,
        margin: Margin,
        discount_rate: float,
        include_first_transaction: bool | None = None,
    ) -> EventForecast:
        """The forecast of the transactions, with money; of new customers if their first transaction is asked about."""
        endless, rate = math.isinf(t), rate_per_unit(discount_rate, data.unit)
        base = self.transactions.forecast(data, t, rate, bool(include_first_transaction))
        spend, spend_params = self.spend.model, self.spend.parameter_draws
        # Of a new customer no transaction is known, not even the first.
        spent = spend.arrays(data) if include_first_transaction is None else (np.zeros(len(data)),) * 2
        earned = margins(margin, data)

        def means(columns: tuple[NDArray, ...]) -> dict[str, NDArray]:
            *history, number, mean, earned = columns
            found = base.means(tuple(history))
            worth_each = spend.conditional_expected_spend(number, mean, **spend_params)
            found["expected_spend"] = worth_each
            if endless:
                found["clv"] = earned * found["dert"] * worth_each
                found[forecast.SHARE] = found.pop(forecast.SHARE)  # behind the clv that it is a share of
            else:
                found["expected_revenue"] = found["expected_transactions"] * worth_each
                found["clv"] = earned * found.pop("discounted_transactions") * worth_each
            return found

        def events(columns: tuple[NDArray, ...], draws: slice, rng: np.random.Generator) -> Events:
            *history, number, mean, _ = columns
            bought = base.events(tuple(history), draws, rng)
            some = {name: values[draws] for name, values in spend_params.items()}
            values = spend.simulate_future(rng, number, mean, bought.counts, **some)
            return Events(bought.counts, bought.times, values)

        def worth(columns: tuple[NDArray, ...], events: Events) -> NDArray:
            return np.asarray(columns[-1] * events.sum_by_cell(events.values * np.exp(-rate * events.times)))

        return EventForecast(
            customers=data,
            columns=(*base.columns, *spent, earned),
            size=base.size,
            means=means,
            events=events,
            outcomes=outcomes_of(events, worth, endless=endless),
            cost=lambda columns: base.cost(columns[:-3]),
            beyond=base.beyond,
            notes=(*(("margin 1: clv is discounted revenue, not profit",) if (earned == 1).all() else ()), *base.notes),
        )

    def __repr__(self) -> str:
        return f"{self.model!r}\n{self.transactions!r}\n{self.spend!r}"


class NonContractualCLV(Specification):
    """Customer lifetime value of a shop: a model of transactions, a model of spend, a margin and a discount rate.

    Parameters
    ----------
    transactions : TransactionModel
        When customers buy, such as ``BGNBD()``.
    spend : SpendModel
        What a transaction is worth, such as ``GammaGamma()``.
    margin : float, str or mapping
        Share of revenue that is earned, above 0 and at most 1: a number for all customers, the column of the summary
        that holds each customer's, or a mapping by the values of a column, such as ``{"channel": {"web": 0.3,
        "store": 0.25}}``. At 1, `clv` is discounted revenue.
    discount_rate : float
        Annual effective rate, continuous in time: what a transaction at time t is worth today is divided by
        (1 + rate)^(t in years).
    """

    results = NonContractualCLVFit

    def __init__(
        self, transactions: TransactionModel, spend: SpendModel, margin: Margin = 1.0, discount_rate: float = 0.0
    ) -> None:
        if not isinstance(transactions, TransactionModel):
            raise ValueError(f"transactions must be a model such as BGNBD(); got {transactions!r}")
        if not isinstance(spend, SpendModel):
            raise ValueError(f"spend must be a model such as GammaGamma(); got {spend!r}")
        rate_per_unit(discount_rate, "year")
        self.transactions, self.spend = transactions, spend
        self.margin, self.discount_rate = checked_margin(margin), discount_rate

    def __str__(self) -> str:
        return f"{self.transactions} + {self.spend}"

    def __repr__(self) -> str:
        margin = f"{self.margin:g}" if isinstance(self.margin, float) else repr(self.margin)
        return (
            f"NonContractualCLV({self.transactions!r}, {self.spend!r}, margin={margin}, "
            f"discount_rate={self.discount_rate:g})"
        )

    def fit(
        self, data: Summary, method: Method = "ml", seed: int | None = None, **sampling: Unpack[Sampling]
    ) -> NonContractualCLVFit:
        """Fit both models; method, seed and what else there is are passed on to each, as in `Model.fit`."""
        seed = new_seed() if seed is None else seed
        transactions, spend = (
            model.fit(data, method=method, seed=seed, **sampling) for model in (self.transactions, self.spend)
        )
        return NonContractualCLVFit(self, cast(TransactionFit, transactions), cast(SpendFit, spend))
