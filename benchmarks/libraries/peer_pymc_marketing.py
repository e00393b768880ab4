"""pymc-marketing, in an environment of its own: this file is run there, by its path, and imports nothing from here.

Arguments: customers (CSV), priors ("default" or JSON), settings of `fit` (JSON), where to put the draws (npz). What it
cost is printed as JSON.
"""

import importlib.metadata
import json
import logging
import os
import resource
import sys
import time
import warnings
from pathlib import Path

PACKAGE = "pymc-marketing"
NAMES = ("r", "alpha", "a", "b")


def on_two_cores() -> None:
    """Keep this process to two cores, where that can be."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])


def cpu() -> float:
    """CPU seconds of this process and of those that it started for chains and has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def peak() -> float:
    """Peak memory of this process in GB: that of getrusage would begin with its parent's."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1e6


def main(customers: str, priors: str, settings: str, result: str) -> None:
    """Fit BG/NBD in this process, which has the library loaded."""
    import numpy as np
    import pandas as pd
    import pymc_marketing.clv
    from pymc_extras.prior import Prior

    warnings.simplefilter("ignore")
    logging.disable(logging.INFO)
    on_two_cores()
    table = pd.read_csv(customers)
    given = None if priors == "default" else json.loads(priors)
    begin, used = time.perf_counter(), cpu()
    config = given and {name: Prior(kind, **parameters) for name, (kind, parameters) in given.items()}
    model = pymc_marketing.clv.BetaGeoModel(model_config=config)
    model.fit(table, progressbar=False, **json.loads(settings))
    cost = {"cpu": cpu() - used, "wall": time.perf_counter() - begin, "peak": peak()}
    np.savez(result, **{name: np.asarray(model.idata.posterior[name]) for name in NAMES})
    print(json.dumps({"version": importlib.metadata.version(PACKAGE), "fits": [cost]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
