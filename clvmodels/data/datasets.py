"""CDNOW, the data set on which these models were published.

Purchases of compact discs by the 23,570 people who first bought at CDNOW in the first quarter of 1997, until 1998-06-30
(Fader & Hardie 2001, Interfaces 31(3)). The files are those of the installed lifetimes package, which is not imported.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pandas as pd


def cdnow() -> pd.DataFrame:
    """All 69,659 lines of 23,570 customers.

    Returns
    -------
    DataFrame
        Columns `customer_id` (int), `date`, `quantity` (compact discs) and `amount` (US dollars).

    Examples
    --------
    >>> cdnow().head(2)
       customer_id       date  quantity  amount
    0            1 1997-01-01         1   11.77
    1            2 1997-01-12         1   12.00
    """
    return _read("CDNOW_master.txt", ["customer_id", "date", "quantity", "amount"], skiprows=1)


def cdnow_sample() -> pd.DataFrame:
    """The published systematic sample of a tenth: 6,919 lines of 2,357 customers, numbered 1 to 2357.

    Returns
    -------
    DataFrame
        Columns as in `cdnow`; the ids are the sample's own, not those of `cdnow`.
    """
    columns = ["master_id", "customer_id", "date", "quantity", "amount"]
    return _read("CDNOW_sample.txt", columns, skiprows=0).drop(columns="master_id")


def _read(file: str, columns: list[str], skiprows: int) -> pd.DataFrame:
    package = importlib.util.find_spec("lifetimes")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("CDNOW comes with the package lifetimes; install it with: pip install lifetimes")
    path = Path(package.origin).parent / "datasets" / file
    lines = pd.read_csv(path, sep=r"\s+", names=columns, skiprows=skiprows)
    return lines.assign(date=pd.to_datetime(lines["date"].astype(str), format="%Y%m%d"))
