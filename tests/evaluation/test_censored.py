"""Contracts that are lost sight of within a holdout: a probability is scored for them, too."""

import numpy as np
import pandas as pd
import pytest
from conftest import quietly

import clvmodels as clv
from clvmodels.evaluation.backtest import backtest


def contracts(lost):
    """1,000 contracts of 2023 that end at 5 % a month; many are paid through only until some day of 2024."""
    rng = np.random.default_rng(1)
    start = pd.Timestamp("2023-01-01") + pd.to_timedelta(rng.integers(0, 365, 1000), "D")
    end = start + pd.to_timedelta(np.ceil(rng.exponential(20 * 30.4, 1000)), "D")
    frame = pd.DataFrame({"id": range(1000), "start": start, "end": end.where(end <= "2024-12-31")})
    # Who is lost is lost whether he would have left or not: his end is not recorded any more.
    last = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 1200, 1000), "D")
    gone = lost & (last < frame["end"].fillna(pd.Timestamp("2025-01-01")))
    frame["true_end"] = frame["end"]
    return frame.assign(end=frame["end"].mask(gone), renews=last.where(gone, pd.Timestamp("2024-12-31")))


def scores_of(frame):
    records = clv.Subscriptions(frame, customer="id", start="start", end="end", renews="renews")
    models = {"exponential": clv.Exponential()}
    options = {"cutoffs": "2023-12-31", "horizon": "1 year", "until": "2024-12-31", "seed": 1, "progress": False}
    result = quietly(backtest, models, records, **options)
    table = result.table
    return result, table[(table["target"] == "retained") & (table["customers"] == "known")].set_index("metric")["value"]


def test_the_score_that_counts_the_lost_is_about_that_of_all():
    _, all_seen = scores_of(contracts(lost=False))
    result, found = scores_of(contracts(lost=True))
    assert "brier_censored" not in all_seen.index
    frame = next(score.frame for score in result.scores if score.target == "retained")
    assert frame["actual"].isna().sum() > 100
    # The error of a mean of (y - p)^2, of which some count up to 1.5 times.
    spread = np.std((frame["actual"] - frame["mean"]) ** 2)
    assert found["brier_censored"] == pytest.approx(all_seen["brier"], abs=4 * 1.5 * spread / np.sqrt(len(frame)))
    # Of those of whom it is known too many have left: who leaves is known at once, who stays only at the end.
    assert abs(found["brier"] - all_seen["brier"]) > 5 * abs(found["brier_censored"] - all_seen["brier"])
