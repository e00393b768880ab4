"""Contracts that end between renewals, on the clock of renewals: what is not known yet is not churn alone."""

import numpy as np
import pandas as pd
import pytest

import clvmodels as clv
from clvmodels.errors import DataError
from clvmodels.time import period, renewal_days


def contracts(seed, rate=0.3, size=4000):
    """Yearly contracts that began in 2020 to 2024 and end on any day, as known at the end of 2024."""
    rng = np.random.default_rng(seed)
    start = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 1800, size), "D")
    end = start + pd.to_timedelta(np.ceil(rng.exponential(365.25 / rate, size)), "D")
    until = pd.Timestamp("2024-12-31")
    left = end <= until
    tenure = (end.where(left, until) - start).days / 365.25
    renewals = np.where(left, np.ceil(tenure), np.floor(tenure)).astype(int)
    frame = pd.DataFrame({"renewals": renewals, "event": left.astype(int), "start": start, "period": "year"})
    return clv.Durations(frame.rename_axis("contract_id"), "year", observation_end=until)


def test_an_ending_in_the_running_period_counts_as_renewals_completed():
    frame = pd.DataFrame({"renewals": [2, 2, 1], "event": [1, 1, 0]})
    frame["start"] = pd.to_datetime(["2022-03-01", "2023-03-01", "2023-03-01"])
    data = clv.Durations(frame.rename_axis("contract_id"), "year", observation_end="2024-06-30")
    t, event, entry = data.clock_columns("renewals")
    # The second would have renewed on 2025-03-01, as the third will or not.
    assert t.tolist() == [2, 1, 1]
    assert event.tolist() == [1, 0, 0]
    assert entry.tolist() == [0, 0, 0]


def test_without_dates_the_renewals_are_what_they_are():
    data = clv.Durations.from_survivors([1000, 869, 743])
    t, event, _ = data.clock_columns("renewals")
    assert t.tolist() == data.table["renewals"].tolist()
    assert event.tolist() == data.table["event"].tolist()


def test_churn_is_not_overestimated_where_contracts_end_on_any_day():
    found = [clv.ShiftedGeometric().fit(contracts(seed), seed=1).parameters["estimate"].item() for seed in range(8)]
    error = np.std(found) / np.sqrt(8)
    assert abs(np.mean(found) - (1 - np.exp(-0.3))) < 4 * error


def records(seed, left, size=30_000):
    """Yearly contracts that began on any day of 2016 to 2023, and end after a number of days or of whole years."""
    rng = np.random.default_rng(seed)
    start = np.datetime64("2016-01-01") + rng.integers(0, 8 * 365, size)
    if left == "any day":
        end = start + np.ceil(rng.exponential(4 * 365.25, size)).astype(int)
    else:
        end = renewal_days(start, period("year"), rng.geometric(CHURN, size))
    days = {"start": start.astype("datetime64[s]"), "end": end.astype("datetime64[s]")}
    frame = pd.DataFrame({"id": np.arange(size), "value": 1.0} | days)
    columns = {name: name for name in ("start", "end", "value")}
    return clv.Subscriptions(frame, customer="id", period="year", value_per="year", **columns)


CHURN = 1 - np.exp(-0.25)


@pytest.fixture(scope="module")
def any_day():
    return records(1, "any day")


@pytest.mark.parametrize("since", ["2019-01-01", "2021-07-01"])
def test_the_period_that_ran_when_observation_began_is_left_out_where_contracts_end_on_any_day(any_day, since):
    data = any_day.durations("year", "2023-12-31", since)
    fit = clv.ShiftedGeometric().fit(data, seed=1)
    # One cohort of customers: within four standard errors of the truth; with that period it is 0.19 and 0.16.
    error = fit.parameters["se"].item()
    assert error < 0.005
    assert abs(fit.parameters["estimate"].item() - CHURN) < 4 * error
    assert abs(clv.SimpleCLV().fit(data).figures.churn_rate - CHURN) < 4 * error
    curve = clv.KaplanMeier(clock="renewals").fit(data, seed=1).survival([1, 2])["survival"]
    assert curve.to_numpy() == pytest.approx(np.exp([-0.25, -0.5]), abs=0.03)


def test_nothing_is_left_out_where_contracts_end_at_renewals():
    data = records(2, "at renewals", 3000).durations("year", "2023-12-31", "2023-01-01")
    assert (data.table["entry_renewals"] > 0).any()
    for column, name in zip(data.clock_columns("renewals"), ("renewals", "event", "entry_renewals"), strict=True):
        assert column.tolist() == data.table[name].tolist()


def test_who_was_seen_in_no_whole_period_adds_nothing():
    frame = pd.DataFrame({"id": list("abcde"), "start": pd.to_datetime(["2020-03-01"] * 4 + ["2019-12-31"])})
    frame["end"] = pd.to_datetime(["2021-02-01", "2021-06-01", None, "2023-02-01", "2021-10-01"])
    contracts = clv.Subscriptions(frame, customer="id", start="start", end="end", period="year")
    data = contracts.durations("year", "2022-12-31", "2021-01-01")
    columns = pd.DataFrame(np.transpose(data.clock_columns("renewals")), list("abcde"), ["t", "event", "entry"])
    # The first year of a to d ran on 2021-01-01; that of e was over the day before.
    assert columns.loc["a"].tolist() == [0, 0, 0]  # ended within it
    assert columns.loc["b"].tolist() == [2, 1, 1]
    assert columns.loc["c"].tolist() == [2, 0, 1]
    assert columns.loc["d"].tolist() == [2, 0, 1]
    assert columns.loc["e"].tolist() == [2, 1, 1]
    assert clv.ShiftedGeometric.log_likelihood(*columns.loc["a"].to_numpy()[:, None], theta=0.3).tolist() == [0]


def test_a_year_seen_from_its_middle_says_nothing_of_renewals(any_day):
    data = any_day.durations("year", "2023-12-30", "2023-01-01")
    for model in (clv.ShiftedGeometric(), clv.KaplanMeier(clock="renewals"), clv.SimpleCLV()):
        with pytest.raises(DataError, match=r"none of [\d,]+ endings can be counted in renewals.*a model of time"):
            model.fit(data)
    data = any_day.durations("year", "2023-12-31", "2023-01-01")
    with pytest.warns(clv.DataWarning, match=r"^\d+ of [\d,]+ endings can be counted"):
        clv.ShiftedGeometric().fit(data, seed=1)


def test_the_share_of_endings_on_renewal_days(any_day):
    # 3 of 365.25 days are within one of a renewal day, but for the first: fewer by the contracts that left before it.
    assert any_day.durations("month", "2023-12-31").ends_on_renewal_days == pytest.approx(3 / 365.25, abs=0.004)
    at_renewals = records(2, "at renewals", 3000)
    assert at_renewals.durations("month", "2023-12-31").ends_on_renewal_days == 1
    table = at_renewals.durations("month", "2023-12-31").table
    assert np.isnan(clv.Durations(table.drop(columns="start"), "month").ends_on_renewal_days)
    assert np.isnan(clv.Durations(table.drop(columns=["duration", "entry"]), "month").ends_on_renewal_days)
    assert np.isnan(clv.Durations(table.assign(period="3 days"), "month").ends_on_renewal_days)


@pytest.mark.parametrize(
    ("term", "begin", "end", "on"),
    [
        ("month", "2023-01-31", "2023-02-28", 1),
        ("month", "2023-01-31", "2023-03-30", 1),  # the last day of access
        ("month", "2023-01-31", "2023-03-29", 0),
        ("month", "2023-01-31", "2023-02-01", 0),  # the start is no renewal
        ("year", "2020-02-29", "2021-03-01", 1),
        ("week", "2023-01-01", "2023-01-15", 1),
        ("week", "2023-01-01", "2023-01-14", 0),  # a day is much of a week
    ],
)
@pytest.mark.parametrize("unit", ["day", "week", "month", "year"])
def test_an_ending_on_a_renewal_day(term, begin, end, on, unit):
    frame = pd.DataFrame({"id": ["a"], "start": [pd.Timestamp(begin)], "end": [pd.Timestamp(end)]})
    contracts = clv.Subscriptions(frame, customer="id", start="start", end="end", period=term)
    assert contracts.durations(unit).ends_on_renewal_days == on
    found = contracts.audit().table.set_index("check").loc["ends on renewal days"]
    assert (found["level"], found["count"], found["share"]) == ("note", on, on)


def test_kaplan_meier_chooses_the_clock_of_the_endings(any_day):
    at_renewals = records(2, "at renewals", 3000).durations("month", "2023-12-31")
    assert clv.KaplanMeier().fit(at_renewals, seed=1).clock == "renewals"
    assert clv.KaplanMeier(clock="duration").fit(at_renewals, seed=1).clock == "duration"
    assert clv.KaplanMeier().fit(any_day.durations("month", "2023-12-31"), seed=1).clock == "duration"
    several = at_renewals.table.assign(period=np.where(np.arange(len(at_renewals)) % 2, "year", "6 months"))
    assert clv.KaplanMeier().fit(clv.Durations(several, "month"), seed=1).clock == "duration"


def test_a_clock_that_the_endings_do_not_fit_is_told(any_day):
    at_renewals = records(2, "at renewals", 3000)
    on_time = any_day.durations("month", "2023-12-31")
    data = at_renewals.durations("month", "2023-12-31")
    told = r"^100% of [\d,]+ endings are on a renewal day.*renewals are the clock here: use .*SBG"
    for model in (clv.Weibull(), clv.KaplanMeier(clock="duration")):
        with pytest.warns(clv.AssumptionWarning, match=told):
            clv.ContractualCLV(model).fit(data, seed=1)
        clv.ContractualCLV(model).fit(on_time, seed=1)
    for model in (clv.ShiftedGeometric(), clv.KaplanMeier(clock="renewals")):
        with pytest.warns(clv.AssumptionWarning, match=r"^1% of .*contracts end on any day: use .*Weibull"):
            clv.ContractualCLV(model).fit(on_time, seed=1)
        clv.ContractualCLV(model).fit(data, seed=1)
    few = clv.Durations(data.table.groupby("event").head(19), "month")
    clv.ContractualCLV(clv.Exponential()).fit(few, seed=1)


def test_by_the_right_clock_revenue_comes_out():
    """Contracts of one year from 1 January: by a model of time next year's revenue is 28 % too high."""
    frame = pd.DataFrame({"id": np.arange(5000), "price": 1.0})
    rng = np.random.default_rng(3)
    frame["start"] = pd.to_datetime([f"{year}-01-01" for year in rng.integers(2011, 2019, 5000)])
    frame["end"] = renewal_days(frame["start"], period("year"), rng.geometric(0.2, 5000)).astype("datetime64[s]")
    named = {"customer": "id", "start": "start", "end": "end", "value": "price"}
    split = clv.Subscriptions(frame, period="year", value_per="year", **named).split(
        "2019-12-31", "1 year", "year", until="2024-12-31"
    )
    paid = split.holdout["revenue"].sum()
    assert paid == pytest.approx(0.8 * len(split.holdout), rel=0.05)
    fit = clv.ContractualCLV(clv.ShiftedGeometric()).fit(split.calibration, seed=1)
    # The number who renew has a standard deviation of 1 % here, and so has the estimate.
    assert fit.total(horizon="1 year").iloc[-1]["expected_revenue"] == pytest.approx(paid, rel=0.05)
    with pytest.warns(clv.AssumptionWarning, match="renewals are the clock here"):
        fit = clv.ContractualCLV(clv.Exponential()).fit(split.calibration, seed=1)
    assert fit.total(horizon="1 year").iloc[-1]["expected_revenue"] > 1.2 * paid
