"""The posterior of BG/NBD, here and by pymc-marketing, in one interleaved run -> posterior.csv -> the README's table.

Each measurement is a process of its own on two cores that has loaded its libraries before the clock starts;
compilation counts. Of this package several fits are made in a process: the first, and the median of the later ones,
which find what the first has loaded and compiled. CPU seconds are those of all threads and processes. All are scaled to
4,000 effective draws: the cost of the whole run, tuning included, times 4,000 over its bulk ESS, the least of the four
parameters, computed by ArviZ from the raw draws. Memory is the peak of the process that fits, libraries included.

pymc-marketing runs at its defaults (4 chains, 1,000 draws of tuning and 1,000 kept). Its default prior of a and b is
one of their sum and their ratio, kappa ~ Pareto(1, 1) and phi ~ Uniform(0, 1), so that (a + b)^-3 couples them: it is
timed as it is, but compared with is the run of `PRIORS`, its default priors of r and alpha and half-normal ones of a
and b, which both libraries can say. With 100,000 customers it would take the better part of an hour: it is run with as
many draws of tuning as are kept, as at its defaults, but few of both, and scaled. What it compiles it keeps on disk, so
that of several rounds only the first may compile all.

Options: --quick makes one round, leaves out pymc-marketing with 100,000 customers, and prints its table instead of
writing it. The Python of an environment with pymc-marketing is named by the variable PEER_PYTHON; without it one is
made, for the time of the run, by pip.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import venv
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import clvmodels as clv
from benchmarks.libraries import peer_pymc_marketing as peer
from benchmarks.run import ENVIRONMENT, ROOT, put

RESULTS = Path(__file__).with_name("posterior.csv")
PEER_VERSION = "1.3.0"
EFFECTIVE = 4000
PRIORS: dict[str, tuple[str, dict[str, float]]] = {
    "r": ("Weibull", {"alpha": 2, "beta": 1}),
    "alpha": ("Weibull", {"alpha": 2, "beta": 10}),
    "a": ("HalfNormal", {"sigma": 10}),
    "b": ("HalfNormal", {"sigma": 10}),
}
OURS: dict[str, dict[str, Any]] = {
    "clvmodels, mcmc by nutpie": {"method": "mcmc", "sampler": "nutpie", "progress": False},
    "clvmodels, mcmc by PyMC": {"method": "mcmc", "sampler": "pymc", "progress": False},
    "clvmodels, laplace": {"method": "laplace", "draws": EFFECTIVE},
}
PEERS = {"pymc-marketing": json.dumps(PRIORS), "pymc-marketing, its own priors": "default"}
SEED = 1


@dataclass(frozen=True)
class Problem:
    """What is fitted, and how often.

    Parameters
    ----------
    name : str
    summary : callable
        Makes the customers.
    rounds : int
        Processes of each contender.
    later : int
        Fits of this package in a process after the first.
    peers : tuple of str
    settings : dict
        Of pymc-marketing's `fit`, where they are not its own.
    """

    name: str
    summary: Callable[[], clv.Summary]
    rounds: int
    later: int
    peers: tuple[str, ...]
    settings: dict[str, int]


def cdnow() -> clv.Summary:
    """The sample in 39 weeks."""
    log = clv.Transactions(clv.datasets.cdnow_sample(), customer="customer_id", date="date", value="amount")
    return log.summary(unit="week", until="1997-09-30")


def shop(customers: int) -> Callable[[], clv.Summary]:
    """A shop that gains customers every day for two years, in weeks to the day."""

    def summary() -> clv.Summary:
        rng = np.random.default_rng(SEED)
        days = rng.integers(1, 731, customers)
        x, t_x = clv.BGNBD.simulate(rng, days / 7, r=0.25, alpha=4.5, a=0.8, b=2.5)
        recency = np.minimum(np.ceil(7 * t_x), days) / 7
        table = pd.DataFrame({"frequency": x, "recency": recency, "T": days / 7})
        return clv.Summary(table.rename_axis("customer_id"), unit="week")

    return summary


FEW = {"draws": 300, "tune": 300, "chains": 2}
PROBLEMS = [
    Problem("CDNOW sample, 2,357 customers", cdnow, 3, 3, tuple(PEERS), {}),
    Problem("100,000 customers", shop(100_000), 1, 1, tuple(PEERS)[:1], FEW),
]


def measure(contender: str, customers: str, later: str, result: str) -> None:
    """Fit in this process, once and some times more, and print what each cost."""
    import arviz  # noqa: F401
    import nutpie  # noqa: F401
    import pymc  # noqa: F401

    warnings.simplefilter("ignore")
    peer.on_two_cores()
    data = clv.Summary(pd.read_csv(customers).set_index("customer_id"), unit="week")
    model = clv.BGNBD(priors={name: clv.Prior(kind, **given) for name, (kind, given) in PRIORS.items()})
    fits = []
    for number in range(1 + int(later)):
        begin, used = time.perf_counter(), peer.cpu()
        fit = model.fit(data, seed=SEED + number, **OURS[contender])
        fits.append({"cpu": peer.cpu() - used, "wall": time.perf_counter() - begin, "peak": peer.peak()})
        np.savez(f"{result}.{number}.npz", **{n: v.reshape(fit.chains, -1) for n, v in fit.parameter_draws.items()})
    print(json.dumps({"version": importlib.metadata.version("clvmodels"), "fits": fits}))


def effective(path: str) -> float:
    """Bulk ESS of the draws in a file, the least of the parameters."""
    import arviz

    with np.load(path) as draws:
        return min(float(arviz.ess(draws[name], method="bulk")) for name in peer.NAMES)


def ran(command: list[str]) -> dict[str, Any]:
    """What a process printed last."""
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def peer_python(folder: str) -> str:
    """The Python of an environment with pymc-marketing."""
    if named := os.environ.get("PEER_PYTHON"):
        return named
    venv.create(Path(folder, "peer"), with_pip=True)
    python = str(Path(folder, "peer", "bin", "python"))
    subprocess.run([python, "-m", "pip", "install", "--quiet", f"pymc-marketing=={PEER_VERSION}"], check=True)
    return python


def main(quick: bool) -> None:
    """Run everything, write the results and the README."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        python = peer_python(folder)
        for problem in PROBLEMS:
            customers, result = str(Path(folder, "customers.csv")), str(Path(folder, "draws"))
            table = problem.summary().table[["frequency", "recency", "T"]]
            table.reset_index(names="customer_id").to_csv(customers, index=False)
            few = quick and bool(problem.settings)
            for round_ in range(1 if quick else problem.rounds):
                for contender in (*OURS, *(() if few else problem.peers)):
                    if contender in OURS:
                        given = [contender, customers, str(problem.later), result]
                        found = ran([sys.executable, "-m", "benchmarks.posterior", *given])
                        paths = [f"{result}.{number}.npz" for number in range(1 + problem.later)]
                    else:
                        settings = json.dumps(problem.settings | {"random_seed": SEED + round_})
                        path = f"{result}.npz"
                        found = ran([python, peer.__file__, customers, PEERS[contender], settings, path])
                        paths = [path]
                    for number, (cost, path) in enumerate(zip(found["fits"], paths, strict=True)):
                        rows.append(
                            {
                                "problem": problem.name,
                                "customers": len(table),
                                "contender": contender,
                                "version": found["version"],
                                "round": round_ + 1,
                                "fit": number + 1,
                                "cpu_seconds": round(cost["cpu"], 3),
                                "wall_seconds": round(cost["wall"], 3),
                                "bulk_ess": round(effective(path)),
                                "peak_gb": round(cost["peak"], 3),
                                "settings": json.dumps(problem.settings) if contender in PEERS else "",
                                "python": platform.python_version(),
                                "machine": platform.machine(),
                            }
                        )
                        print(rows[-1], flush=True)
    results = pd.DataFrame(rows)
    if quick:
        print("\n".join(table_of(results)))
        return
    results.to_csv(RESULTS, index=False)
    put("posterior", table_of(results))


def table_of(results: pd.DataFrame) -> list[str]:
    """The README's table: medians, scaled to 4,000 effective draws."""
    lines = ["| problem | | CPU | wall | CPU of a first fit | less CPU than pymc-marketing | memory |"]
    lines.append("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    scale = EFFECTIVE / results["bulk_ess"]
    results = results.assign(cpu=results["cpu_seconds"] * scale, wall=results["wall_seconds"] * scale)
    for problem, rows in results.groupby("problem", sort=False):
        theirs = rows.loc[rows["contender"] == next(iter(PEERS)), "cpu"].median()
        for contender, found in rows.groupby("contender", sort=False):
            first, later = found[found["fit"] == 1], found[found["fit"] > 1]
            best = first if later.empty else later
            settings = json.loads(found["settings"].iloc[0] or "{}")
            name = f"{contender}, from {settings['chains'] * settings['draws']} draws" if settings else contender
            ratio = "-" if contender in PEERS or np.isnan(theirs) else f"{theirs / best['cpu'].median():.0f} x"
            at_first = "-" if later.empty else f"{first['cpu'].median():.2f} s"
            cost = f"{best['cpu'].median():,.2f} s | {best['wall'].median():,.2f} s | {at_first}"
            lines.append(f"| {problem} | {name} | {cost} | {ratio} | {found['peak_gb'].median():.2f} GB |")
    return lines


if __name__ == "__main__":
    if len(sys.argv) > 2:
        measure(*sys.argv[1:])
    else:
        main("--quick" in sys.argv)
