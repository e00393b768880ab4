"""Summary and split against a slow, obvious second implementation; refunds against a plain stack."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from conftest import quietly
from hypothesis import given, settings
from hypothesis import strategies as st

from clvmodels import DataError, Transactions
from clvmodels.data.purchases import collect
from clvmodels.data.sql import Status

START = pd.Timestamp("2023-12-20")
VALUES = [Decimal(text) for text in ("-40", "-3.25", "-0.1", "0", "0.1", "0.2", "1.5", "3.25", "99.99", "1000000")]
NET = {"customer": "customer", "date": "date", "value": "value", "order": "order"}


def random_logs(seed, number=50):
    """Lines of many small logs, told apart by their customers' names: customer, day, value, order."""
    rng = np.random.default_rng(seed)
    lines = []
    for log in range(number):
        names = [f"{log}-{name}" for name in ("007", "a'b", 'x"; --', "Ω")[: rng.integers(1, 5)]]
        length = rng.integers(1, 26)
        few = VALUES[rng.integers(0, len(VALUES)) :] if rng.random() < 0.3 else VALUES
        orders = [f"o{number}" for number in range(rng.integers(1, 6))]
        for _ in range(length):
            value = few[rng.integers(len(few))]
            order = orders[rng.integers(len(orders))] if rng.random() < 0.7 else None
            lines.append((names[rng.integers(len(names))], int(rng.integers(0, 41)), value, order))
    return lines


def frame_of(lines):
    rows = [(customer, START + pd.Timedelta(days=day), float(value), order) for customer, day, value, order in lines]
    frame = pd.DataFrame(rows, columns=["customer", "date", "value", "order"]).astype({"order": object})
    return frame.sample(frac=1, random_state=len(frame))


def stack(events):
    """What stays of each value, by its place, and what each negative one takes that is not there."""
    held, missing = [], {}
    for place, value in events:
        if value >= 0:
            held.append([place, value])
            continue
        owed = -value
        for entry in reversed(held):
            taken = min(entry[1], owed)
            entry[1] -= taken
            owed -= taken
        missing[place] = owed
    return dict(held), missing


def slow_days(lines, refunds, earlier=()):
    """Purchase days of one customer, day -> value; his orders; and the refunds that are left."""
    if refunds != "net":
        kept = [line for line in lines if line[2] >= 0 or refunds == "keep"]
        days = {
            day: sum(value for other, value, _ in [line[1:] for line in kept] if other == day) for _, day, *_ in kept
        }
        numbered = {order for *_, order in kept if order}
        return days, len(numbered) + len({day for _, day, _, order in kept if not order}), Decimal(0)
    before = {order for *_, value, order in earlier if order and value >= 0}
    bought, owed, apart, returned = {}, {}, Decimal(0), set()
    for order in {order for *_, order in lines}:
        gross, back = {}, {}
        for _, day, value, its in sorted(lines, key=lambda line: line[1]):
            if its == order:
                side = gross if value >= 0 else back
                side[day] = side.get(day, Decimal(0)) + value
        if order is None:
            kept, missing = gross, {day: -value for day, value in back.items()}
        else:
            kept, missing = stack([(day, gross.get(day, 0) + back.get(day, 0)) for day in sorted(gross | back)])
        for day in gross:
            now = kept.get(day, Decimal(0))
            bought.setdefault(day, []).append((order, gross[day], now))
            if order is not None and now == 0 and (gross[day] > 0 or day in back):
                returned.add((order, day))
        for day, value in missing.items():
            if order in before:
                apart += value
            else:
                owed[day] = owed.get(day, Decimal(0)) + value
    net = {day: sum(now for *_, now in bought.get(day, [])) - owed.get(day, 0) for day in sorted(bought | owed)}
    kept, missing = stack(net.items())
    days = {}
    for day, orders in bought.items():
        was = sum(gross for _, gross, _ in orders)
        if kept.get(day, 0) > 0 or (was == 0 and not owed.get(day)):
            days[day] = kept[day]
    cells = [(order, day) for day in days for order, *_ in bought[day] if (order, day) not in returned]
    orders = len({order for order, _ in cells if order}) + sum(order is None for order, _ in cells)
    return days, orders, apart + sum(missing.values())


def slow_summary(lines, refunds, end):
    rows = {}
    for customer in sorted({line[0] for line in lines}):
        theirs = [line for line in lines if line[0] == customer and line[1] <= end]
        days, orders, _ = slow_days(theirs, refunds)
        if days:
            first, last = min(days), max(days)
            later = [value for day, value in days.items() if day > first]
            rows[customer] = {
                "frequency": len(later),
                "recency": (last - first) / 7,
                "T": (end - first) / 7,
                "monetary_value": float(sum(later) / len(later)) if later else 0.0,
                "n_transactions": len(days),
                "n_orders": orders,
                "historic_revenue": float(sum(days.values())),
                "first_value": float(days[first]),
                "first_date": START + pd.Timedelta(days=first),
                "last_date": START + pd.Timedelta(days=last),
                "days_since_last": end - last,
            }
    return pd.DataFrame.from_dict(rows, orient="index")


def log_of(lines, refunds, numbered):
    """The log and its lines, with the numbers of the orders or without."""
    named = NET if numbered else {name: column for name, column in NET.items() if name != "order"}
    log = Transactions(frame_of(lines), **named, refunds=refunds)
    return log, lines if numbered else [(*line[:3], None) for line in lines]


def check_summary(lines, refunds, numbered, end):
    log, lines = log_of(lines, refunds, numbered)
    expected = slow_summary(lines, refunds, end)
    if not numbered and not expected.empty:
        del expected["n_orders"]
    if expected.empty:
        with pytest.raises(DataError, match=r"no purchase is left|is before the data"):
            quietly(log.summary, until=START + pd.Timedelta(days=end))
        return
    table = quietly(log.summary, until=START + pd.Timedelta(days=end)).table
    assert not table.isna().any(axis=None)
    # Values are exact; only the division by a number of days or purchases rounds.
    pd.testing.assert_frame_equal(
        table, expected, check_dtype=False, check_names=False, check_index_type=False, rtol=1e-15
    )


def check_split(lines, refunds, numbered, cutoff, horizon):
    log, lines = log_of(lines, refunds, numbered)
    end = cutoff + horizon
    known = slow_summary(lines, refunds, cutoff)
    if known.empty or end > max(line[1] for line in lines):
        with pytest.raises(DataError):
            quietly(log.split, START + pd.Timedelta(days=cutoff), horizon, unit="day")
        return
    split = quietly(log.split, START + pd.Timedelta(days=cutoff), horizon, unit="day")
    calibration = split.calibration.table
    assert calibration.index.tolist() == known.index.tolist()
    assert calibration["n_transactions"].tolist() == known["n_transactions"].tolist()
    assert calibration["historic_revenue"].tolist() == known["historic_revenue"].tolist()
    expected, new = [], {}
    for customer in sorted({line[0] for line in lines}):
        theirs = [line for line in lines if line[0] == customer and line[1] <= end]
        past = [line for line in theirs if line[1] <= cutoff]
        days, _, left = slow_days([line for line in theirs if line[1] > cutoff], refunds, past)
        row = (len(days), float(sum(days.values())), float(left))
        if customer in known.index:
            expected.append(row)
        elif days:
            new[customer] = (*row[: 3 if refunds == "net" else 2], START + pd.Timedelta(days=min(days)))
    columns = ["transactions", "revenue", "refunds_left"] if refunds == "net" else ["transactions", "revenue"]
    assert list(split.holdout) == columns
    assert list(split.new_customers) == [*columns, "first_date"]
    assert [tuple(row) for row in split.holdout.to_numpy()] == [row[: len(columns)] for row in expected]
    assert split.new_customers.index.tolist() == list(new)
    assert [*split.new_customers.itertuples(index=False, name=None)] == [*new.values()]
    daily = split.repeat_transactions
    assert daily[: split.cutoff].sum() == known["frequency"].sum()
    assert daily.sum() == known["frequency"].sum() + split.holdout["transactions"].sum()


policies = st.sampled_from(["net", "net", "net", "drop", "keep"])
seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(seeds, policies, st.booleans(), st.integers(0, 45))
def test_a_summary_equals_the_slow_one(seed, refunds, numbered, end):
    check_summary(random_logs(seed), refunds, numbered, end)  # fifty logs at a time


@settings(max_examples=100, deadline=None, derandomize=True)
@given(seeds, policies, st.booleans(), st.integers(0, 39), st.integers(1, 20))
def test_a_split_equals_the_slow_one(seed, refunds, numbered, cutoff, horizon):
    check_split(random_logs(seed), refunds, numbered, cutoff, horizon)


def test_what_comes_later_does_not_touch_what_was_before():
    # A value that leaves no digits for cents, after the cutoff.
    lines = [("a", 0, 12.34), ("a", 9, 45.67), ("a", 60, 9e17), ("b", 0, 1.0)]
    frame = pd.DataFrame([(c, START + pd.Timedelta(days=day), value) for c, day, value in lines])
    log = Transactions(
        frame.set_axis(["customer", "date", "value"], axis=1), customer="customer", date="date", value="value"
    )
    table = log.summary(until=START + pd.Timedelta(days=30)).table
    assert table.loc["a", ["historic_revenue", "first_value", "monetary_value"]].tolist() == [58.01, 12.34, 45.67]
    split = log.split(START + pd.Timedelta(days=30), 30, unit="day")
    assert split.calibration.table.loc["a", "historic_revenue"] == 58.01
    assert split.holdout.loc["a", "revenue"] == 9e17


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.integers(1, 2500))
def test_where_batches_end_does_not_matter(seed, size):
    # One customer has more lines than the tail in which the end of a customer is looked for; some lines have none.
    rng = np.random.default_rng(seed)
    ids = np.sort(np.concatenate([rng.integers(0, 40, 400), np.full(rng.integers(0, 3000), 7)]))
    guests = int(rng.integers(0, 30))
    day = np.concatenate([np.sort(rng.integers(0, 90, count)) for count in np.unique(ids, return_counts=True)[1]])
    status = rng.choice([Status.REFUND, Status.PURCHASE, Status.PURCHASE], len(ids) + guests)
    status[len(ids) :] = Status.NO_CUSTOMER
    value = np.where(status == Status.REFUND, -1, 1) * rng.integers(1, 500, len(status)) / 100
    lines = pa.table(
        {
            "customer": pa.array([*ids.tolist(), *[None] * guests]),
            "day": pa.array([*day, *[3] * guests], pa.int32()),
            "value": value,
            "status": status.astype(np.uint8),
        }
    )
    whole = collect(lines.to_batches(), refunds="net", with_gaps=True)
    parts = collect(lines.to_batches(max_chunksize=size), refunds="net", with_gaps=True)
    pd.testing.assert_frame_equal(parts.customers, whole.customers)
    pd.testing.assert_frame_equal(parts.refunded, whole.refunded)
    assert parts.gaps.tolist() == whole.gaps.tolist()
    np.testing.assert_allclose(parts.totals.to_numpy(), whole.totals.to_numpy(), rtol=1e-12)
    assert parts.totals["lines"].sum() == len(status)
