import numpy as np
import pandas as pd
import pytest

from clvmodels import DataError, Summary


def table(**columns):
    frame = {"frequency": [2, 0], "recency": [30.43, 0.0], "T": [38.86, 38.86]}
    return pd.DataFrame(frame | columns, index=["a", "b"])


def test_a_summarised_frame_is_taken_as_it_is():
    summary = Summary(table(channel=["web", None]), unit="week")
    assert len(summary) == 2
    assert summary.table["channel"].tolist()[0] == "web"
    assert summary.table.index.tolist() == ["a", "b"]
    assert (summary.observation_start, summary.observation_end, summary.source) == (None, None, None)


def test_a_column_of_customers_becomes_the_index():
    summary = Summary(table().assign(customer_id=["007", "08"]), unit="week")
    assert summary.table.index.tolist() == ["007", "08"]
    assert summary.table.index.name == "customer_id"


def test_counts_become_whole_numbers():
    summary = Summary(table(frequency=[2.0, 0.0], n_transactions=[3.0, 1.0], T=[39, 39]), unit="week")
    assert summary.table.dtypes.astype(str).to_dict() == {
        "frequency": "int64",
        "recency": "float64",
        "T": "float64",
        "n_transactions": "int64",
    }


def test_the_frame_is_not_changed():
    frame = table(frequency=[2.0, 0.0])
    Summary(frame, unit="week")
    pd.testing.assert_frame_equal(frame, table(frequency=[2.0, 0.0]))


def test_observation_days_are_days():
    summary = Summary(table(), unit="week", observation_start="1997-01-01", observation_end="1997-09-30T12:00")
    assert summary.observation_end == pd.Timestamp("1997-09-30")
    assert repr(summary) == "Summary of 2 customers in weeks until 1997-09-30: 1 with a repeat purchase"


def test_rounding_may_leave_recency_above_T():
    Summary(table(recency=[38.86 * (1 + 1e-12), 0]), unit="week")


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        (
            {"recency": [40, 0]},
            "recency must not exceed T (recency is the time from first to last purchase); it does for",
        ),
        ({"recency": [-1, 0]}, "recency must not be negative; it is for 1 customer: a"),
        ({"recency": [1, 1]}, "recency must be 0 where frequency is 0; it is not for 1 customer: b"),
        ({"frequency": [1.5, 0]}, "frequency must be a whole number, 0 or more; it is not for 1 customer: a"),
        ({"frequency": [-1, 0]}, "frequency must be a whole number, 0 or more; it is not for 1 customer: a"),
        ({"frequency": ["2", "0"]}, "frequency must be numeric"),
        ({"T": [np.nan, np.inf]}, "T must be finite; it is missing or infinite for 2 customers: a, b"),
        (
            {"historic_revenue": [np.nan, 0]},
            "historic_revenue must be finite; it is missing or infinite for 1 customer: a",
        ),
    ],
)
def test_a_row_that_breaks_a_rule_is_named(columns, sentence):
    with pytest.raises(DataError) as caught:
        Summary(table(**columns), unit="week")
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("frame", "sentence"),
    [
        (table().drop(columns="T"), "the summary has no column 'T'; it has ['frequency', 'recency']"),
        (table().head(0), "the summary has no customers"),
        (table().rename({"b": "a"}), "each customer must have one row; the index repeats for 1 customer: a"),
    ],
)
def test_a_table_that_is_none_is_refused(frame, sentence):
    with pytest.raises(DataError) as caught:
        Summary(frame, unit="week")
    assert sentence in str(caught.value)


def test_a_missing_id_is_refused():
    with pytest.raises(DataError, match="the customer's id is missing in 1 row"):
        Summary(table().rename({"b": None}), unit="week")


def test_an_end_before_the_start_is_refused():
    with pytest.raises(DataError, match="observation_end 2023-01-01 is before observation_start 2024-01-01"):
        Summary(table(), unit="week", observation_start="2024-01-01", observation_end="2023-01-01")


def test_summaries_can_be_compared_and_hashed():
    summary = Summary(table(), unit="week")
    assert summary == summary
    assert len({summary, Summary(table(), unit="week")}) == 2


# Attributes and segments


@pytest.mark.parametrize(
    ("values", "labels", "codes"),
    [
        (["web", "app"], ["app", "web"], [1, 0]),
        (["web", None], ["web", "(missing)"], [0, 1]),
        ([None, None], ["(missing)"], [0, 0]),
        ([9, 10], [9, 10], [0, 1]),
        ([np.nan, 2.0], [2.0, "(missing)"], [1, 0]),
        (pd.array([pd.NA, 2], "Int64"), [2, "(missing)"], [1, 0]),
        ([True, False], [False, True], [1, 0]),
        (pd.Categorical(["low", "high"], ["none", "low", "high"]), ["low", "high"], [0, 1]),
        (pd.Categorical(["low", None], ["none", "low", "high"]), ["low", "(missing)"], [0, 1]),
        (pd.to_datetime(["2024-02-01", "2024-01-01"]), list(pd.to_datetime(["2024-01-01", "2024-02-01"])), [1, 0]),
    ],
)
def test_segments_are_the_values_of_an_attribute_in_their_order(values, labels, codes):
    summary = Summary(table(channel=values), unit="week", attributes=["channel"])
    assert summary.attributes == ("channel",)
    segments = summary.segments("channel")
    assert (segments.name, segments.labels, segments.codes.tolist()) == ("channel", labels, codes)
    assert segments.sums([1, 10]).tolist() == [sum(np.array([1, 10])[segments.codes == i]) for i in range(len(labels))]


@pytest.mark.parametrize(
    ("columns", "attributes", "sentence"),
    [
        ({}, ["channel"], "the summary has no attribute 'channel', it has none; name the columns that describe"),
        ({"country": "DE"}, ["channel"], "the summary has no attribute 'channel', it has 'country'"),
        ({}, ["T"], "attribute 'T' has the name of a column of the summary; rename it"),
        ({"CLV": 1}, ["CLV"], "attribute 'CLV' has the name of a predicted column; rename it"),
        ({"a": 1, "A": 2}, ["a", "A"], "attribute 'A' is named twice; capitals are not told from small letters"),
        ({"tags": [[1], [2]]}, ["tags"], "attribute 'tags' holds mixed values, not text, numbers or dates; turn them"),
        ({"tag": [1, "b"]}, ["tag"], "attribute 'tag' holds mixed-integer values, not text, numbers or dates"),
        ({"size": pd.cut([1, 9], 2)}, ["size"], "attribute 'size' holds interval values, not text, numbers or dates"),
    ],
)
def test_attributes_that_no_table_can_carry_are_refused(columns, attributes, sentence):
    with pytest.raises(DataError) as caught:
        Summary(table(**columns), unit="week", attributes=attributes)
    assert sentence in str(caught.value)


def test_attributes_are_a_list():
    with pytest.raises(ValueError, match="attributes must be a list of columns; got 'channel'"):
        Summary(table(channel="web"), unit="week", attributes="channel")


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("all", "attribute 'channel' has the value 'all', which is what a table of segments calls all customers"),
        ("(missing)", "has the value '(missing)', which is what a table of segments calls customers without a value"),
    ],
)
def test_a_segment_is_not_taken_for_another_row_of_its_table(value, sentence):
    with pytest.raises(DataError) as caught:
        Summary(table(channel=[value, None]), unit="week").segments("channel")
    assert sentence in str(caught.value)


def test_the_unit_is_required_and_known():
    with pytest.raises(ValueError, match="unknown unit 'weeks'; use one of 'day', 'week', 'month', 'year'"):
        Summary(table(), unit="weeks")
