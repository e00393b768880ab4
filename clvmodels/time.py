"""Time: the units of a summary, the words of a horizon, and the annual rate in any unit.

One calendar convention for the whole package: dates are whole days, a unit is a fixed number of days, a horizon becomes
whole days before anything else happens to it. So predictions and holdouts use the same days, and no result depends on
the unit in which time is counted.
"""

from __future__ import annotations

import datetime
import math
import re
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

Unit = Literal["day", "week", "month", "year"]
Horizon = str | int | float | datetime.date | datetime.timedelta | np.timedelta64

UNIT_DAYS: dict[str, float] = {"day": 1.0, "week": 7.0, "month": 30.4375, "year": 365.25}

# Days of a month and a year of a horizon where the end of observation, and with it the calendar, is not known.
_DAYS_WITHOUT_CALENDAR = {"day": 1, "week": 7, "month": 30, "year": 365}
_LONGEST = 200 * 366
_WORDS = re.compile(r"\s*(\d+)\s*(day|week|month|year)s?\s*", re.IGNORECASE)
_PERIOD = re.compile(r"\s*(?:(\d{1,6})\s+)?(day|week|month|quarter|year)s?\s*", re.IGNORECASE)


def unit_days(unit: str) -> float:
    """Length of a unit in days.

    >>> unit_days("week")
    7.0
    """
    if unit not in UNIT_DAYS:
        raise ValueError(f"unknown unit {unit!r}; use one of {', '.join(map(repr, UNIT_DAYS))}")
    return UNIT_DAYS[unit]


def rate_per_unit(annual: float, unit: str) -> float:
    """Continuous discount rate per unit of time that compounds to the annual effective rate.

    >>> round(rate_per_unit(0.10, "year"), 6)  # log(1.1) over a year of 365.25 days
    0.09531
    """
    if not (isinstance(annual, (int, float, np.number)) and math.isfinite(annual) and annual >= 0):
        raise ValueError(
            f"discount_rate must be an annual effective rate such as 0.10, finite and not negative; got {annual!r}"
        )
    return math.log1p(annual) * unit_days(unit) / UNIT_DAYS["year"]


@dataclass(frozen=True)
class Period:
    """The time from one payment of a contract to the next: whole days, or whole months of the calendar.

    >>> period("quarter") == period("3 months"), period("12 months") == period("year")
    (True, True)
    """

    number: int
    unit: Literal["day", "month"]

    @property
    def days(self) -> float:
        """Mean length in days, a month counted as 30.4375."""
        return self.number * UNIT_DAYS[self.unit]

    def __str__(self) -> str:
        larger, word = (12, "year") if self.unit == "month" else (7, "week")
        number, word = (self.number // larger, word) if self.number % larger == 0 else (self.number, self.unit)
        return word if number == 1 else f"{number} {word}s"


def period(text: str) -> Period:
    """A contract's period as it is written: "day", "2 weeks", "month", "3 months", "quarter", "year".

    >>> period("quarter"), str(period("quarter")), period("quarter").days
    (Period(number=3, unit='month'), '3 months', 91.3125)
    """
    words = _PERIOD.fullmatch(text) if isinstance(text, str) else None
    if words:
        number, word = int(words[1] or 1), words[2].lower()
        found = (
            Period(number * {"month": 1, "quarter": 3, "year": 12}[word], "month")
            if word in ("month", "quarter", "year")
            else Period(number * {"day": 1, "week": 7}[word], "day")
        )
        if 0 < found.days <= _LONGEST:
            return found
    raise ValueError(
        f"period {text!r} is not understood; write it like 'month', '3 months', 'quarter', 'year', '2 weeks'"
    )


def renewal_days(start: Any, period: Period, k: Any) -> np.ndarray:
    """The day of the k-th renewal of a contract: k periods after its start, which is renewal 0.

    Months follow the calendar from the start itself, so a contract of 31 January renews on the last day of February and
    on 31 March.

    Parameters
    ----------
    start : array_like of datetime64
    period : Period
    k : array_like of int
        Broadcasts against `start`.

    Returns
    -------
    ndarray of datetime64[D]

    Examples
    --------
    >>> renewal_days("2023-01-31", period("month"), [0, 1, 2, 13])
    array(['2023-01-31', '2023-02-28', '2023-03-31', '2024-02-29'],
          dtype='datetime64[D]')
    """
    first = np.asarray(start, "datetime64[D]")
    steps = np.asarray(k, np.int64) * period.number
    if period.unit == "day":
        return first + steps.astype("timedelta64[D]")
    month = first.astype("datetime64[M]")
    day_of_month = first - month.astype("datetime64[D]")
    renewed = month + steps.astype("timedelta64[M]")
    last = (renewed + np.timedelta64(1, "M")).astype("datetime64[D]") - np.timedelta64(1, "D")
    return np.minimum(renewed.astype("datetime64[D]") + day_of_month, last)


def renewals_until(start: Any, period: Period, day: Any) -> np.ndarray:
    """How many renewals have come by a day, that day included: the largest k with `renewal_days` of k not after it.

    Negative where the day is before the start.

    Parameters
    ----------
    start, day : array_like of datetime64
        Broadcast against each other.
    period : Period

    Returns
    -------
    ndarray of int

    Examples
    --------
    >>> renewals_until("2023-01-31", period("month"), np.array(["2023-02-27", "2023-02-28"], "datetime64[D]"))
    array([0, 1])
    """
    first, until = np.asarray(start, "datetime64[D]"), np.asarray(day, "datetime64[D]")
    if period.unit == "day":
        return (until - first).astype(np.int64) // period.number
    months = until.astype("datetime64[M]") - first.astype("datetime64[M]")
    k = months.astype(np.int64) // period.number
    return k - (renewal_days(first, period, k) > until)


def renewal_distance(start: Any, period: Period, day: Any) -> np.ndarray:
    """Days from the nearest renewal day of a contract to a day: negative where the day comes first.

    The start is no renewal day.

    Parameters
    ----------
    start, day : array_like of datetime64
        Broadcast against each other.
    period : Period

    Returns
    -------
    ndarray of int

    Examples
    --------
    >>> renewal_distance("2023-01-31", period("month"), np.array(["2023-02-02", "2023-02-27", "2023-03-01"], "M8[D]"))
    array([-26,  -1,   1])
    """
    day = np.asarray(day, "datetime64[D]")
    k = np.maximum(renewals_until(start, period, day), 0)
    since = (day - renewal_days(start, period, k)).astype(np.int64)
    to = (renewal_days(start, period, k + 1) - day).astype(np.int64)
    return np.where((k > 0) & (since <= to), since, -to)


def day(date: object, name: str) -> pd.Timestamp:
    """A calendar day from a date, a timestamp or an ISO text; `name` is what the error calls it.

    >>> day("1997-09-30", "cutoff")
    Timestamp('1997-09-30 00:00:00')
    """
    if isinstance(date, str) and not re.match(r"\d{4}-\d{2}-\d{2}", date):
        raise ValueError(f"{name} must be a date written YYYY-MM-DD; got {date!r}")
    try:
        stamp = pd.Timestamp(date)  # type: ignore[arg-type]
    except (ValueError, TypeError) as error:
        raise ValueError(f"{name} must be a date written YYYY-MM-DD; got {date!r}") from error
    if stamp is pd.NaT or isinstance(date, (bool, int, float, np.number)):
        raise ValueError(f"{name} must be a date written YYYY-MM-DD; got {date!r}")
    return stamp.tz_localize(None).normalize()


def horizon_days(horizon: Horizon, *, unit: str, observation_end: pd.Timestamp | None = None) -> int:
    """Whole days of a horizon that starts at the end of observation.

    Parameters
    ----------
    horizon : str, number, date or timedelta
        ``"39 weeks"``, ``"1 year"``, a timedelta of whole days, an end date, or a bare number of `unit`.
    unit : {"day", "week", "month", "year"}
        The unit of a bare number. One that is not whole is rounded to whole days.
    observation_end : Timestamp, optional
        Where it is known, months and years follow the calendar and an end date can be given; else a month has 30
        days and a year 365.

    Returns
    -------
    int
        At least 1, at most 200 years.

    Examples
    --------
    >>> horizon_days("39 weeks", unit="week")
    273
    >>> horizon_days("1 year", unit="week", observation_end=pd.Timestamp("1999-06-30"))
    366
    """
    asked = f"horizon {horizon!r}"
    if isinstance(horizon, str):
        words = _WORDS.fullmatch(horizon)
        if words:
            days = _calendar_days(int(words[1]), words[2].lower(), observation_end)
        elif re.match(r"\d{4}-", horizon):
            days = _days_until(day(horizon, "an end date as horizon"), observation_end)
        else:
            raise ValueError(
                f"{asked} is not understood; write it like '39 weeks', '6 months', '1 year' or an end date YYYY-MM-DD"
            )
    elif isinstance(horizon, (datetime.timedelta, np.timedelta64)):
        exact = pd.Timedelta(horizon) / pd.Timedelta(days=1)
        if exact != round(exact):
            raise ValueError(f"{asked} is not a whole number of days")
        days = round(exact)
    elif isinstance(horizon, (datetime.date, np.datetime64)):
        days = _days_until(day(horizon, "an end date as horizon"), observation_end)
    elif isinstance(horizon, (int, float, np.number)) and not isinstance(horizon, bool) and math.isfinite(horizon):
        if horizon == round(horizon):
            days = _calendar_days(round(horizon), unit, observation_end)
        else:
            days = round(horizon * unit_days(unit))
    else:
        raise ValueError(f"{asked} is not understood; write it like '39 weeks', or as a number of {unit}s")
    if days < 1:
        raise ValueError(f"{asked} must be at least one day after the end of observation")
    if days > _LONGEST:
        raise ValueError(f"{asked} is longer than 200 years")
    return days


def horizon_length(horizon: Horizon, *, unit: str, observation_end: pd.Timestamp | None = None) -> float:
    """Days of a horizon of contracts: as `horizon_days` or, without a calendar, of months and years of mean length.

    Contracts are counted in periods. Where no calendar says how long these are, a year must hold twelve of a month.

    >>> horizon_length("1 year", unit="month"), horizon_length(12, unit="month")
    (365.25, 365.25)
    """
    days: float = horizon_days(horizon, unit=unit, observation_end=observation_end)
    if observation_end is None:
        if isinstance(horizon, str) and (words := _WORDS.fullmatch(horizon)):
            days = int(words[1]) * UNIT_DAYS[words[2].lower()]
        elif isinstance(horizon, (int, float, np.integer, np.floating)):
            days = float(horizon) * UNIT_DAYS[unit]
    return days


def oldest_day(max_age: str | int, today: pd.Timestamp) -> pd.Timestamp:
    """The day that lies an age before today.

    Parameters
    ----------
    max_age : str or int
        ``"3 days"``, ``"1 month"`` by the calendar, or a number of days.
    today : Timestamp

    Examples
    --------
    >>> oldest_day("1 month", pd.Timestamp("2024-03-31"))
    Timestamp('2024-02-29 00:00:00')
    """
    words = _WORDS.fullmatch(str(max_age)) or _WORDS.fullmatch(f"{max_age} days")
    if not words or int(words[1]) * UNIT_DAYS[words[2].lower()] > _LONGEST:
        raise ValueError(f"max_age {max_age!r} is not understood; write it like '3 days', or as a number of days")
    offset: Any = {f"{words[2].lower()}s": int(words[1])}
    return today - pd.DateOffset(**offset)


def _calendar_days(number: int, unit: str, start: pd.Timestamp | None) -> int:
    unit_days(unit)
    days = number * _DAYS_WITHOUT_CALENDAR[unit]
    if start is None or unit in ("day", "week") or days > _LONGEST:
        return days
    months = number * (12 if unit == "year" else 1)
    return (start + pd.DateOffset(months=months) - start).days


def _days_until(end: pd.Timestamp, start: pd.Timestamp | None) -> int:
    if start is None:
        raise ValueError("an end date as horizon needs data whose end of observation is known; give a length instead")
    if end <= start:
        raise ValueError(f"horizon ends on {end:%Y-%m-%d}, which is not after the end of observation {start:%Y-%m-%d}")
    return (end - start).days
