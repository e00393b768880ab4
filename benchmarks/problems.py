"""The problems: each writes one Parquet file, which all libraries read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

import clvmodels as clv


@dataclass(frozen=True)
class Problem:
    """What is to be done with which data.

    Parameters
    ----------
    name : str
    task : str
        One of the tasks that the libraries name.
    write : callable
        Writes the data to a path.
    rounds : int
        How often each library does it, in a process of its own each time.
    repeats : int
        How often within a process.
    """

    name: str
    task: str
    write: Callable[[Path], None]
    rounds: int
    repeats: int


def log(lines: int) -> Callable[[Path], None]:
    """A log of about so many purchases in the order of time, by customers acquired over three years."""

    def write(path: Path) -> None:
        rng, days, customers = np.random.default_rng(1), 1096, int(lines * 0.327)
        first = rng.integers(0, days, customers)
        more = rng.poisson(rng.gamma(0.6, 0.125, customers) * (days - first) * 0.05)
        customer = np.repeat(np.arange(customers), 1 + more)
        is_first = np.arange(len(customer)) == np.repeat(np.cumsum(1 + more) - (1 + more), 1 + more)
        day = np.where(is_first, first[customer], rng.integers(first[customer], days))
        order = np.argsort(day, kind="stable")
        frame = pd.DataFrame(
            {
                "customer_id": customer[order] + 10_000_000,
                "date": np.datetime64("2021-01-01", "s") + day[order].astype("timedelta64[D]"),
                "amount": np.round(rng.gamma(2, 15, len(order)), 2),
            }
        )
        frame.to_parquet(path, index=False)

    return write


def summary(lines: Callable[[], pd.DataFrame]) -> Callable[[Path], None]:
    """A summary in weeks until 1997-09-30."""

    def write(path: Path) -> None:
        columns = {"customer": "customer_id", "date": "date", "value": "amount"}
        clv.Transactions(lines(), **columns).summary(until="1997-09-30").table.reset_index().to_parquet(path)

    return write


PROBLEMS = [
    Problem("CDNOW sample, 2,357 customers", "BGNBD", summary(clv.datasets.cdnow_sample), 3, 7),
    Problem("CDNOW sample, 2,357 customers", "GammaGamma", summary(clv.datasets.cdnow_sample), 3, 7),
    Problem("CDNOW, 23,570 customers", "BGNBD", summary(clv.datasets.cdnow), 3, 7),
    Problem("CDNOW, 23,570 customers", "GammaGamma", summary(clv.datasets.cdnow), 3, 7),
    Problem("log of 1 million lines", "summary", log(1_000_000), 5, 1),
    Problem("log of 10 million lines", "summary", log(10_000_000), 3, 1),
]
