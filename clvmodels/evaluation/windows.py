"""Windows: which days a backtest predicts from, and which it predicts."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from clvmodels import time
from clvmodels.data.customers import ALL, Customers, Segments
from clvmodels.data.durations import Durations
from clvmodels.data.subscriptions import ContractSplit, Subscriptions
from clvmodels.data.summary import Summary
from clvmodels.data.transactions import Day, Split, Transactions
from clvmodels.errors import DataError, examples
from clvmodels.evaluation.comparators import RepeatLastPeriod
from clvmodels.time import Horizon

Data = Transactions | Subscriptions
Cutoffs = Day | Sequence[Day] | str

_DAY = re.compile(r"\s*\d{4}-\d{2}-\d{2}")
_EXAMPLE = "'4 every 13 weeks'"
_ROLLING = re.compile(r"\s*(\d+)\s+every\s+(.+)", re.IGNORECASE)
ACQUIRED = re.compile(r"acquisition\s+(month|quarter|year)", re.IGNORECASE)
ACQUISITIONS = "'acquisition month', 'acquisition quarter' or 'acquisition year'"


@dataclass(frozen=True, eq=False)
class Window:
    """A cutoff and a horizon: what the models may see, and what came after.

    Parameters
    ----------
    split : Split or ContractSplit
    horizon : str
        As it was asked for.
    segments : Segments
        Those of `customers`.
    """

    split: Split | ContractSplit
    horizon: str
    segments: Segments

    @functools.cached_property
    def customers(self) -> Customers:
        """Whom the models predict: those known at the cutoff; of contracts the active ones."""
        calibration = self.split.calibration
        return calibration.active if isinstance(calibration, Durations) else calibration

    @functools.cached_property
    def past(self) -> pd.DataFrame | None:
        """What would happen if the last period were repeated, as `RepeatLastPeriod` says; None if the log is too short.

        All models are measured against it, and it costs a look at the log.
        """
        if not isinstance(self.customers, Summary):
            return None
        with contextlib.suppress(DataError):
            return RepeatLastPeriod().fit(self.customers).predict(horizon=self.length)
        return None

    @property
    def length(self) -> pd.Timedelta:
        """The horizon as the models are asked: the days of the holdout."""
        return pd.Timedelta(days=self.split.horizon_days)


def windows(
    data: Data,
    cutoffs: Cutoffs,
    horizons: Sequence[Horizon],
    by: str | None,
    unit: str | None,
    until: Day | None = None,
    since: Day | None = None,
) -> list[list[Window]]:
    """The windows of each cutoff, in the order of time: one for each horizon.

    Parameters
    ----------
    data : Transactions or Subscriptions
    cutoffs : date, list of dates, or str
        Or as ``"4 every 13 weeks"``: the last one so that the longest horizon is just observed, the others before it.
    horizons : list
        As in `Transactions.split`.
    by : str, optional
        An attribute of the data, or "acquisition month", "acquisition quarter", "acquisition year".
    unit : str, optional
        Of the summaries; that of the data's own method if not given.
    until, since : date, optional
        Last day observed, from which cutoffs are counted back; of contracts also the first.
    """
    unit = unit or ("week" if isinstance(data, Transactions) else "month")
    contracts = {"until": until, "since": since} if isinstance(data, Subscriptions) else {}
    days = _days(data, cutoffs, horizons, unit, until)
    found = []
    for day in days:
        splits = [data.split(day, horizon, unit=unit, **contracts) for horizon in horizons]
        lengths = [split.horizon_days for split in splits]
        if len(set(lengths)) < len(lengths):
            named = examples((_written(horizon, unit) for horizon in horizons), limit=10)
            raise ValueError(f"two horizons are of one length: {named}; name each once")
        # One calibration for all horizons, so that a model is fitted once.
        calibration = splits[0].calibration
        customers = calibration.active if isinstance(calibration, Durations) else calibration
        segments = _segments(customers, by)
        alike: list[Any] = [dataclasses.replace(split, calibration=calibration) for split in splits]  # type: ignore[arg-type]
        found.append(
            [Window(split, _written(horizon, unit), segments) for split, horizon in zip(alike, horizons, strict=True)]
        )
    return found


def apart(cutoffs: Sequence[pd.Timestamp], ends: Sequence[pd.Timestamp]) -> int:
    """How many windows (cutoff, end] do not overlap.

    >>> days = pd.to_datetime(["2024-01-01", "2024-01-08", "2024-01-15"])
    >>> apart(days, days + pd.Timedelta(days=14))
    2
    """
    count, free = 0, pd.Timestamp.min
    for cutoff, end in sorted(zip(cutoffs, ends, strict=True)):
        if cutoff >= free:
            count, free = count + 1, end
    return count


def _written(horizon: Horizon, unit: str) -> str:
    """A horizon as it is shown."""
    if isinstance(horizon, pd.Timedelta):
        return f"{horizon.days} days"
    return f"{horizon:g} {unit}s" if isinstance(horizon, (int, float, np.number)) else str(horizon)


def _days(
    data: Data, cutoffs: Cutoffs, horizons: Sequence[Horizon], unit: str, until: Day | None
) -> list[pd.Timestamp]:
    """The cutoffs, each once, in the order of time."""
    if isinstance(cutoffs, str) and (words := _ROLLING.fullmatch(cutoffs)):
        number, step = int(words[1]), words[2]
        if not 1 <= number <= 1000:
            raise ValueError(f"cutoffs {cutoffs!r}: the number of cutoffs must lie between 1 and 1,000")
        try:
            time.horizon_days(step, unit=unit)
        except ValueError:
            raise ValueError(f"cutoffs {cutoffs!r}: {step!r} is no length of time; write it like {_EXAMPLE}") from None
        end = data.end if until is None else time.day(until, "until")
        last = min(_before(end, horizon, unit) for horizon in horizons)
        days = [last]
        while len(days) < number:
            days.append(_before(days[-1], step, unit))
        return sorted(days)
    if isinstance(cutoffs, str) and not _DAY.match(cutoffs):
        raise ValueError(f"cutoffs must be a date written YYYY-MM-DD, a list of these, or {_EXAMPLE}; got {cutoffs!r}")
    many = isinstance(cutoffs, Sequence | np.ndarray | pd.Index | pd.Series) and not isinstance(cutoffs, str)
    listed: list[Any] = list(cutoffs) if many else [cutoffs]  # type: ignore[arg-type]
    if not listed:
        raise ValueError('cutoffs must name a day at least, such as ["2024-06-30"] or "4 every 13 weeks"')
    days = [time.day(cutoff, "cutoffs") for cutoff in listed]
    if twice := [day for day in set(days) if days.count(day) > 1]:
        raise ValueError(f"cutoffs are named twice: {examples(f'{day:%Y-%m-%d}' for day in sorted(twice))}")
    return sorted(days)


def _before(end: pd.Timestamp, length: Horizon, unit: str) -> pd.Timestamp:
    """The latest day from which a length of time reaches no further than `end`."""
    guess = end - pd.Timedelta(days=time.horizon_days(length, unit=unit, observation_end=end) + 3)
    return max(
        day
        for day in (guess + pd.Timedelta(days=i) for i in range(8))
        if day + pd.Timedelta(days=time.horizon_days(length, unit=unit, observation_end=day)) <= end
    )


def _segments(customers: Customers, by: str | None) -> Segments:
    if by is None:
        return Segments("segment", [], np.empty(0, np.intp))
    if not isinstance(by, str):
        raise ValueError(f"by must be the name of one attribute, or such as 'acquisition month'; got {by!r}")
    if by.lower().startswith("acquisition ") and not ACQUIRED.fullmatch(by) and by not in customers.table.columns:
        raise ValueError(f"by={by!r} is not understood; write it as {ACQUISITIONS}")
    if (words := ACQUIRED.fullmatch(by)) and by not in customers.table.columns:
        first = "start" if isinstance(customers, Durations) else "first_date"
        period = customers.table[first].dt.to_period({"month": "M", "quarter": "Q", "year": "Y"}[words[1].lower()])
        codes, labels = pd.factorize(period, sort=True)
        return Segments(by, [str(label) for label in labels], codes)
    segments = customers.segments(by)
    if ALL in map(str, segments.labels):
        raise DataError(f"{by!r} has the value {ALL!r}, which is the name of the row of all customers; rename it")
    return segments
