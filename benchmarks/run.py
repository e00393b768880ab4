"""Time the fits against lifetimes: problems x libraries -> results.csv, in one interleaved run.

CPU seconds, all threads together (`make bench` allows one); the first round is thrown away, the median of the others is
kept. Accuracy stands beside time: the log-likelihood that each library reaches, computed at its parameters by the
formulas of this package in the units of the data.
"""

from __future__ import annotations

import importlib.metadata
import platform
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

import clvmodels as clv

ROUNDS = 8
RESULTS = Path(__file__).with_name("results.csv")
README = Path(__file__).parents[1] / "README.md"
MARKS = ("<!-- benchmarks -->", "<!-- /benchmarks -->")

Fit = Callable[[clv.Summary], dict[str, float]]


def problems() -> dict[str, clv.Summary]:
    """CDNOW until 1997-09-30, in weeks."""
    logs = {
        "CDNOW sample, 2,357 customers": clv.datasets.cdnow_sample(),
        "CDNOW, 23,570 customers": clv.datasets.cdnow(),
    }
    columns = {"customer": "customer_id", "date": "date", "value": "amount"}
    return {name: clv.Transactions(log, **columns).summary(until="1997-09-30") for name, log in logs.items()}


def ours(model: type) -> Fit:
    """A fit by this package, standard errors included."""
    return lambda data: model().fit(data).parameters["estimate"].to_dict()


def lifetimes_bgnbd(data: clv.Summary) -> dict[str, float]:
    """lifetimes' fit, at its defaults."""
    from lifetimes import BetaGeoFitter

    table = data.table
    return dict(BetaGeoFitter().fit(table["frequency"], table["recency"], table["T"]).params_)


def lifetimes_gamma_gamma(data: clv.Summary) -> dict[str, float]:
    """lifetimes' fit, at its defaults, to the customers that it accepts."""
    from lifetimes import GammaGammaFitter

    table = data.table[data.table["monetary_value"] > 0]
    return dict(GammaGammaFitter().fit(table["frequency"], table["monetary_value"]).params_)


LIBRARIES: dict[str, dict[str, Fit]] = {
    "BGNBD": {"clvmodels": ours(clv.BGNBD), "lifetimes": lifetimes_bgnbd},
    "GammaGamma": {"clvmodels": ours(clv.GammaGamma), "lifetimes": lifetimes_gamma_gamma},
}


def log_likelihood(name: str, data: clv.Summary, params: dict[str, float]) -> float:
    """The log-likelihood at some parameters."""
    model = getattr(clv, name)()
    rows = model.fit_rows(data)
    return float(model.log_likelihood(*rows.columns, **params) @ rows.weights)


def main() -> None:
    """Run everything and write the results."""
    warnings.simplefilter("ignore")
    rows = []
    for problem, data in problems().items():
        for model, libraries in LIBRARIES.items():
            seconds: dict[str, list[float]] = {library: [] for library in libraries}
            found = {}
            for _ in range(ROUNDS):
                for library, fit in libraries.items():
                    start = time.process_time()
                    found[library] = fit(data)
                    seconds[library].append(time.process_time() - start)
            for library, times in seconds.items():
                rows.append(
                    {
                        "problem": problem,
                        "model": model,
                        "library": library,
                        "version": importlib.metadata.version(library),
                        "cpu_seconds": round(float(np.median(times[1:])), 4),
                        "slowest": round(max(times[1:]), 4),
                        "log_likelihood": round(log_likelihood(model, data, found[library]), 4),
                        "python": platform.python_version(),
                        "machine": platform.machine(),
                    }
                )
    results = pd.DataFrame(rows)
    results.to_csv(RESULTS, index=False)
    print(results.to_string(index=False))
    write_readme(results)


def write_readme(results: pd.DataFrame) -> None:
    """Put the table into the README, between its two marks."""
    table = results.pivot_table("cpu_seconds", ["problem", "model"], "library", sort=False).reset_index()
    lines = ["| problem | fit | clvmodels | lifetimes | ratio |", "| --- | --- | ---: | ---: | ---: |"]
    for row in table.itertuples(index=False):
        ratio = row.lifetimes / row.clvmodels
        lines.append(f"| {row.problem} | {row.model} | {row.clvmodels:.3f} s | {row.lifetimes:.3f} s | {ratio:.1f} x |")
    before, after = README.read_text().split(MARKS[0])[0], README.read_text().split(MARKS[1])[1]
    README.write_text("\n".join([before + MARKS[0], *lines, MARKS[1] + after]))


if __name__ == "__main__":
    main()
