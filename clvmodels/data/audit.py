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

from clvmodels.data import sql
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

_ENOUGH = "enough to fit"


@dataclass(frozen=True, eq=False)
class Audit:
    """The findings of `Transactions.audit`; a table in the terminal and in Jupyter.

    Parameters
    ----------
    title : str
        The log in one line.
    table : DataFrame
        One row per check: `check`, `level` ("ok", "note", "warning" or "error"), `count`, `share` (of lines or
        customers; missing where it makes no sense), `examples` (some customers, or texts that cannot be read) and
        `remark`, which says what is done about it or what to do.
    """

    title: str
    table: pd.DataFrame

    @property
    def enough(self) -> bool:
        """Whether a model can be fitted: somebody repeats, and some time has passed."""
        return not ((self.table["check"] == _ENOUGH) & (self.table["level"] == "error")).any()

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
        for row in self._texts().itertuples(index=False):
            grid.add_row(*row)
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
            *_line_checks(reader, fields, found, lines, until),
            *_customer_checks(fields, found, lines[lines.index.notna()]),
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


def _row(
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


def _oddity(
    check: str, level: str, count: float, remark: str, of: float, found: pd.Index | None = None
) -> dict[str, Any]:
    """A row that is "ok" and says nothing where nothing was found."""
    return _row(check, level, count, remark, of=of, found=found) if count else _row(check, "ok", 0, "")


def _facts(fields: Fields, found: Found, gap: float, end: pd.Timestamp) -> Iterator[dict[str, Any]]:
    buyers, first = found.customers, found.first
    yield _row("lines", "note", found.totals["lines"].sum(), "")
    yield _row("customers", "note", len(buyers), "")
    yield _row("one purchase only", "note", (buyers["transactions"] == 1).sum(), "of the customers", of=len(buyers))
    if fields.order:
        yield _row("orders", "note", buyers["n_orders"].sum(), "")
    yield _row("purchase days", "note", buyers["transactions"].sum(), "what the models count")
    if pd.notna(first):
        days = max((end - first).days, 0)
        gaps = "" if math.isnan(gap) else f"; the median gap between purchases is {counted(round(gap), 'day')}"
        span = f"{first:%Y-%m-%d} to {end:%Y-%m-%d}" if first <= end else f"{end:%Y-%m-%d} is before the first date"
        yield _row("days observed", "note", days, f"{span}{gaps}")
    if buyers["revenue"].sum() > 0:
        top = math.ceil(len(buyers) / 100)
        share = buyers["revenue"].nlargest(top).sum() / buyers["revenue"].sum()
        yield _row("top 1 % of customers", "note", top, "hold this share of the revenue") | {"share": share}


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
    yield _oddity("no customer id", "warning", count[Status.NO_CUSTOMER], f"left out{share}", lines)
    how = "; say how with date_format=" if fields.dates_are_written and fields.date_format is None else ""
    remark = f"{done}: {fields.date} {fields.date_fault}{how}"
    yield _oddity("unreadable dates", refused, count[Status.NO_DATE], remark, lines, unusable[Status.NO_DATE])
    if fields.value:
        remark = f"{done}; write numbers like 1234.56" if fields.texts(Status.NO_VALUE) else done
        yield _oddity("values not finite", refused, count[Status.NO_VALUE], remark, lines, unusable[Status.NO_VALUE])
        policy = {
            "net": ("note", f"taken off the purchases before them; their sum is {worth[Status.REFUND]:,.2f}"),
            "drop": ("warning", f"left out; their sum is {worth[Status.REFUND]:,.2f}"),
            "keep": ("warning", "counted as purchases"),
            "error": ("error", "refused by summary()"),
        }
        level, remark = policy[fields.refunds]
        yield _oddity("refunds", level, odd["negatives"].sum(), remark, lines, some("negatives"))
        yield _oddity("zero values", "note", people["zeros"].sum(), "counted as purchases", lines, some("zeros"))
    remark = "equal to another in every column; counted"
    yield _oddity("repeated lines", "note", repeats["repeats"].sum(), remark, lines, pd.Index(repeats["customer"]))
    days = pd.concat([found.customers["transactions"], found.refunded["days"], found.older["transactions"]])
    more = people["PURCHASE"] - days.groupby(level=0).sum().reindex(people.index, fill_value=0)
    remark = "lines of one customer on one day are one purchase"
    yield _oddity("merged into one day", "note", more.sum(), remark, lines, people.index[more > 0])
    if until is None:
        check, level, remark = "dates in the future", "warning", "they move the end of observation; give until="
    else:
        check, level, remark = "dates after the end", "note", f"left out, being after {until:%Y-%m-%d}"
    yield _oddity(check, level, people["beyond"].sum(), remark, lines, some("beyond"))
    zoned, dated = odd["zoned"].sum(), odd["dated"].sum()
    remark = f"times with a zone are turned into {fields.timezone}, times without are taken as they are"
    yield _oddity("mixed time zones", "warning", min(zoned, dated - zoned), remark, lines)


def _customer_checks(fields: Fields, found: Found, people: pd.DataFrame) -> Iterator[dict[str, Any]]:
    if fields.value:
        if fields.refunds == "net":
            back, beyond = (found.refunded[found.refunded[name] > 0] for name in ("days", "left"))
            of, remark = found.customers["transactions"].sum() + back["days"].sum(), "purchase days that count no more"
            yield _oddity("refunded in full", "note", back["days"].sum(), remark, of, back.index)
            remark = f"customers who gave back {beyond['left'].sum():,.2f} more than they had bought; that is left out"
            yield _oddity("refunds beyond", "warning", len(beyond), remark, len(people), beyond.index)
        without = people.index[(people["REFUND"] > 0) & ~people.index.isin(found.customers.index)]
        remark = "customers who are not in the summary"
        yield _oddity("refunds only", "note", len(without), remark, len(people), without)
    for i, name in enumerate(fields.attributes):
        several = people.index[people[f"conflict_{i}"]]
        remark = "customers with several values; the earliest counts"
        yield _oddity(f"conflicting {name}", "warning", len(several), remark, len(people), several)
    if fields.acquired or fields.first_seen_after is not None:
        remark = "customers who are left out: how often they bought before is not known"
        yield _oddity("older than the log", "note", len(found.older), remark, len(people), found.older.index)


def _first_purchases(first_dates: pd.Series, first: pd.Timestamp, end: pd.Timestamp) -> dict[str, Any]:
    """Whether the log seems to start later than its customers did (left truncation).

    Customers who came evenly would make a twelfth of the first purchases in the first twelfth of the log.
    """
    check = "pile-up at the start"
    early = int((first_dates <= first + (end - first) / _FIRST_PART).sum())
    if end <= first or early <= 2 / _FIRST_PART * len(first_dates):
        return _row(check, "ok", 0, "")
    remark = f"first purchases in the first twelfth of the log ({1 / _FIRST_PART:.0%} would be even)"
    if first_dates.max() <= first + (end - first) / 2:
        remark += f"; all customers came by {first_dates.max():%Y-%m-%d}: a cohort"
        return _row(check, "note", early, remark, of=len(first_dates))
    remark += "; customers may be older than the log, their T too short: give acquired= or first_seen_after="
    return _row(check, "warning", early, remark, of=len(first_dates))


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
    return _row(_ENOUGH, level, repeaters, remark, of=len(buyers))
