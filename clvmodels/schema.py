"""The columns of the tables: meaning, unit, and the rules that rows must keep.

The README's table of columns and the predictions are tested against these texts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from clvmodels.errors import DataError, counted, examples


@dataclass(frozen=True)
class Column:
    """What a column holds and the unit it is in."""

    meaning: str
    unit: str


SUMMARY: dict[str, Column] = {
    "frequency": Column("x: repeat transactions, that is purchase days after the first", "count"),
    "recency": Column("t_x: time from first to last transaction (not days since the last one)", "time"),
    "T": Column("time from first transaction to the end of observation", "time"),
    "monetary_value": Column("m_x: mean value of the repeat transactions, 0 where there are none", "money"),
    "n_transactions": Column("purchase days, the first included", "count"),
    "n_orders": Column("distinct orders, where the log names them", "count"),
    "historic_revenue": Column("spent so far, net of refunds by the stated policy", "money"),
    "first_value": Column("value of the first transaction", "money"),
    "first_date": Column("day of the first transaction", "date"),
    "last_date": Column("day of the last transaction", "date"),
    "days_since_last": Column("days from the last transaction to the end of observation", "days"),
}

HOLDOUT: dict[str, Column] = {
    "transactions": Column("purchase days in the holdout", "count"),
    "revenue": Column("value of the holdout's transactions, net of the holdout's refunds", "money"),
    "refunds_left": Column("what the holdout's refunds exceed its purchases by; in neither of the two", "money"),
}

PREDICTIONS: dict[str, Column] = {
    "p_alive": Column(
        "P(still a customer at the end of observation): latent, never observed. "
        "BG/NBD gives 1 to everyone without a repeat, by assumption",
        "probability",
    ),
    "p_purchase": Column(
        "P(at least one transaction within the horizon): the probability that can be checked", "probability"
    ),
    "expected_transactions": Column("mean number of transactions within the horizon", "count"),
    "expected_spend": Column("mean value of a future transaction", "money"),
    "expected_revenue": Column("mean revenue within the horizon: gross, undiscounted", "money"),
    "historic_revenue": Column("spent so far, net of refunds by the stated policy", "money"),
    "clv": Column(
        "residual customer lifetime value: mean of margin x revenue within the horizon, discounted to the end of "
        "observation",
        "money",
    ),
    "transactions_lower": Column("lower end of the central predictive interval of the number of transactions", "count"),
    "transactions_upper": Column("upper end of it", "count"),
    "revenue_lower": Column("lower end of the central predictive interval of the revenue", "money"),
    "revenue_upper": Column("upper end of it", "money"),
    "clv_lower": Column("lower end of the central predictive interval of the discounted margin", "money"),
    "clv_upper": Column("upper end of it", "money"),
}

# Over an infinite horizon these two take the place of what would be infinite or say nothing: p_purchase, the expected
# and the interval of transactions and of revenue.
INFINITE_HORIZON: dict[str, Column] = {
    "dert": Column(
        "discounted expected residual transactions: mean number of all future transactions, each discounted to the end "
        "of observation",
        "count",
    ),
    "clv_beyond_data": Column(
        "share of the clv that is later than as much time again as the data cover: only the model says it", "share"
    ),
}

DURATIONS: dict[str, Column] = {
    "duration": Column("tenure when the contract ended, or on the last day known", "time"),
    "renewals": Column("periods paid if the contract ended, renewals completed if it has not", "count"),
    "event": Column("1 if the contract ended, 0 if the customer is still one", "0 or 1"),
    "entry": Column("tenure when observation began; 0 if it began with the contract", "time"),
    "entry_renewals": Column("renewals completed when observation began", "count"),
    "weight": Column("how many customers the row stands for, where it is not one", "count"),
    "value": Column("price of one period", "money"),
    "period": Column("what is paid for at once, such as month or 3 months; the unit where it is not said", "text"),
    "start": Column("first day of the contract", "date"),
    "contract": Column("1, 2, ... of a customer who came back", "count"),
    "cause": Column("why the contract ended", "text"),
    "historic_revenue": Column("paid so far, in all contracts of the customer", "money"),
}

CONTRACT_HOLDOUT: dict[str, Column] = {
    "retained": Column(
        "1 if the customer is still one at the end of the holdout, in the same contract, else 0", "0 or 1"
    ),
    "lifetime": Column("time as a customer within the holdout", "time"),
    "revenue": Column("payments due within the holdout while a customer, at the price known at the cutoff", "money"),
    "observed": Column("how much of the holdout is known: `lifetime`, or until sight of the customer was lost", "time"),
}

CONTRACT_PREDICTIONS: dict[str, Column] = {
    "p_retained": Column("P(still a customer at the end of the horizon)", "probability"),
    "expected_lifetime": Column("mean residual lifetime within the horizon", "time"),
    "expected_revenue": Column("mean revenue within the horizon: gross, undiscounted", "money"),
    "historic_revenue": Column("paid so far, in all contracts of the customer", "money"),
    "clv": Column(
        "residual customer lifetime value: mean of margin x payments within the horizon, discounted to the end of "
        "observation",
        "money",
    ),
    "clv_beyond_data": Column(
        "share of the clv that is paid at a tenure longer than the longest ever observed: only the model says it",
        "share",
    ),
    "lifetime_lower": Column("lower end of the central predictive interval of the residual lifetime", "time"),
    "lifetime_upper": Column("upper end of it", "time"),
    "revenue_lower": Column("lower end of the central predictive interval of the revenue", "money"),
    "revenue_upper": Column("upper end of it", "money"),
    "clv_lower": Column("lower end of the central predictive interval of the discounted margin", "money"),
    "clv_upper": Column("upper end of it", "money"),
}

# Over an infinite horizon it takes the place of what may be infinite or says nothing: p_retained, the expected and the
# interval of lifetime and of revenue.
CONTRACT_INFINITE_HORIZON: dict[str, Column] = {
    "derl": Column(
        "discounted expected residual lifetime: mean number of all periods yet to be paid for, each discounted from "
        "its payment to the end of observation",
        "count",
    ),
}
# Of fits that end where the data do, Kaplan-Meier and Cox.
CONTRACT_RESTRICTED: dict[str, Column] = {
    "restricted": Column(
        "whether the horizon reaches beyond the longest tenure observed: lifetime and money are then counted up to it, "
        "and p_retained is missing",
        "true or false",
    ),
}
# What `exceedance` says of an outcome, of a customer or of a segment.
EXCEEDANCE: dict[str, Column] = {
    "threshold": Column("what the outcome is held against; of a segment the sum of its customers'", "as the outcome"),
    "p_above": Column("P(outcome > threshold)", "probability"),
    "expected_loss": Column(
        "mean of max(threshold - outcome, 0): lost on average by whoever pays the threshold",
        "as the outcome",
    ),
    "expected_forgone": Column(
        "mean of max(outcome - threshold, 0): missed on average by whoever does not pay it",
        "as the outcome",
    ),
}
PREDICTED = {
    *PREDICTIONS,
    *INFINITE_HORIZON,
    *CONTRACT_PREDICTIONS,
    *CONTRACT_INFINITE_HORIZON,
    *CONTRACT_RESTRICTED,
    "retained",
}


def check_summary(table: pd.DataFrame) -> None:
    """Raise `DataError` if a summary breaks a rule: one sentence with column, count and example ids."""
    missing = [name for name in ("frequency", "recency", "T") if name not in table.columns]
    if missing:
        raise DataError(f"the summary has no column {', '.join(map(repr, missing))}; it has {list(table.columns)}")
    if table.empty:
        raise DataError("the summary has no customers")
    if table.index.has_duplicates:
        refuse(table, table.index.duplicated(), "each customer must have one row; the index repeats for")
    numbers = [name for name, column in SUMMARY.items() if name in table.columns and column.unit != "date"]
    for name in numbers:
        if not pd.api.types.is_numeric_dtype(table[name]):
            raise DataError(f"{name} must be numeric; it is {table[name].dtype}")
        if isinstance(table[name].dtype, np.dtype) and table[name].dtype.kind in "iu":
            continue
        values = table[name].to_numpy(float, na_value=np.nan)
        refuse(table, ~np.isfinite(values), f"{name} must be finite; it is missing or infinite for")
    x, t_x, T = (table[name].to_numpy(float) for name in ("frequency", "recency", "T"))
    refuse(table, (x < 0) | (x != np.floor(x)), "frequency must be a whole number, 0 or more; it is not for")
    refuse(table, t_x < 0, "recency must not be negative; it is for")
    # A unit's division may leave recency a rounding error above T.
    refuse(
        table,
        t_x > T * (1 + 1e-9),
        "recency must not exceed T (recency is the time from first to last purchase); it does for",
    )
    refuse(table, (x == 0) & (t_x != 0), "recency must be 0 where frequency is 0; it is not for")


def check_durations(table: pd.DataFrame) -> None:
    """Raise `DataError` if contracts break a rule: one sentence with column, count and example ids."""
    if not {"duration", "renewals"} & {*table.columns}:
        raise DataError(f"the durations have neither duration nor renewals; they have {list(table.columns)}")
    if "event" not in table.columns:
        raise DataError(f"the durations have no column 'event' (1 ended, 0 not); they have {list(table.columns)}")
    if table.empty:
        raise DataError("the durations have no contracts")
    if "contract" not in table.columns:
        refuse(table, table.index.duplicated(), "each customer must have one row, unless 'contract' numbers them; not")
    elif (again := pd.MultiIndex.from_arrays([table.index, table["contract"]]).duplicated()).any():
        refuse(table, again, "a contract must have one row; customer and contract repeat for")
    for name in ("duration", "renewals", "event", "entry", "entry_renewals", "weight", "contract"):
        if name in table.columns:
            if not pd.api.types.is_numeric_dtype(table[name]):
                raise DataError(f"{name} must be numeric; it is {table[name].dtype}")
            values = table[name].to_numpy(float, na_value=np.nan)
            refuse(table, ~np.isfinite(values), f"{name} must be finite; it is missing or infinite for")
            refuse(table, values < 0, f"{name} must not be negative; it is for")
    ended = table["event"].to_numpy(float)
    refuse(table, (ended != 0) & (ended != 1), "event must be 1 (ended) or 0 (still a customer); it is neither for")
    ended = ended == 1
    if ((ended == 0) & table.index.duplicated(keep=False)).any():
        active = table[ended == 0]
        refuse(active, active.index.duplicated(), "a customer can have one active contract; there are more for")
    if "duration" in table.columns:
        duration, entry = table["duration"].to_numpy(float), table["entry"].to_numpy(float)
        refuse(table, ended & (duration == 0), "a contract that ended has lasted for some time; duration is 0 for")
        refuse(table, (entry > 0) & (entry >= duration), "entry must be less than duration; it is not for")
    if "renewals" in table.columns:
        renewals, entry = table["renewals"].to_numpy(float), table["entry_renewals"].to_numpy(float)
        for name in ("renewals", "entry_renewals"):
            values = table[name].to_numpy(float)
            refuse(table, values != np.floor(values), f"{name} must be a whole number; it is not for")
        rule = "a contract that ended was paid for at least one period; renewals (periods paid) is 0 for"
        refuse(table, ended & (renewals == 0), rule)
        refuse(table, entry > renewals - ended, "entry_renewals must be less than the periods paid; it is not for")
    if "weight" in table.columns:
        refuse(table, table["weight"].to_numpy(float) == 0, "weight must be positive; it is 0 for")
    for name in ("value", "historic_revenue"):  # may be missing where nobody asks
        if name in table.columns and not pd.api.types.is_numeric_dtype(table[name]):
            raise DataError(f"{name} must be numeric; it is {table[name].dtype}")
    if "value" in table.columns:
        values = table["value"].to_numpy(float, na_value=np.nan)
        refuse(table, (values < 0) | np.isinf(values), "value must be a price, finite and not negative; it is not for")


def refuse(table: pd.DataFrame, bad: np.ndarray, rule: str) -> None:
    """Raise `DataError` if any row is bad: the rule, how many customers break it, and some of them."""
    if bad.any():
        raise DataError(f"{rule} {counted(int(bad.sum()), 'customer')}: {examples(table.index[bad])}")
