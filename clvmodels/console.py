"""What the commands have in common: options, progress and notes on stderr, tables on stdout."""

from __future__ import annotations

import contextlib
import math
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clvmodels.errors import (
    AssumptionWarning,
    ConvergenceWarning,
    DataWarning,
    FitError,
    StaleDataError,
    brief,
    counted,
)

if TYPE_CHECKING:
    import pandas as pd

    from clvmodels.evaluation.monitoring import Check
    from clvmodels.workflow import Backtested, Prediction

Source = Annotated[str, typer.Argument(help="CSV or Parquet file; a pattern such as 'logs/*.csv' reads many.")]
Customer = Annotated[
    list[str] | None,
    typer.Option(
        help="Column with the customer's id. Given again: what to take where it is missing.", metavar="COLUMN"
    ),
]
Attribute = Annotated[
    list[str] | None,
    typer.Option(help="Column that describes the customer, such as the country; may be given again.", metavar="COLUMN"),
]
DateFormat = Annotated[
    str | None, typer.Option(help="How dates are written, if not YYYY-MM-DD: '%d/%m/%Y'.", metavar="FORMAT")
]
Timezone = Annotated[
    str | None, typer.Option(help="Zone whose days count, for times that carry a zone (UTC).", metavar="ZONE")
]
BadRows = Annotated[
    str | None,
    typer.Option(
        help="Unreadable dates and values: error (refuse) or drop (leave out).", metavar="POLICY", show_default="error"
    ),
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        help="Only lines with this value: status=paid. Given again: more values, or more columns.",
        metavar="COLUMN=VALUE",
    ),
]
Decimal = Annotated[
    str | None,
    typer.Option(help="Decimal sign of numbers in text: '.' or ','.", metavar="SIGN", show_default="."),
]
Thousands = Annotated[
    str | None, typer.Option(help="What groups their thousands, if anything: ',', '.' or ' '.", metavar="SIGN")
]
Encoding = Annotated[
    str | None,
    typer.Option(help="Encoding of a CSV file, such as cp1252 or utf-16.", metavar="NAME", show_default="utf-8"),
]
Until = Annotated[str | None, typer.Option(help="Last day observed (the last date in the log).", metavar="DATE")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")]
# What predictions are asked by.
By = Annotated[str | None, typer.Option(help="Column that makes segments, whose totals are shown.", metavar="COLUMN")]
Horizon = Annotated[
    str, typer.Option(help="How far to predict: '39 weeks', '6 months', a date, or infinite.", metavar="HORIZON")
]
Interval = Annotated[float, typer.Option(help="Coverage of the intervals.")]
Margin = Annotated[
    str | None,
    typer.Option(
        help="Share of revenue that is earned, or a column with each customer's.",
        metavar="SHARE",
        show_default="1, or the model's",
    ),
]
DiscountRate = Annotated[float | None, typer.Option(help="Annual effective rate.", show_default="0, or the model's")]
Method = Annotated[
    str | None, typer.Option(help="How to fit: ml, map, laplace or mcmc.", metavar="METHOD", show_default="laplace")
]
SavedFit = Annotated[
    Path | None,
    typer.Option(help="Saved fit that predicts, instead of a new one; it knows the columns.", dir_okay=False),
]
Model = Annotated[Path, typer.Argument(help="Saved fit; it knows the columns.", dir_okay=False)]
Save = Annotated[Path | None, typer.Option(help="File to save the new fit in, for --model: .clv.", dir_okay=False)]
Output = Annotated[Path, typer.Option(help="File to write: .parquet, .csv or .duckdb.", dir_okay=False)]
Seed = Annotated[int | None, typer.Option(help="Seed of the draws; the file says which was used.", min=0)]

Cutoff = Annotated[
    list[str],
    typer.Option(help="Last day of the past, may be given again; or '4 every 13 weeks'.", metavar="DATE"),
]
Horizons = Annotated[
    list[str], typer.Option("--horizon", help="How far to predict: '39 weeks'; may be given again.", metavar="HORIZON")
]
Baseline = Annotated[
    str | None, typer.Option(help="Model that the others are compared with.", metavar="MODEL", show_default="the first")
]
SegmentsScored = Annotated[
    str | None,
    typer.Option("--by", help="Column, or 'acquisition month', whose values are scored apart, too.", metavar="COLUMN"),
]
EachMethod = Annotated[
    str | None,
    typer.Option("--method", help="How to fit: ml, map, laplace or mcmc.", metavar="METHOD", show_default="ml"),
]
Jobs = Annotated[int, typer.Option(help="How many fits run at once.", min=1)]
Folder = Annotated[Path, typer.Option("--output", help="Folder for verdict and tables.", file_okay=False)]

SEGMENTS_SHOWN = 10


# How a command ends that says to fit again.
REFIT = 4

# An option as the sentences of the package write it, such as `until=` or `method='map'`, but not within a path.
_NAMES = (
    "customer|date|value|date_format|bad_rows|refunds|acquired|first_seen_after|where|currency|decimal|thousands|"
    "encoding|until|unit|horizon|discount_rate|method|model|save|max_age|overwrite|"
    "start|end|renews|inclusive_ends|value_per|period|grace|cause|returns|since|survival|timing"
)
_OPTION = re.compile(rf"(?<![^\s(])({_NAMES})=(?:True\b)?(?=([\"'\w])?)")
_CURRENCY = re.compile(r"(?<!\S)currency=\((\S.*?), (\S.*?)\)")
_WHERE = re.compile(r"(?<!\S)where=\{'([^']*)': \['([^']*)'\]\}")


@contextlib.contextmanager
def reporting() -> Iterator[Callable[[str], None]]:
    """Progress and notes on stderr; bad input ends the command with one sentence and exit code 2, old data with 3."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, highlight=False, markup=False)
    columns = (SpinnerColumn(finished_text="✓"), TextColumn("{task.description}"), TimeElapsedColumn())
    bar = Progress(*columns, console=console, disable=not console.is_terminal)
    told: set[str] = set()

    def finish() -> None:
        for task in bar.task_ids:
            bar.update(task, total=1, completed=1)

    def begin(step: str) -> None:
        finish()
        bar.add_task(step, total=None)

    def tell(sentence: str) -> None:
        # A terminal breaks the line between words; a log file gets it in one.
        if sentence not in told:
            console.print(as_options(sentence), soft_wrap=not console.is_terminal)
            told.add(sentence)

    def note(message: Warning | str, *place: Any, **more: Any) -> None:
        tell(f"Note: {message}")

    try:
        with warnings.catch_warnings(), bar:
            for category in (AssumptionWarning, ConvergenceWarning, DataWarning):
                warnings.simplefilter("always", category)
            warnings.showwarning = note
            begin("Load the libraries")
            yield begin
            finish()
    except (ValueError, FitError, OSError) as error:
        tell(f"Error: {error}")
        raise typer.Exit(3 if isinstance(error, StaleDataError) else 2) from error


def values_by_column(given: list[str]) -> dict[str, list[str]]:
    """The values that `--where` gives for each column."""
    values: dict[str, list[str]] = {}
    for text in given:
        column, sign, value = text.partition("=")
        if not sign:
            raise ValueError(f"where must be written COLUMN=VALUE, such as status=paid; got {text!r}")
        values.setdefault(column, []).append(value)
    return values


def as_options(sentence: str) -> str:
    """The sentence with options as the command line has them."""
    sentence = _WHERE.sub(r"--where '\1=\2'", _CURRENCY.sub(r"--currency \1 --currency \2", sentence))
    return _OPTION.sub(_as_option, sentence)


def _as_option(found: re.Match[str]) -> str:
    return f"--{found[1].replace('_', '-')}{' ' if found[2] else ''}"


def number_or_column(text: str | None) -> float | str | None:
    """The margin that was given: a share, or the name of a column."""
    if text is None:
        return None
    if text.endswith("%"):
        raise ValueError(f"margin must be written as a share, such as 0.3 for 30%; got {text!r}")
    try:
        return float(text)
    except ValueError:
        return text


def show_prediction(prediction: Prediction, means: Mapping[str, str]) -> None:
    """The total of all customers, each quantity by the name of its interval, and then the segments."""
    total, attrs = prediction.total.iloc[-1], prediction.total.attrs
    rows = [
        [name, f"{total[mean]:,.0f}", f"{total[f'{name}_lower']:,.0f} to {total[f'{name}_upper']:,.0f}"]
        for name, mean in means.items()
        if mean in total
    ]
    period, until = "All time", ""
    if "horizon_days" in attrs:
        period, until = counted(attrs["horizon_days"], "day"), f", until {attrs['horizon_end']}"
    title = f"{period} after {attrs['observation_end']}{until}: {counted(len(prediction.table), 'customer')} together"
    show(title, ["", "expected", f"{attrs['interval']:.0%} interval"], rows)
    if len(prediction.total) > 1:
        _show_segments(prediction.total)
    margin = attrs["margin"]
    if isinstance(margin, str):
        earned = f"the share of the revenue in {margin!r}"
    elif isinstance(margin, dict):
        earned = f"a share of the revenue by {next(iter(margin))!r}"
    else:
        earned = f"{margin:.0%} of the revenue"
    say(f"clv: {earned}, discounted at {attrs['discount_rate']:.1%} a year")
    for note in attrs["notes"]:
        say(f"Note: {note}")


def _show_segments(total: pd.DataFrame) -> None:
    """The segments with the largest clv."""
    every, segments = total.iloc[-1], total.iloc[:-1].sort_values("clv", ascending=False, kind="stable")
    shown, others = segments.iloc[:SEGMENTS_SHOWN], segments.iloc[SEGMENTS_SHOWN:]
    rows = [
        [
            brief(label, 24),
            f"{row['customers']:,.0f}",
            *([f"{row['expected_revenue']:,.0f}"] if "expected_revenue" in total else []),
            f"{row['clv']:,.0f}",
            f"{row['clv_lower']:,.0f} to {row['clv_upper']:,.0f}",
        ]
        for label, row in shown.iterrows()
    ]
    revenue = ["revenue"] if "expected_revenue" in total else []
    header = ["", "customers", *revenue, "clv", f"{total.attrs['interval']:.0%} interval"]
    largest = f", the {len(shown)} largest of {len(segments):,}" if len(others) else ""
    show(f"By {total.index.name}{largest}", header, rows)
    if len(others):
        share, where = others["clv"].sum() / every["clv"], f"fit.total(by={total.index.name!r}) in Python"
        say(f"{counted(len(others), 'smaller segment')} with {share:.1%} of the clv: {where}")
    say("The expected values of the segments add up to those of all customers; the ends of the intervals do not.")


def show_check(check: Check) -> None:
    """The verdict and the table; ends the command with a code of its own where it says to fit again."""
    say(f"{check.verdict}\n")
    for note in check.notes:
        say(f"{note}\n")
    sizes = check.table["customers"].groupby(level=0, sort=False).first()
    largest = sizes.iloc[:-1].nlargest(SEGMENTS_SHOWN).index
    rows = []
    for segment in [*(name for name in sizes.index[:-1] if name in largest), sizes.index[-1]]:
        if len(sizes) > 1:
            rows.append([brief(segment, 24), *[""] * 5])
        for target, row in check.table.loc[segment].iterrows():
            own = "" if math.isnan(row["outside"]) else f"{row['outside']:.1%} / {row['outside_expected']:.1%}"
            ends = f"{row['lower']:,.0f} to {row['upper']:,.0f}"
            name = f"{'  ' * (len(sizes) > 1)}{target}"
            rows.append([name, f"{row['actual']:,.0f}", f"{row['expected']:,.0f}", ends, f"{row['tail']:.3f}", own])
    title = (
        f"After {check.start:%Y-%m-%d}, until {check.end:%Y-%m-%d}: {counted(sizes.iloc[-1], 'customer')} of the fit"
    )
    show(title, ["", "actual", "expected", f"{check.interval:.0%} interval", "tail", "outside"], rows)
    if hidden := len(sizes) - 1 - len(largest):
        say(f"{counted(hidden, 'smaller segment')}: clvmodels.check(by={check.table.index.names[0]!r}) in Python")
    say(
        "tail: probability of a total at least so far out, on either side; outside: share of the customers whose "
        "outcome lies outside their own interval / the share expected there"
    )
    if check.refit:
        raise typer.Exit(REFIT)


def show_backtest(made: Backtested) -> None:
    """The verdict with its tables, and what went wrong."""
    from clvmodels.workflow import failed

    show_verdict(made.comparison.verdict)
    for sentence in failed(made.result):
        say(sentence)
    if number := len(made.result.warnings):
        say(f"{counted(number, 'warning')}: {made.folder / 'problems.csv'}")
    say(f"Verdict and tables, seed {made.result.seed}, in the folder {made.folder}")


def show_verdict(verdict: str) -> None:
    """The tables as they are, since a broken row is none, and the sentences broken between words."""
    sentences: list[str] = []
    for line in [*verdict.splitlines(), ""]:
        if sentences and (not line or "  " in line or line.startswith("*")):
            say(" ".join(sentences))
            sentences.clear()
        if not line or "  " in line:  # between columns
            typer.echo(line)
        else:
            sentences.append(line)


def show(title: str, header: list[str], rows: list[list[str]]) -> None:
    """A table on stdout: the first column to the left, the others to the right."""
    from rich import box, table

    grid = table.Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1))
    for number, name in enumerate(header):
        grid.add_column(name, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        grid.add_row(*row)
    say(title)
    say(grid)


def say(text: object) -> None:
    """Print to stdout, broken between words."""
    from rich.console import Console

    Console(highlight=False, markup=False).print(text)
