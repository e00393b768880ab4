"""Comparison: paired differences between models, and a verdict in words that may be no."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from clvmodels.draws import blocks, generator, summarise
from clvmodels.errors import counted
from clvmodels.evaluation.metrics import (
    CRPS,
    Brier,
    Gini,
    LogLoss,
    PoissonDeviance,
    SquaredError,
    TweedieDeviance,
)
from clvmodels.evaluation.scored import Scored
from clvmodels.evaluation.windows import apart

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SAME = "not distinguishable"
WINDOWS = 8  # so many that do not overlap, and the spread over them tells how sure the level is
_RESAMPLES = 1000
_NOISE = 0.005  # of a score: on CDNOW those of one model with other seeds and 1,000 draws differ by up to 0.4 %
_RANKED = 400  # resamples of what is no average
_DECIDING = {
    "transactions": (SquaredError(), PoissonDeviance(), CRPS(), Gini()),
    "revenue": (SquaredError(), TweedieDeviance(), CRPS(), Gini()),
    "retained": (Brier(), LogLoss(), Gini()),
}
_WHAT = (
    "Judged by {interval:.0%} intervals of the differences, simultaneous over the metrics of a target, from bootstrap\n"
    "samples of the customers, each at all cutoffs together. They cover which customers were sampled, not shocks of\n"
    "the market that hit all of them. A difference below {noise:.1%} is never told from the noise of draws."
)
_NO_LEVEL = (
    "The total, in per cent too much or too little, has no interval: {windows} without overlap tell too little of\n"
    "how the market moves. Of several cutoffs its range is shown."
)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Each model against a baseline, on the customers known at the cutoffs.

    Attributes
    ----------
    baseline : str
    table : DataFrame
        One row per horizon, target, model and metric: `value`, `baseline_value`, their `difference`, the `lower` and
        `upper` end of its interval, whether "lower" or "higher" is `better`, and the `verdict` ("better", "worse",
        "not distinguishable").
    level : DataFrame
        One row per horizon, target and model: `bias`, the relative error of the total over all cutoffs; its `lowest`
        and `highest` over the `cutoffs`; `apart`, how many windows do not overlap; and, if these are 8 or more, the
        `lower` and `upper` end of its interval.
    interval : float
    verdict : str
        All of it in words.
    """

    baseline: str
    table: pd.DataFrame
    level: pd.DataFrame
    interval: float
    verdict: str

    def plot(self, ax: Axes | None = None) -> Axes:
        """Forest plot of the differences."""
        from clvmodels.plots.evaluation import differences

        return differences(self.table, baseline=self.baseline, ax=ax)

    def __repr__(self) -> str:
        return self.verdict


def compared(scores: Sequence[Scored], baseline: str, interval: float, seed: int) -> Comparison:
    """Compare models by the scores of the same customers at the same cutoffs.

    The difference of two models is that of each customer, and customers are drawn with replacement, each with all that
    belongs to him at all cutoffs.
    """
    rows, levels = [], []
    problems = dict.fromkeys((score.horizon, score.target) for score in scores)
    for horizon, target in problems:
        some = [score for score in scores if (score.horizon, score.target) == (horizon, target)]
        by_model: dict[str, dict[pd.Timestamp, Scored]] = {}
        for score in some:
            by_model.setdefault(score.model, {})[score.cutoff] = score
        for model, at in by_model.items():
            levels.append({"horizon": horizon, "target": target, "model": model, **_level(list(at.values()), interval)})
        base = by_model.pop(baseline, {})
        for model, at in by_model.items():
            pairs = [(at[cutoff], base[cutoff]) for cutoff in at if cutoff in base]
            pairs = [pair for pair in pairs if _both_known(*pair).any()]
            if pairs:
                found = _differences(pairs, interval, seed)
                rows += [{"horizon": horizon, "target": target, "model": model, **row} for row in found]
    table = pd.DataFrame(rows, columns=["horizon", "target", "model", *_COLUMNS])
    level = pd.DataFrame(levels)
    return Comparison(baseline, table, level, interval, _verdict(baseline, table, level, interval, scores))


_COLUMNS = ("metric", "value", "baseline_value", "difference", "lower", "upper", "better", "verdict")


def _differences(pairs: list[tuple[Scored, Scored]], interval: float, seed: int) -> list[dict[str, object]]:
    """Two models at the cutoffs at which both predicted: one row per metric that both have."""
    codes, customers = pd.factorize(np.concatenate([one.frame.index.to_numpy(object) for one, _ in pairs]))
    parts = np.split(codes, np.cumsum([len(one.frame) for one, _ in pairs])[:-1])
    found = []
    deciding = _DECIDING[pairs[0][0].target]
    simultaneous = 1 - (1 - interval) / len(deciding)  # Bonferroni
    for metric in deciding:
        if isinstance(metric, Gini):
            values = _ranked(pairs, metric, parts, len(customers), seed)
        else:
            scores = [(one.scores(metric), other.scores(metric)) for one, other in pairs]
            both = [(one, other) for one, other in scores if one is not None and other is not None]
            if len(both) < len(pairs):
                continue
            values = _averaged(both, codes, len(customers), isinstance(metric, SquaredError), seed)
        (value, other), drawn = values[0], values[1:]
        with np.errstate(invalid="ignore"):
            difference = value - other
            lower, upper = (end.item() for end in summarise((drawn[:, 0] - drawn[:, 1])[:, None], simultaneous))
        if math.isnan(difference) or not math.isfinite(value + other):
            # An infinite score is worse than any other, whatever customers are drawn.
            lower = upper = difference
        lower_is_better = metric.better == "lower"
        found.append(
            {
                "metric": metric.name,
                "value": value,
                "baseline_value": other,
                "difference": difference,
                "lower": lower,
                "upper": upper,
                "better": metric.better,
                "verdict": SAME if _is_noise(value, other) else _word(lower, upper, lower_is_better),
            }
        )
    return found


def _both_known(one: Scored, other: Scored) -> NDArray[np.bool_]:
    """The customers of whom it is known what happened, and both models said something."""
    columns = (one.frame["actual"], one.frame["mean"], other.frame["mean"])
    return ~np.isnan(np.stack([column.to_numpy() for column in columns])).any(axis=0)


def _is_noise(value: float, other: float) -> bool:
    """Whether two fits of one model may differ by as much, by their draws and by where the search for them ended."""
    largest = max(abs(value), abs(other))
    return value == other or (math.isfinite(largest) and abs(value - other) <= _NOISE * largest)


def _word(lower: float, upper: float, lower_is_better: bool) -> str:
    if upper < 0:
        return "better" if lower_is_better else "worse"
    if lower > 0:
        return "worse" if lower_is_better else "better"
    return SAME


def _resamples(customers: int, number: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """How often each customer is drawn, (R, C), block after block: the same for every metric and pair of models."""
    rng = generator(seed, "bootstrap")
    for part in blocks(np.full(number, customers)):
        drawn = rng.integers(customers, size=(part.stop - part.start, customers))
        yield np.stack([np.bincount(row, minlength=customers) for row in drawn]).astype(float)


def _averaged(
    scores: list[tuple[NDArray, NDArray]], codes: NDArray, customers: int, root: bool, seed: int
) -> NDArray[np.float64]:
    """Mean scores of both models, (1 + R, 2): of the customers as they are, then of each resample."""
    one, other = (np.concatenate(parts) for parts in zip(*scores, strict=True))
    known = ~np.isnan(one) & ~np.isnan(other)
    columns = np.stack([np.where(known, one, 0.0), np.where(known, other, 0.0), known.astype(float)])
    sums = np.stack([np.bincount(codes, column, customers) for column in columns], axis=1)
    with np.errstate(invalid="ignore"):  # infinite times zero
        drawn: list[NDArray] = [weights @ sums for weights in _resamples(customers, _RESAMPLES, seed)]
        total = np.concatenate([sums.sum(axis=0, keepdims=True), *drawn])
        means = total[:, :2] / total[:, 2:]
    return np.sqrt(means) if root else means


def _ranked(
    pairs: list[tuple[Scored, Scored]], metric: Gini, parts: list[NDArray], customers: int, seed: int
) -> NDArray[np.float64]:
    """The metric of both models, the mean over cutoffs: of the customers as they are, then of each resample."""
    fed = []
    for pair, part in zip(pairs, parts, strict=True):
        known = _both_known(*pair)
        actual, *means = (pair[0].frame["actual"], *(score.frame["mean"] for score in pair))
        fed.append((part[known], actual.to_numpy()[known], [mean.to_numpy()[known] for mean in means]))

    def values(weights: NDArray) -> NDArray[np.float64]:
        each = [[metric.value(weights[:, part], actual, mean) for mean in means] for part, actual, means in fed]
        return np.asarray(np.mean(each, axis=0).T)

    return np.concatenate([values(np.ones((1, customers))), *map(values, _resamples(customers, _RANKED, seed))])


def _level(scores: list[Scored], interval: float) -> dict[str, float]:
    """Relative error of the total over all cutoffs, and how it differs between them."""
    actual = np.array([score.totals["actual"].iloc[-1] for score in scores])
    predicted = np.array([score.totals["predicted"].iloc[-1] for score in scores])
    with np.errstate(divide="ignore", invalid="ignore"):
        bias, each = predicted.sum() / actual.sum() - 1, predicted / actual - 1
    number = apart([score.cutoff for score in scores], scores[0].days)
    found = {"bias": bias, "lowest": each.min(), "highest": each.max(), "cutoffs": len(each), "apart": number}
    reach = math.nan
    if number >= WINDOWS:
        reach = stats.t.ppf((1 + interval) / 2, number - 1) * each.std(ddof=1) / math.sqrt(number)
    return found | {"lower": each.mean() - reach, "upper": each.mean() + reach}


def _verdict(baseline: str, table: pd.DataFrame, level: pd.DataFrame, interval: float, scores: Sequence[Scored]) -> str:
    """The comparison in words."""
    cutoffs = sorted({score.cutoff for score in scores})
    customers = len(set().union(*(score.frame.index for score in scores)))
    days = f"{cutoffs[0]:%Y-%m-%d}" + (f" to {cutoffs[-1]:%Y-%m-%d}" if len(cutoffs) > 1 else "")
    lines = [f"Against {baseline}: {counted(customers, 'customer')}, {counted(len(cutoffs), 'cutoff')} ({days})"]
    for (horizon, target), levels in level.groupby(["horizon", "target"], sort=False):
        some = table[(table["horizon"] == horizon) & (table["target"] == target)]
        rows, words = {}, []
        for _, row in levels.iterrows():
            theirs = some[some["model"] == row["model"]].set_index("metric")
            # The baseline's numbers are those beside any other model.
            of_baseline = some.groupby("metric", sort=False)["baseline_value"].last()
            numbers = of_baseline if row["model"] == baseline else theirs["value"]
            told = {name: f"{value:.4g}" for name, value in numbers.items()}
            rows[row["model"]] = {"total": _level_told(row), **told}
            words.append("" if row["model"] == baseline else _overall(theirs["verdict"]))
        width = max(map(len, words))
        frame = pd.DataFrame.from_dict(rows, orient="index").fillna("-")
        frame[""] = [word.ljust(width) for word in words]
        lines += ["", f"{target}, {horizon} ahead", *map(str.rstrip, frame.to_string().splitlines())]
    number = int(level["apart"].max())
    lines += ["", _WHAT.format(interval=interval, noise=_NOISE)]
    if number < WINDOWS:
        lines.append(_NO_LEVEL.format(windows=counted(number, "window")))
    return "\n".join(lines)


def _level_told(row: pd.Series) -> str:
    """The relative error of the total; of several cutoffs with its interval or its range."""
    told = f"{row['bias']:+.0%}"
    if not math.isnan(row["lower"]):
        return f"{told} [{row['lower']:+.0%}, {row['upper']:+.0%}]"
    return told if row["cutoffs"] == 1 else f"{told} ({row['lowest']:+.0%} to {row['highest']:+.0%})"


def _overall(verdicts: pd.Series) -> str:
    """The verdicts of all metrics, by their names, in words.

    >>> _overall(pd.Series({"rmse": "better", "gini": "not distinguishable"}))
    'better in rmse, else not distinguishable'
    """
    by_word = {word: [str(name) for name in verdicts.index[verdicts == word]] for word in ("better", "worse", SAME)}
    said = {word: names for word, names in by_word.items() if names}
    if len(said) <= 1:
        return next(iter(said), "")
    decided = [f"{word} in {', '.join(names)}" for word, names in said.items() if word != SAME]
    return "; ".join(decided) + (f", else {SAME}" if SAME in said else "")
