"""The transaction family: what a non-contractual model provides, and what it gets."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from clvmodels.data.summary import Summary
from clvmodels.discounting import discount_nodes
from clvmodels.draws import BLOCK_CELLS, Of, blocks, summarise
from clvmodels.errors import DataError, counted
from clvmodels.models import forecast, predictive
from clvmodels.models.base import Model, check_kind, summary_or_training
from clvmodels.models.exceedance import Threshold, exceedance
from clvmodels.models.fit import Fit, check_unit, latent_blocks
from clvmodels.models.forecast import IntervalOf, way_out
from clvmodels.models.predictive import Statistics
from clvmodels.models.rows import Rows
from clvmodels.models.transactions import checks
from clvmodels.models.transactions.counts import count_distribution
from clvmodels.models.transactions.events import EventForecast, Events, new_customer, outcomes_of, simulated
from clvmodels.plots.models import counts_against_model, weeks_against_model
from clvmodels.time import Horizon, unit_days

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NEGLIGIBLE = 1e-3  # over an infinite horizon outcomes are simulated until a value is discounted to this share of it
KINDS = {"frequency": checks.frequency, "recency": checks.recency, "tracking": checks.tracking}


class TransactionFit(Fit):
    """A fitted transaction model."""

    model: TransactionModel

    def predict(
        self,
        data: Summary | None = None,
        *,
        horizon: Horizon | None,
        interval: float | None = None,
        interval_of: IntervalOf = "outcome",
        seed: int | None = None,
    ) -> pd.DataFrame:
        """What each customer will do within the horizon.

        Parameters
        ----------
        data : Summary, optional
            Customers in the unit of the fit; the training data if not given.
        horizon : str, number, date, timedelta or None
            ``"39 weeks"``, ``"1 year"``, an end date, or a number of the summary's units. None is infinite: the mean
            number of all future transactions, refused where that is infinite under any draw of the parameters.
        interval : float, optional
            Adds `transactions_lower` and `transactions_upper`, the ends of the central interval. An ml or map fit
            takes the draws of its parameters from the Laplace approximation.
        interval_of : {"outcome", "mean"}
            Interval of what will happen, or of its expectation.
        seed : int, optional
            Of the simulated outcomes; the fit's own if not given.

        Returns
        -------
        DataFrame, one row per customer
            `p_alive`, `p_purchase` (over a finite horizon), `expected_transactions`, the interval, and the attributes
            of the summary. `attrs` says how they were made.
        """
        return forecast.table(self, summary_or_training(data, self.data), horizon, interval, interval_of, seed)

    def total(
        self,
        data: Summary | None = None,
        *,
        horizon: Horizon | None,
        by: str | None = None,
        interval: float | None = None,
        interval_of: IntervalOf = "outcome",
        seed: int | None = None,
    ) -> pd.DataFrame:
        """Transactions of all customers together; other parameters as in `predict`.

        Parameters
        ----------
        by : str, optional
            An attribute of the summary: before the row of all customers comes one for each of its values. The rows
            are sums over the same draws, so their means add up, and the ends of their intervals do not.
        """
        data = summary_or_training(data, self.data)
        return forecast.total(self, data, horizon, interval, interval_of, seed, by)

    def exceedance(
        self,
        threshold: Threshold,
        data: Summary | None = None,
        *,
        horizon: Horizon | None,
        quantity: str = "transactions",
        by: str | None = None,
        seed: int | None = None,
    ) -> pd.DataFrame:
        """Probability that the number of transactions exceeds a threshold, and by how much it does or fails to.

        ``exceedance(0, horizon=)`` is the simulated `p_purchase`.

        Parameters
        ----------
        threshold : number, str or mapping
            For each customer the same; the column of the summary that holds each customer's; or a mapping from rows of
            `total(by=)` to what their totals are held against, such as ``{"all": 1_882}``.
        data, horizon, seed
            As in `predict`, but the horizon must be finite.
        quantity : {"transactions"}
            The outcome.
        by : str, optional
            An attribute of the summary: one row for each of its values and one for all customers, the sum of their
            transactions against the sum of their thresholds.

        Returns
        -------
        DataFrame, one row per customer or segment
            The columns of `clvmodels.schema.EXCEEDANCE`, of segments `customers` besides.
        """
        data = summary_or_training(data, self.data)
        return exceedance(self, data, threshold, quantity, horizon, by, seed)

    def draws(self, quantity: str, data: Summary | None = None, *, horizon: Horizon | None) -> NDArray[np.float64]:
        """Draws of a mean: `p_alive`, `p_purchase` or `expected_transactions` by draw of the parameters, (S, N)."""
        return forecast.mean_draws(self, quantity, summary_or_training(data, self.data), horizon)

    def count_distribution(
        self, data: Summary | None = None, *, horizon: Horizon, most: int | None = None
    ) -> pd.DataFrame:
        """P(0), P(1), ... transactions of each customer within the horizon: the exact distribution behind `predict`.

        P(0) is 1 - `p_purchase` and the mean `expected_transactions`: under the estimated parameters for ml and map, a
        mean over the draws otherwise, ``fit.posterior`` included.

        Parameters
        ----------
        data : Summary, optional
            Customers in the unit of the fit; the training data if not given.
        horizon : str, number, date or timedelta
            As in `predict`, finite.
        most : int, optional
            The largest count with a column of its own. If not given, as many as leave no customer more than 0.001.

        Returns
        -------
        DataFrame, one row per customer
            A column for each count 0, 1, ..., and ``"more"``, the probability of more. `attrs` as of `predict`.

        Raises
        ------
        DataError
            If the table were too large to hold: say `most`.
        """
        return count_distribution(self, summary_or_training(data, self.data), horizon, most)

    def p_alive_at(
        self, data: Summary | None = None, *, horizon: Horizon, interval: float | None = None
    ) -> pd.DataFrame:
        """P(still a customer at the end of the horizon), whatever is bought until then; `predict` has that of today.

        Parameters
        ----------
        data, horizon
            As in `count_distribution`.
        interval : float, optional
            Adds `lower` and `upper`, where the probability itself lies by what the data leave open.

        Returns
        -------
        DataFrame, one row per customer
            `p_alive`, and the interval. `attrs` as of `predict`.
        """
        data = summary_or_training(data, self.data)
        if horizon is None:
            raise ValueError("nobody is a customer for ever; give a finite horizon (horizon='1 year')")
        t, attrs = forecast.question(self, data, horizon, interval, "mean", None, {})
        attrs["notes"] = forecast.told(self, self.forecast(data, t), "intervals" if interval else None)
        rows = Rows.distinct(*self.model.arrays(data))

        def draws(fit: TransactionFit) -> Iterator[tuple[slice, NDArray]]:
            for part in blocks(np.full(len(rows.weights), fit.draw_count)):
                columns = (column[part] for column in rows.columns)
                yield part, fit.model.p_alive_at(t, *columns, **fit.parameter_draws)

        found = {"p_alive": np.concatenate([p.mean(axis=0) for _, p in draws(self)])}
        if interval:
            ends = [summarise(p, interval) for _, p in draws(self.posterior)]
            found |= {
                name: np.concatenate(end) for name, end in zip(("lower", "upper"), zip(*ends, strict=True), strict=True)
            }
        frame = pd.DataFrame({name: values[rows.inverse] for name, values in found.items()}, index=data.table.index)
        frame.attrs.update(attrs)
        return frame

    def latent_draws(
        self, data: Summary | None = None, *, seed: int | None = None
    ) -> Iterator[tuple[slice, dict[str, NDArray]]]:
        """What is not seen of each customer, drawn given the history, in blocks of customers.

        Yields
        ------
        slice, dict of ndarray, each (S, B)
            Which rows of the table of `predict`, and their draws: `alive` at the end of observation, `purchase_rate`
            per unit of time (of the dead, while they lived), and of BG/NBD and MBG/NBD `dropout_probability`, after
            each transaction, of Pareto/NBD `dropout_rate`, per unit of time.
        """
        data = summary_or_training(data, self.data)
        check_unit(self, data)
        return latent_blocks(self, self.model.arrays(data), seed)

    def new_customer(
        self,
        *,
        horizon: Horizon | None,
        include_first_transaction: bool = True,
        interval: float | None = None,
        interval_of: IntervalOf = "outcome",
        seed: int | None = None,
    ) -> pd.DataFrame:
        """What a customer who is acquired at the end of observation will do within the horizon, in one row.

        Parameters
        ----------
        horizon, interval, interval_of, seed
            As in `predict`.
        include_first_transaction : bool
            Count the first transaction, at time 0, beside the repeat transactions.

        Returns
        -------
        DataFrame, one row
            `expected_transactions`, and its interval.
        """
        return new_customer(
            self, horizon, interval, interval_of, seed, include_first_transaction=include_first_transaction
        )

    def simulate_future(
        self, data: Summary | None = None, *, horizon: Horizon, seed: int | None = None
    ) -> Iterator[pd.DataFrame]:
        """Simulated transactions within the horizon, in blocks that fit in memory.

        Yields
        ------
        DataFrame
            One row per transaction: `customer`, `draw`, and `time` after the end of observation, in the data's unit.
        """
        return simulated(self, summary_or_training(data, self.data), horizon, seed)

    def outcome_draws(
        self, data: Summary | None = None, *, horizon: Horizon, seed: int | None = None
    ) -> Iterator[tuple[slice, dict[str, NDArray]]]:
        """Simulated outcomes of each customer, in blocks of customers: the predictive distribution.

        Customers share the parameters of a draw, and their fates are their own: sums over customers, draw by draw, are
        draws of the total.

        Yields
        ------
        slice, dict of ndarray, each (S, B)
            Which rows of the table of `predict`, and their draws: `transactions`.
        """
        return forecast.outcome_draws(self, summary_or_training(data, self.data), horizon, seed)

    def simulator(self) -> Callable[[np.random.Generator, int], tuple[NDArray, NDArray]]:
        """As `Fit`: frequency and recency of customers who are observed for as long as those of the training."""
        *_, T = self.training_columns()
        return lambda rng, draw: self.model.simulate(rng, T, **self.draw(draw))

    def statistics(self, kind: str | None) -> Statistics:
        """As `Fit`: those of a picture, or a few of all of them."""
        if kind is None:
            return checks.summary(self)
        check_kind(kind, *KINDS)
        return KINDS[kind](self)

    def plot(
        self,
        kind: Literal["frequency", "recency", "tracking"] = "frequency",
        ax: Axes | None = None,
        *,
        of: Of = "posterior",
        seed: int | None = None,
    ) -> Axes:
        """The data against what the model makes of such customers.

        Parameters
        ----------
        kind : {"frequency", "recency", "tracking"}
            Customers by number of repeat transactions; those who came back by time from the first to the last
            transaction; or all repeat transactions week by week, which needs the summary of a log.
        ax : matplotlib Axes, optional
            Where to draw; a new figure if not given.
        of, seed : optional
            As in `predictive_check`, which has the numbers.
        """
        check_kind(kind, *KINDS)
        draw = weeks_against_model if kind == "tracking" else counts_against_model
        return predictive.picture(self, self.statistics(kind), of, seed, draw, ax)

    def forecast(
        self, data: Summary, t: float, rate: float | None = None, include_first_transaction: bool = False
    ) -> EventForecast:
        """What this fit can compute for the customers of `data` over t units.

        With a discount rate (continuous, per unit) the means have `discounted_transactions` too or, over an infinite
        horizon, `dert` alone. Where the first transaction is included it comes at time 0, beside those that follow.
        """
        model, params = self.model, self.parameter_draws
        size = self.draw_count
        endless, first = math.isinf(t), int(include_first_transaction)
        if endless and not rate:
            self._check_finite_mean(rate)
        # Each mean is a sum of expectations at some times.
        nodes: dict[str, tuple[NDArray, NDArray]] = {}
        if endless and rate is not None:
            nodes |= {"dert": discount_nodes(t, rate), "within_data": discount_nodes(self.origin.covered, rate)}
        else:
            nodes["expected_transactions"] = discount_nodes(t, 0.0)
            if rate is not None:
                nodes["discounted_transactions"] = discount_nodes(t, rate)
        times = np.unique(np.concatenate([at for at, _ in nodes.values()]))
        weights = np.stack([np.bincount(np.searchsorted(times, at), w, len(times)) for at, w in nodes.values()])
        reach = -math.log(NEGLIGIBLE) / rate if endless and rate else t

        def means(columns: tuple[NDArray, ...]) -> dict[str, NDArray]:
            x, _, T = columns
            alive = np.broadcast_to(model.p_alive(*columns, **params), (size, len(x)))
            # What a living customer will do does not depend on t_x: once per distinct (x, T), at some times together.
            pairs = Rows.distinct(x, T)
            step = max(1, BLOCK_CELLS // (size * len(pairs.weights)))
            sums = np.zeros((len(nodes), size, len(pairs.weights)))
            for start in range(0, len(times), step):
                some = times[start : start + step]
                grid = (np.repeat(some, len(pairs.weights)), *(np.tile(column, len(some)) for column in pairs.columns))
                expected = model.expected_transactions_alive(*grid, **params).reshape(size, len(some), -1)
                sums += np.einsum("kj,sjp->ksp", weights[:, start : start + step], expected)
            while_alive = dict(zip(nodes, sums, strict=True))
            within = while_alive.pop("within_data", None)
            found = {"p_alive": alive}
            if not endless:
                found["p_purchase"] = alive * model.p_purchase_alive(t, *pairs.columns, **params)[:, pairs.inverse]
            found |= {name: first + alive * each[:, pairs.inverse] for name, each in while_alive.items()}
            if within is not None:
                # A share of next to nothing may err to below 0. P(alive) cancels where no first transaction is added,
                # and may be 0.
                dert, beyond = while_alive["dert"], np.maximum(while_alive["dert"] - within, 0.0)
                living = alive if first else 1.0
                share = living * beyond[:, pairs.inverse] / (first + living * dert[:, pairs.inverse])
                found[forecast.SHARE] = share
            return found

        def events(columns: tuple[NDArray, ...], draws: slice, rng: np.random.Generator) -> Events:
            some = {name: values[draws] for name, values in params.items()}
            counts, times = model.simulate_future(rng, reach, *columns, **some)
            if first:
                times = np.insert(times, np.cumsum(counts) - counts.ravel(), 0.0)
                counts = counts + 1
            return Events(counts, times)

        def events_per_draw(columns: tuple[NDArray, ...]) -> NDArray:
            x, _, T = columns
            typical = {name: values.mean() for name, values in params.items()}
            return np.asarray(first + model.expected_transactions_alive(reach, x, T, **typical))

        known = self.origin.covered * unit_days(data.unit)
        days = t * unit_days(data.unit)
        longer = f"the horizon of {days:,.0f} days is longer than the data, {known:,.0f} days"
        return EventForecast(
            customers=data,
            columns=model.arrays(data),
            size=size,
            means=means,
            events=events,
            outcomes=outcomes_of(events, endless=endless),
            cost=events_per_draw,
            beyond=f"lies more than {known:,.0f} days ahead, further than the data are long",
            notes=(f"{longer}: only the model reaches so far",) if known * (1 + 1e-9) < days < math.inf else (),
        )

    def _check_finite_mean(self, rate: float | None) -> None:
        """Refuse an infinite horizon without discounting where any draw has an infinite mean, whatever the history."""
        ever = np.ravel(self.model.expected_transactions_alive(np.inf, 0.0, 0.0, **self.parameter_draws))
        if infinite := int((~np.isfinite(ever)).sum()):
            where = "the estimated parameters"
            if len(ever) > 1:
                where = f"{infinite:,} of {counted(len(ever), 'draw')} of the parameters"
            raise ValueError(
                f"without discounting {type(self.model).__name__} expects infinitely many transactions under {where}; "
                f"{way_out(rate)}"
            )


class TransactionModel(Model):
    """A model of purchases without contracts.

    A model's file gives `params` and these static methods, each of data and named parameters, broadcasting draws
    (S, 1) against customers (N,); times are in the unit of `T`:

    - ``log_likelihood(x, t_x, T)``: x repeat transactions, the last at t_x, observed until T. From `ops` alone, so
      that it takes tensors.
    - ``p_alive(x, t_x, T)``: P(still a customer at T); at ``(0, 0, 0)`` of one who has just been acquired.
    - ``simulate(rng, T)``: x and t_x of new customers, one draw of the parameters.

    and, of customers who are alive at T, for whom t_x says nothing more:

    - ``p_purchase_alive(t, x, T)``: P(at least one transaction in (T, T + t]).
    - ``pmf_alive(n, t, x, T)``: P(n transactions in (T, T + t]).
    - ``expected_transactions_alive(t, x, T)``: E[transactions in (T, T + t]].
    - ``survival_alive(t, x, T)``: P(alive at T + t).
    - ``simulate_future_alive(rng, t, x, T)``: counts (M,) in (T, T + t] and their times after T, customer after
      customer; every argument is (M,), one customer under one draw in each place.

    and, of customers who are known to be alive at T or not, under one draw each, every argument (M,):

    - ``latent(rng, alive, x, t_x, T)``: what is constant of a customer but not seen, `purchase_rate` and the dropout by
      the model's own name, drawn given the history.
    """

    columns = ("frequency", "recency", "T")
    results = TransactionFit

    p_alive: Any
    p_purchase_alive: Any
    pmf_alive: Any
    survival_alive: Any
    latent: Any
    expected_transactions_alive: Any
    simulate_future_alive: Any

    @classmethod
    def p_purchase(
        cls, t: ArrayLike, x: ArrayLike, t_x: ArrayLike, T: ArrayLike, **params: ArrayLike
    ) -> NDArray[np.float64]:
        """P(at least one transaction in (T, T + t] | x, t_x, T); arguments as of the expectation."""
        return np.asarray(cls.p_alive(x, t_x, T, **params) * cls.p_purchase_alive(t, x, T, **params))[()]

    @classmethod
    def pmf(cls, n: ArrayLike, t: ArrayLike, **params: ArrayLike) -> NDArray[np.float64]:
        """P(X(t) = n), repeat transactions in (0, t] of a customer who has just been acquired."""
        return cls.conditional_pmf(n, t, 0.0, 0.0, 0.0, **params)

    @classmethod
    def conditional_pmf(
        cls, n: ArrayLike, t: ArrayLike, x: ArrayLike, t_x: ArrayLike, T: ArrayLike, **params: ArrayLike
    ) -> NDArray[np.float64]:
        """P(n transactions in (T, T + t] | x, t_x, T): P(alive) is in it, and who is dead makes none.

        Parameters
        ----------
        n : array_like
            Counts; consecutive ones of shape (K, 1, 1), against draws (S, 1) and customers (N,), are computed together.
        t, x, t_x, T, **params
            As of the expectation.

        Returns
        -------
        ndarray, broadcast of all arguments
        """
        alive = cls.p_alive(x, t_x, T, **params)
        return np.asarray(alive * cls.pmf_alive(n, t, x, T, **params) + (1 - alive) * np.equal(n, 0))[()]

    @classmethod
    def p_alive_at(
        cls, t: ArrayLike, x: ArrayLike, t_x: ArrayLike, T: ArrayLike, **params: ArrayLike
    ) -> NDArray[np.float64]:
        """P(alive at T + t | x, t_x, T), whatever is bought until then; arguments as of the expectation."""
        return np.asarray(cls.p_alive(x, t_x, T, **params) * cls.survival_alive(t, x, T, **params))[()]

    @classmethod
    def simulate_latent(
        cls, rng: np.random.Generator, x: NDArray, t_x: NDArray, T: NDArray, **params: NDArray
    ) -> dict[str, NDArray]:
        """Whether customers are alive at T, and what `latent` gives, drawn given their histories, each (S, N)."""
        p = cls.p_alive(x, t_x, T, **params)
        shape = np.broadcast_shapes(np.shape(p), *(np.shape(value) for value in (x, T, *params.values())))
        alive = rng.random(shape) < p
        named = {"x": x, "t_x": t_x, "T": T, **params}
        cells = {name: np.broadcast_to(value, shape).ravel() for name, value in named.items()}
        found = cls.latent(rng, alive.ravel(), **cells)
        return {"alive": alive, **{name: values.reshape(shape) for name, values in found.items()}}

    @classmethod
    def expected_transactions_new(cls, t: ArrayLike, **params: ArrayLike) -> NDArray[np.float64]:
        """E[X(t)], repeat transactions in (0, t] of a customer who has just been acquired."""
        return cls.conditional_expected_transactions(t, 0.0, 0.0, 0.0, **params)

    @classmethod
    def simulate_future(
        cls, rng: np.random.Generator, t: float, x: NDArray, t_x: NDArray, T: NDArray, **params: NDArray
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Transactions in (T, T + t]: counts (S, N), and their times after T cell after cell, unordered within one."""
        alive = cls.p_alive(x, t_x, T, **params)
        shape = np.broadcast_shapes(np.shape(alive), *(np.shape(value) for value in (x, T, *params.values())))
        living = rng.random(shape) < alive
        cells = {name: np.broadcast_to(value, shape)[living] for name, value in {"x": x, "T": T, **params}.items()}
        counts = np.zeros(shape, np.int64)
        counts[living], times = cls.simulate_future_alive(rng, t, **cells)
        return counts, times

    @classmethod
    def conditional_expected_transactions(
        cls, t: ArrayLike, x: ArrayLike, t_x: ArrayLike, T: ArrayLike, **params: ArrayLike
    ) -> NDArray[np.float64]:
        """Expected transactions in (T, T + t] of a customer with history x, t_x, T.

        P(alive) is in it already: do not multiply by it again.

        Parameters
        ----------
        t : array_like, scalar or (N,)
            Length of the future period, in the unit of `T`.
        x, t_x, T : array_like, (N,)
            Repeat transactions, time of the last one, and time observed.
        **params : array_like, scalar, (S, 1) or (S, N)
            The model's parameters, those that carry time in the unit of `T`.

        Returns
        -------
        ndarray, broadcast of all arguments
        """
        alive = cls.p_alive(x, t_x, T, **params)
        return np.asarray(alive * cls.expected_transactions_alive(t, x, T, **params))[()]

    @classmethod
    def dert(cls, x: ArrayLike, t_x: ArrayLike, T: ArrayLike, rate: float, **params: ArrayLike) -> NDArray[np.float64]:
        """Discounted expected residual transactions: all after T, each times exp(-rate x time after T).

        P(alive) is in it already. The relative error is below 1e-9.

        Parameters
        ----------
        x, t_x, T : array_like, (N,)
            Repeat transactions, time of the last one, and time observed.
        rate : float
            Continuous discount rate per unit of `T`: log(1.1) / 52 for 10 % a year and weeks. At 0 it is the mean
            number of all future transactions, which may be infinite.
        **params : array_like, scalar, (S, 1) or (S, N)
            The model's parameters, those that carry time in the unit of `T`.

        Returns
        -------
        ndarray, broadcast of all arguments

        References
        ----------
        Fader, Hardie & Lee (2005), RFM and CLV: Using Iso-Value Curves for Customer Base Analysis, Journal of
        Marketing Research 42(4), for the name; by parts it is rate x the integral of exp(-rate t) times
        `conditional_expected_transactions` over t.
        """
        times, weights = discount_nodes(math.inf, rate)
        while_alive = sum(
            weight * cls.expected_transactions_alive(t, x, T, **params)
            for t, weight in zip(times, weights, strict=True)
        )
        return np.asarray(cls.p_alive(x, t_x, T, **params) * while_alive)[()]

    def fit_rows(self, data: Summary) -> Rows:
        """Distinct (x, t_x, T); refuses data in which nobody repeats or nothing was observed."""
        x, t_x, T = self.arrays(data)
        customers = counted(len(x), "customer")
        if len(x) < len(self.params):
            raise DataError(
                f"{customers} cannot carry the {len(self.params)} parameters of {type(self).__name__}; "
                "give a log with more customers"
            )
        if not T.any():
            raise DataError(f"T is 0 for all {customers}: nothing was observed after the first purchase")
        if not x.any():
            raise DataError(f"frequency is 0 for all {customers}: nobody repeats, so there is no rate to learn")
        return Rows.distinct(x, t_x, T)

    def scales(self, rows: Rows) -> dict[str, float]:
        """Mean T."""
        return {"time": float(np.average(rows.columns[2], weights=rows.weights))}
