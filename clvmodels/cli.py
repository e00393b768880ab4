"""Command line: `clvmodels demo | audit | predict`, a thin layer over `clvmodels.workflow`."""

from __future__ import annotations

import contextlib
import math
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from clvmodels import __version__
from clvmodels.errors import AssumptionWarning, ConvergenceWarning, DataWarning, FitError, counted

if TYPE_CHECKING:
    import pandas as pd

    from clvmodels.workflow import Prediction

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)

Source = Annotated[str, typer.Argument(help="CSV or Parquet file; a pattern such as 'logs/*.csv' reads many.")]
Customer = Annotated[str, typer.Option(help="Column with the customer's id.", metavar="COLUMN")]
Date = Annotated[str, typer.Option(help="Column with the date or time.", metavar="COLUMN")]
VALUE = typer.Option(
    help="Column with a line's revenue. Give it twice, quantity and price, to multiply.", metavar="COLUMN"
)
Order = Annotated[str | None, typer.Option(help="Column with the order number, to count orders.", metavar="COLUMN")]
Refunds = Annotated[
    str, typer.Option(help="Negative values: drop, keep (count as purchases) or error (refuse).", metavar="POLICY")
]
DateFormat = Annotated[
    str | None, typer.Option(help="How dates are written, if not YYYY-MM-DD: '%d/%m/%Y'.", metavar="FORMAT")
]
Timezone = Annotated[
    str | None, typer.Option(help="Zone whose days count, for times that carry a zone (UTC).", metavar="ZONE")
]
BadRows = Annotated[
    str, typer.Option(help="Unreadable dates and values: error (refuse) or drop (leave out).", metavar="POLICY")
]
Until = Annotated[str | None, typer.Option(help="Last day observed (the last date in the log).", metavar="DATE")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")]

# An option as the sentences of the package write it, such as `until=` or `method='map'`, but not within a path.
_OPTION = re.compile(
    r"(?<![^\s(])(date_format|bad_rows|refunds|value|until|horizon|discount_rate|method|overwrite)=(?:True\b)?(?=(['\w])?)"
)


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
    refunds: Refunds = "drop",
    date_format: DateFormat = None,
    timezone: Timezone = None,
    bad_rows: BadRows = "error",
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
            until=until,
            customer=customer,
            date=date,
            order=order,
            refunds=cast(Any, refunds),
            date_format=date_format,
            timezone=timezone,
            bad_rows=cast(Any, bad_rows),
        )
    typer.echo(repr(made))


@app.command()
def predict(
    source: Source,
    customer: Customer,
    date: Date,
    value: Annotated[list[str], VALUE],
    until: Until = None,
    order: Order = None,
    refunds: Refunds = "drop",
    date_format: DateFormat = None,
    timezone: Timezone = None,
    bad_rows: BadRows = "error",
    unit: Annotated[
        str, typer.Option(help="day, week, month or year; the predictions do not depend on it.", metavar="UNIT")
    ] = "week",
    horizon: Annotated[
        str, typer.Option(help="How far to predict: '39 weeks', '6 months', a date, or infinite.", metavar="HORIZON")
    ] = "1 year",
    interval: Annotated[float, typer.Option(help="Coverage of the intervals.")] = 0.9,
    margin: Annotated[float, typer.Option(help="Share of revenue that is earned.")] = 1.0,
    discount_rate: Annotated[float, typer.Option(help="Annual effective rate.")] = 0.0,
    method: Annotated[str, typer.Option(help="How to fit: ml, map or laplace.", metavar="METHOD")] = "laplace",
    output: Annotated[Path, typer.Option(help="File to write: .parquet, .csv or .duckdb.", dir_okay=False)] = Path(
        "clv.parquet"
    ),
    overwrite: Overwrite = False,
    seed: Annotated[int | None, typer.Option(help="Seed of the draws; the file says which was used.", min=0)] = None,
) -> None:
    """Predict the value of each customer of a log, with intervals.

    Example: clvmodels predict shop.csv --customer id --date day --value amount
    """
    with _reporting() as progress:
        from clvmodels import workflow

        made = workflow.predict(
            source,
            value=value,
            unit=unit,
            until=until,
            horizon=None if horizon.lower() == "infinite" else horizon,
            interval=interval,
            margin=margin,
            discount_rate=discount_rate,
            method=cast(Any, method),
            output=output,
            overwrite=overwrite,
            seed=seed,
            progress=progress,
            customer=customer,
            date=date,
            order=order,
            refunds=cast(Any, refunds),
            date_format=date_format,
            timezone=timezone,
            bad_rows=cast(Any, bad_rows),
        )
    _show_prediction(made)
    _say(f"\nEach customer: {made.file}")


@contextlib.contextmanager
def _reporting() -> Iterator[Callable[[str], None]]:
    """Progress and notes on stderr; bad input ends the command with one sentence and exit code 2."""
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
            console.print(_OPTION.sub(_as_option, sentence), soft_wrap=not console.is_terminal)
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
        raise typer.Exit(2) from error


def _as_option(found: re.Match[str]) -> str:
    return f"--{found[1].replace('_', '-')}{' ' if found[2] else ''}"


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
    total, attrs = prediction.total.iloc[0], prediction.total.attrs
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
    _say(f"clv: {attrs['margin']:.0%} of the revenue, discounted at {attrs['discount_rate']:.1%} a year")
    for note in attrs["notes"]:
        _say(f"Note: {note}")


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
