"""Every model and comparator on four logs -> evaluation.csv -> the README's table of what they are worth.

Each row of the table is one model on one log: fitted on the past of each cutoff, compared with what came after. Where
there are several cutoffs, total and errors are over all of them. What a model cannot do stands there as its reason.
"""

from __future__ import annotations

import importlib.metadata
import platform
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

import clvmodels as clv
from benchmarks.run import ROOT, put

RESULTS = Path(__file__).with_name("evaluation.csv")
SHARED = ROOT.parent / "shared" / "data"
SEED, INTERVAL = 1, 0.9
PACKAGES = ("clvmodels", "lifetimes", "scikit-learn", "numpy", "pandas")


@dataclass(frozen=True)
class Problem:
    """A log, and the periods of it that the models have not seen.

    Parameters
    ----------
    name : str
        With what a reader must know of it.
    log : callable
        Reads it; raises FileNotFoundError where it is not there.
    cutoffs, horizon : as of `clvmodels.backtest`
    until : str, optional
        Last day observed.
    """

    name: str
    log: Callable[[], clv.Transactions]
    cutoffs: Any
    horizon: str
    until: str | None = None


def cdnow() -> clv.Transactions:
    """Customers acquired within three months: nobody is older than the log."""
    return clv.Transactions(clv.datasets.cdnow(), customer="customer_id", date="date", value="amount")


def online_retail() -> clv.Transactions:
    """A wholesaler of gifts; 16 % of the invoices have no customer and are left out, 15 % are refunds or worth less."""
    invoices = pd.read_parquet(SHARED / "online_retail_ii" / "invoices.parquet")
    return clv.Transactions(invoices, customer="customer_id", date="invoice_date", value="amount")


def complete_journey() -> clv.Transactions:
    """A panel of households that bought groceries there before the year that is told."""
    baskets = pd.read_parquet(SHARED / "complete_journey" / "baskets.parquet")
    baskets = baskets[baskets["transaction_timestamp"] < "2018-01-01"]
    return clv.Transactions(baskets, customer="household_id", date="transaction_timestamp", value="sales_value")


def grocery() -> clv.Transactions:
    """Customers of an online grocery, all acquired in three months; what they spent is not told."""
    lines = pd.read_csv(SHARED / "grocery" / "grocery_elog.csv.gz", parse_dates=["date"])
    return clv.Transactions(lines, customer="customer_id", date="date")


PROBLEMS = [
    Problem("CDNOW, 39 weeks", cdnow, "1997-09-30", "39 weeks"),
    Problem("CDNOW, 13 weeks, 4 cutoffs", cdnow, "4 every 13 weeks", "13 weeks"),
    Problem("Online Retail II, 52 weeks", online_retail, "2010-12-09", "52 weeks"),
    Problem("Online Retail II, 13 weeks, 3 cutoffs", online_retail, "3 every 13 weeks", "13 weeks"),
    Problem("Complete Journey, 13 weeks, 2 cutoffs", complete_journey, "2 every 13 weeks", "13 weeks"),
    Problem("Online grocery, 26 weeks, 2 cutoffs", grocery, "2 every 26 weeks", "26 weeks"),
]


def models(log: clv.Transactions) -> dict[str, Any]:
    """The models by the name in the table; without values, those of transactions alone."""
    purchases = {"BG/NBD": clv.BGNBD(), "MBG/NBD": clv.MBGNBD(), "Pareto/NBD": clv.ParetoNBD()}
    if log.options["value"] is not None:
        purchases = {name: clv.NonContractualCLV(model, clv.GammaGamma()) for name, model in purchases.items()}
    return {
        "nobody buys": clv.PredictZero(),
        "last period again": clv.RepeatLastPeriod(),
        "own rate": clv.OwnRate(),
        "simple formula": clv.SimpleCLV(),
        "regression": clv.RegressionCLV(),
        "lifetimes": clv.LifetimesCLV(),
        **purchases,
    }


# What the table shows of transactions and of revenue.
COLUMNS = {
    "bias": ("transactions", "bias"),
    "deviance": ("transactions", "poisson_deviance_to_constant"),
    "MAE": ("transactions", "mae"),
    "CRPS": ("transactions", "crps"),
    "Gini": ("transactions", "gini"),
    "coverage": ("transactions", "coverage"),
    "revenue bias": ("revenue", "bias"),
    "revenue Gini": ("revenue", "gini"),
}
TOTALS = ("actual_total", "predicted_total", "predicted_total_lower", "predicted_total_upper")
OTHERS = ("rmse", "implied_coverage", "width", *TOTALS)


def percent(share: float) -> str:
    """In whole per cent with a sign, and no -0."""
    return f"{round(100 * share):+d}%"


def main() -> None:
    """Run everything, write the results and the README."""
    warnings.simplefilter("ignore")
    parts = [found for problem in PROBLEMS if (found := measured(problem)) is not None]
    if missing := len(PROBLEMS) - len(parts):
        sys.exit(f"{missing} of {len(PROBLEMS)} logs are not here, so the results stay as they were")
    settings = {"seed": SEED, "interval": INTERVAL, "python": platform.python_version()}
    settings |= {name: importlib.metadata.version(name) for name in PACKAGES}
    pd.concat(parts).assign(**settings).to_csv(RESULTS, index=False, float_format="%.6g", date_format="%Y-%m-%d")
    write_readme(pd.read_csv(RESULTS))


def measured(problem: Problem) -> pd.DataFrame | None:
    """The metrics of all models on a log, and the reasons of those that failed; None where the log is absent."""
    start = time.perf_counter()
    try:
        log = problem.log()
    except FileNotFoundError as absent:
        print(f"{problem.name}: left out, {absent}", flush=True)
        return None
    named = models(log)
    result = clv.backtest(
        named, log, problem.cutoffs, problem.horizon, interval=INTERVAL, seed=SEED, jobs=2, progress=False
    )
    table, wanted = result.table, {*OTHERS, *(metric for _, metric in COLUMNS.values())}
    table = table[(table["customers"] == "known") & table["metric"].isin(wanted)]
    failures = result.failures.assign(horizon=problem.horizon)
    found = pd.concat([table.drop(columns=["customers", "segment"]), failures], ignore_index=True)
    found.insert(0, "problem", problem.name)
    found.insert(
        4, "customers", found["cutoff"].map({at[0].split.cutoff: len(at[0].customers) for at in result.windows})
    )
    print(f"{problem.name}: {time.perf_counter() - start:.0f} s", flush=True)
    for row in result.failures.itertuples():
        print(f"  {row.model} at {row.cutoff:%Y-%m-%d}: {row.reason}", flush=True)
    return found.sort_values("model", key=lambda names: names.map(list(named).index), kind="stable")


def write_readme(results: pd.DataFrame) -> None:
    """Put the table into the README, and below it what could not be done."""
    lines = [f"| model | {' | '.join(COLUMNS)} |", "| --- |" + " ---: |" * len(COLUMNS)]
    absent = []
    for problem, rows in results.groupby("problem", sort=False):
        customers = rows.groupby("cutoff")["customers"].first().astype(int)
        whom = " and ".join(f"{number:,}" for number in sorted(set(customers)))
        lines.append(f"| **{problem}**, {whom} customers |" + " |" * len(COLUMNS))
        for model, theirs in rows.groupby("model", sort=False):
            failed, done = theirs["reason"].notna().sum(), theirs.dropna(subset="metric")
            absent += [(model, problem, reason) for reason in theirs["reason"].dropna()[:1]]
            if done.empty:
                continue
            some = f", {done['cutoff'].nunique()} of {len(customers)} cutoffs" if failed else ""
            lines.append(f"| {model}{some} | {' | '.join(_cell(done, *column) for column in COLUMNS.values())} |")
    put("evaluation", lines)
    reasons = [f"- {model} on {problem}: {reason.split(': ', 1)[1]}" for model, problem, reason in absent]
    put("evaluation failures", reasons)


def _cell(rows: pd.DataFrame, target: str, metric: str) -> str:
    """One number for all cutoffs: the bias of all together, beside that of each, and the mean of what else there is."""
    rows = rows[rows["target"] == target]
    value = rows.loc[rows["metric"] == metric, "value"]
    if value.empty:
        return "-"
    if metric == "bias":
        predicted, actual = (rows.loc[rows["metric"] == name, "value"].sum() for name in TOTALS[1::-1])
        each = f" ({', '.join(map(percent, value))})" if len(value) > 1 else ""
        return percent(predicted / actual - 1) + each
    if metric == "coverage":
        implied = rows.loc[rows["metric"] == "implied_coverage", "value"]
        return f"{value.mean():.0%}" + (f" ({implied.mean():.0%})" if len(implied) else "")
    return f"{value.mean():.2f}".replace("inf", "∞")


if __name__ == "__main__":
    main()
