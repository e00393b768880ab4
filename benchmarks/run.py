"""Problems x libraries -> results.csv -> the README's tables, in one interleaved run.

Each measurement is a process of its own on two cores, in which the library does a small piece of the work before the
clock starts, so that loading it is not counted. CPU seconds of all threads, medians; memory is the peak of the process,
libraries included. Accuracy stands beside time: both libraries must give the same summaries row by row, and for fits
the log-likelihood that each reaches is computed at its parameters by the formulas of this package.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).with_name("results.csv")
README = ROOT / "README.md"
LIBRARIES = ("ours", "peer_lifetimes", "peer_lifelines", "scan")
CONTRACTS = ("Weibull", "SBG", "BdW")
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def measure(library: str, task: str, data: str, repeats: str, result: str) -> None:
    """Do the task in this process, and print what it cost."""
    warnings.simplefilter("ignore")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    run = importlib.import_module(f"benchmarks.libraries.{library}").TASKS[task]
    small = Path(result).with_name("small.parquet")
    given, first = (path if task == "summary" else pd.read_parquet(path) for path in (Path(data), small))
    run(first)
    seconds = []
    for _ in range(int(repeats)):
        start = time.process_time()
        found = run(given)
        seconds.append(time.process_time() - start)
    status = Path("/proc/self/status").read_text()  # the process's own peak: that of getrusage begins with its parent's
    peak = int(status.split("VmHWM:")[1].split()[0]) / 1e6
    found.to_parquet(result)
    print(json.dumps({"seconds": seconds, "peak": peak}))


def main() -> None:
    """Run everything, write the results and the README."""
    from benchmarks.problems import PROBLEMS

    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for problem in PROBLEMS:
            data = Path(folder, f"{problem.name}.parquet")
            if not data.exists():
                problem.write(data)
            pd.read_parquet(data).head(1000).to_parquet(Path(folder, "small.parquet"))
            modules = {name: importlib.import_module(f"benchmarks.libraries.{name}") for name in LIBRARIES}
            libraries = [name for name, module in modules.items() if problem.task in module.TASKS]
            costs: dict[str, list[dict[str, Any]]] = {library: [] for library in libraries}
            for _ in range(problem.rounds):
                for library in libraries:
                    result = Path(folder, f"{library}.parquet")
                    arguments = [library, problem.task, str(data), str(problem.repeats), str(result)]
                    command = [sys.executable, "-m", "benchmarks.run", *arguments]
                    ran = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, check=True, text=True)
                    costs[library].append(json.loads(ran.stdout.splitlines()[-1]))
            found = {name: pd.read_parquet(Path(folder, f"{name}.parquet")) for name in libraries if name != "scan"}
            checks = check(problem.task, data, found)
            for library, cost in costs.items():
                seconds = [each for run in cost for each in run["seconds"]]
                rows.append(
                    {
                        "problem": problem.name,
                        "task": problem.task,
                        "library": library.removeprefix("peer_"),
                        "version": importlib.metadata.version(modules[library].PACKAGE),
                        "cpu_seconds": round(float(np.median(seconds)), 4),
                        "slowest": round(max(seconds), 4),
                        "peak_gb": round(float(np.median([run["peak"] for run in cost])), 3),
                        "check": checks.get(library, ""),
                        "python": platform.python_version(),
                        "machine": platform.machine(),
                    }
                )
                print(rows[-1], flush=True)
    results = pd.DataFrame(rows)
    results.to_csv(RESULTS, index=False)
    write_readme(results)


def check(task: str, data: Path, found: dict[str, pd.DataFrame]) -> dict[str, str]:
    """What says that the libraries did the same; raises where summaries differ."""
    if task == "summary":
        ours, theirs = found["ours"], found["peer_lifetimes"].sort_index()
        pd.testing.assert_frame_equal(ours, theirs, check_dtype=False, check_column_type=False, rtol=1e-12)
        return {library: f"{len(ours):,} equal rows" for library in found}
    import clvmodels as clv

    table = pd.read_parquet(data).set_index("customer_id")
    if task in CONTRACTS:
        from benchmarks.libraries.ours import MODELS

        model, kept = MODELS[task], clv.Durations(table, unit="month")
    else:
        model, kept = getattr(clv, task)(), clv.Summary(table, unit="week")
    rows = model.fit_rows(kept)
    coordinates = model.coordinates(rows)
    target = model.target(rows, coordinates, prior=False)
    return {
        library: f"log-likelihood {target(coordinates.to_u(params.iloc[0])).item():.4f}"
        for library, params in found.items()
    }


def write_readme(results: pd.DataFrame) -> None:
    """Put the tables into the README, each between its two marks."""
    fits = results[~results["task"].isin(["summary", *CONTRACTS])]
    seconds = fits.pivot_table("cpu_seconds", ["problem", "task"], "library", sort=False).reset_index()
    lines = ["| problem | fit | clvmodels | lifetimes | ratio |", "| --- | --- | ---: | ---: | ---: |"]
    for row in seconds.itertuples(index=False):
        ratio = row.lifetimes / row.ours
        lines.append(f"| {row.problem} | {row.task} | {row.ours:.3f} s | {row.lifetimes:.3f} s | {ratio:.1f} x |")
    put("fits", lines)
    fits = results[results["task"].isin(CONTRACTS)]
    lines = ["| problem | fit | clvmodels | lifelines | ratio | log-likelihood less theirs |"]
    lines.append("| --- | --- | ---: | ---: | ---: | ---: |")
    for (problem, task), rows in fits.groupby(["problem", "task"], sort=False):
        cost, check = (rows.set_index("library")[name] for name in ("cpu_seconds", "check"))
        theirs = "- | - | -"
        if "lifelines" in cost.index:
            reached = check.str.removeprefix("log-likelihood ").astype(float)
            theirs = f"{cost['lifelines']:.2f} s | {cost['lifelines'] / cost['ours']:.1f} x | "
            theirs += f"{reached['ours'] - reached['lifelines']:+.4f}"
        lines.append(f"| {problem} | {task} | {cost['ours']:.2f} s | {theirs} |")
    put("contracts", lines)
    logs = results[results["task"] == "summary"]
    lines = ["| problem | | CPU | memory | x a scan |", "| --- | --- | ---: | ---: | ---: |"]
    for problem, rows in logs.groupby("problem", sort=False):
        scan = rows.loc[rows["library"] == "scan", "cpu_seconds"].item()
        for row in rows.itertuples(index=False):
            name = {"ours": "clvmodels", "scan": "a bare scan of the columns"}.get(row.library, row.library)
            cost = f"{row.cpu_seconds:.2f} s | {row.peak_gb:.2f} GB | {row.cpu_seconds / scan:.0f}"
            lines.append(f"| {problem} | {name} | {cost} |")
    put("log", lines)


def put(name: str, lines: list[str]) -> None:
    """Replace what lies between the marks of a name."""
    before, rest = README.read_text().split(f"<!-- {name} -->")
    after = rest.split(f"<!-- /{name} -->")[1]
    README.write_text("\n".join([f"{before}<!-- {name} -->", *lines, f"<!-- /{name} -->{after}"]))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(*sys.argv[1:])
    else:
        main()
