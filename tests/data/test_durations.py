"""Durations: the rules of their rows, the published form, and what is taken out of them."""

import numpy as np
import pandas as pd
import pytest

import clvmodels as clv
from clvmodels import schema


def contracts(**columns):
    return pd.DataFrame({"duration": [3.0, 14.0, 8.0], "event": [1, 0, 1]} | columns, index=["a", "b", "c"])


def test_a_ready_frame_is_taken_and_completed():
    durations = clv.Durations(contracts(renewals=[4, 14, 8]).assign(plan=["s", "l", "s"]), "month", attributes=["plan"])
    assert list(durations.table.columns) == ["duration", "renewals", "event", "entry", "entry_renewals", "plan"]
    assert (durations.table[["entry", "entry_renewals"]] == 0).all(axis=None)
    assert repr(durations) == "Durations of 3 contracts in months: 2 ended"
    assert durations.covered == 14
    assert durations.active.table.index.tolist() == ["b"]
    assert durations.select(plan="s").table.index.tolist() == ["a", "c"]


def test_every_column_of_the_schema_is_kept_in_its_order():
    frame = contracts(
        renewals=[4, 14, 8], entry=[0.0, 2, 0], entry_renewals=[0, 2, 0], weight=[1.0, 2, 3], value=[9.0, np.nan, 5],
        period="month", start=pd.Timestamp("2024-01-31"), contract=[1, 1, 2], cause=["x", None, "y"],
        historic_revenue=1.0,
    )  # fmt: skip
    durations = clv.Durations(frame[sorted(frame.columns)], "month")
    assert list(durations.table.columns) == list(schema.DURATIONS)
    assert durations.number == 6


def test_without_duration_entry_counts_renewals():
    frame = pd.DataFrame({"renewals": [3, 5], "event": [1, 0], "entry": [2, 5]})
    assert clv.Durations(frame, "month").table["entry_renewals"].tolist() == [2, 5]
    with pytest.raises(clv.DataError, match="there is one clock: give entry_renewals, not entry beside it"):
        clv.Durations(frame.assign(entry_renewals=0), "month")


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"duration": [-3.0, 14, 8]}, "duration must not be negative; it is for 1 customer: a"),
        ({"duration": [0.0, 14, 8]}, "a contract that ended has lasted for some time; duration is 0 for 1 customer: a"),
        ({"duration": [np.nan, 14, 8]}, "duration must be finite; it is missing or infinite for 1 customer: a"),
        ({"duration": ["3", "14", "8"]}, "duration must be numeric"),
        ({"event": [2, 0, 1]}, r"event must be 1 \(ended\) or 0 \(still a customer\); it is neither for 1 customer: a"),
        ({"entry": [3.0, 14.0, 0]}, "entry must be less than duration; it is not for 2 customers: a, b"),
        ({"entry": [-1.0, 0, 0]}, "entry must not be negative; it is for 1 customer: a"),
        ({"renewals": [0, 3, 8]}, r"paid for at least one period; renewals \(periods paid\) is 0 for 1 customer: a"),
        ({"renewals": [1.5, 3, 8]}, "renewals must be a whole number; it is not for 1 customer: a"),
        (
            {"renewals": [3, 3, 8], "entry_renewals": [3, 3, 0]},
            "entry_renewals must be less than the periods paid; it is not for 1 customer: a",
        ),
        ({"weight": [0.0, 1, 1]}, "weight must be positive; it is 0 for 1 customer: a"),
        ({"value": [-1.0, 1, 1]}, "value must be a price, finite and not negative; it is not for 1 customer: a"),
        ({"period": ["month", None, "year"]}, "the period is missing for 1 customer: b"),
        ({"period": ["fortnight"] * 3}, "period 'fortnight' is not understood"),
    ],
)
def test_a_bad_row_is_one_sentence(columns, sentence):
    with pytest.raises(ValueError, match=sentence):
        clv.Durations(contracts(**columns), "month")


def test_bad_tables_are_refused():
    with pytest.raises(clv.DataError, match=r"neither duration nor renewals; they have \['event'\]"):
        clv.Durations(contracts().drop(columns="duration"), "month")
    with pytest.raises(clv.DataError, match=r"no column 'event' \(1 ended, 0 not\)"):
        clv.Durations(contracts().drop(columns="event"), "month")
    with pytest.raises(clv.DataError, match="no contracts"):
        clv.Durations(contracts().iloc[:0], "month")
    with pytest.raises(clv.DataError, match="each customer must have one row, unless 'contract' numbers them"):
        clv.Durations(contracts().set_axis(["a", "a", "c"]), "month")
    twice = contracts(contract=[1, 2, 1]).set_axis(["a", "a", "c"])
    assert len(clv.Durations(twice, "month")) == 3
    with pytest.raises(clv.DataError, match="a contract must have one row; customer and contract repeat for"):
        clv.Durations(twice.assign(contract=1), "month")
    with pytest.raises(clv.DataError, match=r"a customer can have one active contract; there are more for 1 cust.*: a"):
        clv.Durations(twice.assign(event=0), "month")
    with pytest.raises(ValueError, match="unknown unit 'quarter'"):
        clv.Durations(contracts(), "quarter")
    with pytest.raises(clv.DataError, match="attribute 'cause' has the name of a column of the durations"):
        clv.Durations(contracts(cause="x"), "month", attributes=["cause"])


def test_a_quarter_is_three_months():
    durations = clv.Durations(contracts(period=["quarter", "3 months", "year"]), "month")
    assert durations.periods == ["3 months", "year"]
    assert durations.period_lengths.tolist() == [3, 3, 12]
    assert clv.Durations(contracts(), "week").periods == ["week"]


def test_survivors_of_several_cohorts():
    frame = pd.DataFrame({"2003": [100, 60, 40], "2004": [np.nan, 50, 20]}, index=[2003, 2004, 2005])
    table = clv.Durations.from_survivors(frame).table
    assert table[["renewals", "event", "weight", "cohort"]].to_numpy().tolist() == [
        [1, 1, 40.0, "2003"], [2, 1, 20.0, "2003"], [2, 0, 40.0, "2003"], [1, 1, 30.0, "2004"], [1, 0, 20.0, "2004"],
    ]  # fmt: skip
    # Nobody leaves, or nobody is left: no row stands for nobody.
    assert len(clv.Durations.from_survivors([10, 10, 5, 0])) == 2


@pytest.mark.parametrize(
    ("survivors", "sentence"),
    [
        ([100, 60, 61], "survivors must never rise; 61 follow 60 at renewal 2"),
        ([100], "survivors must be at least two numbers, such as 1000, 869, 743; got 100"),
        ([100, np.nan, 50], "survivors must be at least two numbers"),
        ([0, 0], "survivors must be at least two numbers"),
        ("abc", "survivors must be at least two numbers, such as 1000, 869, 743; got 'abc'"),
        (["a", "b"], r"got \['a', 'b'\]"),
        ({"x": [5, -1]}, "survivors of cohort 'x' must be at least two numbers"),
    ],
)
def test_survivors_that_are_none_are_refused(survivors, sentence):
    with pytest.raises(clv.DataError, match=sentence):
        clv.Durations.from_survivors(survivors)


def test_one_cause_alone_censors_the_others():
    frame = contracts(renewals=[4, 14, 8], cause=["price", None, "death"])
    durations = clv.Durations(frame, "month").for_cause("price")
    assert durations.table["event"].tolist() == [1, 0, 0]
    # Who died in the eighth period had completed seven renewals.
    assert durations.table["renewals"].tolist() == [4, 14, 7]
    with pytest.raises(clv.DataError, match="no contract ended by cause 'boredom'; there are 'price', 'death'"):
        clv.Durations(frame, "month").for_cause("boredom")
    with pytest.raises(clv.DataError, match="the durations have no causes"):
        clv.Durations(contracts(), "month").for_cause("price")


def test_what_is_not_there_is_said():
    durations = clv.Durations(contracts(plan="s"), "month")
    with pytest.raises(clv.DataError, match="no contract has plan 'm'"):
        durations.select(plan="m")
    with pytest.raises(clv.DataError, match="the durations have no column 'size'"):
        durations.select(size="m")
    with pytest.raises(clv.DataError, match="no contract is active: there is nobody to predict"):
        clv.Durations(contracts(event=1), "month").active  # noqa: B018
