"""Workflow: what the command line does, as plain functions that return what they made.

Each option of a command is an option of its function, and the reverse.
"""

from __future__ import annotations

import glob
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Required, TypedDict, Unpack

import pandas as pd

from clvmodels import schema
from clvmodels.data import datasets
from clvmodels.data.choice import Where
from clvmodels.data.transactions import BadRows, Day, Refunds, Transactions
from clvmodels.draws import check_interval
from clvmodels.errors import DataError, counted
from clvmodels.evaluation.metrics import compare
from clvmodels.export import checked_path, export
from clvmodels.models.base import Method
from clvmodels.models.spend.gamma_gamma import GammaGamma
from clvmodels.models.transactions.bgnbd import BGNBD
from clvmodels.time import Horizon, horizon_days
from clvmodels.value.noncontractual import NonContractualCLV
from clvmodels.value.simple import SimpleCLV

if TYPE_CHECKING:
    from clvmodels.data.audit import Audit
    from clvmodels.data.transactions import Source

DEMO_CUTOFF, DEMO_HOLDOUT = "1997-09-30", "39 weeks"
DEMO_BASELINE, DEMO_MODEL = "simple formula", "BG/NBD + Gamma-Gamma"
DEMO_MARGIN, DEMO_DISCOUNT_RATE = 0.30, 0.10

Progress = Callable[[str], None]


class LogOptions(TypedDict, total=False):
    """How a log is read; what each option means is said by `clvmodels.Transactions`."""

    customer: Required[str | Sequence[str]]
    date: Required[str]
    order: str | None
    refunds: Refunds
    date_format: str | None
    timezone: str | None
    bad_rows: BadRows
    where: Where | None
    currency: str | Sequence[str] | None
    decimal: str
    thousands: str | None
    encoding: str


@dataclass(frozen=True)
class Prediction:
    """What was predicted, and where it was written.

    Parameters
    ----------
    table : DataFrame
        One row per customer: `clvmodels.schema.PREDICTIONS`.
    total : DataFrame
        All customers together, in one row; its interval is not the sum of theirs.
    file : Path
        The exported table.
    """

    table: pd.DataFrame
    total: pd.DataFrame
    file: Path


@dataclass(frozen=True)
class Demo:
    """A comparison on held-out data, and a prediction from all data.

    Parameters
    ----------
    comparison : DataFrame
        As `clvmodels.evaluation.metrics.compare` gives it.
    prediction : Prediction
    csv : Path
        The table of the prediction once more.
    """

    comparison: pd.DataFrame
    prediction: Prediction
    csv: Path


def _files(source: str | Path) -> list[str]:
    return [str(source), *glob.glob(str(source), recursive=True)]


def _silent(step: str) -> None:
    pass


def demo(folder: str | Path = ".", *, overwrite: bool = False, seed: int = 1, progress: Progress = _silent) -> Demo:
    """The whole way on CDNOW's 23,570 customers.

    The simple formula and BG/NBD with Gamma-Gamma are fitted to the log until 1997-09-30 and compared on the 39 weeks
    after it. Then the second is fitted to the whole log, predicts one year with 90 % intervals, and is exported.

    Parameters
    ----------
    folder : str or Path
        Where `clv.parquet` and `clv.csv` are written.
    overwrite : bool
        Replace these files.
    seed : int
        Of the draws.
    progress : callable
        Is told what is done next.

    Raises
    ------
    OSError
        If the files exist and are not to be replaced, or cannot be written.
    """
    parquet, csv = (checked_path(Path(folder, name), overwrite=overwrite) for name in ("clv.parquet", "clv.csv"))
    progress("Read the CDNOW log")
    lines = datasets.cdnow()
    split = Transactions(lines, customer="customer_id", date="date", value="amount").split(DEMO_CUTOFF, DEMO_HOLDOUT)
    progress(f"Fit until {DEMO_CUTOFF} and predict the {DEMO_HOLDOUT} after")
    model = NonContractualCLV(BGNBD(), GammaGamma())
    predictions = {
        DEMO_BASELINE: SimpleCLV().fit(split.calibration).predict(horizon=DEMO_HOLDOUT),
        DEMO_MODEL: model.fit(split.calibration, method="laplace", seed=seed).predict(horizon=DEMO_HOLDOUT),
    }
    prediction = predict(
        lines,
        customer="customer_id",
        date="date",
        value="amount",
        margin=DEMO_MARGIN,
        discount_rate=DEMO_DISCOUNT_RATE,
        output=parquet,
        overwrite=overwrite,
        seed=seed,
        progress=progress,
    )
    csv = export(prediction.table, csv, overwrite=overwrite)
    return Demo(compare(predictions, split.holdout), prediction, csv)


def audit(
    source: Source, *, value: str | Sequence[str] | None = None, until: Day | None = None, **log: Unpack[LogOptions]
) -> Audit:
    """What is in a log, what is odd, and whether it is enough to fit a model.

    Parameters
    ----------
    source, value, **log
        As for `clvmodels.Transactions`.
    until : date, optional
        End of observation, inclusive; default: the last date in the log.
    """
    return Transactions(source, value=value, **log).audit(until)


def predict(
    source: Source,
    *,
    value: str | Sequence[str],
    unit: str = "week",
    until: Day | None = None,
    horizon: Horizon = "1 year",
    interval: float = 0.9,
    margin: float = 1.0,
    discount_rate: float = 0.0,
    method: Method = "laplace",
    output: str | Path = "clv.parquet",
    overwrite: bool = False,
    seed: int | None = None,
    progress: Progress = _silent,
    **log: Unpack[LogOptions],
) -> Prediction:
    """Predict the value of each customer of a log by BG/NBD and Gamma-Gamma, and export the table.

    Parameters
    ----------
    source, value, **log
        As for `clvmodels.Transactions`.
    unit : {"day", "week", "month", "year"}
        Unit of time of the fit and of a horizon that is a bare number; the predictions do not depend on it.
    until : date, optional
        End of observation, inclusive; default: the last date in the log.
    horizon : str, number, date or timedelta
        How far to predict: ``"39 weeks"``, ``"1 year"``, an end date, or a number of `unit`.
    interval : float
        Coverage of the predictive intervals, in (0, 1).
    margin : float
        Share of revenue that is earned. At 1, `clv` is discounted revenue.
    discount_rate : float
        Annual effective rate.
    method : {"ml", "map", "laplace"}
        How the models are fitted.
    output : str or Path
        Its ending says the format, as for `clvmodels.export`.
    overwrite : bool
        Replace that file.
    seed : int, optional
        Of the draws; the file says which was used.
    progress : callable
        Is told what is done next.

    Raises
    ------
    DataError
        If the log cannot be read, or cannot carry a fit.
    FitError
        If a fit cannot be used.
    ValueError
        If an option is not understood.
    OSError
        If the output exists and is not to be replaced, or cannot be written.
    """
    # What is asked is checked before the fit, which may take long.
    file = checked_path(output, overwrite=overwrite)
    check_interval(interval)
    model = NonContractualCLV(BGNBD(), GammaGamma(), margin=margin, discount_rate=discount_rate)
    progress("Read the log")
    transactions = Transactions(source, value=value, **log)
    customer = log["customer"] if isinstance(log["customer"], str) else log["customer"][0]
    if customer.lower() in schema.PREDICTIONS:
        raise DataError(f"customer column {customer!r} has the name of a predicted column; rename it")
    if isinstance(source, (str, Path)) and file.resolve() in {Path(name).resolve() for name in _files(source)}:
        raise ValueError(f"output {file} is the log itself; choose another name")
    customers = transactions.summary(unit=unit, until=until)
    horizon_days(horizon, unit=unit, observation_end=customers.observation_end)
    progress(f"Fit {counted(len(customers), 'customer')}")
    fit = model.fit(customers, method=method, seed=seed)
    progress("Predict each customer")
    table = fit.predict(horizon=horizon, interval=interval)
    progress("Predict all customers together")
    total = fit.total(horizon=horizon, interval=interval)
    return Prediction(table, total, export(table, file, overwrite=overwrite))
