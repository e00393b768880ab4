"""Contracts that end between renewals, on the clock of renewals: what is not known yet is not churn alone."""

import numpy as np
import pandas as pd

import clvmodels as clv


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
