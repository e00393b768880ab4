"""Command line: `clvmodels demo | audit | predict`, a thin layer over `clvmodels.workflow`."""

from __future__ import annotations

import contextlib
import math
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from clvmodels import __version__
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

    from clvmodels.workflow import Prediction

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)

Source = Annotated[str, typer.Argument(help="CSV or Parquet file; a pattern such as 'logs/*.csv' reads many.")]
Customer = Annotated[
    list[str] | None,
    typer.Option(
        help="Column with the customer's id. Given again: what to take where it is missing.", metavar="COLUMN"
    ),
]
Date = Annotated[str | None, typer.Option(help="Column with the date or time.", metavar="COLUMN")]
VALUE = typer.Option(
    help="Column with a line's revenue. Give it twice, quantity and price, to multiply.", metavar="COLUMN"
)
Order = Annotated[str | None, typer.Option(help="Column with the order number, to count orders.", metavar="COLUMN")]
Attribute = Annotated[
    list[str] | None,
    typer.Option(help="Column that describes the customer, such as the country; may be given again.", metavar="COLUMN"),
]
Refunds = Annotated[
    str | None,
    typer.Option(
        help="Negative values: net (take off earlier purchases), drop, keep (count as purchases) or error (refuse).",
        metavar="POLICY",
        show_default="net",
    ),
]
Acquired = Annotated[
    str | None,
    typer.Option(
        help="Column with the true date of a customer's first purchase; who is older than the log is left out.",
        metavar="COLUMN",
    ),
]
FirstSeenAfter = Annotated[
    str | None,
    typer.Option(help="Leave out customers who bought until this day: they may be older than the log.", metavar="DATE"),
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
Currency = Annotated[
    list[str] | None,
    typer.Option(help="Column with the currency. Given again: the code that counts.", metavar="COLUMN"),
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
Part = Annotated[
    str | None,
    typer.Option(help="Column with the export that a line is from: a day in several counts once.", metavar="COLUMN"),
]
Until = Annotated[str | None, typer.Option(help="Last day observed (the last date in the log).", metavar="DATE")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")]

SEGMENTS_SHOWN = 10

# An option as the sentences of the package write it, such as `until=` or `method='map'`, but not within a path.
_NAMES = (
    "customer|date|value|date_format|bad_rows|refunds|acquired|first_seen_after|where|currency|decimal|thousands|"
    "encoding|until|unit|horizon|discount_rate|method|model|save|max_age|overwrite"
)
_OPTION = re.compile(rf"(?<![^\s(])({_NAMES})=(?:True\b)?(?=([\"'\w])?)")
_CURRENCY = re.compile(r"(?<!\S)currency=\((\S.*?), (\S.*?)\)")


def main() -> None:
    """Run the command line."""
    app(prog_name="clvmodels")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"clvmodels {__version__}")
        raise typer.Exit


@app.callback()
def clvmodels(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """What each customer will be worth, with intervals.

    Start with: clvmodels demo
    """


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="Where clv.parquet and clv.csv are written.")] = Path("."),
    overwrite: Overwrite = False,
    seed: Annotated[int, typer.Option(help="Seed of the draws.", min=0)] = 1,
) -> None:
    """Show the whole way on real data: 23,570 customers of CDNOW.

    Compares the simple formula and a model on 39 held-out weeks, then predicts one year with the model.

    Example: clvmodels demo --overwrite
    """
    with _reporting() as progress:
        from clvmodels import workflow

        made = workflow.demo(folder, overwrite=overwrite, seed=seed, progress=progress)
    _show_comparison(made.comparison, f"{workflow.DEMO_HOLDOUT} after {workflow.DEMO_CUTOFF}, as predicted on that day")
    _show_prediction(made.prediction)
    simple, model = (
        made.comparison.loc[("revenue", name), :] for name in (workflow.DEMO_BASELINE, workflow.DEMO_MODEL)
    )
    _say(
        f"\nOf the {simple['actual']:,.0f} dollars of the held-out weeks, the simple formula missed the total "
        f"by {simple['bias']:+.0%}, the model by {model['bias']:+.0%}. The tenth of the customers that the model puts "
        f"first brought {model['top_decile']:.0%} of them; the simple formula cannot tell customers apart. "
        "The intervals allow for chance and for parameters that the data leave open, not for a model that is off."
        f"\nEach customer's year, with intervals: {made.prediction.file} and {made.csv}"
        "\nNext, with your own orders: clvmodels audit --help, clvmodels predict --help"
    )


@app.command()
def audit(
    source: Source,
    customer: Customer,
    date: Date,
    value: Annotated[list[str] | None, VALUE] = None,
    until: Until = None,
    order: Order = None,
    attribute: Attribute = None,
    refunds: Refunds = None,
    acquired: Acquired = None,
    first_seen_after: FirstSeenAfter = None,
    date_format: DateFormat = None,
    timezone: Timezone = None,
    bad_rows: BadRows = None,
    where: Where = None,
    currency: Currency = None,
    decimal: Decimal = None,
    thousands: Thousands = None,
    encoding: Encoding = None,
    part: Part = None,
) -> None:
    """Show what is in a log, what is odd, and if it is enough to fit.

    Example: clvmodels audit orders.csv --customer id --date day --value amount
    """
    with _reporting() as progress:
        from clvmodels import workflow

        progress("Read the log")
        made = workflow.audit(
            source,
            value=value or None,
            attribute=attribute,
            until=until,
            customer=customer,
            date=date,
            order=order,
            refunds=cast(Any, refunds),
            acquired=acquired,
            first_seen_after=first_seen_after,
            date_format=date_format,
            timezone=timezone,
            bad_rows=cast(Any, bad_rows),
            where=_values_by_column(where or []),
            currency=currency or None,
            decimal=decimal,
            thousands=thousands,
            encoding=encoding,
            part=part,
        )
    table = made.table.assign(remark=made.table["remark"].map(_as_options))
    typer.echo(repr(replace(made, table=table)))


@app.command()
def predict(
    source: Source,
    customer: Customer = None,
    date: Date = None,
    value: Annotated[list[str] | None, VALUE] = None,
    until: Until = None,
    order: Order = None,
    attribute: Attribute = None,
    by: Annotated[
        str | None, typer.Option(help="Column that makes segments, whose totals are shown.", metavar="COLUMN")
    ] = None,
    refunds: Refunds = None,
    acquired: Acquired = None,
    first_seen_after: FirstSeenAfter = None,
    date_format: DateFormat = None,
    timezone: Timezone = None,
    bad_rows: BadRows = None,
    where: Where = None,
    currency: Currency = None,
    decimal: Decimal = None,
    thousands: Thousands = None,
    encoding: Encoding = None,
    part: Part = None,
    unit: Annotated[
        str | None,
        typer.Option(
            help="day, week, month or year; the predictions do not depend on it.", metavar="UNIT", show_default="week"
        ),
    ] = None,
    horizon: Annotated[
        str, typer.Option(help="How far to predict: '39 weeks', '6 months', a date, or infinite.", metavar="HORIZON")
    ] = "1 year",
    interval: Annotated[float, typer.Option(help="Coverage of the intervals.")] = 0.9,
    margin: Annotated[
        str | None,
        typer.Option(
            help="Share of revenue that is earned, or a column with each customer's.",
            metavar="SHARE",
            show_default="1, or the model's",
        ),
    ] = None,
    discount_rate: Annotated[
        float | None, typer.Option(help="Annual effective rate.", show_default="0, or the model's")
    ] = None,
    method: Annotated[
        str | None, typer.Option(help="How to fit: ml, map or laplace.", metavar="METHOD", show_default="laplace")
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(help="Saved fit that predicts, instead of a new one; it knows the columns.", dir_okay=False),
    ] = None,
    save: Annotated[
        Path | None, typer.Option(help="File to save the new fit in, for --model: .clv.", dir_okay=False)
    ] = None,
    max_age: Annotated[
        str | None, typer.Option(help="Exit with code 3 if the newest order is older: '3 days'.", metavar="AGE")
    ] = None,
    output: Annotated[Path, typer.Option(help="File to write: .parquet, .csv or .duckdb.", dir_okay=False)] = Path(
        "clv.parquet"
    ),
    overwrite: Overwrite = False,
    seed: Annotated[int | None, typer.Option(help="Seed of the draws; the file says which was used.", min=0)] = None,
) -> None:
    """Predict the value of each customer of a log, with intervals.

    Example: clvmodels predict shop.csv --customer id --date day --value amount

    With --save june.clv it keeps what it learnt. A month later, without fitting:
    clvmodels predict --model june.clv july.csv
    """
    with _reporting() as progress:
        from clvmodels import workflow

        made = workflow.predict(
            source,
            value=value,
            attribute=attribute,
            by=by,
            unit=unit,
            until=until,
            horizon=None if horizon.lower() == "infinite" else horizon,
            interval=interval,
            margin=_number_or_column(margin),
            discount_rate=discount_rate,
            method=cast(Any, method),
            model=model,
            save=save,
            max_age=max_age,
            output=output,
            overwrite=overwrite,
            seed=seed,
            progress=progress,
            customer=customer,
            date=date,
            order=order,
            refunds=cast(Any, refunds),
            acquired=acquired,
            first_seen_after=first_seen_after,
            date_format=date_format,
            timezone=timezone,
            bad_rows=cast(Any, bad_rows),
            where=_values_by_column(where or []),
            currency=currency or None,
            decimal=decimal,
            thousands=thousands,
            encoding=encoding,
            part=part,
        )
    _show_prediction(made)
    _say(f"\nEach customer: {made.file}")
    if made.saved:
        _say(f"The fit, for --model: {made.saved}")


@contextlib.contextmanager
def _reporting() -> Iterator[Callable[[str], None]]:
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
            console.print(_as_options(sentence), soft_wrap=not console.is_terminal)
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


def _values_by_column(given: list[str]) -> dict[str, list[str]]:
    """The values that `--where` gives for each column."""
    values: dict[str, list[str]] = {}
    for text in given:
        column, sign, value = text.partition("=")
        if not sign:
            raise ValueError(f"where must be written COLUMN=VALUE, such as status=paid; got {text!r}")
        values.setdefault(column, []).append(value)
    return values


def _as_options(sentence: str) -> str:
    """The sentence with options as the command line has them."""
    return _OPTION.sub(_as_option, _CURRENCY.sub(r"--currency \1 --currency \2", sentence))


def _as_option(found: re.Match[str]) -> str:
    return f"--{found[1].replace('_', '-')}{' ' if found[2] else ''}"


def _number_or_column(text: str | None) -> float | str | None:
    if text is None:
        return None
    if text.endswith("%"):
        raise ValueError(f"margin must be written as a share, such as 0.3 for 30%; got {text!r}")
    try:
        return float(text)
    except ValueError:
        return text


def _show_comparison(comparison: pd.DataFrame, title: str) -> None:
    rows = []
    for outcome in comparison.index.unique("outcome"):
        found = comparison.loc[outcome]
        rows.append([f"{outcome}: actual", f"{found['actual'].iloc[0]:,.0f}", *[""] * 5])
        for model, row in found.iterrows():
            rows.append(
                [
                    f"  {model}",
                    f"{row['predicted']:,.0f}",
                    f"{row['bias']:+.1%}",
                    f"{row['mae']:,.2f}",
                    f"{row['rmse']:,.2f}",
                    "-" if math.isnan(row["spearman"]) else f"{row['spearman']:.2f}",
                    f"{row['top_decile']:.1%}",
                ]
            )
    _show(title, ["", "total", "bias", "MAE", "RMSE", "Spearman", "top 10 %"], rows)
    _say(
        "bias: error of the total; MAE, RMSE: error of a customer; Spearman: correlation of the ranks; top 10 %: "
        "share of the actual held by the tenth of the customers predicted highest\n"
    )


def _show_prediction(prediction: Prediction) -> None:
    total, attrs = prediction.total.iloc[-1], prediction.total.attrs
    rows = [
        [name, f"{total[mean]:,.0f}", f"{total[f'{name}_lower']:,.0f} to {total[f'{name}_upper']:,.0f}"]
        for name, mean in {"transactions": "expected_transactions", "revenue": "expected_revenue", "clv": "clv"}.items()
        if mean in total
    ]
    period, until = "All time", ""
    if "horizon_days" in attrs:
        period, until = counted(attrs["horizon_days"], "day"), f", until {attrs['horizon_end']}"
    title = f"{period} after {attrs['observation_end']}{until}: {counted(len(prediction.table), 'customer')} together"
    _show(title, ["", "expected", f"{attrs['interval']:.0%} interval"], rows)
    if len(prediction.total) > 1:
        _show_segments(prediction.total)
    margin = attrs["margin"]
    if isinstance(margin, str):
        earned = f"the share of the revenue in {margin!r}"
    elif isinstance(margin, dict):
        earned = f"a share of the revenue by {next(iter(margin))!r}"
    else:
        earned = f"{margin:.0%} of the revenue"
    _say(f"clv: {earned}, discounted at {attrs['discount_rate']:.1%} a year")
    for note in attrs["notes"]:
        _say(f"Note: {note}")


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
    _show(f"By {total.index.name}{largest}", header, rows)
    if len(others):
        share, where = others["clv"].sum() / every["clv"], f"fit.total(by={total.index.name!r}) in Python"
        _say(f"{counted(len(others), 'smaller segment')} with {share:.1%} of the clv: {where}")
    _say("The expected values of the segments add up to those of all customers; the ends of the intervals do not.")


def _show(title: str, header: list[str], rows: list[list[str]]) -> None:
    """A table on stdout: the first column to the left, the others to the right."""
    from rich import box, table

    grid = table.Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1))
    for number, name in enumerate(header):
        grid.add_column(name, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        grid.add_row(*row)
    _say(title)
    _say(grid)


def _say(text: object) -> None:
    """Print to stdout, broken between words."""
    from rich.console import Console

    Console(highlight=False, markup=False).print(text)
