"""From a fit to tables: one path for point estimates and draws, for shops and contracts, with money or without.

A `Forecast` says what can be computed for some customers; `table`, `total` and `mean_draws` compute it in blocks, for
any fit that gives one. Means and intervals are computed once per distinct row; totals draw for each
customer apart, because customers who look alike do not act alike.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from clvmodels import schema
from clvmodels.data.customers import ALL, Customers, Segments
from clvmodels.data.durations import Durations
from clvmodels.data.summary import Summary
from clvmodels.draws import blocks, check_interval, check_seed, generator, summarise
from clvmodels.errors import AssumptionWarning, DataError, counted
from clvmodels.models.base import DRAWN
from clvmodels.models.fit import Origin, check_unit
from clvmodels.models.rows import Rows
from clvmodels.time import Horizon, horizon_days, horizon_length, unit_days

IntervalOf = Literal["outcome", "mean"]

# The outcome that each interval belongs to, and the column that holds its mean.
MEAN_OF = {
    "transactions": "expected_transactions",
    "retained": "p_retained",
    "lifetime": "expected_lifetime",
    "revenue": "expected_revenue",
    "clv": "clv",
}

# An outcome that is 0 or 1 for a customer: only its sum over customers has an interval.
RETAINED = "retained"

# Draws of the totals of segments that are held at once, of each outcome: 240 MB.
SEGMENT_CELLS = 30_000_000

# A share of the clv; its average over draws or customers is that of their clv together.
SHARE = "clv_beyond_data"


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What can be computed for some customers over one horizon.

    Parameters
    ----------
    customers : Customers
        Whom it is about.
    columns : tuple of ndarray, each (N,)
        What is known of them.
    size : int
        Number of parameter draws S.
    means : callable
        Block of columns -> means by column of the table, each (S, B).
    outcomes : callable
        Block of columns, slice of the draws, random generator -> simulated outcomes, named as in `MEAN_OF`, (S, B).
    cost : callable
        Block of columns -> roughly how many numbers a draw of the outcomes needs, for bounding the memory.
    restricted : ndarray of bool, (N,), optional
        Of a fit that does not speak of all tenures: whose lifetime and money are counted only as far as it does.
    beyond : str
        Where the share `SHARE` of the clv lies; empty where nothing is beyond the data.
    notes, cautions : tuple of str
        What must be said of the numbers, and what must be warned of.
    drawn_from : str
        What the intervals of a fit are made of that has no draws itself.
    """

    customers: Customers
    columns: tuple[NDArray, ...]
    size: int
    means: Callable[[tuple[NDArray, ...]], dict[str, NDArray]]
    outcomes: Callable[[tuple[NDArray, ...], slice, np.random.Generator], dict[str, NDArray]]
    cost: Callable[[tuple[NDArray, ...]], NDArray]
    restricted: NDArray[np.bool_] | None = None
    beyond: str = ""
    notes: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()
    drawn_from: str = "draws of the parameters from the Laplace approximation"

    def mean_blocks(self, rows: Rows) -> Iterator[tuple[slice, dict[str, NDArray]]]:
        """Means of the distinct rows, block after block: slice of the rows, and draws (S, B) by column."""
        for part in blocks(np.full(len(rows.weights), self.size)):
            yield part, self.means(tuple(column[part] for column in rows.columns))

    def simulations(
        self, columns: tuple[NDArray, ...], seed: int, purpose: str
    ) -> Iterator[tuple[slice, slice, tuple[NDArray, ...], np.random.Generator]]:
        """What to simulate together: slice of the rows, slice of the draws, the rows' columns, random generator."""
        cost = 1.0 + self.cost(columns)
        for number, part in enumerate(blocks(self.size * cost)):
            rng = generator(seed, purpose, number)
            some = tuple(column[part] for column in columns)
            # Mostly all draws at once; a single customer may cost too much for that.
            for draws in blocks(np.full(self.size, cost[part].sum())):
                yield part, draws, some, rng

    def outcome_blocks(
        self, columns: tuple[NDArray, ...], seed: int, purpose: str
    ) -> Iterator[tuple[slice, dict[str, NDArray]]]:
        """Simulated outcomes (S, B), block after block."""
        pieces: list[dict[str, NDArray]] = []
        for part, draws, some, rng in self.simulations(columns, seed, purpose):
            outcomes = self.outcomes(some, draws, rng)
            pieces = [outcomes] if draws.start == 0 else [*pieces, outcomes]
            if draws.stop == self.size:
                yield part, {name: np.concatenate([piece[name] for piece in pieces]) for name in outcomes}


class Forecaster(Protocol):
    """A fit that can forecast: transactions or contracts, alone or with money."""

    @property
    def model(self) -> Any: ...  # noqa: D102
    @property
    def origin(self) -> Origin: ...  # noqa: D102
    @property
    def method(self) -> str: ...  # noqa: D102
    @property
    def seed(self) -> int: ...  # noqa: D102
    @property
    def data_hash(self) -> str: ...  # noqa: D102
    @property
    def posterior(self) -> Forecaster: ...  # noqa: D102
    @property
    def forecast(self) -> Callable[..., Any]: ...  # noqa: D102


def table(
    fit: Forecaster,
    data: Customers,
    horizon: Horizon | None,
    interval: float | None,
    interval_of: IntervalOf,
    seed: int | None,
    **worth: Any,
) -> pd.DataFrame:
    """One row per customer: means, with an interval its ends, and the customer's attributes."""
    t, attrs = question(fit, data, horizon, interval, interval_of, seed, worth)
    point = fit.forecast(data, t, **worth)
    customers = point.customers
    attrs["notes"] = told(fit, point, "intervals" if interval else None)
    rows = Rows.distinct(*point.columns)
    columns: dict[str, NDArray] = {}

    def put(name: str, part: slice, values: NDArray) -> None:
        columns.setdefault(name, np.empty(len(rows.weights)))[part] = values

    for part, means in point.mean_blocks(rows):
        for name, draws in means.items():
            put(name, part, draws.mean(axis=0) if name != SHARE else _share(draws, means["clv"], axis=0))
    if interval:
        source = fit.posterior.forecast(data, t, **worth)
        parts = (
            ((part, _by_outcome(means)) for part, means in source.mean_blocks(rows))
            if interval_of == "mean"
            else source.outcome_blocks(rows.columns, attrs["seed"], "outcomes")
        )
        for part, draws_of in parts:
            for name, draws in draws_of.items():
                if name != RETAINED:
                    lower, upper = summarise(draws, interval)
                    put(f"{name}_lower", part, lower)
                    put(f"{name}_upper", part, upper)
    frame = pd.DataFrame({name: values[rows.inverse] for name, values in columns.items()}, index=customers.table.index)
    if "clv" in frame.columns and "historic_revenue" in customers.table.columns:
        frame.insert(list(frame.columns).index("clv"), "historic_revenue", customers.table["historic_revenue"])
    if point.restricted is not None:
        frame["restricted"] = point.restricted
    frame = frame.join(customers.table[list(customers.attributes)])
    frame.attrs.update(attrs)
    if SHARE in frame.columns and point.beyond:
        clv = frame["clv"].to_numpy() * (1.0 if customers.weights is None else customers.weights)
        _tell_share(float(_share(frame[SHARE].to_numpy(), clv, axis=0)), point.beyond, horizon, frame)
    return frame


def total(
    fit: Forecaster,
    data: Customers,
    horizon: Horizon | None,
    interval: float | None,
    interval_of: IntervalOf,
    seed: int | None,
    by: str | None,
    **worth: Any,
) -> pd.DataFrame:
    """One row per segment and one for all customers: sums of the means and, with an interval, the interval of the sum.

    Parameters are shared by the customers of a draw and their fates are not: the interval is that of the sum, never
    the sum of intervals. A draw of all customers is the sum of that draw of the segments.
    """
    t, attrs = question(fit, data, horizon, interval, interval_of, seed, worth)
    point = fit.forecast(data, t, **worth)
    index, members = memberships(point.customers, by)
    attrs["notes"] = told(fit, point, "intervals" if interval else None)
    rows, number = Rows.distinct(*point.columns), np.arange(len(point.customers))
    alike = np.ones(len(number)) if point.customers.weights is None else point.customers.weights
    # How many customers of each segment share a distinct row.
    weights = members @ sparse.csc_array((alike, (number, rows.inverse)))
    found: dict[str, NDArray] = {"customers": whole(members @ alike)}
    if point.restricted is not None:
        found["restricted"] = whole(members @ (alike * point.restricted))
    for part, means in point.mean_blocks(rows):
        by_outcome = _by_outcome(means).items()
        sums_of = {name if name == RETAINED else MEAN_OF[name]: draws for name, draws in by_outcome}
        if SHARE in means:
            sums_of[SHARE] = means[SHARE] * means["clv"]
        for name, draws in sums_of.items():
            found[name] = found.get(name, 0.0) + weights[:, part] @ draws.mean(axis=0)
    if SHARE in found:
        found[SHARE] /= np.where(found["clv"] > 0, found["clv"], 1.0)
    if interval:
        source = fit.posterior.forecast(data, t, **worth)
        check_room(by, index, source.size)
        if interval_of == "mean":
            sums = _sums(
                index, source.size, ((weights[:, part], _by_outcome(m)) for part, m in source.mean_blocks(rows))
            )
        else:
            sums = outcome_sums(source, index, members, attrs["seed"])
        for name, draws in sums.items():
            found[f"{name}_lower"], found[f"{name}_upper"] = summarise(draws.T, interval)
    frame = pd.DataFrame(found, index=index)
    frame.attrs.update(attrs)
    if SHARE in found and point.beyond:
        _tell_share(float(found[SHARE][-1]), point.beyond, horizon, frame)
    return frame


def check_room(by: str | None, index: pd.Index, size: int) -> None:
    """Refuse segments whose draws would not fit into memory."""
    if len(index) * size > SEGMENT_CELLS:
        raise DataError(
            f"{by!r} makes {counted(len(index) - 1, 'segment')}, and with {size:,} draws there is room for the "
            f"intervals of {SEGMENT_CELLS // size - 1:,}; choose a column with fewer values, or ask for means alone"
        )


def outcome_sums(source: Forecast, index: pd.Index, members: sparse.csc_array, seed: int) -> dict[str, NDArray]:
    """Simulated outcomes of segments, each the sum of its customers' under the same draw: (segments, S) by outcome."""
    weights, number = source.customers.weights, np.arange(len(source.customers))
    if weights is not None and (weights != np.round(weights)).any():
        raise DataError(
            "weights must be whole numbers for outcomes to be simulated; others have means, and intervals of these"
        )
    each = number if weights is None else np.repeat(number, weights.astype(int))
    columns = tuple(column[each] for column in source.columns)
    blocks_of = source.outcome_blocks(columns, seed, "total")
    return _sums(index, source.size, ((members[:, each[part]], outcomes) for part, outcomes in blocks_of))


def _sums(
    index: pd.Index, size: int, parts: Iterable[tuple[sparse.csc_array, dict[str, NDArray]]]
) -> dict[str, NDArray]:
    """Draws (segments, S) by name, added up over blocks: who of a block is in which segment, and draws (S, B)."""
    sums: dict[str, NDArray] = {}
    for members, draws_of in parts:
        by_row = members.tocsr()
        present = np.flatnonzero(np.diff(by_row.indptr))
        for name, draws in draws_of.items():
            sums.setdefault(name, np.zeros((len(index), size)))[present] += by_row[present] @ draws.T
    return sums


def memberships(data: Customers, by: str | None) -> tuple[pd.Index, sparse.csc_array]:
    """The rows of a table of segments, the last for all customers, and which customers are in them: ones (rows, N)."""
    segments = Segments("segment", [], np.empty(0, np.intp)) if by is None else data.segments(by)
    if segments.name.lower() in {"customers", *schema.PREDICTED}:
        raise DataError(f"{segments.name!r} is the name of a column of the totals, too; rename it")
    return members_of(segments, len(data))


def members_of(segments: Segments, customers: int) -> tuple[pd.Index, sparse.csc_array]:
    """As `memberships`, of segments that may be none."""
    number, everyone = len(segments.labels), np.arange(customers)
    row = np.concatenate([segments.codes, np.full(customers, number)])
    customer = np.concatenate([everyone[: len(segments.codes)], everyone])
    members = sparse.csc_array((np.ones(len(row)), (row, customer)), shape=(number + 1, customers))
    return pd.Index([*segments.labels, ALL], name=segments.name), members


def whole(numbers: NDArray) -> NDArray:
    """Numbers of customers: whole ones where they are, as they are only with weights that are whole."""
    rounded = np.round(numbers)
    return rounded.astype(int) if np.allclose(numbers, rounded, rtol=1e-12, atol=1e-9) else np.asarray(numbers)


def mean_draws(
    fit: Forecaster, quantity: str, data: Customers, horizon: Horizon | None, **worth: Any
) -> NDArray[np.float64]:
    """Draws (S, N) of one of the means."""
    t, _ = question(fit, data, horizon, None, "mean", None, worth)
    source = fit.posterior.forecast(data, t, **worth)
    rows = Rows.distinct(*source.columns)
    parts = []
    for _, means in source.mean_blocks(rows):
        if quantity not in means:
            raise ValueError(f"draws of {quantity!r} are not known; choose one of {', '.join(map(repr, means))}")
        parts.append(np.broadcast_to(means[quantity], (source.size, means[quantity].shape[1])))
    return np.asarray(np.concatenate(parts, axis=1)[:, rows.inverse])


def outcome_draws(
    fit: Forecaster, data: Customers, horizon: Horizon | None, seed: int | None, **worth: Any
) -> Iterator[tuple[slice, dict[str, NDArray]]]:
    """Simulated outcomes (S, B) of each row of `table`, block after block; draw s is one world for all blocks."""
    if horizon is None:
        raise ValueError("outcomes over an infinite horizon cannot be simulated to their end; give a finite horizon")
    t, attrs = question(fit, data, horizon, None, "outcome", seed, worth)
    source = fit.posterior.forecast(data, t, **worth)
    return source.outcome_blocks(source.columns, attrs["seed"], "total")


def told(fit: Forecaster, point: Forecast, drawn: str | None) -> list[str]:
    """The notes of a table, with where the draws come from if there are any; what must be warned of is."""
    for caution in point.cautions:
        warnings.warn(caution, AssumptionWarning, stacklevel=4)
    source = [f"{drawn}: {point.drawn_from}"] if drawn and fit.method not in DRAWN else []
    return [*point.notes, *point.cautions, *source]


def _by_outcome(means: dict[str, NDArray]) -> dict[str, NDArray]:
    """The means that are the mean of an outcome, under the outcome's name."""
    return {name: means[mean] for name, mean in MEAN_OF.items() if mean in means}


def _share(share: NDArray, clv: NDArray, axis: int) -> NDArray[np.float64]:
    """Average of a share of the clv: that of the clv together, or the plain one where the clv is 0."""
    weights = clv + np.finfo(float).tiny
    return np.asarray((share * weights).sum(axis=axis) / weights.sum(axis=axis))


def _tell_share(share: float, beyond: str, horizon: Horizon | None, frame: pd.DataFrame) -> None:
    """Say how much of all clv lies beyond the data; warn above half."""
    sentence = f"{share:.0%} of the clv {beyond}: only the model says it"
    frame.attrs["notes"].append(sentence)
    if share > 0.5:
        nearer = "finite" if horizon is None else "shorter"
        warnings.warn(f"{sentence}; a {nearer} horizon shows how much is nearer", AssumptionWarning, stacklevel=4)


def check_infinite(
    horizon: Horizon | None, discount_rate: float | None, interval: float | None, interval_of: str
) -> None:
    """Refuse intervals of outcomes that never end; without money there is no discount rate."""
    if horizon is None and not discount_rate and interval and interval_of == "outcome":
        raise ValueError(
            "an infinite horizon has no interval of the outcome without discounting, because no simulation reaches its "
            f"end; {way_out(discount_rate)}, or ask for the interval of the mean"
        )


def way_out(discount_rate: float | None) -> str:
    """What to ask for where there is no answer for an infinite horizon."""
    discount = "" if discount_rate is None else "a discount rate (discount_rate=0.10) or "
    return f"give {discount}a finite horizon (horizon='1 year')"


def question(
    fit: Forecaster,
    data: Customers,
    horizon: Horizon | None,
    interval: float | None,
    interval_of: IntervalOf,
    seed: int | None,
    worth: dict[str, Any],
) -> tuple[float, dict[str, Any]]:
    """What is asked, checked: the horizon in the unit of the data, and the `attrs` that say what the answer is."""
    check_interval(interval)
    if interval_of not in ("outcome", "mean"):
        raise ValueError(f"interval_of must be 'outcome' or 'mean'; got {interval_of!r}")
    check_unit(fit, data)
    if isinstance(data, Summary):  # purchases may go on for ever; contracts end
        check_infinite(horizon, worth.get("discount_rate"), interval, interval_of)
    days: float = math.inf
    if horizon is not None:
        length = horizon_length if isinstance(data, Durations) else horizon_days
        days = length(horizon, unit=data.unit, observation_end=data.observation_end)
    attrs: dict[str, Any] = {
        "model": repr(fit.model),
        "method": fit.method,
        "seed": fit.seed if seed is None else check_seed(seed),
        "data_hash": fit.data_hash,
        **described(data, horizon, days),
        **worth,
        **({"interval": interval, "interval_of": interval_of} if interval else {}),
    }
    return days / unit_days(data.unit), attrs


def described(data: Customers, horizon: Horizon | None, days: float) -> dict[str, Any]:
    """What `attrs` say of time, for every model: unit, horizon and, where they are known, its dates."""
    told: dict[str, Any] = {"unit": data.unit}
    told |= {"horizon": "infinite"} if horizon is None else {"horizon": str(horizon), "horizon_days": days}
    if data.observation_end is not None:
        told["observation_end"] = f"{data.observation_end:%Y-%m-%d}"
        if horizon is not None:
            told["horizon_end"] = f"{data.observation_end + pd.Timedelta(days=days):%Y-%m-%d}"
    return told
