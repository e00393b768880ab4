import datetime
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clvmodels import time

END = pd.Timestamp("1998-06-30")


@pytest.mark.parametrize(
    ("horizon", "days"),
    [
        ("39 weeks", 273),
        ("1 week", 7),
        (" 10 Days ", 10),
        ("6 months", 183),  # until 1998-12-30
        ("1 year", 365),
        ("1998-07-01", 1),
        (datetime.date(1998, 7, 31), 31),
        (pd.Timestamp("1999-06-30"), 365),
        (np.datetime64("1998-07-30"), 30),
        (datetime.timedelta(days=3), 3),
        (pd.Timedelta("2 days"), 2),
        (np.timedelta64(4, "D"), 4),
        (39, 273),
        (39.0, 273),
        (np.int64(2), 14),
        (0.5, 4),
    ],
)
def test_a_horizon_becomes_whole_days(horizon, days):
    assert time.horizon_days(horizon, unit="week", observation_end=END) == days


@pytest.mark.parametrize(
    ("max_age", "oldest"),
    [
        ("3 days", "2024-03-28"), (" 3 Days ", "2024-03-28"), ("3", "2024-03-28"), (3, "2024-03-28"),
        (0, "2024-03-31"), ("0 days", "2024-03-31"), ("1 week", "2024-03-24"), ("1 month", "2024-02-29"),
        ("1 year", "2023-03-31"),
    ],
)  # fmt: skip
def test_an_age_is_counted_back_by_the_calendar(max_age, oldest):
    assert time.oldest_day(max_age, pd.Timestamp("2024-03-31")) == pd.Timestamp(oldest)


@pytest.mark.parametrize("max_age", ["soon", "", -1, 1.5, math.nan, True, None, "3 fortnights", "9" * 30, "300 years"])
def test_an_age_that_is_none_is_refused(max_age):
    with pytest.raises(ValueError, match=r"max_age .* is not understood; write it like '3 days', or as a nu"):
        time.oldest_day(max_age, END)


@pytest.mark.parametrize(("horizon", "days"), [("1 year", 365), ("2 months", 60), ("3 weeks", 21)])
def test_without_a_calendar_a_month_has_30_days_and_a_year_365(horizon, days):
    assert time.horizon_days(horizon, unit="week") == days


@pytest.mark.parametrize("unit", time.UNIT_DAYS)
def test_a_bare_number_is_in_the_unit(unit):
    words = time.horizon_days(f"2 {unit}s", unit="week", observation_end=END)
    assert time.horizon_days(2, unit=unit, observation_end=END) == words


def test_a_leap_year_has_366_days():
    assert time.horizon_days("1 year", unit="week", observation_end=pd.Timestamp("1999-06-30")) == 366


@pytest.mark.parametrize(
    ("horizon", "sentence"),
    [
        (0, "horizon 0 must be at least one day"),
        ("0 weeks", "horizon '0 weeks' must be at least one day"),
        (-3, "horizon -3 must be at least one day"),
        (math.nan, "horizon nan is not understood"),
        (True, "horizon True is not understood"),
        (None, "horizon None is not understood"),
        ("soon", "horizon 'soon' is not understood; write it like '39 weeks'"),
        ("39", "horizon '39' is not understood"),
        ("1998-06-30", "horizon ends on 1998-06-30, which is not after the end of observation 1998-06-30"),
        (datetime.timedelta(hours=36), "is not a whole number of days"),
    ],
)
def test_a_horizon_that_is_none_gets_a_sentence(horizon, sentence):
    with pytest.raises(ValueError, match=sentence):
        time.horizon_days(horizon, unit="week", observation_end=END)


def test_an_end_date_needs_the_end_of_observation():
    with pytest.raises(ValueError, match="an end date as horizon needs data whose end of observation is known"):
        time.horizon_days("1998-12-31", unit="week")


def test_an_unknown_unit_is_named():
    with pytest.raises(ValueError, match="unknown unit 'hour'; use one of 'day', 'week', 'month', 'year'"):
        time.horizon_days(3, unit="hour")


@pytest.mark.parametrize(
    "date", ["1997-09-30", "1997-09-30T13:00", datetime.date(1997, 9, 30), pd.Timestamp("1997-09-30 13:00", tz="UTC")]
)
def test_a_day_has_no_time(date):
    assert time.day(date, "cutoff") == pd.Timestamp("1997-09-30")


@pytest.mark.parametrize("date", ["30/09/1997", "1997-9-30", "1997-13-01", 19970930, None, pd.NaT, True, "today"])
def test_what_is_no_day_is_refused(date):
    with pytest.raises(ValueError, match="cutoff must be a date written YYYY-MM-DD"):
        time.day(date, "cutoff")


@pytest.mark.parametrize("unit", time.UNIT_DAYS)
def test_an_annual_rate_compounds_to_itself(unit):
    units_a_year = time.UNIT_DAYS["year"] / time.UNIT_DAYS[unit]
    assert math.exp(time.rate_per_unit(0.15, unit) * units_a_year) == pytest.approx(1.15, rel=1e-14)


@pytest.mark.parametrize("rate", [-0.1, math.inf, math.nan, "0.1", None])
def test_a_rate_that_is_none_is_refused(rate):
    with pytest.raises(ValueError, match="discount_rate must be an annual effective rate"):
        time.rate_per_unit(rate, "week")


@pytest.mark.parametrize(
    ("text", "number", "unit", "written"),
    [
        ("day", 1, "day", "day"), ("10 days", 10, "day", "10 days"), ("week", 7, "day", "week"),
        (" 2 Weeks ", 14, "day", "2 weeks"), ("month", 1, "month", "month"), ("3 months", 3, "month", "3 months"),
        ("quarter", 3, "month", "3 months"), ("2 quarters", 6, "month", "6 months"), ("year", 12, "month", "year"),
        ("24 months", 24, "month", "2 years"), ("1 MONTH", 1, "month", "month"),
    ],
)  # fmt: skip
def test_a_period_is_days_or_months_of_the_calendar(text, number, unit, written):
    period = time.period(text)
    assert (period, str(period)) == (time.Period(number, unit), written)
    assert time.period(str(period)) == period
    assert period.days == number * time.UNIT_DAYS[unit]


@pytest.mark.parametrize(
    "text", ["", "monthly", "0 months", "-1 month", "1.5 months", "fortnight", 1, None, "999999 years"]
)
def test_a_period_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match=r"period .* is not understood; write it like 'month', '3 months'"):
        time.period(text)


@settings(max_examples=300, deadline=None)
@given(
    start=st.dates(datetime.date(1990, 1, 1), datetime.date(2050, 12, 31)),
    text=st.sampled_from(["day", "week", "10 days", "month", "3 months", "5 months", "year", "2 years"]),
    k=st.integers(0, 40),
    days=st.integers(-400, 5000),
)
def test_renewals_follow_the_calendar(start, text, k, days):
    period = time.period(text)
    offset = pd.DateOffset(days=k * period.number) if period.unit == "day" else pd.DateOffset(months=k * period.number)
    assert pd.Timestamp(time.renewal_days(start, period, k)[()]) == pd.Timestamp(start) + offset
    day = np.datetime64(start) + np.timedelta64(days, "D")
    renewals = int(time.renewals_until(start, period, day))
    assert time.renewal_days(start, period, renewals) <= day < time.renewal_days(start, period, renewals + 1)


def test_renewal_days_broadcast():
    starts = np.array(["2023-01-31", "2024-02-29"], "datetime64[D]")
    days = time.renewal_days(starts[:, None], time.period("year"), np.arange(3))
    assert days.astype(str).tolist() == [
        ["2023-01-31", "2024-01-31", "2025-01-31"],
        ["2024-02-29", "2025-02-28", "2026-02-28"],
    ]
    assert time.renewals_until(starts, time.period("month"), np.datetime64("2024-02-29")).tolist() == [13, 0]
