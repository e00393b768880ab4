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
