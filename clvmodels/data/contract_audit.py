"""What is in contract records, what is odd, what is done about it, and whether it is enough to fit a model."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvmodels import time
from clvmodels.data import numbers, parsing
from clvmodels.data.audit import BUDDHIST, ENOUGH, Audit, date_remedies, is_buddhist, oddity, row
from clvmodels.data.choice import listed, picked, wanted
from clvmodels.data.contracts import Contracts, renewals_until
from clvmodels.data.durations import AT_RENEWALS, ON_ANY_DAY, renewal_day_share
from clvmodels.data.records import Fields, Records, Status, mixed_currencies
from clvmodels.errors import brief, counted, examples

if TYPE_CHECKING:
    from clvmodels.data.reader import Reader

# Below this a fit is hardly worth its name.
_EXITS = 50

# So many exits are missing where none is seen, so that chance is no explanation (exp(-5) is below 1 %).
_MISSED = 5

# Most of fewer ends may be chance.
_MOST = 20

# A silence at the end that is so much longer than the longest of the last gaps between days with a start or end.
_SILENCE, _LAST_GAPS, _FEWEST_GAPS = 2, 50, 10

# Years that nobody means: contracts before the first, and ends that stand for none as long as this after today.
_FIRST_YEAR, _FAR = 1900, 100

# A larger share of contracts of those who came back is no accident: records with gaps, as a rule.
_MANY_RETURNS = 1 / 5

# What exports write where nothing stands.
_BLANK = re.compile(
    r"\s*(\\N|null|\(null\)|n\.?/?a\.?|<na>|nan|nat|none|nil|-+|0+|0000-00-00.*|00[./]00[./]0000.*)\s*", re.IGNORECASE
)

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
        marks = texts[texts.map(blank_mark).astype(bool)] if status is not Status.NO_START else texts.head(0)
        told = [f"{examples(map(repr, marks))}, if that stands for a missing date, must be emptied"] * (len(marks) > 0)
        rest = texts.drop(marks.index)
        told += date_remedies(rest, fields, name) if len(rest) or not len(marks) else []
        return ", and ".join(told) or "correct them"
    if status is Status.NO_VALUE and fields.types[str(fields.value)] in parsing.TEXTS:
        form = numbers.pattern(fields.decimal, fields.thousands)
        if unread := [text for text in texts if not re.fullmatch(form, text)]:
            return numbers.remedy(unread, fields.decimal, fields.thousands)
    return "correct them"


def today() -> np.datetime64:
    """The day of today."""
    return pd.Timestamp.today().to_datetime64().astype("datetime64[D]")


def unobserved(end: np.datetime64, until_given: bool) -> str:
    """What is said of an end of observation that is after today."""
    if until_given:
        return (
            f"until {end} is after today, {today()}, and nobody knows yet who will have left by then; give the last "
            "day until when ends were recorded"
        )
    return f"no contract starts by today, {today()}; correct the starts"


def silence(records: Records, until: np.datetime64) -> tuple[int, str]:
    """For how many days before the end of observation nothing is recorded, where that is too long, and what is said."""
    used = records.status == Status.USED
    days = np.unique(np.concatenate([records.start[used], records.end[used]]))
    days = days[days <= until]  # what is missing, too, is not
    gaps = np.diff(days[-_LAST_GAPS - 1 :]).astype(int)
    quiet = int((until - days[-1]).astype(int)) if len(days) else 0
    if len(gaps) < _FEWEST_GAPS or quiet <= _SILENCE * gaps.max():
        return 0, ""
    return quiet, (
        f"no start or end is recorded in the last {counted(quiet, 'day')} before {until}, though the longest gap "
        f"before that is {counted(int(gaps.max()), 'day')}; everybody counts as still there: if the records end on "
        f"{days[-1]}, give that as until="
    )


def buddhist(records: Records) -> NDArray[np.bool_]:
    """Records with a year that seems to be counted in the Thai calendar."""
    found = np.zeros(len(records), bool)
    for dates in (records.start, records.end, records.renews):
        found |= is_buddhist(_years(dates))
    return found


def _years(dates: NDArray[np.datetime64]) -> NDArray[np.int64]:
    """The years of days, 2000 where there is none."""
    years = dates.astype("datetime64[Y]").astype(np.int64) + 1970
    return np.where(np.isnat(dates), 2000, years)


def blank_mark(text: str) -> bool:
    """Whether a text is one that exports write where nothing stands."""
    return _BLANK.fullmatch(text) is not None


def blanks(records: Records, status: Status, found: NDArray[np.bool_]) -> bool:
    """Whether ends or renewals are among those that cannot be read that seem to be missing, so active customers."""
    asked = status in (Status.NO_END, Status.NO_RENEWS)
    return asked and any(map(blank_mark, _texts(records, status, found)))


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
            *_choices(reader, fields, len(records), contracts.until),
            *_record_checks(records, contracts, fields, until_given),
            *_contract_checks(contracts, kept, fields, returns, grace),
            _last_days(contracts),
            *_days(records, contracts, until_given),
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
    ended = kept.only(kept.event)
    distance, lengths = ended.from_renewal_day, ended.period_days
    if not math.isnan(share := renewal_day_share(distance, lengths)):
        remark = "give or take a day"
        if share > AT_RENEWALS:
            remark += ": a model of renewals fits, such as SBG"
        elif share < ON_ANY_DAY:
            remark += ": contracts end on any day, and a model of time fits, such as Weibull"
        yield row("ends on renewal days", "note", round(share * len(ended)), remark) | {"share": share}
    if number:
        first, days = kept.start.min(), (kept.until - kept.start.min()).astype(int)
        why = "" if until_given else ", the last start or end that is not in the future"
        why = ", the last start: all are in the future" if not until_given and kept.until > today() else why
        yield row("days observed", "note", days, f"{first} to {kept.until}{why}")


def _unobserved(gone: Contracts, since: np.datetime64 | None) -> Iterator[dict[str, Any]]:
    if since is not None:
        yield oddity(f"ended before {since}", "note", len(gone), "left out: not observed", np.nan, gone.ids.unique())


def _choices(reader: Reader, fields: Fields, records: int, until: np.datetime64) -> Iterator[dict[str, Any]]:
    if fields.where:
        out = reader.scan(parsing.left_out(fields))
        count = 0 if out.empty else out["lines"].iloc[0]
        other = (f"{name} is not {either}" for name, either in wanted(fields).items())
        held = pd.Index([repr(brief(text)) for text in out["held"]])
        yield row("not asked for", "note", count, f"left out: {' or '.join(other)}", of=count + records, found=held)
    if not (several := mixed_currencies(reader, fields, pd.Timestamp(until))).empty:
        remark = f"refused by durations(): {fields.doubtful} holds {listed(several)}; {picked(several)}"
        yield row("several currencies", "error", several["lines"].sum(), remark, of=records)
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
    repeated = contracts.row[records.repeated[contracts.row]]
    remark = "equal to another in every column; they change nothing"
    yield oddity("repeated records", "note", len(repeated), remark, number, records.customers(repeated))
    overlapping = contracts.row[contracts.overlaps & ~records.repeated[contracts.row]]
    remark = "records that begin before an earlier one of the customer has ended: one contract"
    payments, worth = (each.sum() for each in contracts.beside())
    if worth > 0:
        share = worth / (worth + np.nansum(contracts.paid))
        remark += (
            f", of which the record that began last counts; {worth:,.2f} due by the others ({share:.1%} of all, "
            f"{worth / payments:,.2f} a period) is not counted; if these are separate products, make the contract the "
            "customer"
        )
    level = "warning" if worth > 0 else "note"
    yield oddity("overlaps", level, len(overlapping), remark, number, records.customers(overlapping))
    joined = len(contracts.row) - len(contracts) - (contracts.overlaps | records.repeated[contracts.row]).sum()
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
            "new": (
                "warning" if again.mean() > _MANY_RETURNS else "note",
                "contracts of customers who came back, each with a tenure of its own",
            ),
            "first": ("warning", "left out: contracts of customers who came back"),
            "error": ("error", "refused by durations(): contracts of customers who came back"),
        }
        level, remark = done[returns]
        least, most = int(gaps.min()), int(gaps.max())
        remark += (
            f"; after {counted(least, 'day')}"
            if least == most
            else (f"; after {least:,} to {counted(most, 'day')}, half of them within {np.median(gaps):,.0f}")
        )
        yield some("returns", level, again, f"{remark}: grace= would join the closest", contracts)
    else:
        yield oddity("returns", "note", 0, "", len(contracts))
    if grace is not None:
        remark = "their records are over, and may still be continued: they count as customers"
        yield some("within grace", "note", kept.in_grace, remark)
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


def _last_days(contracts: Contracts) -> dict[str, Any]:
    """Whether ends seem to be the last day with access, and not the day after."""
    check, ended, again = "inclusive ends", contracts.only(contracts.event), contracts.number > 1
    # Of a period of three days a third of all ends would be found by chance.
    day_before = (ended.from_renewal_day == -1) & (ended.period_days > 3.5)
    gaps = (contracts.start[again] - contracts.last[np.flatnonzero(again) - 1]).astype(int)
    remark = "; say inclusive_ends=True if the end is the last day with access"
    if len(gaps) and np.median(gaps) == 1:
        count, remark = (gaps == 1).sum(), f"returns one day after an end{remark}"
        return row(check, "warning", count, remark, of=len(gaps))
    if len(ended) >= _MOST and day_before.mean() > 0.5:
        remark = f"of the ends are on the day before a renewal day{remark}"
        return row(check, "warning", day_before.sum(), remark, of=len(ended))
    return row(check, "ok", 0, "")


def _days(records: Records, contracts: Contracts, until_given: bool) -> Iterator[dict[str, Any]]:
    """Whether days are such as people mean, and the end of observation one that can be."""
    number, end = len(records), contracts.until
    late = end > today()
    remark = f"refused by durations(): {unobserved(end, until_given)}"
    yield oddity("observed beyond today", "error", int(late), remark, np.nan)
    quiet, remark = silence(records, end) if until_given and not late else (0, "")
    yield oddity("silence at the end", "warning", quiet, remark, np.nan)
    thai = buddhist(records)
    yield oddity("Buddhist years", "warning", thai.sum(), f"their years {BUDDHIST}", number, records.customers(thai))
    years = [_years(dates) for dates in (records.start, records.end, records.renews)]
    old = np.min(years, axis=0) < _FIRST_YEAR
    remark = f"records with a year before {_FIRST_YEAR}; correct them"
    yield oddity("implausible years", "warning", old.sum(), remark, number, records.customers(old))
    far = ~(records.start > end) & (np.max(years[1:], axis=0) > pd.Timestamp.today().year + _FAR) & ~thai
    remark = f"ends more than {_FAR} years from now, such as 9999-12-31: still active"
    yield oddity("ends far in the future", "note", far.sum(), remark, number, records.customers(far))


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
