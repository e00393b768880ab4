"""Backtest: any models against each other on periods that they have not seen."""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from clvmodels.data.subscriptions import Subscriptions
from clvmodels.data.transactions import Day, Transactions
from clvmodels.draws import check_interval, check_seed, new_seed
from clvmodels.errors import DataError, DataWarning, recorded
from clvmodels.evaluation.result import Backtest, reasons, with_kind
from clvmodels.evaluation.scored import Scored, accepted, scored
from clvmodels.evaluation.windows import Cutoffs, Data, Window, windows
from clvmodels.models.base import METHODS, Method, Specification
from clvmodels.time import Horizon

_TO_PROGRAMMERS = (DeprecationWarning, PendingDeprecationWarning, FutureWarning)


def backtest(
    models: Sequence[Any] | Mapping[str, Any],
    data: Data,
    cutoffs: Cutoffs,
    horizon: Horizon | Sequence[Horizon],
    method: Method | None = None,
    interval: float = 0.9,
    by: str | None = None,
    jobs: int = 1,
    seed: int | None = None,
    *,
    unit: str | None = None,
    until: Day | None = None,
    since: Day | None = None,
    progress: bool = True,
) -> Backtest:
    """Fit each model on the past of each cutoff only, predict everybody known then, and join what happened.

    Scored are `transactions` and `revenue` of a shop, `retained` and `revenue` of contracts: gross and undiscounted.
    Margin and discount are valuation, about which the future says nothing.

    Parameters
    ----------
    models : list, or mapping of str to model
        Anything with `fit(data)` whose result has `predict(data, horizon=)`: a table of one row per customer with
        `expected_transactions` or `p_retained`, or `expected_revenue`. What it may have besides is said in the README.
    data : Transactions or Subscriptions
    cutoffs : date, list of dates, or str
        Last days of the past; or as ``"4 every 13 weeks"``: the last one so that the longest horizon is just observed,
        the others before it.
    horizon : str, number, date, timedelta, or a list of these
        How far to predict. Each must have been observed whole after each cutoff.
    method : {"ml", "map", "laplace", "mcmc"}, optional
        Of the fits that take one; each model's default if not given.
    interval : float
        Coverage of the predictive intervals.
    by : str, optional
        An attribute of the data, or "acquisition month", "acquisition quarter", "acquisition year": the metrics are
        told for each of its values, too; of customers acquired within the horizon for all together only.
    jobs : int
        How many fits run at once, in threads.
    seed : int, optional
        Of all draws; drawn if not given, and kept. All models are given the same, so that two copies of one model are
        equal.
    unit : {"day", "week", "month", "year"}, optional
        Of the fits; default: week for a shop, month for contracts.
    until, since : date, optional
        Last day observed, from which cutoffs are counted back; of contracts also the first, as for
        `Subscriptions.split`.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Backtest

    Raises
    ------
    DataError
        If a window is not observed whole, or no model could be fitted anywhere.
    """
    named = _named(models)
    if not isinstance(data, (Transactions, Subscriptions)):
        raise DataError(f"backtest needs Transactions or Subscriptions to cut in two, not a {type(data).__name__}")
    check_interval(interval)
    if method not in (None, *METHODS):
        raise ValueError(f"method must be one of {', '.join(map(repr, METHODS))}; got {method!r}")
    if isinstance(jobs, bool) or not isinstance(jobs, (int, np.integer)) or jobs < 1:
        raise ValueError(f"jobs must be a whole number, 1 or more; got {jobs!r}")
    seed = new_seed() if seed is None else check_seed(seed)
    horizons = [horizon] if isinstance(horizon, str) or not isinstance(horizon, Sequence) else list(horizon)
    if not horizons:
        raise ValueError('horizon must name a length of time at least, such as "39 weeks"')
    with recorded() as given:
        found = windows(data, cutoffs, horizons, by, unit, until=until, since=since)
    of_data = _sentences(given)
    tasks = [(name, model, at) for at in found for name, model in named.items()]
    with recorded(), _bar(len(tasks), progress) as tick:  # the recorders of the threads are within this one

        def run(task: tuple[str, Any, list[Window]]) -> _Run:
            with recorded() as given:
                done = _run(*task, method, interval, seed)
            tick()
            return dataclasses.replace(done, warnings=_sentences(given))

        if jobs == 1:
            runs = [run(task) for task in tasks]
        else:
            with ThreadPoolExecutor(jobs) as pool:
                runs = list(pool.map(run, tasks))
    if of_data:
        warnings.warn(
            f"of the data, at one cutoff or another: {'; '.join(of_data[:3])}"
            + (f"; and {len(of_data) - 3} more: see audit()" if len(of_data) > 3 else ""),
            DataWarning,
            stacklevel=2,
        )
    failures = pd.DataFrame(
        [(run.model, run.cutoff, reason) for run in runs for reason in run.failures],
        columns=["model", "cutoff", "reason"],
    )
    warned = pd.DataFrame(
        [(run.model, run.cutoff, sentence) for run in runs for sentence in run.warnings],
        columns=["model", "cutoff", "warning"],
    )
    scores = [score for run in runs for score in run.scores]
    if not scores:
        raise DataError(f"no model could be fitted and scored at any cutoff: {reasons(failures)}")
    return Backtest(
        scores=scores,
        windows=found,
        fits={(run.model, run.cutoff): run.fit for run in runs if run.fit is not None},
        failures=failures,
        warnings=warned,
        models=list(named),
        interval=interval,
        seed=seed,
    )


@dataclass(frozen=True)
class _Run:
    """What came of one model at one cutoff."""

    model: str
    cutoff: pd.Timestamp
    fit: Any
    scores: list[Scored]
    failures: list[str]
    warnings: list[str] = field(default_factory=list)


def _run(name: str, model: Any, at: list[Window], method: Method | None, interval: float, seed: int) -> _Run:
    """Fit a model on the past of a cutoff, and score what it says of each horizon; what fails is told."""
    split = at[0].split
    fit, scores, failures = None, [], []
    try:
        fit = model.fit(split.calibration, **accepted(model.fit, method=method, seed=seed))
        for window in at:
            scores += list(scored(name, fit, window, interval, seed))
    except Exception as problem:  # any model may be given, and one that fails must not end the others
        failures.append(with_kind(problem))
    return _Run(name, split.cutoff, fit, scores, failures)


def _named(models: Sequence[Any] | Mapping[str, Any]) -> dict[str, Any]:
    """The models by name: that of a class, of parts, with a number where it is not the first of its name."""
    if isinstance(models, Mapping):
        named = dict(models)
    else:
        named = {}
        for model in models if isinstance(models, Sequence) else [models]:
            kind = model if isinstance(model, type) else type(model)
            name = str(model) if isinstance(model, Specification) else kind.__name__
            number = sum(known == name or known.startswith(f"{name} (") for known in named)
            named[f"{name} ({number + 1})" if number else name] = model
    if not named:
        raise ValueError("backtest needs a model at least, such as [SimpleCLV()]")
    for name, model in named.items():
        if isinstance(model, type):
            raise ValueError(f"{name} is a class, not a model: write {model.__name__}()")
        if not hasattr(model, "fit"):
            raise ValueError(f"{name} is no model: it has no fit()")
    return named


def _sentences(given: list[Warning]) -> list[str]:
    """What was warned of, each once; not what other packages tell their programmers."""
    told = [str(one) for one in given if not isinstance(one, _TO_PROGRAMMERS)]
    return list(dict.fromkeys(told))


@contextlib.contextmanager
def _bar(total: int, shown: bool) -> Iterator[Callable[[], None]]:
    """A progress bar on a terminal or in a notebook; what it yields is called after each step."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not (shown and console.is_terminal)) as progress:
        task = progress.add_task("backtest", total=total)
        yield lambda: progress.advance(task)
