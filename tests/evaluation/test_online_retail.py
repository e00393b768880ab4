"""Online Retail II, where a year of data cannot tell a lost customer from a slow one: what the README says of it.

Chen (2012), UCI Machine Learning Repository, CC BY 4.0.
"""

import pandas as pd
import pytest
from conftest import quietly, shared

import clvmodels as clv

CUTOFF, HORIZON = "2010-12-09", "52 weeks"
COLUMNS = {"customer": "customer_id", "date": "invoice_date", "value": "amount"}


@pytest.fixture(scope="module")
def log():
    return clv.Transactions(pd.read_parquet(shared("online_retail_ii/invoices.parquet")), **COLUMNS)


@pytest.fixture(scope="module")
def split(log):
    return quietly(log.split, CUTOFF, HORIZON)


@pytest.fixture(scope="module")
def fit(split):
    with pytest.warns(clv.ConvergenceWarning, match="say next to nothing about a and b growing together"):
        return clv.BGNBD().fit(split.calibration, seed=1)


def dropout(fit):
    estimate = fit.parameters["estimate"]
    return estimate["a"] / (estimate["a"] + estimate["b"])


def test_it_sees_nobody_leave_and_expects_half_too_much(fit, split):
    assert dropout(fit) < 0.001
    actual = split.holdout["transactions"]
    expected = fit.predict(horizon=HORIZON)
    assert expected["expected_transactions"].sum() / actual.sum() - 1 == pytest.approx(0.54, abs=0.005)
    once = split.calibration.table["frequency"] == 0
    assert expected.loc[once, "p_purchase"].mean() == pytest.approx(0.60, abs=0.005)
    assert (actual[once] > 0).mean() == pytest.approx(0.38, abs=0.005)


def test_hindsight_explains_a_third_of_it(log, split):
    # The parameters of both years together, on the same histories: what is left is the season, which no model here has.
    later = quietly(lambda: clv.BGNBD().fit(log.summary(), seed=1))
    assert dropout(later) == pytest.approx(0.044, abs=0.0005)
    expected = later.predict(split.calibration, horizon=HORIZON)["expected_transactions"].sum()
    assert expected / split.holdout["transactions"].sum() - 1 == pytest.approx(0.36, abs=0.005)


def test_leaving_out_who_may_be_older_does_not_help():
    lines = pd.read_parquet(shared("online_retail_ii/invoices.parquet"))
    log = clv.Transactions(lines, **COLUMNS, first_seen_after="2010-02-28")
    split = quietly(log.split, CUTOFF, HORIZON)
    expected = quietly(clv.BGNBD().fit, split.calibration, seed=1).predict(horizon=HORIZON)["expected_transactions"]
    assert expected.sum() / split.holdout["transactions"].sum() - 1 == pytest.approx(0.71, abs=0.005)


def test_four_weeks_are_enough_to_notice(fit):
    lines = pd.read_parquet(shared("online_retail_ii/invoices.parquet"))
    known = clv.Transactions(lines[lines["invoice_date"] < "2011-01-07"], **COLUMNS)
    found = quietly(clv.check, fit, known)
    row = found.table.loc[("all", "transactions")]
    assert (row["actual"], round(row["expected"], -1)) == (626, 1430)
    assert found.refit
