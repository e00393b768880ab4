"""Workflow of contracts: what `clvmodels ... --contracts` does, as plain functions that return what they made.

Each option of a command is an option of its function, and the reverse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

import numpy as np
import pandas as pd

from clvmodels.data import datasets
from clvmodels.data.choice import Where
from clvmodels.data.contracts import Timing
from clvmodels.data.subscriptions import Returns, Subscriptions
from clvmodels.data.transactions import BadRows, Day
from clvmodels.draws import check_interval
from clvmodels.errors import DataError, counted
from clvmodels.evaluation.monitoring import Check
from clvmodels.evaluation.monitoring import check as check_fit
from clvmodels.export import checked_path, export
from clvmodels.models.base import Method
from clvmodels.models.forecast import check_infinite, memberships
from clvmodels.models.survival.bdw import BdW
from clvmodels.models.survival.contracts import ContractFit
from clvmodels.models.survival.discrete_weibull import DiscreteWeibull
from clvmodels.models.survival.exponential import Exponential
from clvmodels.models.survival.geometric import ShiftedGeometric
from clvmodels.models.survival.kaplan_meier import KaplanMeier
from clvmodels.models.survival.loglogistic import LogLogistic
from clvmodels.models.survival.lognormal import LogNormal
from clvmodels.models.survival.sbg import SBG
from clvmodels.models.survival.weibull import Weibull
from clvmodels.persistence import load
from clvmodels.time import Horizon, horizon_days, oldest_day, period, renewal_days
from clvmodels.value.contractual import ContractualCLV, ContractualCLVFit
from clvmodels.value.margin import Margin, margin_attribute, margins
from clvmodels.value.simple import SimpleCLV
from clvmodels.workflow import (
    Backtested,
    Prediction,
    Progress,
    backtested,
    check_age,
    check_named,
    check_names,
    checked_file,
    checked_folder,
    chosen_models,
    cutoffs_of,
    given,
    listed,
    named_attributes,
    predicted,
    refuse_with_model,
    segment_column,
    silent,
    today,
)

if TYPE_CHECKING:
    from clvmodels.data.audit import Audit
    from clvmodels.data.transactions import Source

Survival = Literal[
    "sbg", "bdw", "shifted-geometric", "discrete-weibull", "exponential", "weibull", "log-normal", "log-logistic"
]
MODELS: dict[str, Any] = {
    "sbg": SBG,
    "bdw": BdW,
    "shifted-geometric": ShiftedGeometric,
    "discrete-weibull": DiscreteWeibull,
    "exponential": Exponential,
    "weibull": Weibull,
    "log-normal": LogNormal,
    "log-logistic": LogLogistic,
}

# The models that `backtest` takes if nothing is said.
CONTRACT_DEFAULT = ("simple", "sbg", "bdw", "weibull")

# The published table says how many customers were left after each year; the day they began and the price are invented.
DEMO_SEGMENT, DEMO_START, DEMO_END, DEMO_PRICE = "high-end", "2010-01-01", "2022-01-01", 100.0
DEMO_CUTOFF, DEMO_HOLDOUT = "2017-01-01", "5 years"
DEMO_MODELS: dict[str, Any] = {
    "simple formula": SimpleCLV(),
    "shifted geometric": ContractualCLV(ShiftedGeometric()),
    "sBG": ContractualCLV(SBG()),
    "BdW": ContractualCLV(BdW()),
}
DEMO_MARGIN, DEMO_DISCOUNT_RATE = 0.30, 0.10


class RecordOptions(TypedDict, total=False):
    """How contract records are read; what each means is said by `clvmodels.Subscriptions`. None: not said."""

    customer: str | Sequence[str] | None
    start: str | None
    end: str | None
    renews: str | None
    inclusive_ends: bool | None
    value_per: str | None
    period: str | None
    grace: str | None
    returns: Returns | None
    date_format: str | None
    timezone: str | None
    bad_rows: BadRows | None
    where: Where | None
    decimal: str | None
    thousands: str | None
    encoding: str | None


@dataclass(frozen=True)
class Demo:
    """A comparison on held-out years, and a prediction from all years.

    Parameters
    ----------
    audit : Audit
        Of the records.
    comparison : DataFrame
        One row per model: customers `retained` to the end of the holdout and the `revenue` of it, as predicted, with
        their errors `retained_bias` and `revenue_bias`; the first row is the actual.
    prediction : Prediction
    csv : Path
        The table of the prediction once more.
    """

    audit: Audit
    comparison: pd.DataFrame
    prediction: Prediction
    csv: Path


def demo_records() -> pd.DataFrame:
    """The published table of 1,000 customers as contract records: those left after each of 12 years."""
    survivors = datasets.retention(DEMO_SEGMENT).to_numpy()
    years = np.repeat(np.arange(1, len(survivors)), -np.diff(survivors))
    end = renewal_days(DEMO_START, period("year"), years)
    open_end = np.full(survivors[-1], np.datetime64("NaT", "D"))
    return pd.DataFrame(
        {
            "customer_id": np.arange(1, survivors[0] + 1),
            "start": pd.Timestamp(DEMO_START),
            "end": np.concatenate([end, open_end]).astype("datetime64[s]"),
            "price": DEMO_PRICE,
        }
    )


def demo(folder: str | Path = ".", *, overwrite: bool = False, seed: int = 1, progress: Progress = silent) -> Demo:
    """The whole way on the published retention of 1,000 customers, as contracts of one year each.

    Four models are fitted to the first seven years and compared on the five after. Then sBG is fitted to all twelve,
    predicts one year with 90 % intervals, and is exported. The numbers are those of Fader & Hardie (2007), who chose
    the example: a reproduction, no evidence that the models are right for other data.

    Parameters
    ----------
    folder, overwrite, seed, progress
        As for `clvmodels.workflow.demo`.

    Raises
    ------
    OSError
        If the files exist and are not to be replaced, or cannot be written.
    """
    parquet, csv = (checked_path(Path(folder, name), overwrite=overwrite) for name in ("clv.parquet", "clv.csv"))
    progress("Read the contracts")
    records = demo_records()
    columns: dict[str, Any] = {"customer": "customer_id", "start": "start", "end": "end", "value": "price"}
    columns |= {"period": "year", "value_per": "year"}
    contracts = Subscriptions(records, **columns)
    split = contracts.split(DEMO_CUTOFF, DEMO_HOLDOUT, unit="year", until=DEMO_END)
    rows = {"actual": split.holdout[["retained", "revenue"]].sum()}
    progress(f"Fit until {DEMO_CUTOFF} and predict the {DEMO_HOLDOUT} after")
    for name, model in DEMO_MODELS.items():
        total = model.fit(split.calibration).total(horizon=DEMO_HOLDOUT).iloc[-1]
        rows[name] = pd.Series({"retained": total["retained"], "revenue": total["expected_revenue"]})
    comparison = pd.DataFrame(rows).T.rename_axis("model")
    for outcome in ("retained", "revenue"):
        comparison[f"{outcome}_bias"] = comparison[outcome] / comparison[outcome].iloc[0] - 1
    prediction = predict(
        records,
        unit="year",
        until=DEMO_END,
        margin=DEMO_MARGIN,
        discount_rate=DEMO_DISCOUNT_RATE,
        output=parquet,
        overwrite=overwrite,
        seed=seed,
        progress=progress,
        **columns,
    )
    csv = export(prediction.table, csv, overwrite=overwrite)
    return Demo(contracts.audit(DEMO_END), comparison, prediction, csv)


def audit(
    source: Source,
    *,
    value: str | None = None,
    attribute: str | Sequence[str] | None = None,
    until: Day | None = None,
    since: Day | None = None,
    cause: str | None = None,
    **records: Unpack[RecordOptions],
) -> Audit:
    """What is in contract records, what is odd, and whether it is enough to fit a model.

    Parameters
    ----------
    source, value, **records
        As for `clvmodels.Subscriptions`.
    attribute : str or sequence of str, optional
        Columns that describe the customer.
    until, since : date, optional
        Last day observed, and first, as for `Subscriptions.durations`.
    cause : str, optional
        Column that says why a contract ended; predictions take every ending for the same.
    """
    options = given(value=value, attributes=listed(attribute), cause=cause, **records)
    return Subscriptions(source, **options).audit(until, since)


def predict(
    source: Source,
    *,
    value: str | None = None,
    attribute: str | Sequence[str] | None = None,
    by: str | None = None,
    unit: str | None = None,
    until: Day | None = None,
    since: Day | None = None,
    survival: Survival | None = None,
    horizon: Horizon | None = "1 year",
    interval: float = 0.9,
    margin: Margin | None = None,
    discount_rate: float | None = None,
    timing: Timing | None = None,
    method: Method | None = None,
    model: str | Path | None = None,
    save: str | Path | None = None,
    max_age: str | int | None = None,
    output: str | Path = "clv.parquet",
    overwrite: bool = False,
    seed: int | None = None,
    progress: Progress = silent,
    **records: Unpack[RecordOptions],
) -> Prediction:
    """Predict the value of each customer who is still there by a survival model, and export the table.

    Parameters
    ----------
    source, value, **records
        As for `clvmodels.Subscriptions`. With a saved fit those that are not given are as in the records that it was
        fitted to.
    attribute : str or sequence of str, optional
        Columns that describe the customer; the table carries them.
    by : str, optional
        The one of them that makes segments of the total; it need not be named twice.
    unit : {"day", "week", "month", "year"}, default "month"
        Unit of time of the fit, of lifetimes, and of a horizon that is a bare number.
    until, since : date, optional
        Last day observed, and first, as for `Subscriptions.durations`.
    survival : str, optional
        How long contracts last: "sbg", "bdw", "shifted-geometric" or "discrete-weibull", which count renewals, or
        "exponential", "weibull", "log-normal" or "log-logistic", which measure time. Default: "sbg", or "weibull" where
        contracts have several periods, which renewals cannot be counted together by.
    horizon, interval
        As for `clvmodels.workflow.predict`.
    margin : float, str or mapping, optional
        Share of revenue that is earned, as for `clvmodels.ContractualCLV`; default: that of the saved fit, else 1, at
        which `clv` is discounted revenue.
    discount_rate : float, optional
        Annual effective rate; default: that of the saved fit, else 0.
    timing : {"start", "end"}, default "start"
        When a period is paid: so far, and from now on.
    method : {"ml", "map", "laplace", "mcmc"}, default "laplace"
        How the model is fitted.
    model : str or Path, optional
        A saved fit that predicts instead of a new one. It has its own unit, model, timing and method.
    save : str or Path, optional
        Where the new fit is saved, a name that ends in ``.clv``.
    max_age : str or int, optional
        How old the last start or end up to `until` may be today: ``"3 days"``, or a number of days.
    output, overwrite, seed, progress
        As for `clvmodels.workflow.predict`.

    Raises
    ------
    StaleDataError
        If the last start or end is older than `max_age`; nothing is written.
    DataError
        If the records or the saved fit cannot be read, or the records cannot carry a fit.
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
    if survival is not None and survival not in MODELS:
        raise ValueError(f"unknown survival {survival!r}; use one of {', '.join(map(repr, MODELS))}")
    valuation = given(margin=margin, discount_rate=discount_rate)
    wanted = ContractualCLV(MODELS[survival or "sbg"](), **valuation, **given(timing=timing))
    options = given(value=value, **records)
    fit: ContractualCLVFit | None = None
    if model is not None:
        refuse_with_model(unit=unit, survival=survival, timing=timing, method=method, save=save)
        progress(f"Load {model}")
        fit = _loaded(model)
        options = {**(fit.origin.log or {}), **options}
    rate = fit.model.discount_rate if fit and discount_rate is None else wanted.discount_rate
    check_infinite(horizon, rate, interval, "outcome")
    worth = margin if margin is not None else fit.model.margin if fit else 1.0
    options["attributes"] = named_attributes(options, attribute, by, margin_attribute(worth))
    check_named(options, ("customer", "start", "value"), "the columns of the records")
    progress("Read the contracts")
    options["timing"] = fit.model.timing if fit else wanted.timing
    contracts = Subscriptions(source, **options)
    check_names(source, options, file, "the file of the records")
    unit = fit.origin.unit if fit else unit or "month"
    durations = contracts.durations(unit=unit, until=until, since=since)
    if oldest is not None:
        check_age("the last start or end", durations.source.end, oldest, max_age)
    active = durations.active
    if horizon is not None:
        horizon_days(horizon, unit=unit, observation_end=durations.observation_end)
    margins(worth, active)
    memberships(active, by)
    if fit is None:
        if survival is None and len(durations.periods) > 1:
            wanted = ContractualCLV(Weibull(), **valuation, **given(timing=timing))
        progress(f"Fit {wanted.survival} to {counted(len(durations), 'contract')}")
        fit = wanted.fit(durations, method=method or "laplace", seed=seed)
    asked: dict[str, Any] = {"horizon": horizon, "interval": interval, "seed": seed, **valuation}
    return predicted(fit, durations, asked, by, file, save, overwrite=overwrite, progress=progress)


def check(
    model: str | Path,
    source: Source,
    *,
    value: str | None = None,
    attribute: str | Sequence[str] | None = None,
    by: str | None = None,
    until: Day | None = None,
    interval: float = 0.9,
    seed: int | None = None,
    progress: Progress = silent,
    **records: Unpack[RecordOptions],
) -> Check:
    """Whether what happened since a saved fit of contracts is what it expected: `clvmodels.check`.

    Parameters
    ----------
    model : str or Path
        The saved fit, of ContractualCLV or of a model of how long contracts last.
    source, value, **records
        Newer records that hold the old ones, too, as for `clvmodels.Subscriptions`. What is not given is as in the
        records that were fitted.
    attribute, by, interval, seed, progress
        As for `clvmodels.workflow.check`.
    until : date, optional
        Last day observed; default: the last start or end that is not in the future.

    Raises
    ------
    DataError
        If the records or the saved fit cannot be read, or nothing has been observed since.
    ValueError
        If an option is not understood.
    """
    progress(f"Load {model}")
    fit = load(model)
    if not isinstance(fit, ContractualCLVFit | ContractFit):
        raise DataError(f"{model} holds a fit of {type(fit.model).__name__}, not one of contracts that can be checked")
    options = {**(fit.origin.log or {}), **given(value=value, **records)}
    options["attributes"] = named_attributes(options, attribute, by)
    check_named(options, ("customer", "start"), "the columns of the records")
    progress("Read the contracts")
    contracts = Subscriptions(source, **options)
    progress(f"Check {counted(fit.origin.customers, 'contract')}")
    return check_fit(fit, contracts, until=until, interval=interval, by=by, seed=seed)


def backtest(
    source: Source,
    *,
    cutoff: str | Sequence[str],
    horizon: str | Sequence[str],
    value: str | None = None,
    attribute: str | Sequence[str] | None = None,
    by: str | None = None,
    unit: str | None = None,
    until: Day | None = None,
    since: Day | None = None,
    timing: Timing | None = None,
    model: str | Sequence[str] | None = None,
    baseline: str | None = None,
    method: Method | None = None,
    interval: float = 0.9,
    jobs: int = 1,
    output: str | Path = "backtest",
    overwrite: bool = False,
    seed: int | None = None,
    progress: Progress = silent,
    **records: Unpack[RecordOptions],
) -> Backtested:
    """Hold models of contracts against each other on periods that they have not seen: `clvmodels.backtest`.

    Parameters
    ----------
    source, value, **records
        As for `clvmodels.Subscriptions`. Without a value it is scored who stays, and no revenue.
    cutoff, horizon, attribute, by, method, interval, jobs, output, overwrite, seed, progress
        As for `clvmodels.workflow.backtest`.
    unit : {"day", "week", "month", "year"}, default "month"
        Unit of time of the fits.
    until, since : date, optional
        Last day observed, and first, as for `Subscriptions.durations`.
    timing : {"start", "end"}, default "start"
        When a period is paid.
    model : str or sequence of str, optional
        "simple", "kaplan-meier" and those of `MODELS`; default: `CONTRACT_DEFAULT`.
    baseline : str, optional
        The one of them that the others are compared with; default: the first.

    Raises
    ------
    DataError
        If the records cannot be read, a window is not observed whole, or no model could be fitted anywhere.
    ValueError
        If an option is not understood.
    OSError
        If the files exist and are not to be replaced, or cannot be written.
    """
    kinds = {"kaplan-meier": KaplanMeier, **MODELS}
    known: dict[str, Any] = {"simple": SimpleCLV(), **{name: kind() for name, kind in kinds.items()}}
    if value is not None:
        known |= {name: ContractualCLV(known[name], **given(timing=timing)) for name in kinds}
    models = chosen_models(known, model, CONTRACT_DEFAULT, baseline)
    files = checked_folder(output, overwrite=overwrite)
    options = given(value=value, timing=timing, **records)
    options["attributes"] = named_attributes(options, attribute, segment_column(by))
    check_named(options, ("customer", "start"), "the columns of the records", saved=False)
    progress("Read the contracts")
    contracts = Subscriptions(source, **options)
    asked: dict[str, Any] = {"cutoffs": cutoffs_of(cutoff), "horizon": horizon, "by": by, "unit": unit, "until": until}
    asked |= {"since": since, "method": method, "interval": interval, "jobs": jobs, "seed": seed}
    return backtested(models, contracts, asked, baseline, files, progress)


def _loaded(path: str | Path) -> ContractualCLVFit:
    fit = load(path)
    if not isinstance(fit, ContractualCLVFit):
        raise DataError(f"{path} holds a fit of {type(fit.model).__name__}, not one of ContractualCLV")
    return fit
