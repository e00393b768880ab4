"""Command line of contracts: what `clvmodels ... --contracts` does, thin over `contract_workflow`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

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

Start = Annotated[str | None, typer.Option(help="Column with the first day.", metavar="COLUMN")]
End = Annotated[
    str | None, typer.Option(help="Column with the day on which access ended; missing: active.", metavar="COLUMN")
]
Renews = Annotated[
    str | None, typer.Option(help="Column with the day until which a customer has paid.", metavar="COLUMN")
]
InclusiveEnds = Annotated[
    bool | None,
    typer.Option("--inclusive-ends/--exclusive-ends", help="The end is the last day with access, or the day after."),
]
Value = Annotated[str | None, typer.Option(help="Column with the price.", metavar="COLUMN")]
ValuePer = Annotated[
    str | None,
    typer.Option(
        help="What the price is for: month, quarter, year, '2 weeks', or a column.",
        metavar="PERIOD",
        show_default="month",
    ),
]
Period = Annotated[
    str | None,
    typer.Option(
        help="What is paid at once and then renewed: month, year, '2 weeks', or a column.",
        metavar="PERIOD",
        show_default="month",
    ),
]
Grace = Annotated[
    str | None,
    typer.Option(
        help="A record that follows so late is still the same contract.", metavar="LENGTH", show_default="0 days"
    ),
]
Cause = Annotated[str | None, typer.Option(help="Column that says why a contract ended.", metavar="COLUMN")]
Returns = Annotated[
    str | None,
    typer.Option(
        help="Who came back: new (another contract), first (only the first counts) or error.",
        metavar="POLICY",
        show_default="new",
    ),
]
Until = Annotated[str | None, typer.Option(help="Last day observed (the last start or end).", metavar="DATE")]
Since = Annotated[
    str | None, typer.Option(help="First day from which ends were recorded, if contracts are older.", metavar="DATE")
]

Unit = Annotated[str | None, typer.Option(help="day, week, month or year.", metavar="UNIT", show_default="month")]
TimingOption = Annotated[
    str | None,
    typer.Option(
        "--timing", help="When a period is paid: at its start or its end.", metavar="WHEN", show_default="start"
    ),
]

# What is shown of a prediction: the name of an interval's columns, and that of its mean.
MEANS = {"retained": "retained", "revenue": "expected_revenue", "clv": "clv"}


def demo(
    folder: Annotated[Path, typer.Argument(help="Where clv.parquet and clv.csv are written.")] = Path("."),
    overwrite: Overwrite = False,
    seed: Annotated[int, typer.Option(help="Seed of the draws.", min=0)] = 1,
) -> None:
    """Show the whole way with contracts: a published table of 1,000 customers.

    Compares models on five held-out years, then predicts one year.

    Example: clvmodels demo --contracts --overwrite
    """
    with reporting() as progress:
        from clvmodels import contract_workflow

        made = contract_workflow.demo(folder, overwrite=overwrite, seed=seed, progress=progress)
    say(
        "The published retention of 1,000 customers over 12 years (segment High End of Fader & Hardie 2007), as "
        f"contracts of one year each; the first day, {contract_workflow.DEMO_START}, and the price, "
        f"{contract_workflow.DEMO_PRICE:.0f} a year, are invented.\n"
    )
    typer.echo(f"{made.audit!r}\n")
    _show_comparison(
        made.comparison, f"{contract_workflow.DEMO_HOLDOUT} after {contract_workflow.DEMO_CUTOFF}, as predicted then"
    )
    show_prediction(made.prediction, MEANS)
    actual, simple, model = (made.comparison["retained"][name] for name in ("actual", "simple formula", "sBG"))
    say(
        f"\n{actual:,.0f} customers were still there at the end. The simple formula (price / churn rate), which takes "
        f"them all for alike as the shifted geometric does, expects {simple:,.0f}; sBG, in which they differ, "
        f"{model:,.0f}. This reproduces a published example, which its authors chose to show that: it is no evidence "
        "for other data."
        f"\nEach customer's year, with intervals: {made.prediction.file} and {made.csv}"
        "\nNext, with your own contracts: clvmodels predict --contracts --help"
    )


def audit(
    source: Source,
    customer: Customer,
    start: Start,
    end: End = None,
    renews: Renews = None,
    inclusive_ends: InclusiveEnds = None,
    value: Value = None,
    value_per: ValuePer = None,
    period: Period = None,
    grace: Grace = None,
    cause: Cause = None,
    returns: Returns = None,
    until: Until = None,
    since: Since = None,
    attribute: Attribute = None,
    date_format: DateFormat = None,
    timezone: Timezone = None,
    bad_rows: BadRows = None,
    where: Where = None,
    decimal: Decimal = None,
    thousands: Thousands = None,
    encoding: Encoding = None,
) -> None:
    """Show what is in contract records, what is odd, and if it is enough to fit.

    Example: clvmodels audit --contracts c.csv --customer id --start from --end to
    """
    with reporting() as progress:
        from clvmodels import contract_workflow

        progress("Read the contracts")
        made = contract_workflow.audit(
            source,
            value=value,
            attribute=attribute,
            until=until,
            since=since,
            customer=customer,
            start=start,
            end=end,
            renews=renews,
            inclusive_ends=inclusive_ends,
            value_per=value_per,
            period=period,
            grace=grace,
            cause=cause,
            returns=cast(Any, returns),
            date_format=date_format,
            timezone=timezone,
            bad_rows=cast(Any, bad_rows),
            where=values_by_column(where or []),
            decimal=decimal,
            thousands=thousands,
            encoding=encoding,
        )
    table = made.table.assign(remark=made.table["remark"].map(as_options))
    typer.echo(repr(replace(made, table=table)))


def predict(
    source: Source,
    customer: Customer = None,
    start: Start = None,
    end: End = None,
    renews: Renews = None,
    inclusive_ends: InclusiveEnds = None,
    value: Value = None,
    value_per: ValuePer = None,
    period: Period = None,
    grace: Grace = None,
    returns: Returns = None,
    until: Until = None,
    since: Since = None,
    attribute: Attribute = None,
    by: By = None,
    date_format: DateFormat = None,
    timezone: Timezone = None,
    bad_rows: BadRows = None,
    where: Where = None,
    decimal: Decimal = None,
    thousands: Thousands = None,
    encoding: Encoding = None,
    survival: Annotated[
        str | None,
        typer.Option(
            help="How long contracts last: sbg, bdw, shifted-geometric, discrete-weibull (renewals), exponential, "
            "weibull, log-normal, log-logistic (time).",
            metavar="MODEL",
            show_default="sbg; weibull for several periods",
        ),
    ] = None,
    unit: Unit = None,
    horizon: Horizon = "1 year",
    interval: Interval = 0.9,
    margin: Margin = None,
    discount_rate: DiscountRate = None,
    timing: TimingOption = None,
    method: Method = None,
    model: SavedFit = None,
    save: Save = None,
    max_age: Annotated[
        str | None, typer.Option(help="Exit with code 3 if the last start or end is older: '3 days'.", metavar="AGE")
    ] = None,
    output: Output = Path("clv.parquet"),
    overwrite: Overwrite = False,
    seed: Seed = None,
) -> None:
    """Predict the value of each customer with a contract, with intervals.

    Example: clvmodels predict --contracts c.csv --customer id --start from --end to
    --value price

    With --save june.clv it keeps what it learnt. A month later, without fitting:
    clvmodels predict --contracts --model june.clv july.csv
    """
    with reporting() as progress:
        from clvmodels import contract_workflow

        made = contract_workflow.predict(
            source,
            value=value,
            attribute=attribute,
            by=by,
            unit=unit,
            until=until,
            since=since,
            survival=cast(Any, survival),
            horizon=None if horizon.lower() == "infinite" else horizon,
            interval=interval,
            margin=cast(Any, number_or_column(margin)),
            discount_rate=discount_rate,
            timing=cast(Any, timing),
            method=cast(Any, method),
            model=model,
            save=save,
            max_age=max_age,
            output=output,
            overwrite=overwrite,
            seed=seed,
            progress=progress,
            customer=customer,
            start=start,
            end=end,
            renews=renews,
            inclusive_ends=inclusive_ends,
            value_per=value_per,
            period=period,
            grace=grace,
            returns=cast(Any, returns),
            date_format=date_format,
            timezone=timezone,
            bad_rows=cast(Any, bad_rows),
            where=values_by_column(where or []),
            decimal=decimal,
            thousands=thousands,
            encoding=encoding,
        )
    show_prediction(made, MEANS)
    say(f"Model: {made.table.attrs['model']}\n\nEach customer: {made.file}")
    if made.saved:
        say(f"The fit, for --model: {made.saved}")


def check(
    model: Model,
    source: Source,
    customer: Customer = None,
    start: Start = None,
    end: End = None,
    renews: Renews = None,
    inclusive_ends: InclusiveEnds = None,
    value: Value = None,
    value_per: ValuePer = None,
    period: Period = None,
    grace: Grace = None,
    returns: Returns = None,
    until: Until = None,
    attribute: Attribute = None,
    by: By = None,
    date_format: DateFormat = None,
    timezone: Timezone = None,
    bad_rows: BadRows = None,
    where: Where = None,
    decimal: Decimal = None,
    thousands: Thousands = None,
    encoding: Encoding = None,
    interval: Interval = 0.9,
    seed: Seed = None,
) -> None:
    """Hold what became of contracts since a saved fit against what it expected.

    Exit code 4 says to fit again, 0 that there is no need to.

    Example: clvmodels check --contracts june.clv contracts.csv
    """
    with reporting() as progress:
        from clvmodels import contract_workflow

        made = contract_workflow.check(
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
            start=start,
            end=end,
            renews=renews,
            inclusive_ends=inclusive_ends,
            value_per=value_per,
            period=period,
            grace=grace,
            returns=cast(Any, returns),
            date_format=date_format,
            timezone=timezone,
            bad_rows=cast(Any, bad_rows),
            where=values_by_column(where or []),
            decimal=decimal,
            thousands=thousands,
            encoding=encoding,
        )
    show_check(made)


def backtest(
    source: Source,
    cutoff: Cutoff,
    horizon: Horizons,
    customer: Customer = None,
    start: Start = None,
    end: End = None,
    renews: Renews = None,
    inclusive_ends: InclusiveEnds = None,
    value: Value = None,
    value_per: ValuePer = None,
    period: Period = None,
    grace: Grace = None,
    returns: Returns = None,
    until: Until = None,
    since: Since = None,
    attribute: Attribute = None,
    by: SegmentsScored = None,
    date_format: DateFormat = None,
    timezone: Timezone = None,
    bad_rows: BadRows = None,
    where: Where = None,
    decimal: Decimal = None,
    thousands: Thousands = None,
    encoding: Encoding = None,
    unit: Unit = None,
    timing: TimingOption = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="simple, kaplan-meier, or a name that predict --survival takes; again for more.",
            metavar="MODEL",
            show_default="simple, sbg, bdw, weibull",
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
    """Hold models of contracts against each other on periods that they have not seen.

    Example: clvmodels backtest --contracts c.csv --customer id --start from --end to
    --value price --cutoff 2023-12-31 --horizon '1 year'
    """
    with reporting() as progress:
        from clvmodels import contract_workflow

        made = contract_workflow.backtest(
            source,
            cutoff=cutoff,
            horizon=horizon,
            value=value,
            attribute=attribute,
            by=by,
            unit=unit,
            until=until,
            since=since,
            timing=cast(Any, timing),
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
            start=start,
            end=end,
            renews=renews,
            inclusive_ends=inclusive_ends,
            value_per=value_per,
            period=period,
            grace=grace,
            returns=cast(Any, returns),
            date_format=date_format,
            timezone=timezone,
            bad_rows=cast(Any, bad_rows),
            where=values_by_column(where or []),
            decimal=decimal,
            thousands=thousands,
            encoding=encoding,
        )
    show_backtest(made)


def _show_comparison(comparison: pd.DataFrame, title: str) -> None:
    rows = []
    for model, row in comparison.iterrows():
        cells = [str(model)]
        for outcome in ("retained", "revenue"):
            error = row[f"{outcome}_bias"]
            cells += [f"{row[outcome]:,.0f}", "" if model == "actual" else f"{error:+.1%}"]
        rows.append(cells)
    show(title, ["", "retained", "error", "revenue", "error"], rows)
