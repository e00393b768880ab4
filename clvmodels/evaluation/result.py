"""What a backtest found: tables, groups, weeks, pictures and the comparison of the models."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvmodels import time
from clvmodels.data.transactions import Day, Split
from clvmodels.errors import DataError, DataWarning, counted, examples
from clvmodels.evaluation import groups, metrics
from clvmodels.evaluation.comparison import Comparison, compared
from clvmodels.evaluation.scored import KNOWN, NEW, TARGETS, Scored
from clvmodels.evaluation.tracking import tracked
from clvmodels.evaluation.windows import Window
from clvmodels.models.base import check_kind

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PLOTS = ("tracking", "cumulative", "calibration", "frequency", "pit", "lift", "differences")
CONTRACT_PLOTS = ("calibration", "tenure", "pit", "lift", "differences")
# What tells the rows of the tables apart, beside the segment.
_KEY = ("model", "cutoff", "horizon", "customers", "target")


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
            `clvmodels.evaluation.metrics`, and for errors their ratio to those of simple predictions (`rmse_to_zero`);
            before them the totals, after them the coverage that the model itself gives its intervals.
        """
        parts = [score.metrics.assign(**{name: getattr(score, name) for name in _KEY}) for score in self.scores]
        columns = [*_KEY[:-1], "segment", _KEY[-1], "metric", "value", "se"]
        return pd.concat(parts, ignore_index=True)[columns]

    @property
    def predictions(self) -> pd.DataFrame:
        """What was predicted and what happened, one row per customer, model, cutoff, horizon and target."""
        parts = []
        for score in self.scores:
            key = {name: getattr(score, name) for name in _KEY}
            frame = score.frame.rename_axis("customer").reset_index()
            parts.append(frame.assign(**key)[[*key, *frame.columns]])
        return pd.concat(parts, ignore_index=True)

    def groups(self, by: groups.GroupBy = "decile", customers: str = KNOWN) -> pd.DataFrame:
        """Predicted against actual by decile of the prediction, by frequency or recency before the cutoff, by segment.

        Parameters
        ----------
        by : {"decile", "frequency", "recency", "tenure", "segment"}
            Contracts have `tenure` in place of frequency and recency.
        customers : {"known", "new"}
            Of new ones nothing was known before, so that they have deciles only.

        Returns
        -------
        DataFrame
            `model`, `cutoff`, `horizon`, `target`, `group`, `customers`; `predicted` and `actual`, means of a customer;
            and, where the model gives intervals, `coverage`, `implied` (what the model itself gives them: of counts it
            is more than what was asked for) and `width`.
        """
        if customers not in (KNOWN, NEW):
            raise ValueError(f"customers must be {KNOWN!r} or {NEW!r}; got {customers!r}")
        chosen = [score for score in self.scores if score.customers == customers]
        if not chosen:
            raise ValueError(f"no model predicts {customers!r} customers here")
        return pd.concat([groups.grouped(score, by) for score in chosen], ignore_index=True)

    def tracking(self, models: str | Sequence[str] | None = None, cutoff: Day | None = None) -> pd.DataFrame:
        """Repeat transactions of the customers known at a cutoff, week by week, before and after it.

        Parameters
        ----------
        models : str or list of str, optional
            Those that predict transactions and were fitted there, if not given. One that cannot predict so many weeks
            is left out with a warning.
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
        found, problems = {}, []
        for name in dict.fromkeys(score.model for score in self._known("transactions", models, day)):
            try:
                found[name] = tracked(self.fits[name, day], window.split, self.interval, self.seed)
            except Exception as problem:  # any model may be given, and one that fails must not end the others
                problems.append(f"{name} cannot be followed week by week and is left out: {with_kind(problem)}")
        if not found:
            raise DataError("; ".join(problems))
        for sentence in problems:
            warnings.warn(sentence, DataWarning, stacklevel=2)
        return pd.concat(found, names=["model"]).reset_index("model").reset_index(drop=True)

    def pit(
        self, target: str | None = None, models: str | Sequence[str] | None = None, cutoff: Day | None = None
    ) -> dict[str, NDArray[np.float64]]:
        """Randomised PIT of each model with a distribution, all horizons together, and all cutoffs if none is given.

        Parameters
        ----------
        target : {"transactions", "revenue"}, optional
            The first of them that is there, if not given: whether a contract is retained has a probability, and no
            distribution that an outcome could have a place in.
        models, cutoff : optional
            As in `tracking`.
        """
        if target is None:
            target = next((name for name in TARGETS if name in self._targets() and name != "retained"), "retained")
        if target == "retained":
            raise ValueError("a PIT is of transactions or revenue; for 'retained' see plot('calibration')")
        found: dict[str, list[NDArray[np.float64]]] = {}
        for score in self._known(target, models, None if cutoff is None else self._cutoff(cutoff)):
            if score.has_distribution:
                found.setdefault(score.model, []).append(score.frame["pit"].dropna().to_numpy())
        return {model: np.concatenate(parts) for model, parts in found.items()}

    def lift(
        self, target: str | None = None, models: str | Sequence[str] | None = None, cutoff: Day | None = None
    ) -> pd.DataFrame:
        """Share of the outcome held by a share of the customers, highest predictions first: one curve per model.

        Of several cutoffs the last, if none is given; of several horizons the first.
        """
        parts = []
        shown = self._one(target, models, cutoff)
        for score in shown:
            frame = score.frame.dropna(subset=["actual", "mean"])
            share, held = metrics.lift_curve(frame["actual"], frame["mean"])
            parts.append(pd.DataFrame({"model": score.model, "share_of_customers": share, "share_of_outcome": held}))
        actual = shown[0].frame["actual"].dropna()
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
            failed = self.failures[self.failures["model"] == name]
            raise DataError(
                f"{name} was fitted and scored nowhere, so there is nothing to compare with: {reasons(failed)}"
            )
        return compared(known, name, self.interval, self.seed, self.models)

    def plot(
        self,
        kind: str = "calibration",
        *,
        target: str | None = None,
        models: str | Sequence[str] | None = None,
        cutoff: Day | None = None,
        baseline: str | None = None,
        ax: Axes | None = None,
    ) -> Axes:
        """A picture.

        Parameters
        ----------
        kind : {"tracking", "cumulative", "calibration", "frequency", "pit", "lift", "differences"}
            Transactions by week, or their running sum, over the longest horizon; predicted against actual by decile; by
            frequency before the cutoff; randomised PIT; lift; differences from the baseline. Of contracts "tenure" is
            in place of the frequency, and there are no weeks. Of several cutoffs the last is shown, of several horizons
            the first; of the PIT all together, if no cutoff is given, and of the differences always.
        target : str, optional
            Default: the first of "transactions", "retained" and "revenue" that is there; of the PIT the first that is
            not "retained"; of the differences all.
        models : str or list of str, optional
            All, if not given.
        cutoff : date, optional
        baseline : str, optional
            Of the differences: as in `compare`.

        Raises
        ------
        ValueError
            If the kind, or what is asked of it, is not there.
        """
        from clvmodels.plots import evaluation as plots

        shop = isinstance(self.windows[0][0].split, Split)
        check_kind(kind, *(PLOTS if shop else CONTRACT_PLOTS))
        if baseline is not None and kind != "differences":
            raise ValueError(f"a plot of kind {kind!r} has no baseline: 'differences' has one")
        given: dict[str, Any] = {"models": self.models, "ax": ax}  # in every picture a model has its own colour
        if kind in ("tracking", "cumulative"):
            if target not in (None, "transactions"):
                raise ValueError(f"a plot of kind {kind!r} counts transactions; there is none of {target!r}")
            draw = plots.tracking if kind == "tracking" else plots.tracking_cumulative
            return draw(self.tracking(models, cutoff), interval=self.interval, **given)
        if kind == "pit":
            return plots.pit(self.pit(target, models, cutoff), **given)
        if kind == "lift":
            return plots.lift(self.lift(target, models, cutoff), **given)
        if kind == "differences":
            if cutoff is not None:
                raise ValueError("a plot of kind 'differences' is of all cutoffs together: leave cutoff out")
            return plots.differences(
                self._differences(target, models, baseline), baseline=baseline or self.models[0], **given
            )
        by: Any = "decile" if kind == "calibration" else kind
        frame = pd.concat([groups.grouped(score, by) for score in self._one(target, models, cutoff)], ignore_index=True)
        if kind == "calibration":
            return plots.calibration(frame, **given)
        return plots.by_frequency(frame, **given) if shop else plots.by_tenure(frame, **given)

    def _differences(
        self, target: str | None, models: str | Sequence[str] | None, baseline: str | None
    ) -> pd.DataFrame:
        """The table of the comparison with a baseline, of one target and some models."""
        table = self.compare(baseline).table
        if target is not None:
            self._known(target)
            table = table[table["target"] == target]
        return table[table["model"].isin(self._chosen(models))]

    def _targets(self) -> list[str]:
        present = {score.target for score in self.scores}
        return [target for target in TARGETS if target in present]

    def _chosen(self, models: str | Sequence[str] | None) -> list[str]:
        """Names of models, all if not given."""
        names = self.models if models is None else [models] if isinstance(models, str) else list(models)
        if unknown := [name for name in names if name not in self.models]:
            raise ValueError(f"there is no model {unknown[0]!r}; choose one of {', '.join(map(repr, self.models))}")
        return names

    def _known(
        self, target: str, models: str | Sequence[str] | None = None, cutoff: pd.Timestamp | None = None
    ) -> list[Scored]:
        """The scores of a target for the customers known; every model that was asked for by name has some."""
        if target not in self._targets():
            raise ValueError(f"there is no {target!r} here; choose one of {', '.join(map(repr, self._targets()))}")
        found = [
            score
            for score in self.scores
            if score.customers == KNOWN and score.target == target and cutoff in (None, score.cutoff)
        ]
        names, there = self._chosen(models), list(dict.fromkeys(score.model for score in found))
        missing = [] if models is None else [name for name in names if name not in there]
        if missing or not there:
            whom = examples(map(repr, missing)) if missing else "no model"
            at = "" if cutoff is None else f" at {cutoff:%Y-%m-%d}"
            rest = f"; choose one of {', '.join(map(repr, there))}" if there else ""
            raise ValueError(
                f"{whom} predicts no {target}{at}{rest}".replace("no model predicts no", "no model predicts")
            )
        return [score for score in found if score.model in names]

    def _one(self, target: str | None, models: str | Sequence[str] | None, cutoff: Day | None) -> list[Scored]:
        """The scores of a target at a cutoff, the last if not given, and the first horizon."""
        target = target or self._targets()[0]
        last = max(score.cutoff for score in self._known(target)) if cutoff is None else self._cutoff(cutoff)
        first = self.windows[0][0].horizon
        found = [score for score in self._known(target, models, last) if score.horizon == first]
        if not found:
            raise ValueError(f"no model was scored {first} after {last:%Y-%m-%d}")
        return found

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


def with_kind(problem: Exception) -> str:
    """What went wrong, with its kind."""
    return f"{type(problem).__name__}: {problem}"


def reasons(failures: pd.DataFrame) -> str:
    """Who failed and why, each reason once."""
    told = list(dict.fromkeys(f"{row.model}: {row.reason}" for row in failures.itertuples()))
    return "; ".join([*told[:3], *(["..."] if len(told) > 3 else [])])
