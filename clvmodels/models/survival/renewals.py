"""When contracts renew after the end of observation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clvmodels.data.durations import Durations
from clvmodels.time import Period, period, renewal_days, renewals_until, unit_days

EXACT = 1 + 1e-9  # a unit's division may leave a rounding error

_MONTH = Period(1, "month")
_ANCHOR = np.datetime64("1970-01-01", "D")  # of a month of 31 days


@dataclass(frozen=True)
class Renewals:
    """When contracts renew after the end of observation, in the unit of the data.

    Parameters
    ----------
    columns : tuple of ndarray, each (N,)
        `first` and `step`, the next renewal and the time from one to the next of contracts that renew evenly; or, 0
        where they do, `month` of the next renewal (since January 1970), `day` of the month (from 0), and `months` from
        one to the next of those that follow the calendar.
    end : datetime64, optional
        Last day observed.
    unit : str
    """

    columns: tuple[NDArray[np.float64], ...]
    end: np.datetime64 | None
    unit: str

    @classmethod
    def of(cls, data: Durations, tenure: NDArray, clock: str, *, evenly: bool) -> Renewals:
        """The renewals of active contracts.

        Where the last day observed is known they follow the calendar: from the contract's start or, if that is not
        known, from the day that lies the tenure back. A model that counts renewals knows no days within a period, so
        that without a start the next renewal is a full period ahead. Without a calendar the periods have their mean
        length, as all of them after the next renewal if they are to come `evenly`.
        """
        days, step = unit_days(data.unit), data.period_lengths
        first = step.copy()
        if clock == "duration":
            first = step * (np.floor(tenure / step * EXACT + 1e-12) + 1) - tenure
        month, day, months = (np.zeros(len(tenure)) for _ in range(3))
        if data.observation_end is None:
            return cls((first, step, month, day, months), None, data.unit)
        end = np.datetime64(data.observation_end, "D")
        started: NDArray = np.full(len(tenure), end)
        if clock == "duration":
            started = end - np.round(tenure * days).astype("timedelta64[D]")
        if "start" in data.table.columns:
            known = data.table["start"].to_numpy("datetime64[D]")
            started = np.where(np.isnat(known), started, known)
        texts = data.table["period"].to_numpy() if "period" in data.table.columns else np.full(len(tenure), data.unit)
        for text in np.unique(texts):
            of, length = texts == text, period(text)
            number = np.maximum(renewals_until(started[of], length, end) + 1, 1)
            next_day = renewal_days(started[of], length, number)
            first[of] = (next_day - end).astype(float) / days
            if length.unit == "month" and not evenly:
                first[of] = step[of] = 0.0
                start_month = started[of].astype("datetime64[M]")
                month[of] = start_month.astype(int) + number * length.number
                day[of] = (started[of] - start_month.astype("datetime64[D]")).astype(float)
                months[of] = length.number
        return cls((first, step, month, day, months), end, data.unit)

    def time(self, number: int, columns: tuple[NDArray, ...]) -> NDArray[np.float64]:
        """Time after the end of observation of the 1st, 2nd, ... renewal from then on, (B,)."""
        first, step, month, day, months = columns
        evenly = first + (number - 1) * step
        if not months.any():
            return np.asarray(evenly)
        later = (month + (number - 1) * months).astype(int)
        on_calendar = renewal_days(_ANCHOR + day.astype("timedelta64[D]"), _MONTH, later) - self.end
        return np.where(months > 0, on_calendar.astype(float) / unit_days(self.unit), evenly)

    def within(self, t: float, columns: tuple[NDArray, ...]) -> Iterator[NDArray[np.float64]]:
        """The times (B,) of the 1st, 2nd, ... renewal, as long as one of them comes within t."""
        number = 1
        while ((at := self.time(number, columns)) <= t * EXACT).any():
            yield at
            number += 1

    def times(self, t: float, columns: tuple[NDArray, ...]) -> NDArray[np.float64]:
        """The same times together, after a row of zeros: (K + 1, B)."""
        return np.stack([np.zeros(len(columns[0])), *self.within(t, columns)])


def renewals_before(left: NDArray, times: NDArray, number: NDArray) -> NDArray[np.intp]:
    """How many of the first `number` (B,) renewals at the `times` (K + 1, B) come before `left` (S, B)."""
    if len(times) == 1:
        return np.zeros(left.shape, np.intp)
    first = times[1]
    last = np.take_along_axis(times, np.maximum(number, 1)[None], axis=0)[0]
    step = np.where(number > 1, (last - first) / np.maximum(number - 1, 1), 1.0)
    count = np.clip(np.ceil((left - first) / step), 0, number).astype(np.intp)
    # Months of the calendar differ by up to three days, so that a guess by their mean may be off by one.
    count -= (count > 0) & (np.take_along_axis(times, count, axis=0) >= left)
    next_one = np.minimum(count + 1, len(times) - 1)
    return count + ((count < number) & (np.take_along_axis(times, next_one, axis=0) < left))
