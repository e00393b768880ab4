"""What is in a log, what is odd, what is done about it, and whether it is enough to fit a model."""

from __future__ import annotations

import html
import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd

from clvmodels.data import numbers, parsing, sql
from clvmodels.data.choice import currencies, listed, mixed, wanted
from clvmodels.data.purchases import Found, dates, day_number
from clvmodels.data.reader import Reader
from clvmodels.data.sql import Fields, Status
from clvmodels.errors import brief, counted, examples

# Plain ASCII, for terminals that know no other: a line below the head.
_BOX = "    \n    \n -- \n    \n    \n    \n    \n    \n"

# Below these a fit is hardly worth its name.
_REPEATERS, _GAPS = 50, 3

# First purchases are counted in the first twelfth of the log; twice its even share is called a pile-up.
_FIRST_PART = 12

ENOUGH = "enough to fit"

# The Thai calendar is 543 years ahead of the one in which nobody kept logs before 1950.
BUDDHIST = "look Buddhist (2567 is 2024: subtract 543 first)"
_BUDDHIST_START = 1950 + 543

SERIAL = "numbers such as 45000 look like Excel's days (45000 is 2023-03-15), so write them as dates first"


@dataclass(frozen=True, eq=False)
class Audit:
    """The findings of an audit of purchases or of contracts; a table in the terminal and in Jupyter.

    Parameters
    ----------
    title : str
        The log, or the records, in one line.
    table : DataFrame
        One row per check: `check`, `level` ("ok", "note", "warning" or "error"), `count`, `share` (of lines or
        customers; missing where it makes no sense), `examples` (some customers, or texts that cannot be read) and
        `remark`, which says what is done about it or what to do.
    """

    title: str
    table: pd.DataFrame

    @property
    def enough(self) -> bool:
        """Whether a model can be fitted: somebody repeats and some time has passed; some contract has ended."""
        return not ((self.table["check"] == ENOUGH) & (self.table["level"] == "error")).any()

    def __repr__(self) -> str:
        from rich import box, table
        from rich.console import Console

        grid = table.Table(
            title=self.title, title_justify="left", title_style="", box=box.Box(_BOX, ascii=True), pad_edge=False
        )
        grid.add_column("", no_wrap=True)
        grid.add_column("check")
        grid.add_column("count", justify="right", no_wrap=True)
        grid.add_column("share", justify="right", no_wrap=True)
        grid.add_column("")
        for texts in self._texts().itertuples(index=False):
            grid.add_row(*texts)
        out = io.StringIO()
        # In Jupyter rich would otherwise display the text instead of writing it.
        console = Console(file=out, width=80, color_system=None, markup=False, emoji=False, force_jupyter=False)
        console.print(grid)
        return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + f"\n{fill(self._nothing(), 80)}"

    def _repr_html_(self) -> str:
        table, nothing = self._texts().to_html(index=False, justify="left"), html.escape(self._nothing())
        return f"<p>{html.escape(self.title)}</p>{table}<p>{nothing}</p>"

    @property
    def _is_empty(self) -> pd.Series:
        return (self.table["level"] == "ok") & (self.table["count"] == 0)

    def _nothing(self) -> str:
        names = ", ".join(self.table.loc[self._is_empty, "check"])
        return f"Nothing found: {names}." if names else ""

    def _texts(self) -> pd.DataFrame:
        table = self.table[~self._is_empty]
        shown = [f" (e.g. {examples(found)})" if found else "" for found in table["examples"]]
        return pd.DataFrame(
            {
                "": table["level"].str.replace("note", ""),
                "check": table["check"],
                "count": [f"{count:,}" for count in table["count"]],
                "share": ["" if math.isnan(share) else f"{share:.1%}" for share in table["share"]],
                "remark": [text + found for text, found in zip(table["remark"], shown, strict=True)],
            }
        )


def audited(reader: Reader, found: Found, fields: Fields, until: pd.Timestamp | None) -> Audit:
    """The audit of a log.

    Parameters
    ----------
    reader : Reader
        For the oddities of the lines.
    found : Found
        What one pass over the log found.
    fields : Fields
        How the log is read.
    until : Timestamp, optional
        The end of observation, where it is not the last date.
    """
    limit = pd.Timestamp.today() if until is None else until
    lines = reader.scan(sql.odd_lines(fields), limit=limit).set_index("customer")
    buyers = found.customers
    gap = float(np.median(found.gaps)) if len(found.gaps) else math.nan
    end = found.last if until is None else until
    table = pd.DataFrame(
        [
            *_facts(fields, found, gap, end),
            *_choices(reader, fields, found),
            *_line_checks(reader, fields, found, lines, until),
            *_customer_checks(reader, fields, found, lines[lines.index.notna()]),
            _first_purchases(dates(buyers["first_day"]), fields.start(found.first), end),
            _enough(buyers, gap, found.first, end),
        ]
    )
    return Audit(f"Audit of {counted(int(found.totals['lines'].sum()), 'line')}", table)


def lost_share(worth: pd.Series, refunds: str) -> float:
    """Share of the revenue on lines without a customer; NaN where there is no such share.

    Refunds are taken off both where they are netted, and left out of both where they are dropped.
    """
    revenue = worth.drop([Status.LATE] if refunds == "net" else [Status.LATE, Status.REFUND]).sum()
    share = worth[Status.NO_CUSTOMER] / revenue if revenue > 0 else math.nan
    # Refunds can outweigh what the others bought.
    return share if 0 <= share <= 1 else math.nan


def remedy(reader: Reader, fields: Fields, status: Status) -> str:
    """What to do about lines whose date or value cannot be used."""
    if not fields.texts(status):
        return "correct them"
    texts = reader.scan(sql.unread_texts(fields, status))["text"]
    if status is Status.NO_VALUE:
        return numbers.remedy(texts, fields.decimal, fields.thousands)
    return ", and ".join(date_remedies(texts, fields, fields.date))


def date_remedies(texts: pd.Series, fields: parsing.Columns, name: str) -> list[str]:
    """What to do about texts of a column that cannot be read as dates."""
    serial = is_serial(texts)
    buddhist, order = date_faults(texts[~serial], fields)
    told = [f"the years {BUDDHIST}"] * buddhist + [SERIAL] * bool(serial.any())
    return told + [fields.date_remedy(name)] * (order and not (len(serial) > 0 and serial.all()))


def is_serial(texts: pd.Series) -> pd.Series:
    """Whether texts look like the numbers by which Excel counts days: 20000 is in 1954, 59999 in 2064."""
    return texts.str.fullmatch(r"\s*[2-5]\d{4}([.,]\d+)?\s*").astype(bool)


def date_faults(texts: pd.Series, fields: parsing.Columns) -> tuple[bool, bool]:
    """Whether dates that cannot be read have Buddhist years, and whether it remains to say how they are written."""
    years = texts.str.findall(r"(?<!\d)\d{4}(?!\d)").map(lambda found: any(is_buddhist(int(year)) for year in found))
    buddhist = len(texts) > 0 and bool(years.all())
    # 2567-02-29 is written YYYY-MM-DD, but 2567 is no leap year.
    written = fields.date_format is not None or texts.str.match(r"\d{4}-\d\d-\d\d").all()
    return buddhist, not (buddhist and written)


def is_buddhist(year: Any) -> Any:
    """Whether a year, or each of several, seems to be counted in the Thai calendar."""
    return (year >= _BUDDHIST_START) & (year <= pd.Timestamp.today().year + 543)


def buddhist_lines(reader: Reader, fields: Fields) -> int:
    """Lines with such a year."""
    ends = f"{_BUDDHIST_START - 1}-12-31", f"{pd.Timestamp.today().year + 543}-12-31"
    after, beyond = (reader.scan(sql.lines_after(fields), day=day)["lines"].item() for day in ends)
    return after - beyond


def row(
    check: str, level: str, count: float, remark: str, *, of: float = math.nan, found: pd.Index | None = None
) -> dict[str, Any]:
    """One row of the table; `of` is what the count is a share of, `found` the customers to name."""
    return {
        "check": check,
        "level": level,
        "count": int(count),
        "share": count / of if of else math.nan,
        "examples": [] if found is None else found[:3].tolist(),
        "remark": remark,
    }


def oddity(
    check: str, level: str, count: float, remark: str, of: float, found: pd.Index | None = None
) -> dict[str, Any]:
    """A row that is "ok" and says nothing where nothing was found."""
    return row(check, level, count, remark, of=of, found=found) if count else row(check, "ok", 0, "")


def _facts(fields: Fields, found: Found, gap: float, end: pd.Timestamp) -> Iterator[dict[str, Any]]:
    buyers, first = found.customers, found.first
    yield row("lines", "note", found.totals["lines"].sum(), "")
    yield row("customers", "note", len(buyers), "")
    yield row("one purchase only", "note", (buyers["transactions"] == 1).sum(), "of the customers", of=len(buyers))
    if fields.order:
        yield row("orders", "note", buyers["n_orders"].sum(), "")
    yield row("purchase days", "note", buyers["transactions"].sum(), "what the models count")
    if pd.notna(first):
        days = max((end - first).days, 0)
        gaps = "" if math.isnan(gap) else f"; the median gap between purchases is {counted(round(gap), 'day')}"
        span = f"{first:%Y-%m-%d} to {end:%Y-%m-%d}" if first <= end else f"{end:%Y-%m-%d} is before the first date"
        yield row("days observed", "note", days, f"{span}{gaps}")
    if buyers["revenue"].sum() > 0:
        top = math.ceil(len(buyers) / 100)
        share = buyers["revenue"].nlargest(top).sum() / buyers["revenue"].sum()
        yield row("top 1 % of customers", "note", top, "hold this share of the revenue") | {"share": share}


def _choices(reader: Reader, fields: Fields, all_found: Found) -> Iterator[dict[str, Any]]:
    """What the options leave out or put together."""
    scan, lines = reader.scan, all_found.totals["lines"].sum()
    if fields.where:
        out = scan(parsing.left_out(fields))
        count = 0 if out.empty else out["lines"].iloc[0]
        other = (f"{name} is not {either}" for name, either in wanted(fields).items())
        held = pd.Index([repr(brief(text)) for text in out["held"]])
        yield row("not asked for", "note", count, f"left out: {' or '.join(other)}", of=count + lines, found=held)
    if fields.part:
        again = sum(fields.overlap.values())
        remark = f"left out: lines of days that another {fields.part} holds, too"
        yield oddity("overlapping exports", "note", again, remark, again + lines)
    found = currencies(reader, fields)
    if len(fields.currency) > 1:
        others = found.drop(fields.currency[1], errors="ignore")
        count, level = others["lines"].sum(), "ok" if others.empty else "warning"
        yield row("other currencies", level, count, f"left out: {listed(others)}", of=count + lines)
    elif not (several := mixed(found, fields)).empty:
        remark = f"refused by summary(): {found.index.name} holds {listed(several)}; pick one with currency="
        yield row("several currencies", "error", several["lines"].sum(), remark, of=lines)
    for number, name in enumerate(fields.customers[1:], 1):
        taken = scan(parsing.second_ids(fields, number)).iloc[0]
        remark = f"taken where {' and '.join(fields.customers[:number])} is missing"
        yield oddity(f"id from {name}", "note", taken["lines"], remark, lines)
        remark = f"customers counted twice: their {name} stands beside another id on other lines"
        yield oddity(f"two ids by {name}", "warning", taken["twice"], remark, math.nan)


def _three_decimals(reader: Reader, fields: Fields, lines: float) -> Iterator[dict[str, Any]]:
    """Whether what is read as decimals may be thousands, where nobody has said how these are written."""
    for name in fields.value:
        if fields.types[name] in parsing.TEXTS and fields.thousands is None:
            found = reader.scan(sql.three_decimals(name, fields)).iloc[0]
            if found["three"] == found["marked"] > 0:
                remark = (
                    f"{name} has three digits behind each {fields.decimal!r}; if it groups thousands, say "
                    f"thousands={fields.decimal!r} and decimal={'.,'.replace(fields.decimal, '')!r}"
                )
                example = pd.Index([repr(brief(found["example"]))])
                yield row("three decimals", "warning", found["three"], remark, of=lines, found=example)


def _line_checks(
    reader: Reader, fields: Fields, found: Found, odd: pd.DataFrame, until: pd.Timestamp | None
) -> Iterator[dict[str, Any]]:
    repeats = reader.scan(sql.duplicates(fields))
    count, worth = found.totals["lines"], found.totals["value"]
    lines, people = count.sum(), odd[odd.index.notna()]
    refused = "error" if fields.bad_rows == "error" else "warning"
    done = "refused by summary()" if fields.bad_rows == "error" else "left out"

    def some(column: str) -> pd.Index:
        return people.index[people[column] > 0]

    unusable = {status: some(status.name) for status in (Status.NO_DATE, Status.NO_VALUE)}
    for status in unusable:
        if count[status] and fields.texts(status):
            texts = reader.scan(sql.unread(fields, status))["text"]
            unusable[status] = pd.Index([brief(repr(text)) for text in texts]).unique()
    lost = lost_share(worth, fields.refunds)
    share = "" if math.isnan(lost) else f", with {lost:.1%} of the {'net ' * (fields.refunds == 'net')}revenue"
    yield oddity("no customer id", "warning", count[Status.NO_CUSTOMER], f"left out{share}", lines)
    remark = f"{done}: {fields.date} {fields.date_fault(fields.date)}"
    if count[Status.NO_DATE] and fields.is_written(fields.date):
        texts = reader.scan(sql.unread_texts(fields, Status.NO_DATE))["text"]
        serial = is_serial(texts)
        buddhist, order = date_faults(texts[~serial], fields)
        remark += f"; the years {BUDDHIST}" if buddhist else ""
        remark += f"; {SERIAL}" if serial.any() else ""
        order = order and not (len(serial) > 0 and serial.all())
        remark += "; say how with date_format=" if order and fields.date_format is None else ""
    yield oddity("unreadable dates", refused, count[Status.NO_DATE], remark, lines, unusable[Status.NO_DATE])
    if fields.value:
        unread = count[Status.NO_VALUE] and fields.texts(Status.NO_VALUE)
        remark = f"{done}; {remedy(reader, fields, Status.NO_VALUE)}" if unread else done
        yield oddity("unreadable values", refused, count[Status.NO_VALUE], remark, lines, unusable[Status.NO_VALUE])
        yield from _three_decimals(reader, fields, lines)
        policy = {
            "net": ("note", f"taken off the purchases before them; their sum is {worth[Status.REFUND]:,.2f}"),
            "drop": ("warning", f"left out; their sum is {worth[Status.REFUND]:,.2f}"),
            "keep": ("warning", "counted as purchases"),
            "error": ("error", "refused by summary()"),
        }
        level, remark = policy[fields.refunds]
        yield oddity("refunds", level, odd["negatives"].sum(), remark, lines, some("negatives"))
        yield oddity("zero values", "note", people["zeros"].sum(), "counted as purchases", lines, some("zeros"))
    remark = "equal to another in every column; counted"
    yield oddity("repeated lines", "note", repeats["repeats"].sum(), remark, lines, pd.Index(repeats["customer"]))
    days = pd.concat([found.customers["transactions"], found.refunded["days"]])
    counted_here = people.drop(found.older.index)
    more = counted_here["PURCHASE"] - days.groupby(level=0).sum().reindex(counted_here.index, fill_value=0)
    remark = "lines of one customer on one day are one purchase"
    yield oddity("merged into one day", "note", more.sum(), remark, lines, more.index[more > 0])
    if until is None:
        check, level, remark = "dates in the future", "warning", "they move the end of observation; give until="
    else:
        check, level, remark = "dates after the end", "note", f"left out, being after {until:%Y-%m-%d}"
    yield oddity(check, level, people["beyond"].sum(), remark, lines, some("beyond"))
    if ahead := buddhist_lines(reader, fields):
        yield row("Buddhist years", "warning", ahead, f"their years {BUDDHIST}", of=lines)
    zoned, dated = odd["zoned"].sum(), odd["dated"].sum()
    remark = f"times with a zone are turned into {fields.timezone}, times without are taken as they are"
    yield oddity("mixed time zones", "warning", min(zoned, dated - zoned), remark, lines)


def _customer_checks(reader: Reader, fields: Fields, found: Found, people: pd.DataFrame) -> Iterator[dict[str, Any]]:
    if fields.value:
        if fields.refunds == "net":
            back, beyond = (found.refunded[found.refunded[name] > 0] for name in ("days", "left"))
            of, remark = found.customers["transactions"].sum() + back["days"].sum(), "purchase days that count no more"
            yield oddity("refunded in full", "note", back["days"].sum(), remark, of, back.index)
            remark = f"customers who gave back {beyond['left'].sum():,.2f} more than they had bought; that is left out"
            yield oddity("refunds beyond", "warning", len(beyond), remark, len(people), beyond.index)
            gone = back.index[back["transactions"] == 0]
            remark = "customers who gave back all they had bought; not in the summary"
            yield oddity("all given back", "note", len(gone), remark, len(people), gone)
        without = people.index[(people["REFUND"] > 0) & (people["PURCHASE"] == 0)]
        remark = "customers who bought nothing; not in the summary"
        yield oddity("refunds only", "note", len(without), remark, len(people), without)
    for i, name in enumerate(fields.attributes):
        several = people.index[people[f"conflict_{i}"]]
        remark = "customers with several values; the earliest counts"
        yield oddity(f"conflicting {name}", "warning", len(several), remark, len(people), several)
    if fields.acquired or fields.first_seen_after is not None:
        remark = "customers who are left out: how often they bought before is not known"
        yield oddity("older than the log", "note", len(found.older), remark, len(people), found.older.index)
    if fields.acquired:
        seen = reader.scan(sql.acquired(fields)).iloc[0]
        remark = f"customers whose {fields.acquired} is missing, unreadable or after their first purchase in the log"
        yield oddity("acquired unknown", "warning", seen[["unread", "missing", "later"]].sum(), remark, len(people))


def _first_purchases(first_dates: pd.Series, first: pd.Timestamp, end: pd.Timestamp) -> dict[str, Any]:
    """Whether the log seems to start later than its customers did (left truncation).

    Customers who came evenly would make a twelfth of the first purchases in the first twelfth of the log.
    """
    check = "pile-up at the start"
    early = int((first_dates <= first + (end - first) / _FIRST_PART).sum())
    if end <= first or early <= 2 / _FIRST_PART * len(first_dates):
        return row(check, "ok", 0, "")
    remark = f"first purchases in the first twelfth of the log ({1 / _FIRST_PART:.0%} would be even)"
    if first_dates.max() <= first + (end - first) / 2:
        remark += f"; all customers came by {first_dates.max():%Y-%m-%d}: a cohort"
        return row(check, "note", early, remark, of=len(first_dates))
    remark += "; customers may be older than the log, their T too short: give acquired= or first_seen_after="
    return row(check, "warning", early, remark, of=len(first_dates))


def _enough(buyers: pd.DataFrame, gap: float, first: pd.Timestamp, end: pd.Timestamp) -> dict[str, Any]:
    repeaters = int((buyers["transactions"] > 1).sum())
    if buyers.empty:
        level, remark = "error", "no purchase can be used"
    elif buyers["first_day"].min() == day_number(end):
        level, remark = "error", "all purchases are on the last day, so nobody was observed for any time"
    elif not repeaters:
        level, remark = "error", "nobody bought on a second day, so there is no rate to learn"
    else:
        short = (end - first).days < _GAPS * gap
        doubts = [f"fewer than {_REPEATERS}"] * (repeaters < _REPEATERS) + [
            f"log shorter than {_GAPS} median gaps"
        ] * short
        level = "warning" if doubts else "ok"
        remark = "; ".join(["customers who bought again", *doubts])
    return row(ENOUGH, level, repeaters, remark, of=len(buyers))
