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


COVARIATES = {"price": -0.02, "age": 0.01, "web": 0.3, "visits": 0.1, "discount": 0.5}


def times(contracts: int) -> Callable[[Path], None]:
    """Contracts of Weibull length, seen for one to sixty months, with five covariates."""

    def write(path: Path) -> None:
        rng = np.random.default_rng(1)
        frame = pd.DataFrame(
            {
                "customer_id": np.arange(contracts),
                "price": np.round(rng.gamma(4, 5, contracts), 2),
                "age": rng.integers(18, 80, contracts),
                "web": rng.integers(0, 2, contracts),
                "visits": rng.poisson(3, contracts),
                "discount": rng.random(contracts),
            }
        )
        end = np.exp(3 + frame[list(COVARIATES)] @ list(COVARIATES.values())) * rng.weibull(0.8, contracts)
        seen = rng.uniform(1, 60, contracts)
        frame.assign(duration=np.minimum(end, seen), event=(end < seen).astype(int)).to_parquet(path, index=False)

    return write


def renewals(contracts: int) -> Callable[[Path], None]:
    """Contracts that are renewed by the month, seen for up to sixty, of customers who differ."""

    def write(path: Path) -> None:
        rng = np.random.default_rng(1)
        end = clv.BdW.simulate(rng, np.zeros(contracts), gamma=0.6, delta=2.1, c=1.3)
        seen = rng.integers(1, 61, contracts)
        frame = {
            "customer_id": np.arange(contracts),
            "renewals": np.minimum(end, seen),
            "event": (end <= seen).astype(int),
        }
        pd.DataFrame(frame).to_parquet(path, index=False)

    return write


PROBLEMS = [
    Problem("CDNOW sample, 2,357 customers", "BGNBD", summary(clv.datasets.cdnow_sample), 3, 7),
    Problem("CDNOW sample, 2,357 customers", "GammaGamma", summary(clv.datasets.cdnow_sample), 3, 7),
    Problem("CDNOW, 23,570 customers", "BGNBD", summary(clv.datasets.cdnow), 3, 7),
    Problem("CDNOW, 23,570 customers", "GammaGamma", summary(clv.datasets.cdnow), 3, 7),
    Problem("log of 1 million lines", "summary", log(1_000_000), 5, 1),
    Problem("log of 10 million lines", "summary", log(10_000_000), 3, 1),
    Problem("100,000 contracts, 5 covariates", "Weibull", times(100_000), 3, 3),
    Problem("1 million contracts", "SBG", renewals(1_000_000), 3, 3),
    Problem("1 million contracts", "BdW", renewals(1_000_000), 3, 3),
]
