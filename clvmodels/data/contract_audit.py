"""What is in contract records, what is odd, what is done about it, and whether it is enough to fit a model."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvmodels import time
from clvmodels.data import numbers, parsing
from clvmodels.data.audit import BUDDHIST, ENOUGH, Audit, date_faults, oddity, row
from clvmodels.data.choice import wanted
from clvmodels.data.contracts import Contracts, Fields, Records, Status, renewals_until
from clvmodels.errors import brief, counted

if TYPE_CHECKING:
    from clvmodels.data.reader import Reader

# Below this a fit is hardly worth its name.
_EXITS = 50

# So many exits are missing where none is seen, so that chance is no explanation (exp(-5) is below 1 %).
_MISSED = 5

# Causes that are named.
_CAUSES = 6

_CHECKS = {
    Status.NO_CUSTOMER: "no customer id",
    Status.NO_START: "unreadable starts",
    Status.NO_END: "unreadable ends",
    Status.NO_RENEWS: "unreadable renewals",
    Status.NO_VALUE: "unreadable prices",
    Status.NO_PERIOD: "unreadable periods",
    Status.BACKWARDS: "end before start",
}


def said(status: Status, fields: Fields) -> str:
    """What is said of records that cannot be used."""
    dates = {Status.NO_START: fields.start, Status.NO_END: fields.end, Status.NO_RENEWS: fields.renews}
    if name := dates.get(status):
        return f"{name} {fields.date_fault(name)}"
    columns = dict.fromkeys(name for name in (fields.period, fields.value_per) if isinstance(name, str))
    return {
        Status.NO_CUSTOMER: f"{' or '.join(fields.customers)} is missing",
        Status.NO_VALUE: f"{fields.value} is negative, not finite or no number",
        Status.NO_PERIOD: f"{' or '.join(columns)} is missing or no period",
        Status.BACKWARDS: f"{' or '.join(filter(None, (fields.end, fields.renews)))} is before {fields.start}",
    }[status]


def remedy(records: Records, status: Status, found: NDArray[np.bool_], fields: Fields) -> str:
    """What to do about them."""
    if status is Status.NO_PERIOD:
        return "write it like 'month', '3 months', 'quarter', 'year', '2 weeks'"
    texts = _texts(records, status, found)
    dates = {Status.NO_START: fields.start, Status.NO_END: fields.end, Status.NO_RENEWS: fields.renews}
    if (name := dates.get(status)) and fields.is_written(name):
        buddhist, order = date_faults(texts, fields)
        return (
            ", and ".join([f"the years {BUDDHIST}"] * buddhist + [fields.date_remedy(name)] * order) or "correct them"
        )
    if status is Status.NO_VALUE and fields.types[str(fields.value)] in parsing.TEXTS:
        form = numbers.pattern(fields.decimal, fields.thousands)
        if unread := [text for text in texts if not re.fullmatch(form, text)]:
            return numbers.remedy(unread, fields.decimal, fields.thousands)
    return "correct them"


def _texts(records: Records, status: Status, found: NDArray[np.bool_]) -> pd.Series:
    """The most frequent texts that cannot be read."""
    texts = records.texts[status].filter(found).to_pandas() if status in records.texts else []
    return pd.Series(pd.Series(texts, dtype=object).dropna().value_counts().index[:100], dtype=object)


def audited(
    reader: Reader,
    records: Records,
    contracts: Contracts,
    fields: Fields,
    returns: str,
    grace: time.Period | None,
    until_given: bool,
    since: np.datetime64 | None = None,
) -> Audit:
    """The audit of contract records.

    Parameters
    ----------
    reader : Reader
        For what the options leave out.
    records : Records
    contracts : Contracts
        All that are known at the end of observation.
    fields : Fields
        How the records are read.
    returns : {"new", "first", "error"}
    grace : Period, optional
    until_given : bool
        Whether the user said where observation ends.
    since : datetime64, optional
        First day from which ends were recorded.
    """
    kept = contracts if returns == "new" else contracts.only(contracts.number == 1)
    before = np.zeros(len(kept), bool) if since is None else kept.last < since
    gone, kept = kept.only(before), kept.only(~before)
    table = pd.DataFrame(
        [
            *_facts(records, kept, until_given),
            *_unobserved(gone, since),
            *_choices(reader, fields, len(records)),
            *_record_checks(records, contracts, fields, until_given),
            *_contract_checks(contracts, kept, fields, returns, grace),
            _observed_to(kept, until_given),
            _survivors_only(kept, since),
            _enough(kept),
        ]
    )
    return Audit(f"Audit of {counted(len(records), 'record')}", table)


def _facts(records: Records, kept: Contracts, until_given: bool) -> Iterator[dict[str, Any]]:
    number = len(kept)
    yield row("records", "note", len(records), "")
    yield row("customers", "note", len(np.unique(kept.customer)), "")
    yield row("contracts", "note", number, "records that follow or overlap each other are one")
    yield row("active", "note", (~kept.event).sum(), "still customers", of=number)
    yield row("ended", "note", kept.event.sum(), "", of=number)
    causes = pd.Series(kept.causes(), dtype=object)[kept.event].value_counts()
    for cause, count in causes.iloc[:_CAUSES].items():
        yield row(f"ended: {brief(cause)}", "note", count, "", of=number)
    if len(causes) > _CAUSES:
        yield row("ended: other causes", "note", causes.iloc[_CAUSES:].sum(), "", of=number)
    periods, counts = np.unique(kept.period, return_counts=True)
    for period, count in zip(periods, counts, strict=True) if len(periods) > 1 else ():
        remark = "models that count renewals take contracts of one period: durations.select(period=)"
        yield row(f"by the {kept.records.periods[period]}", "note", count, remark, of=number)
    if number:
        first, days = kept.start.min(), (kept.until - kept.start.min()).astype(int)
        why = "" if until_given else ", the last start or end that is not in the future"
        yield row("days observed", "note", days, f"{first} to {kept.until}{why}")


def _unobserved(gone: Contracts, since: np.datetime64 | None) -> Iterator[dict[str, Any]]:
    if since is not None:
        yield oddity(f"ended before {since}", "note", len(gone), "left out: not observed", np.nan, gone.ids.unique())


def _choices(reader: Reader, fields: Fields, records: int) -> Iterator[dict[str, Any]]:
    if fields.where:
        out = reader.scan(parsing.left_out(fields))
        count = 0 if out.empty else out["lines"].iloc[0]
        other = (f"{name} is not {either}" for name, either in wanted(fields).items())
        held = pd.Index([repr(brief(text)) for text in out["held"]])
        yield row("not asked for", "note", count, f"left out: {' or '.join(other)}", of=count + records, found=held)
    for number, name in enumerate(fields.customers[1:], 1):
        taken = reader.scan(parsing.second_ids(fields, number)).iloc[0]
        remark = f"taken where {' and '.join(fields.customers[:number])} is missing"
        yield oddity(f"id from {name}", "note", taken["lines"], remark, records)
        remark = f"customers counted twice: their {name} stands beside another id on other records"
        yield oddity(f"two ids by {name}", "warning", taken["twice"], remark, np.nan)


def _record_checks(
    records: Records, contracts: Contracts, fields: Fields, until_given: bool
) -> Iterator[dict[str, Any]]:
    number, late = len(records), records.start > contracts.until
    refused = "error" if fields.bad_rows == "error" else "warning"
    done = "refused by durations()" if fields.bad_rows == "error" else "left out"
    asked = {
        Status.NO_END: fields.end,
        Status.NO_RENEWS: fields.renews,
        Status.NO_VALUE: fields.value,
        Status.NO_PERIOD: isinstance(fields.period, str) or isinstance(fields.value_per, str),
        Status.BACKWARDS: fields.end or fields.renews,
    }
    for status, check in _CHECKS.items():
        if not asked.get(status, True):
            continue
        found = ~late & (records.status == status)
        if status is Status.NO_CUSTOMER:
            yield oddity(check, "warning", found.sum(), "left out", number)
            continue
        texts = pd.Index([brief(repr(text)) for text in _texts(records, status, found)])
        remark = f"{done}: {said(status, fields)}; {remedy(records, status, found, fields)}" if found.any() else ""
        yield oddity(check, refused, found.sum(), remark, number, texts if len(texts) else records.customers(found))
    remark = "left out; correct them" if not until_given else f"left out, being after {contracts.until}"
    level = "note" if until_given else "warning"
    yield oddity("start after the end of observation", level, late.sum(), remark, number, records.customers(late))
    overlapping = contracts.row[contracts.overlaps]
    remark = "records that begin before an earlier one of the customer has ended: one contract"
    yield oddity("overlaps", "note", len(overlapping), remark, number, records.customers(overlapping))
    joined = len(contracts.row) - len(contracts) - len(overlapping)
    yield oddity("continued", "note", joined, "records that follow what came before: the same contract", number)
    if fields.cause:
        used = contracts.row
        without = used[records.cause.is_valid().to_numpy(zero_copy_only=False)[used] & np.isnat(records.end[used])]
        remark = f"records with {fields.cause}, but without {fields.end or 'an end'}; they count as active"
        yield oddity("cause without end", "warning", len(without), remark, number, records.customers(without))


def _contract_checks(
    contracts: Contracts, kept: Contracts, fields: Fields, returns: str, grace: time.Period | None
) -> Iterator[dict[str, Any]]:
    def some(check: str, level: str, chosen: NDArray[np.bool_], remark: str, of: Contracts = kept) -> dict[str, Any]:
        return oddity(check, level, chosen.sum(), remark, len(of), of.only(chosen).ids.unique())

    again = contracts.number > 1
    if again.any():
        gaps = (contracts.start[again] - contracts.last[np.flatnonzero(again) - 1]).astype(int)
        done = {
            "new": ("note", "contracts of customers who came back, each with a tenure of its own"),
            "first": ("warning", "left out: contracts of customers who came back"),
            "error": ("error", "refused by durations(): contracts of customers who came back"),
        }
        level, remark = done[returns]
        remark += f"; after {gaps.min():,} to {gaps.max():,} days, half of them within {np.median(gaps):,.0f}"
        yield some("returns", level, again, f"{remark}: grace= would join the closest", contracts)
    else:
        yield oddity("returns", "note", 0, "", len(contracts))
    if grace is not None:
        recent = kept.event & (time.renewal_days(kept.last, grace, 1) >= kept.until)
        yield some("ended within grace", "note", recent, "of the end of observation: they may still be continued")
    zero = kept.event & (kept.last == kept.start)
    yield some("zero length", "warning", zero, "ended on the day they began; they count half a day and one period")
    if fields.renews:
        remark = f"{fields.renews} has passed without an end: nothing is known of them after it"
        yield some("renews in the past", "warning", kept.stale, remark)
    if fields.value:
        yield some("missing prices", "warning", np.isnan(kept.price), "contracts that cannot be valued")
    if fields.cause:
        unknown = kept.event & pd.isna(kept.causes())
        yield some("end without cause", "note", unknown, f"{fields.cause} is missing")
    if isinstance(fields.period, str):
        yield some("period changes", "warning", kept.changed, "the last counts, from the start of the contract")
    for i, name in enumerate(fields.attributes):
        differ = kept.attribute(i)[1]
        yield some(f"conflicting {name}", "note", differ, "contracts with several values; the earliest counts")


def _observed_to(kept: Contracts, until_given: bool) -> dict[str, Any]:
    """Whether ends seem to be known further than starts, so that nobody knows until when the records were kept."""
    check = "ends after the last start"
    if not len(kept) or until_given:
        return row(check, "ok", 0, "")
    last = kept.start.max()
    after = kept.event & (kept.last > last)
    expected = kept.start > last - (kept.until - last)
    # A cohort that began on one day, or a few, says nothing.
    if not after.any() or len(np.unique(kept.start[expected])) < _MISSED:
        return row(check, "ok", 0, "")
    remark = f"after {last}, when the last contract began, though {expected.sum():,} began in as long a time before it"
    remark += "; if ends are known in advance, give until="
    return row(check, "warning", after.sum(), remark, of=len(kept))


def _survivors_only(kept: Contracts, since: np.datetime64 | None) -> dict[str, Any]:
    """Whether contracts began long before any end was recorded, so that those that had ended are not here."""
    check = "survivors only"
    if since is not None or not kept.event.any():
        return row(check, "ok", 0, "")
    first = kept.last[kept.event].min()
    # Renewals that all contracts survived before the first end, and how often one is not survived later.
    before = kept.start < first
    survived = np.maximum(renewals_until(kept.start, kept.period, kept.records.periods, first) - 1, 0)
    rate = kept.event.sum() / max(float((kept.renewals - survived).sum()), 1.0)
    if survived.sum() * rate < _MISSED:
        return row(check, "ok", 0, "")
    remark = (
        f"began before {first}, when the first end was recorded, and renewed {survived.sum():,} times without one; "
        "who left before is not in the records: give since="
    )
    return row(check, "warning", before.sum(), remark, of=len(kept))


def _enough(kept: Contracts) -> dict[str, Any]:
    ended, active = int(kept.event.sum()), int((~kept.event).sum())
    level, remark = "ok", "contracts that ended"
    if not len(kept):
        level, remark = "error", "no contract can be used"
    elif not ended:
        level, remark = "error", "no contract has ended, so there is no churn to learn"
    elif not active:
        level, remark = "warning", "all contracts have ended: there is nobody to predict"
    elif ended < _EXITS:
        level, remark = "warning", f"contracts that ended; fewer than {_EXITS}"
    return row(ENOUGH, level, ended, remark, of=len(kept) or np.nan)
