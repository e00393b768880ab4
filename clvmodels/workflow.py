"""Workflow: what the command line does, as plain functions that return what they made.

Each option of a command is an option of its function, and the reverse.
"""

from __future__ import annotations

import csv
import glob
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import pandas as pd

from clvmodels import schema
from clvmodels.data import datasets
from clvmodels.data.choice import Where
from clvmodels.data.transactions import BadRows, Day, Refunds, Transactions
from clvmodels.draws import check_interval
from clvmodels.errors import DataError, StaleDataError, counted
from clvmodels.evaluation.backtest import backtest as backtest_models
from clvmodels.evaluation.comparators import OwnRate, PredictZero, RepeatLastPeriod
from clvmodels.evaluation.comparison import Comparison
from clvmodels.evaluation.metrics import compare
from clvmodels.evaluation.monitoring import Check
from clvmodels.evaluation.monitoring import check as check_fit
from clvmodels.evaluation.peer_lifetimes import LifetimesCLV
from clvmodels.evaluation.regression import RegressionCLV
from clvmodels.evaluation.result import Backtest
from clvmodels.evaluation.windows import ACQUIRED
from clvmodels.export import checked_path, export
from clvmodels.files import check_targets, written_whole
from clvmodels.models.base import Method
from clvmodels.models.forecast import check_infinite, memberships
from clvmodels.models.spend.gamma_gamma import GammaGamma
from clvmodels.models.transactions.base import TransactionFit
from clvmodels.models.transactions.bgnbd import BGNBD
from clvmodels.models.transactions.mbgnbd import MBGNBD
from clvmodels.models.transactions.pareto_nbd import ParetoNBD
from clvmodels.persistence import checked_model_path, load
from clvmodels.persistence import save as save_fit
from clvmodels.time import Horizon, horizon_days, oldest_day
from clvmodels.value.margin import Margin, margin_attribute, margins
from clvmodels.value.noncontractual import NonContractualCLV, NonContractualCLVFit
from clvmodels.value.simple import SimpleCLV

if TYPE_CHECKING:
    from clvmodels.data.audit import Audit
    from clvmodels.data.transactions import Source

# What `backtest` knows by name, and what it takes if nothing is said.
SHOP_MODELS: dict[str, Any] = {
    "simple": SimpleCLV(),
    "zero": PredictZero(),
    "repeat": RepeatLastPeriod(),
    "own-rate": OwnRate(),
    "regression": RegressionCLV(),
    "lifetimes": LifetimesCLV(),
    "bgnbd": NonContractualCLV(BGNBD(), GammaGamma()),
    "mbgnbd": NonContractualCLV(MBGNBD(), GammaGamma()),
    "pareto-nbd": NonContractualCLV(ParetoNBD(), GammaGamma()),
}
SHOP_DEFAULT = ("simple", "own-rate", "bgnbd", "mbgnbd", "pareto-nbd")
BACKTEST_FILES = ("verdict.txt", "table.csv", "comparison.csv", "predictions.parquet", "problems.csv")

DEMO_CUTOFF, DEMO_HOLDOUT = "1997-09-30", "39 weeks"
DEMO_BASELINE, DEMO_MODEL = "simple formula", "BG/NBD + Gamma-Gamma"
DEMO_MARGIN, DEMO_DISCOUNT_RATE = 0.30, 0.10

Progress = Callable[[str], None]


class LogOptions(TypedDict, total=False):
    """How a log is read; what each option means is said by `clvmodels.Transactions`. None: not said."""

    customer: str | Sequence[str] | None
    date: str | None
    order: str | None
    refunds: Refunds | None
    acquired: str | None
    first_seen_after: Day | None
    date_format: str | None
    timezone: str | None
    bad_rows: BadRows | None
    where: Where | None
    currency: str | Sequence[str] | None
    decimal: str | None
    thousands: str | None
    encoding: str | None
    part: str | None


@dataclass(frozen=True)
class Prediction:
    """What was predicted, and where it was written.

    Parameters
    ----------
    table : DataFrame
        One row per customer: `clvmodels.schema.PREDICTIONS`, over an infinite horizon `INFINITE_HORIZON`, then the
        attributes.
    total : DataFrame
        One row per segment, if asked for, and a last one for all customers together; its interval is not the sum of
        theirs.
    file : Path
        The exported table.
    saved : Path, optional
        The saved fit.
    """

    table: pd.DataFrame
    total: pd.DataFrame
    file: Path
    saved: Path | None = None


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


@dataclass(frozen=True)
class Backtested:
    """Models held against each other, and where that was written.

    Parameters
    ----------
    result : Backtest
    comparison : Comparison
        Of its models with the baseline.
    folder : Path
        It holds `BACKTEST_FILES`: the verdict, `result.table`, `comparison.table`, `result.predictions`, and the
        failures and warnings.
    """

    result: Backtest
    comparison: Comparison
    folder: Path


def files(source: str | Path) -> list[str]:
    """What a path or a pattern may stand for."""
    return [str(source), *glob.glob(str(source), recursive=True)]


def silent(step: str) -> None:
    """Tell nobody what is done next."""


def demo(folder: str | Path = ".", *, overwrite: bool = False, seed: int = 1, progress: Progress = silent) -> Demo:
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


def listed(columns: str | Sequence[str] | None) -> list[str]:
    """The columns, of which there may be one or none."""
    return [columns] if isinstance(columns, str) else list(columns or ())


def audit(
    source: Source,
    *,
    value: str | Sequence[str] | None = None,
    attribute: str | Sequence[str] | None = None,
    until: Day | None = None,
    **log: Unpack[LogOptions],
) -> Audit:
    """What is in a log, what is odd, and whether it is enough to fit a model.

    Parameters
    ----------
    source, value, **log
        As for `clvmodels.Transactions`.
    attribute : str or sequence of str, optional
        Columns that describe the customer.
    until : date, optional
        End of observation, inclusive; default: the last date in the log.
    """
    return Transactions(source, **given(value=value, attributes=listed(attribute), **log)).audit(until)


def predict(
    source: Source,
    *,
    value: str | Sequence[str] | None = None,
    attribute: str | Sequence[str] | None = None,
    by: str | None = None,
    unit: str | None = None,
    until: Day | None = None,
    horizon: Horizon | None = "1 year",
    interval: float = 0.9,
    margin: Margin | None = None,
    discount_rate: float | None = None,
    method: Method | None = None,
    model: str | Path | None = None,
    save: str | Path | None = None,
    max_age: str | int | None = None,
    output: str | Path = "clv.parquet",
    overwrite: bool = False,
    seed: int | None = None,
    progress: Progress = silent,
    **log: Unpack[LogOptions],
) -> Prediction:
    """Predict the value of each customer of a log by BG/NBD and Gamma-Gamma, and export the table.

    Parameters
    ----------
    source, value, **log
        As for `clvmodels.Transactions`. With a saved fit those that are not given are as in the log that it was
        fitted to.
    attribute : str or sequence of str, optional
        Columns that describe the customer; the table carries them.
    by : str, optional
        The one of them that makes segments of the total; it need not be named twice.
    unit : {"day", "week", "month", "year"}, default "week"
        Unit of time of the fit and of a horizon that is a bare number; the predictions do not depend on it.
    until : date, optional
        End of observation, inclusive; default: the last date in the log.
    horizon : str, number, date, timedelta or None
        How far to predict: ``"39 weeks"``, ``"1 year"``, an end date, or a number of `unit`. None, on the command line
        "infinite", is without end, which needs a discount rate.
    interval : float
        Coverage of the predictive intervals, in (0, 1).
    margin : float, str or mapping, optional
        Share of revenue that is earned, or an attribute that holds each customer's, or a mapping by the values of one,
        as for `clvmodels.NonContractualCLV`; default: that of the saved fit, else 1, at which `clv` is discounted
        revenue.
    discount_rate : float, optional
        Annual effective rate; default: that of the saved fit, else 0.
    method : {"ml", "map", "laplace", "mcmc"}, default "laplace"
        How the models are fitted.
    model : str or Path, optional
        A saved fit that predicts instead of a new one. It has its own unit and method.
    save : str or Path, optional
        Where the new fit is saved, a name that ends in ``.clv``.
    max_age : str or int, optional
        How old the newest order up to `until` may be today: ``"3 days"``, or a number of days.
    output : str or Path
        Its ending says the format, as for `clvmodels.export`.
    overwrite : bool
        Replace that file, and that of `save`.
    seed : int, optional
        Of the draws; the file says which was used.
    progress : callable
        Is told what is done next.

    Raises
    ------
    StaleDataError
        If the newest order is older than `max_age`; nothing is written.
    DataError
        If the log or the saved fit cannot be read, or the log cannot carry a fit.
    FitError
        If a fit cannot be used.
    ValueError
        If an option is not understood.
    OSError
        If the output exists and is not to be replaced, or cannot be written.
    """
    # What is asked is checked before the fit, which may take long.
    file = checked_file(output, save, overwrite=overwrite)
    check_interval(interval)
    oldest = None if max_age is None else oldest_day(max_age, today())
    wanted = NonContractualCLV(
        BGNBD(),
        GammaGamma(),
        margin=1.0 if margin is None else margin,
        discount_rate=0.0 if discount_rate is None else discount_rate,
    )
    options = given(value=value, **log)
    fit: NonContractualCLVFit | None = None
    if model is not None:
        refuse_with_model(unit=unit, method=method, save=save)
        progress(f"Load {model}")
        fit = _loaded(model)
        options = {**(fit.origin.log or {}), **options}
    rate = fit.model.discount_rate if fit and discount_rate is None else wanted.discount_rate
    check_infinite(horizon, rate, interval, "outcome")
    worth = margin if margin is not None else fit.model.margin if fit else 1.0
    options["attributes"] = named_attributes(options, attribute, by, margin_attribute(worth))
    check_named(options, ("customer", "date", "value"), "the columns of the log")
    progress("Read the log")
    transactions = Transactions(source, **options)
    check_names(source, options, file, "the log")
    customers = transactions.summary(unit=fit.origin.unit if fit else unit or "week", until=until)
    if oldest is not None:
        newest = customers.table["last_date"][lambda days: days <= today()].max()  # a date to come may be a slip
        check_age("the newest order", newest, oldest, max_age)
    if horizon is not None:
        horizon_days(horizon, unit=customers.unit, observation_end=customers.observation_end)
    margins(worth, customers)
    memberships(customers, by)
    if fit is None:
        progress(f"Fit {counted(len(customers), 'customer')}")
        fit = wanted.fit(customers, method=method or "laplace", seed=seed)
    asked: dict[str, Any] = {"horizon": horizon, "interval": interval, "seed": seed}
    asked |= given(margin=margin, discount_rate=discount_rate)
    return predicted(fit, customers, asked, by, file, save, overwrite=overwrite, progress=progress)


def check(
    model: str | Path,
    source: Source,
    *,
    value: str | Sequence[str] | None = None,
    attribute: str | Sequence[str] | None = None,
    by: str | None = None,
    until: Day | None = None,
    interval: float = 0.9,
    seed: int | None = None,
    progress: Progress = silent,
    **log: Unpack[LogOptions],
) -> Check:
    """Whether what happened since a saved fit is what it expected, and whether to fit again: `clvmodels.check`.

    Parameters
    ----------
    model : str or Path
        The saved fit, of NonContractualCLV or of a model of transactions.
    source, value, **log
        A newer log that holds the old lines, too, as for `clvmodels.Transactions`. What is not given is as in the log
        that was fitted.
    attribute : str or sequence of str, optional
        Columns that describe the customer.
    by : str, optional
        The one of them whose values have rows of their own; it need not be named twice.
    until : date, optional
        Last day observed; default: the last date in the log.
    interval : float
        Coverage of the intervals shown, in (0, 1).
    seed : int, optional
        Of the simulated outcomes; that of the fit if not given.
    progress : callable
        Is told what is done next.

    Raises
    ------
    DataError
        If the log or the saved fit cannot be read, or nothing has been observed since.
    ValueError
        If an option is not understood.
    """
    progress(f"Load {model}")
    fit = load(model)
    if not isinstance(fit, NonContractualCLVFit | TransactionFit):
        raise DataError(f"{model} holds a fit of {type(fit.model).__name__}, not one of purchases that can be checked")
    options = {**(fit.origin.log or {}), **given(value=value, **log)}
    options["attributes"] = named_attributes(options, attribute, by)
    check_named(options, ("customer", "date"), "the columns of the log")
    progress("Read the log")
    transactions = Transactions(source, **options)
    progress(f"Check {counted(fit.origin.customers, 'customer')}")
    return check_fit(fit, transactions, until=until, interval=interval, by=by, seed=seed)


def backtest(
    source: Source,
    *,
    cutoff: str | Sequence[str],
    horizon: str | Sequence[str],
    value: str | Sequence[str] | None = None,
    attribute: str | Sequence[str] | None = None,
    by: str | None = None,
    unit: str | None = None,
    until: Day | None = None,
    model: str | Sequence[str] | None = None,
    baseline: str | None = None,
    method: Method | None = None,
    interval: float = 0.9,
    jobs: int = 1,
    output: str | Path = "backtest",
    overwrite: bool = False,
    seed: int | None = None,
    progress: Progress = silent,
    **log: Unpack[LogOptions],
) -> Backtested:
    """Hold models against each other on periods of a log that they have not seen: `clvmodels.backtest`.

    Parameters
    ----------
    source, value, **log
        As for `clvmodels.Transactions`. Without a value transactions alone are predicted, by models that need none.
    cutoff : str or sequence of str
        Last days of the past, or ``"4 every 13 weeks"``.
    horizon : str or sequence of str
        How far to predict from each: ``"39 weeks"``, ``"1 year"``.
    attribute : str or sequence of str, optional
        Columns that describe the customer.
    by : str, optional
        The one of them whose values are scored apart, too, or "acquisition month", "acquisition quarter" or
        "acquisition year".
    unit : {"day", "week", "month", "year"}, default "week"
        Unit of time of the fits.
    until : date, optional
        Last day observed, from which cutoffs are counted back; default: the last date in the log.
    model : str or sequence of str, optional
        Names of `SHOP_MODELS`; default: `SHOP_DEFAULT`.
    baseline : str, optional
        The one of them that the others are compared with; default: the first.
    method : {"ml", "map", "laplace", "mcmc"}, default "ml"
        How the models are fitted.
    interval : float
        Coverage of the intervals, in (0, 1).
    jobs : int
        How many fits run at once.
    output : str or Path
        A folder, made if it is not there, for `BACKTEST_FILES`.
    overwrite : bool
        Replace these files.
    seed : int, optional
        Of all draws; drawn if not given.
    progress : callable
        Is told what is done next.

    Raises
    ------
    DataError
        If the log cannot be read, a window is not observed whole, or no model could be fitted anywhere.
    ValueError
        If an option is not understood.
    OSError
        If the files exist and are not to be replaced, or cannot be written.
    """
    known, default = SHOP_MODELS, list(SHOP_DEFAULT)
    if value is None:  # the models of transactions alone, and not the simple formula, which is of revenue
        known = {name: getattr(one, "transactions", one) for name, one in known.items()}
        default.remove("simple")
    models = chosen_models(known, model, default, baseline)
    files = checked_folder(output, overwrite=overwrite)
    options = given(value=value, **log)
    options["attributes"] = named_attributes(options, attribute, segment_column(by))
    check_named(options, ("customer", "date"), "the columns of the log", saved=False)
    progress("Read the log")
    transactions = Transactions(source, **options)
    asked: dict[str, Any] = {"cutoffs": cutoffs_of(cutoff), "horizon": horizon, "by": by, "unit": unit, "until": until}
    asked |= {"method": method, "interval": interval, "jobs": jobs, "seed": seed}
    return backtested(models, transactions, asked, baseline, files, progress)


# What backtests have in common with those of contracts


def chosen_models(
    known: Mapping[str, Any], wanted: str | Sequence[str] | None, default: Sequence[str], baseline: str | None
) -> dict[str, Any]:
    """The models of these names, the baseline among them."""
    names = list(dict.fromkeys(listed(wanted) or default))
    for name in [*names, *filter(None, [baseline])]:
        if name not in known:
            raise ValueError(f"unknown model {name!r}; use one of {', '.join(map(repr, known))}")
    if baseline is not None and baseline not in names:
        raise ValueError(f"baseline {baseline!r} is not among the models: {', '.join(map(repr, names))}")
    return {name: known[name] for name in names}


def cutoffs_of(cutoff: str | Sequence[str]) -> str | Sequence[str]:
    """The days, or the one text that says them all."""
    return cutoff if isinstance(cutoff, str) or len(cutoff) != 1 else cutoff[0]


def segment_column(by: str | None) -> str | None:
    """The column that makes the segments, if it is one and not the day of acquisition."""
    return None if by is None or ACQUIRED.fullmatch(by) else by


def checked_folder(output: str | Path, *, overwrite: bool) -> list[Path]:
    """The files of a backtest in a folder, if they can be written there."""
    folder = Path(output)
    paths = [folder / name for name in BACKTEST_FILES]
    if folder.is_dir():
        check_targets(*paths, overwrite=overwrite)
    else:
        check_targets(folder, overwrite=False)
    return paths


def backtested(
    models: dict[str, Any],
    data: Any,
    asked: dict[str, Any],
    baseline: str | None,
    files: list[Path],
    progress: Progress,
) -> Backtested:
    """The models backtested, compared, and written."""
    progress(f"Fit and score {counted(len(models), 'model')}")
    result = backtest_models(models, data, **asked, progress=False)
    progress("Compare them")
    comparison = result.compare(baseline)
    problems = pd.concat(
        [
            result.failures.rename(columns={"reason": "problem"}).assign(kind="failure"),
            result.warnings.rename(columns={"warning": "problem"}).assign(kind="warning"),
        ]
    )
    problems["cutoff"] = problems["cutoff"].astype("datetime64[ns]").dt.strftime("%Y-%m-%d")
    files[0].parent.mkdir(exist_ok=True)
    with written_whole(*files) as folder:
        verdict = "\n".join([comparison.verdict, *(["", *failed(result)] if len(result.failures) else [])])
        (folder / "verdict.txt").write_text(f"{verdict}\n", encoding="utf-8")
        result.predictions.to_parquet(folder / "predictions.parquet", index=False)
        for name, frame in (("table", result.table), ("comparison", comparison.table), ("problems", problems)):
            frame.to_csv(folder / f"{name}.csv", index=False, quoting=csv.QUOTE_NONNUMERIC)
    return Backtested(result, comparison, files[0].parent)


def failed(result: Backtest) -> list[str]:
    """Which model failed where and why, a sentence for each."""
    return [f"Failed: {row.model} at {row.cutoff:%Y-%m-%d}: {row.reason}" for row in result.failures.itertuples()]


# What predictions have in common with those for contracts


def checked_file(output: str | Path, save: str | Path | None, *, overwrite: bool) -> Path:
    """The path of the table, if that and the saved fit can be written."""
    file = checked_path(output, overwrite=overwrite)
    if save is not None:
        checked_model_path(save, overwrite=overwrite)
    return file


def refuse_with_model(**own: Any) -> None:
    """Refuse options that a saved fit has said already."""
    if refused := [f"{name}=" for name in given(**own)]:
        raise ValueError(f"{' and '.join(refused)} cannot be given with model=, which is a fit already")


def named_attributes(options: dict[str, Any], attribute: str | Sequence[str] | None, *others: str | None) -> list[str]:
    """The attributes to read, each once: those of the options, those asked for, and what else is named."""
    return [*dict.fromkeys([*options.get("attributes", ()), *listed(attribute), *filter(None, others)])]


def check_named(options: dict[str, Any], columns: Sequence[str], called: str, *, saved: bool = True) -> None:
    """Refuse a source whose columns nobody has named; `saved`: a saved fit could have."""
    if missing := [f"{name}=" for name in columns if options.get(name) is None]:
        price = " (value= is that of the price)" if "value=" in missing and "start" in columns else ""
        fit = "; only a saved fit knows them" if saved else ""
        raise ValueError(f"{' and '.join(missing)} must be given: {called}{price}{fit}")


def check_names(source: Source, options: dict[str, Any], file: Path, called: str) -> None:
    """Refuse a customer column that the table could not hold, and an output that is the source."""
    customer = options["customer"] if isinstance(options["customer"], str) else options["customer"][0]
    if customer.lower() in schema.PREDICTED:
        raise DataError(f"customer column {customer!r} has the name of a predicted column; rename it")
    if isinstance(source, (str, Path)) and file.resolve() in {Path(name).resolve() for name in files(source)}:
        raise ValueError(f"output {file} is {called} itself; choose another name")


def check_age(what: str, newest: pd.Timestamp, oldest: pd.Timestamp, max_age: str | int | None) -> None:
    """Refuse data whose newest day is before the oldest that it may be."""
    if newest < oldest:
        age = counted((today() - newest).days, "day")
        raise StaleDataError(f"{what} is of {newest:%Y-%m-%d}, {age} ago, older than max_age={max_age!r}")


def predicted(
    fit: Any,
    data: Any,
    asked: dict[str, Any],
    by: str | None,
    file: Path,
    save: str | Path | None,
    *,
    overwrite: bool,
    progress: Progress,
) -> Prediction:
    """The customers one by one and together, exported, and the fit saved."""
    progress("Predict each customer")
    table = fit.predict(data, **asked)
    progress("Predict all customers together")
    total = fit.total(data, by=by, **asked)
    saved = None if save is None else save_fit(fit, save, overwrite=overwrite)
    return Prediction(table, total, export(table, file, overwrite=overwrite), saved)


def given(**options: Any) -> dict[str, Any]:
    """The options that were said: neither None nor an empty list or mapping."""
    return {name: option for name, option in options.items() if option is not None and option not in ([], {})}


def today() -> pd.Timestamp:
    """The day of today."""
    return pd.Timestamp.today().normalize()


def _loaded(path: str | Path) -> NonContractualCLVFit:
    fit = load(path)
    if not isinstance(fit, NonContractualCLVFit):
        raise DataError(f"{path} holds a fit of {type(fit.model).__name__} alone, not one of NonContractualCLV")
    return fit
