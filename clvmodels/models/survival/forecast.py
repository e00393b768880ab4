"""Forecasts of contracts: who stays, for how long, and how many periods are paid until then."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clvmodels.data.contracts import Timing
from clvmodels.data.durations import Durations
from clvmodels.discounting import sum_of_terms
from clvmodels.errors import DataError, counted
from clvmodels.models.forecast import SHARE, Forecast, way_out
from clvmodels.models.rows import Rows
from clvmodels.models.survival.renewals import EXACT, Renewals, renewals_before
from clvmodels.time import unit_days

if TYPE_CHECKING:
    from clvmodels.models.survival.contracts import ContractFit


@dataclass(frozen=True)
class Payments:
    """Which payments are counted, and what they are worth.

    Parameters
    ----------
    rate : float
        Continuous discount rate per unit of time.
    timing : {"start", "end"}
        Whether a period is paid when it starts or when it ends. Whoever is a customer at its start owes it.
    first : bool, optional
        Of new customers: whether the payment of the first period counts. The others have paid for the running period
        if it is paid at its start, and still owe it if at its end. The horizon of new customers holds whole periods: a
        renewal on its last day begins the next one.
    """

    rate: float
    timing: Timing
    first: bool | None = None

    @property
    def at_once(self) -> int:
        """Payments at time 0."""
        return int(self.first is True and self.timing == "start")

    @property
    def skipped(self) -> int:
        """Payments that are not counted: of those to come, the first."""
        return int(self.first is False and self.timing == "end")

    def counted(self, at: NDArray, t: float) -> NDArray[np.bool_]:
        """Whether a payment at a renewal falls within the horizon t."""
        return at < t / EXACT if self.first is not None and self.timing == "start" else at <= t * EXACT

    @property
    def behind(self) -> int:
        """How many renewals ago the period began that is paid at a renewal."""
        return int(self.timing == "end")


def contract_forecast(fit: ContractFit, data: Durations, t: float, payments: Payments | None = None) -> Forecast:
    """What a fit can compute for the active customers of `data` over t units.

    With payments the means and outcomes have their number, `payments`, and the sum of what they are discounted to,
    `discounted`, too; over an infinite horizon the means have `derl`, which is that sum, or without payments
    `expected_lifetime`, and nothing else.
    """
    active = data.active
    _check_period(fit, active)
    customers = fit.customer_columns(active)
    renewals = Renewals.of(active, customers[0], fit.clock, evenly=math.isinf(t))
    period = float(active.period_lengths[0]) if fit.clock == "renewals" else 1.0
    ahead = _Ahead(fit, t, payments, renewals, len(customers), period)
    if math.isinf(t) and fit.support < math.inf:
        raise ValueError(
            f"{type(fit.model).__name__} says nothing of tenures beyond {ahead.told(fit.support)}, nor of an infinite "
            "horizon; give a finite one (horizon='1 year'), or use a parametric model"
        )
    longest = f"{fit.origin.covered:,.4g} {fit.origin.unit}s"
    notes = []
    if fit.origin.only_cause is not None:
        notes.append(
            f"fitted to the endings by {fit.origin.only_cause}: what would be if the other causes were abolished, and "
            "were independent of it"
        )
    notes += left_out(data)
    customers_told = counted(active.number, "customer")
    tenure = customers[0] * period
    extrapolates = fit.support == math.inf
    if extrapolates and math.isfinite(t) and (longer := _number(active, tenure + t > fit.origin.covered * EXACT)):
        notes.append(
            f"for {longer:,} of {customers_told} the horizon reaches tenures longer than the longest ever observed, "
            f"{longest}"
        )
    cautions = []
    restricted = ahead.tenure_at_end(customers[0]) > fit.support * EXACT
    if beyond := _number(active, restricted):
        cautions.append(
            f"for {beyond:,} of {customers_told} the horizon reaches beyond a tenure of {ahead.told(fit.support)}, the "
            f"longest that {type(fit.model).__name__} speaks of: their p_retained is missing, and lifetime and money "
            "are counted up to there (restricted is True)"
        )
    return Forecast(
        customers=active,
        columns=(*customers, *renewals.columns),
        size=fit.draw_count,
        means=ahead.means,
        outcomes=ahead.endless_outcomes if math.isinf(t) else ahead.outcomes,
        cost=ahead.cost,
        restricted=None if extrapolates else restricted,
        beyond=f"is paid at a tenure longer than the longest ever observed, {longest}" if extrapolates else "",
        notes=tuple(notes),
        cautions=tuple(cautions),
        drawn_from=fit.drawn_from,
    )


@dataclass(frozen=True)
class _Ahead:
    """What lies ahead of active contracts.

    Columns of a block are those of the customers, the tenure first, and those of the renewals. The clock of a model of
    renewals counts periods of the length `period`, that of others the unit.
    """

    fit: ContractFit
    t: float
    payments: Payments | None
    renewals: Renewals
    known: int
    period: float

    @property
    def discrete(self) -> bool:
        return bool(self.fit.clock == "renewals")

    def told(self, tenure: float) -> str:
        """A tenure on the clock, in words."""
        return f"{tenure:,.4g} {'renewals' if self.discrete else f'{self.fit.origin.unit}s'}"

    def tenure_at_end(self, tenure: NDArray) -> NDArray[np.float64]:
        """The tenure on the clock at the end of the horizon, of all customers."""
        if not self.discrete or self.fit.support == math.inf:
            return tenure + self.t
        return np.asarray(
            tenure + sum(at <= self.t * EXACT for at in self.renewals.within(self.t, self.renewals.columns))
        )

    def means(self, columns: tuple[NDArray, ...]) -> dict[str, NDArray]:
        """Means of a block; those that have the same tenure and renew on the same days are computed once."""
        rows = Rows.distinct(*columns)
        customers, renewals = rows.columns[: self.known], rows.columns[self.known :]
        found = (self._endless if math.isinf(self.t) else self._within)(customers, renewals)
        return {name: values[:, rows.inverse] for name, values in found.items()}

    def _within(self, customers: tuple[NDArray, ...], renewals: tuple[NDArray, ...]) -> dict[str, NDArray]:
        """Means within a finite horizon: sums over the renewals that are due."""
        fit, t, support, paid = self.fit, self.t, self.fit.support * EXACT, self.payments
        # Of a model of renewals survival does not depend on the day of the next one.
        people = Rows.distinct(*customers)
        tenure, shape = customers[0], (fit.draw_count, len(customers[0]))
        start = fit.log_survival_at(people.columns[0], people.columns)[:, people.inverse]
        spoken_of = np.isfinite(start).all(axis=0) & (tenure <= support)
        start = np.where(spoken_of, start, 0.0)

        def survival(then: NDArray, number: int, which: NDArray) -> NDArray:
            if self.discrete:
                later = np.minimum(people.columns[0] + number, fit.support)
                log_survival = fit.log_survival_at(later, people.columns)[:, people.inverse]
            else:
                # A curve of steps falls on days of payment: who leaves on one does not pay, whatever the rounding.
                at = then if fit.support == math.inf else np.minimum(then * EXACT, fit.support)
                log_survival = fit.log_survival_at(np.where(which, at, tenure), customers)
            return np.exp(np.where(which, log_survival - start, -np.inf))

        stay, last = np.ones(shape), np.zeros(shape[1])  # P(a customer after the last renewal), and its time
        lifetime, number_paid, discounted, beyond = (np.zeros(shape) for _ in range(4))
        open_ = np.ones(shape[1], bool)  # followed up to here
        for number, at in enumerate(self.renewals.within(t, renewals), start=1):
            due = open_ & (at <= t * EXACT)
            then = tenure + (number if self.discrete else at)
            known = due & (then <= support)
            after = survival(then, number, known)
            lifetime += np.where(due, stay * (at - last), 0.0)
            if paid is not None and number > paid.skipped:
                owed = np.where(paid.counted(at, t), np.where(due, stay, 0.0) if paid.behind else after, 0.0)
                number_paid += owed
                worth = owed * np.exp(-paid.rate * at)
                discounted += worth
                beyond += worth * (then * self.period > fit.origin.covered * EXACT)
            stay, last = np.where(known, after, stay), np.where(due, at, last)
            open_ &= known | (at > t * EXACT)
        if self.discrete:
            retained = np.where(open_, stay, np.nan)
            lifetime += np.where(open_, stay * (t - last), 0.0)
        else:
            to_end = spoken_of & (tenure + t <= support)
            retained = np.where(to_end, survival(tenure + t, 0, to_end), np.nan)
            lifetime = np.where(spoken_of, fit.mean_residual_lifetime(t, customers), 0.0)
        found = {"p_retained": retained, "expected_lifetime": lifetime}
        if paid is not None:
            found["payments"] = number_paid + paid.at_once
            found["discounted"] = discounted + paid.at_once
            found[SHARE] = beyond / np.where(found["discounted"] > 0, found["discounted"], 1.0)
        return found

    def _endless(self, customers: tuple[NDArray, ...], renewals: tuple[NDArray, ...]) -> dict[str, NDArray]:
        """Means over an infinite horizon, in which contracts renew evenly."""
        fit, paid, (first, step, *_) = self.fit, self.payments, renewals
        if paid is None:
            lifetime = fit.mean_residual_lifetime(math.inf, customers)
            self._check_finite(lifetime)
            # The first of the periods that a model of renewals counts is the running one, and it ends at `first`.
            return {"expected_lifetime": first + step * (lifetime - 1) if self.discrete else lifetime}
        # Of a model of renewals the day of the next one only moves all payments together.
        moved = first if self.discrete else np.zeros(len(first))
        rows = Rows.distinct(*customers, step, first - moved)
        *known, step, first = rows.columns
        people, tenure = tuple(known), known[0]
        start = fit.log_survival_at(tenure, people)

        def paid_from(number: NDArray) -> NDArray:
            """The payments from a number (U,) on, discounted: (S, B)."""

            def term(k: float) -> NDArray:
                renewal = number + k
                at = first + (renewal - 1) * step
                # Who is a customer now owes the running period.
                begun = np.maximum(renewal - paid.behind, 0.0)
                then = tenure + (begun if self.discrete else np.where(begun > 0, at - paid.behind * step, 0.0))
                return np.exp(fit.log_survival_at(then, people) - start - paid.rate * at)

            return sum_of_terms(term)[:, rows.inverse] * np.exp(-paid.rate * moved)

        earliest = np.full(len(tenure), 1.0 + paid.skipped)
        derl = paid.at_once + paid_from(earliest)
        self._check_finite(derl)
        # The first payment at a tenure that was never observed.
        left = fit.origin.covered * EXACT - tenure * self.period
        later = np.floor(left / step + 1 if self.discrete else (left - first) / step + 2)
        return {"derl": derl, SHARE: paid_from(np.maximum(later, earliest)) / derl}

    def _check_finite(self, means: NDArray) -> None:
        """Refuse an infinite horizon without discounting where the mean of any draw is infinite."""
        infinite = ~np.isfinite(means).all(axis=1)
        if infinite.any():
            where = "the estimated parameters"
            if len(infinite) > 1:
                where = f"{int(infinite.sum()):,} of {counted(len(infinite), 'draw')} of the parameters"
            raise ValueError(
                f"without discounting {type(self.fit.model).__name__} expects an infinite lifetime under {where}; "
                f"{way_out(None if self.payments is None else self.payments.rate)}"
            )

    def outcomes(self, columns: tuple[NDArray, ...], draws: slice, rng: np.random.Generator) -> dict[str, NDArray]:
        """Simulated lifetimes and payments within a finite horizon."""
        customers, renewals = columns[: self.known], columns[self.known :]
        tenure, paid, t = customers[0], self.payments, self.t
        times = self.renewals.times(t, renewals)
        due = (times[1:] <= t * EXACT).sum(axis=0)
        left = self.fit.lifetimes(rng, customers, draws) - tenure  # at the renewal of this number, or after this time
        # Who outlives what the fit speaks of is followed up to there.
        over = np.isinf(left) & (self.fit.support < math.inf)
        room = np.maximum(self.fit.support - tenure, 0.0)
        if self.discrete:
            over &= due > room
            renewed = np.minimum(np.where(over, room, left - 1), due).astype(np.intp)
            next_one = np.take_along_axis(times, np.minimum(renewed + 1, len(times) - 1), axis=0)
            lifetime = np.where(renewed < due, next_one, t)
            retained = (renewed == due).astype(float)
        else:
            over &= room * EXACT < t
            lifetime = np.minimum(np.where(over, room, left), t)
            surely = np.where(over, room * EXACT, left / EXACT - (EXACT - 1) * tenure)  # on a day of payment: not paid
            renewed = renewals_before(surely, times, due)
            retained = (surely > t).astype(float)
        found = {"retained": np.where(over, np.nan, retained), "lifetime": lifetime}
        if paid is not None:
            payable = paid.counted(times[1:], t).sum(axis=0)
            skipped = np.minimum(paid.skipped, payable)
            payments = np.maximum(np.minimum(renewed + paid.behind, payable), skipped)
            worth = np.cumsum(np.where(np.arange(len(times))[:, None] > paid.skipped, np.exp(-paid.rate * times), 0), 0)
            found["payments"] = payments - skipped + float(paid.at_once)
            found["discounted"] = np.take_along_axis(worth, payments, axis=0) + paid.at_once
        return found

    def endless_outcomes(
        self, columns: tuple[NDArray, ...], draws: slice, rng: np.random.Generator
    ) -> dict[str, NDArray]:
        """Simulated lifetimes and payments of contracts that renew evenly until they end."""
        customers, (first, step, *_) = columns[: self.known], columns[self.known :]
        paid, left = self.payments, self.fit.lifetimes(rng, customers, draws) - customers[0]
        if paid is None:
            return {"lifetime": first + step * (left - 1) if self.discrete else left}
        renewed = left - 1 if self.discrete else np.maximum(np.ceil((left - first) / step), 0.0)
        number = np.maximum(renewed + paid.behind - paid.skipped, 0.0)
        series = number if paid.rate == 0 else np.expm1(-paid.rate * step * number) / np.expm1(-paid.rate * step)
        return {"discounted": paid.at_once + np.exp(-paid.rate * (first + paid.skipped * step)) * series}

    def cost(self, columns: tuple[NDArray, ...]) -> NDArray[np.float64]:
        """A few arrays of draws, and the times of the renewals, which all draws share."""
        if math.isinf(self.t):
            return np.full(len(columns[0]), 4.0)
        _, step, _, _, months = columns[self.known :]
        month = unit_days("month") / unit_days(self.renewals.unit)
        return np.asarray(4.0 + self.t / np.where(months > 0, months * month, step) / self.fit.draw_count)


def _check_period(fit: ContractFit, active: Durations) -> None:
    """Refuse contracts of another period than those that a model of renewals was fitted to."""
    mine = fit.origin.period
    if fit.clock == "renewals" and mine is not None and active.periods != [mine]:
        raise DataError(
            f"the fit counts renewals of contracts by the {mine}, and these are by the "
            f"{' and the '.join(active.periods)}: predict those of its own period, as in data.select(period={mine!r})"
        )


def left_out(data: Durations) -> list[str]:
    """Which contracts a prediction is not about."""
    told = []
    if ended := _number(data, ~(data.is_active | data.lost_to_follow_up)):
        told.append(f"{ended:,} of {counted(data.number, 'contract')} have ended: they are left out")
    return [*told, *filter(None, [data.lost_told])]


def _number(data: Durations, which: NDArray) -> int:
    """How many customers some rows are."""
    return round(float(np.sum(which if data.weights is None else data.weights[which])))
