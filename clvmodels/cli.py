"""Command line: `clvmodels demo | audit | predict | check | backtest`, a thin layer over `clvmodels.workflow`."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from typer.core import TyperGroup

from clvmodels import __version__, contract_cli
from clvmodels.console import (
    Attribute,
    BadRows,
    Baseline,
    By,
    Customer,
    Cutoff,
    DateFormat,
    Decimal,
    DiscountRate,
    EachMethod,
    Encoding,
    Folder,
    Horizon,
    Horizons,
    Interval,
    Jobs,
    Margin,
    Method,
    Model,
    Output,
    Overwrite,
    Save,
    SavedFit,
    Seed,
    SegmentsScored,
    Source,
    Thousands,
    Timezone,
    Until,
    Where,
    as_options,
    number_or_column,
    reporting,
    say,
    show,
    show_backtest,
    show_check,
    show_prediction,
    values_by_column,
)

if TYPE_CHECKING:
    import pandas as pd

# What is shown of a prediction: the name of an interval's columns, and that of its mean.
MEANS = {"transactions": "expected_transactions", "revenue": "expected_revenue", "clv": "clv"}


class _Commands(TyperGroup):
    """Commands, of which those for contracts are called by the flag `--contracts`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        contracts = self.get_command(ctx, f"{name}-contracts")
        if contracts is None:
            return name, command, rest
        chosen, other = (contracts, command) if "--contracts" in rest else (command, contracts)
        foreign = _options(other) - _options(chosen)
        for option in (text.partition("=")[0] for text in rest):
            if option in foreign:
                where = "needs --contracts" if chosen is command else "is for logs of purchases, without --contracts"
                ctx.fail(f"{option} {where}: see clvmodels {name}{' --contracts' * (chosen is command)} --help")
        if chosen is command:
            return name, command, rest
        return f"{name} --contracts", contracts, [text for text in rest if text != "--contracts"]


def _options(command: Any) -> set[str]:
    return {option for parameter in command.params for option in parameter.opts if option.startswith("--")}


app = typer.Typer(
    cls=_Commands, add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None
)
for _name in ("demo", "audit", "predict", "check", "backtest"):
    app.command(f"{_name}-contracts", hidden=True)(getattr(contract_cli, _name))

Date = Annotated[str | None, typer.Option(help="Column with the date or time.", metavar="COLUMN")]
VALUE = typer.Option(
    help="Column with a line's revenue. Give it twice, quantity and price, to multiply.", metavar="COLUMN"
)
Order = Annotated[str | None, typer.Option(help="Column with the order number, to count orders.", metavar="COLUMN")]
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
Currency = Annotated[
    list[str] | None,
    typer.Option(help="Column with the currency. Given again: the code that counts.", metavar="COLUMN"),
]
Unit = Annotated[
    str | None,
    typer.Option(
        help="day, week, month or year; the predictions do not depend on it.", metavar="UNIT", show_default="week"
    ),
]
Part = Annotated[
    str | None,
    typer.Option(help="Column with the export that a line is from: a day in several counts once.", metavar="COLUMN"),
]


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

    The same for contracts: clvmodels demo --contracts
    """
    with reporting() as progress:
        from clvmodels import workflow

        made = workflow.demo(folder, overwrite=overwrite, seed=seed, progress=progress)
    _show_comparison(made.comparison, f"{workflow.DEMO_HOLDOUT} after {workflow.DEMO_CUTOFF}, as predicted on that day")
    show_prediction(made.prediction, MEANS)
    simple, model = (
        made.comparison.loc[("revenue", name), :] for name in (workflow.DEMO_BASELINE, workflow.DEMO_MODEL)
    )
    say(
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

    For contracts: clvmodels audit --contracts --help
    """
    with reporting() as progress:
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
            where=values_by_column(where or []),
            currency=currency or None,
            decimal=decimal,
            thousands=thousands,
            encoding=encoding,
            part=part,
        )
    table = made.table.assign(remark=made.table["remark"].map(as_options))
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
    by: By = None,
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
    unit: Unit = None,
    horizon: Horizon = "1 year",
    interval: Interval = 0.9,
    margin: Margin = None,
    discount_rate: DiscountRate = None,
    method: Method = None,
    model: SavedFit = None,
    save: Save = None,
    max_age: Annotated[
        str | None, typer.Option(help="Exit with code 3 if the newest order is older: '3 days'.", metavar="AGE")
    ] = None,
    output: Output = Path("clv.parquet"),
    overwrite: Overwrite = False,
    seed: Seed = None,
) -> None:
    """Predict the value of each customer of a log, with intervals.

    Example: clvmodels predict shop.csv --customer id --date day --value amount

    With --save june.clv it keeps what it learnt. A month later, without fitting:
    clvmodels predict --model june.clv july.csv

    For contracts: clvmodels predict --contracts --help
    """
    with reporting() as progress:
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
            margin=number_or_column(margin),
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
            where=values_by_column(where or []),
            currency=currency or None,
            decimal=decimal,
            thousands=thousands,
            encoding=encoding,
            part=part,
        )
    show_prediction(made, MEANS)
    say(f"\nEach customer: {made.file}")
    if made.saved:
        say(f"The fit, for --model: {made.saved}")


@app.command()
def check(
    model: Model,
    source: Source,
    customer: Customer = None,
    date: Date = None,
    value: Annotated[list[str] | None, VALUE] = None,
    until: Until = None,
    order: Order = None,
    attribute: Attribute = None,
    by: By = None,
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
    interval: Interval = 0.9,
    seed: Seed = None,
) -> None:
    """Hold what happened since a saved fit against what it expected.

    Exit code 4 says to fit again, 0 that there is no need to.

    Example: clvmodels check june.clv orders.csv

    For contracts: clvmodels check --contracts --help
    """
    with reporting() as progress:
        from clvmodels import workflow

        made = workflow.check(
            model,
            source,
            value=value,
            attribute=attribute,
            by=by,
            until=until,
            interval=interval,
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
            where=values_by_column(where or []),
            currency=currency or None,
            decimal=decimal,
            thousands=thousands,
            encoding=encoding,
            part=part,
        )
    show_check(made)


@app.command()
def backtest(
    source: Source,
    cutoff: Cutoff,
    horizon: Horizons,
    customer: Customer = None,
    date: Date = None,
    value: Annotated[list[str] | None, VALUE] = None,
    until: Until = None,
    order: Order = None,
    attribute: Attribute = None,
    by: SegmentsScored = None,
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
    unit: Unit = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="simple, zero, repeat, own-rate, regression, lifetimes, bgnbd, mbgnbd or pareto-nbd; again for more.",
            metavar="MODEL",
            show_default="simple, own-rate, bgnbd, mbgnbd, pareto-nbd",
        ),
    ] = None,
    baseline: Baseline = None,
    method: EachMethod = None,
    interval: Interval = 0.9,
    jobs: Jobs = 1,
    output: Folder = Path("backtest"),
    overwrite: Overwrite = False,
    seed: Seed = None,
) -> None:
    """Hold models against each other on periods that they have not seen.

    Example: clvmodels backtest shop.csv --customer id --date day --value amount
    --cutoff '4 every 13 weeks' --horizon '26 weeks'

    For contracts: clvmodels backtest --contracts --help
    """
    with reporting() as progress:
        from clvmodels import workflow

        made = workflow.backtest(
            source,
            cutoff=cutoff,
            horizon=horizon,
            value=value,
            attribute=attribute,
            by=by,
            unit=unit,
            until=until,
            model=model,
            baseline=baseline,
            method=cast(Any, method),
            interval=interval,
            jobs=jobs,
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
            where=values_by_column(where or []),
            currency=currency or None,
            decimal=decimal,
            thousands=thousands,
            encoding=encoding,
            part=part,
        )
    show_backtest(made)


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
    show(title, ["", "total", "bias", "MAE", "RMSE", "Spearman", "top 10 %"], rows)
    say(
        "bias: error of the total; MAE, RMSE: error of a customer; Spearman: correlation of the ranks; top 10 %: "
        "share of the actual held by the tenth of the customers predicted highest\n"
    )
