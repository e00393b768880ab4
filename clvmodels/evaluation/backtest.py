"""Backtest: any models against each other on periods that they have not seen."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvmodels import time
from clvmodels.data.subscriptions import Subscriptions
from clvmodels.data.transactions import Day, Split, Transactions
from clvmodels.draws import check_interval, check_seed, generator, new_seed
from clvmodels.errors import DataError, DataWarning, counted, examples
from clvmodels.evaluation import groups, metrics
from clvmodels.evaluation.comparison import Comparison, compared
from clvmodels.evaluation.scored import KNOWN, TARGETS, Scored, accepted, scored
from clvmodels.evaluation.tracking import tracked
from clvmodels.evaluation.windows import Cutoffs, Data, Window, windows
from clvmodels.models.base import Method, Specification, check_kind
from clvmodels.time import Horizon

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PLOTS = ("tracking", "cumulative", "calibration", "frequency", "pit", "lift", "differences")


@dataclass(frozen=True, eq=False)
class Backtest:
    """Predictions of held-out periods beside what happened.

    Attributes
    ----------
    scores : list of Scored
        One for each model, cutoff, horizon, group of customers and target.
    windows : list of list of Window
        The cutoffs in the order of time, each with its horizons.
    fits : dict
        By model and cutoff, as ``result.fits["SimpleCLV", cutoff]``.
    failures : DataFrame
        `model`, `cutoff`, `reason`.
    warnings : DataFrame
        What the fits and predictions warned of: `model`, `cutoff`, `warning`.
    models : list of str
        Their names, in the order given.
    interval : float
    seed : int
    """

    scores: list[Scored] = field(repr=False)
    windows: list[list[Window]] = field(repr=False)
    fits: dict[tuple[str, pd.Timestamp], Any] = field(repr=False)
    failures: pd.DataFrame
    warnings: pd.DataFrame
    models: list[str]
    interval: float
    seed: int

    @functools.cached_property
    def table(self) -> pd.DataFrame:
        """All metrics, tidy.

        Returns
        -------
        DataFrame
            `model`, `cutoff`, `horizon`, `customers` ("known" at the cutoff, or "new": acquired within the horizon,
            from the day that each came), `segment` ("all", or a value of `by`), `target`, `metric`, `value` and `se`,
            its standard error over customers (by the jackknife, where the metric is no average). Metrics:
            `clvmodels.evaluation.metrics`; before them the totals, and after them those of `relative`.
        """
        rows = []
        for score in self.scores:
            segments = score.totals.index[:-1]
            for segment in (None, *segments):
                key = {
                    "model": score.model,
                    "cutoff": score.cutoff,
                    "horizon": score.horizon,
                    "customers": score.customers,
                    "segment": "all" if segment is None else segment,
                    "target": score.target,
                }
                rows += [key | row for row in score.rows(segment)]
        return pd.DataFrame(rows, columns=[*_KEY, "metric", "value", "se"])

    @property
    def predictions(self) -> pd.DataFrame:
        """What was predicted and what happened, one row per customer, model, cutoff, horizon and target."""
        parts = []
        for score in self.scores:
            key = {name: getattr(score, name) for name in ("model", "cutoff", "horizon", "customers", "target")}
            frame = score.frame.rename_axis("customer").reset_index()
            parts.append(frame.assign(**key)[[*key, *frame.columns]])
        return pd.concat(parts, ignore_index=True)

    def groups(self, by: groups.GroupBy = "decile", customers: str = KNOWN) -> pd.DataFrame:
        """Predicted against actual by decile of the prediction, by frequency or recency before the cutoff, by segment.

        Returns
        -------
        DataFrame
            `model`, `cutoff`, `horizon`, `target`, `group`, `customers`; `predicted` and `actual`, means of a customer;
            and, where the model gives intervals, `coverage`, `implied` (what the model itself gives them: of counts it
            is more than what was asked for) and `width`. Contracts have `tenure` in place of frequency and recency.
        """
        return pd.concat(
            [groups.grouped(score, by) for score in self.scores if score.customers == customers], ignore_index=True
        )

    def tracking(self, models: Sequence[str] | None = None, cutoff: Day | None = None) -> pd.DataFrame:
        """Repeat transactions of the customers known at a cutoff, week by week, before and after it.

        Parameters
        ----------
        models : list of str, optional
            Those that predict transactions and were fitted there, if not given.
        cutoff : date, optional
            The last, if not given.

        Returns
        -------
        DataFrame
            `model`, and as `clvmodels.evaluation.tracking.tracked` gives it over the longest horizon.
        """
        day = self._cutoff(cutoff)
        window = max(next(at for at in self.windows if at[0].split.cutoff == day), key=lambda at: at.split.horizon_days)
        if not isinstance(window.split, Split):
            raise DataError("tracking counts repeat transactions, which contracts do not have")
        known = [score.model for score in self._known("transactions") if score.cutoff == day]
        names = list(dict.fromkeys(known)) if models is None else list(models)
        if unknown := [name for name in names if name not in known]:
            raise ValueError(
                f"{examples(map(repr, unknown))} predicts no transactions at {day:%Y-%m-%d}; choose of "
                f"{', '.join(map(repr, dict.fromkeys(known)))}"
            )
        found = {name: tracked(self.fits[name, day], window.split, self.interval, self.seed) for name in names}
        return pd.concat(found, names=["model"]).reset_index("model").reset_index(drop=True)

    def pit(self, target: str = "transactions") -> dict[str, NDArray[np.float64]]:
        """Randomised PIT of each model with a distribution, all cutoffs and horizons together."""
        found: dict[str, list[NDArray[np.float64]]] = {}
        for score in self._known(target):
            if score.has_distribution:
                rng = generator(self.seed, "pit", f"{score.cutoff:%Y-%m-%d}")
                frame = score.frame.dropna(subset=["actual", "below"])
                found.setdefault(score.model, []).append(metrics.pit(frame["below"], frame["upto"], rng))
        return {model: np.concatenate(parts) for model, parts in found.items()}

    def lift(self, target: str | None = None) -> pd.DataFrame:
        """Share of the outcome held by a share of the customers, highest predictions first: one curve per model.

        Of several cutoffs and horizons, the last and the first.
        """
        target = target or self._target()
        parts = []
        for score in self._one(target):
            frame = score.frame.dropna(subset=["actual", "mean"])
            share, held = metrics.lift_curve(frame["actual"], frame["mean"])
            parts.append(pd.DataFrame({"model": score.model, "share_of_customers": share, "share_of_outcome": held}))
        actual = self._one(target)[0].frame["actual"].dropna()
        share, held = metrics.lift_curve(actual, actual)
        parts.append(pd.DataFrame({"model": "perfect", "share_of_customers": share, "share_of_outcome": held}))
        return pd.concat(parts, ignore_index=True)

    def compare(self, baseline: str | None = None) -> Comparison:
        """Each model against a baseline, with a verdict in words.

        Parameters
        ----------
        baseline : str, optional
            The name of a model; the first, if not given.
        """
        name = self.models[0] if baseline is None else baseline
        if name not in self.models:
            raise ValueError(f"there is no model {name!r}; choose one of {', '.join(map(repr, self.models))}")
        known = [score for score in self.scores if score.customers == KNOWN]
        if not any(score.model == name for score in known):
            raise DataError(f"{name} was fitted nowhere, so there is nothing to compare with: see failures")
        return compared(known, name, self.interval, self.seed, self.models)

    def plot(
        self,
        kind: str = "calibration",
        *,
        target: str | None = None,
        models: Sequence[str] | None = None,
        cutoff: Day | None = None,
        baseline: str | None = None,
        ax: Axes | None = None,
    ) -> Axes:
        """A picture.

        Parameters
        ----------
        kind : {"tracking", "cumulative", "calibration", "frequency", "pit", "lift", "differences"}
            Transactions by week, or their running sum; predicted against actual by decile; by frequency before the
            cutoff; randomised PIT; lift; differences from the baseline. Of several cutoffs the last is shown, of
            several horizons the first; of the PIT and the differences all together.
        target : str, optional
            Default: "transactions", of contracts "retained".
        models, cutoff : optional
            As in `tracking`.
        baseline : str, optional
            As in `compare`.
        """
        from clvmodels.plots import evaluation as plots

        check_kind(kind, *PLOTS)
        target = target or self._target()
        given: dict[str, Any] = {"models": self.models, "ax": ax}  # in every picture a model has its own colour
        if kind == "tracking":
            return plots.tracking(self.tracking(models, cutoff), interval=self.interval, **given)
        if kind == "cumulative":
            return plots.tracking_cumulative(self.tracking(models, cutoff), interval=self.interval, **given)
        if kind == "pit":
            return plots.pit(self.pit(target), **given)
        if kind == "lift":
            return plots.lift(self.lift(target), **given)
        if kind == "differences":
            return plots.differences(self.compare(baseline).table, baseline=baseline or self.models[0], **given)
        by: groups.GroupBy = "decile" if kind == "calibration" else "frequency"
        frame = pd.concat([groups.grouped(score, by) for score in self._one(target)], ignore_index=True)
        return plots.calibration(frame, **given) if kind == "calibration" else plots.by_frequency(frame, **given)

    def _target(self) -> str:
        present = {score.target for score in self.scores}
        return next(target for target in TARGETS if target in present)

    def _known(self, target: str) -> list[Scored]:
        found = [score for score in self.scores if score.customers == KNOWN and score.target == target]
        if not found:
            raise ValueError(
                f"there is no {target!r} here; choose one of {examples(sorted({s.target for s in self.scores}))}"
            )
        return found

    def _one(self, target: str) -> list[Scored]:
        """The scores of a target at the last cutoff and the first horizon."""
        known = self._known(target)
        last, first = max(score.cutoff for score in known), known[0].horizon
        return [score for score in known if score.cutoff == last and score.horizon == first]

    def _cutoff(self, cutoff: Day | None) -> pd.Timestamp:
        days = [at[0].split.cutoff for at in self.windows]
        wanted = days[-1] if cutoff is None else time.day(cutoff, "cutoff")
        if wanted not in days:
            raise ValueError(
                f"there is no cutoff {wanted:%Y-%m-%d}; choose one of {examples(f'{d:%Y-%m-%d}' for d in days)}"
            )
        return wanted

    def __repr__(self) -> str:
        cutoffs = [at[0].split.cutoff for at in self.windows]
        horizons = ", ".join(one.horizon for one in self.windows[0])
        days = f"{cutoffs[0]:%Y-%m-%d}" + (f" to {cutoffs[-1]:%Y-%m-%d}" if len(cutoffs) > 1 else "")
        what = f"{counted(len(self.models), 'model')} at {counted(len(cutoffs), 'cutoff')} ({days})"
        lines = [f"Backtest of {what}, {horizons} ahead; seed {self.seed}"]
        if len(self.failures):
            some = examples(f"{row.model} at {row.cutoff:%Y-%m-%d}" for row in self.failures.itertuples())
            lines.append(f"{counted(len(self.failures), 'failure')}: {some}: see failures")
        if len(self.warnings):
            lines.append(f"{counted(len(self.warnings), 'warning')}: see warnings")
        return "\n".join(lines)


_KEY = ("model", "cutoff", "horizon", "customers", "segment", "target")


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
    method : {"ml", "map", "laplace"}, optional
        Of the fits that have one; each model's default if not given.
    interval : float
        Coverage of the predictive intervals.
    by : str, optional
        An attribute of the data, or "acquisition month", "acquisition quarter", "acquisition year": the metrics are
        told for each of its values, too.
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
    if isinstance(jobs, bool) or not isinstance(jobs, (int, np.integer)) or jobs < 1:
        raise ValueError(f"jobs must be a whole number, 1 or more; got {jobs!r}")
    seed = new_seed() if seed is None else check_seed(seed)
    horizons = [horizon] if isinstance(horizon, str) or not isinstance(horizon, Sequence) else list(horizon)
    if not horizons:
        raise ValueError('horizon must name a length of time at least, such as "39 weeks"')
    with _listening() as heard:
        heard.sentences = {}
        found = windows(data, cutoffs, horizons, by, unit, until=until, since=since)
        of_data = list(heard.sentences)
    tasks = [(name, model, at) for at in found for name, model in named.items()]
    with _listening() as heard, _bar(len(tasks), progress) as tick:

        def run(task: tuple[str, Any, list[Window]]) -> _Run:
            heard.sentences = {}
            done = _run(*task, method, interval, seed)
            tick()
            return dataclasses.replace(done, warnings=list(heard.sentences))

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
    made = {
        name: pd.DataFrame(
            [(run.model, run.cutoff, sentence) for run in runs for sentence in getattr(run, name)],
            columns=["model", "cutoff", name.removesuffix("s").replace("failure", "reason")],
        )
        for name in ("failures", "warnings")
    }
    scores = [score for run in runs for score in run.scores]
    if not scores:
        reasons = examples(dict.fromkeys(made["failures"]["reason"]), width=200)
        raise DataError(f"no model could be fitted and scored at any cutoff: {reasons}")
    return Backtest(
        scores=scores,
        windows=found,
        fits={(run.model, run.cutoff): run.fit for run in runs if run.fit is not None},
        failures=made["failures"],
        warnings=made["warnings"],
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
        failures.append(f"{type(problem).__name__}: {problem}")
    return _Run(name, split.cutoff, fit, scores, failures)


def _named(models: Sequence[Any] | Mapping[str, Any]) -> dict[str, Any]:
    """The models by name: that of a class, of parts, with a number where it is not the first of its name."""
    if isinstance(models, Mapping):
        named = dict(models)
    else:
        named = {}
        for model in models if isinstance(models, Sequence) else [models]:
            name = str(model) if isinstance(model, Specification) else type(model).__name__
            number = sum(known == name or known.startswith(f"{name} (") for known in named)
            named[f"{name} ({number + 1})" if number else name] = model
    if not named:
        raise ValueError("backtest needs a model at least, such as [SimpleCLV()]")
    for name, model in named.items():
        if not hasattr(model, "fit"):
            raise ValueError(f"{name} is no model: it has no fit()")
    return named


@contextlib.contextmanager
def _listening() -> Iterator[threading.local]:
    """Warnings are heard by the thread in which they are given: its `sentences`, each once."""
    heard = threading.local()

    def hear(message: Warning | str, *_: Any, **__: Any) -> None:
        heard.sentences[str(message)] = True

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        for passing in (DeprecationWarning, PendingDeprecationWarning, FutureWarning):
            warnings.simplefilter("ignore", passing)
        warnings.showwarning = hear
        yield heard


@contextlib.contextmanager
def _bar(total: int, shown: bool) -> Iterator[Callable[[], None]]:
    """A progress bar on a terminal or in a notebook; what it yields is called after each step."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not (shown and console.is_terminal)) as progress:
        task = progress.add_task("backtest", total=total)
        yield lambda: progress.advance(task)
