"""The data sets on which these models were published.

CDNOW: purchases of compact discs by the 23,570 people who first bought there in the first quarter of 1997, until
1998-06-30 (Fader & Hardie 2001, Interfaces 31(3)). The files are those of the installed lifetimes package, which is not
imported.

Retention: how many of 1,000 customers two segments of a firm kept over 12 years (Fader & Hardie 2007).
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pandas as pd

# Fader & Hardie (2007), "How to project customer retention", Journal of Interactive Marketing 21(1), table 1, from
# Berry & Linoff (2004), Data Mining Techniques, 2nd edition: customers left of 1,000 after 0, 1, ..., 12 years.
_RETENTION = {
    "regular": (1000, 631, 468, 382, 326, 289, 262, 241, 223, 207, 194, 183, 173),
    "high-end": (1000, 869, 743, 653, 593, 551, 517, 491, 468, 445, 427, 409, 394),
}


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


def retention(segment: str) -> pd.Series:
    """How many of 1,000 customers were left after 0, 1, ..., 12 years, each renewal being due after a year.

    Parameters
    ----------
    segment : {"regular", "high-end"}

    Returns
    -------
    Series
        Number of customers, by year; `clvmodels.Durations.from_survivors` takes it.

    References
    ----------
    Fader & Hardie (2007), Journal of Interactive Marketing 21(1), from Berry & Linoff (2004), Data Mining Techniques.

    Examples
    --------
    >>> retention("high-end").head(3).tolist()
    [1000, 869, 743]
    """
    if segment not in _RETENTION:
        raise ValueError(f"unknown segment {segment!r}; use one of {', '.join(map(repr, _RETENTION))}")
    survivors = pd.Series(_RETENTION[segment], name="customers")
    return survivors.rename_axis("year")


def _read(file: str, columns: list[str], skiprows: int) -> pd.DataFrame:
    package = importlib.util.find_spec("lifetimes")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("CDNOW comes with the package lifetimes; install it with: pip install lifetimes")
    path = Path(package.origin).parent / "datasets" / file
    lines = pd.read_csv(path, sep=r"\s+", names=columns, skiprows=skiprows)
    return lines.assign(date=pd.to_datetime(lines["date"].astype(str), format="%Y%m%d"))
