"""Pictures of predictions beside what happened: one colour for each model, black or grey for the data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from clvmodels.plots.axes import axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe & Ito (2008), without black and yellow, and two of Paul Tol's: told apart by the colour-blind, too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#882255", "#999933")
MARKERS = "os^DvPX*"
LINES = ("-", "--", ":")
ACTUAL, BARS, GUIDE = "#222222", "#d0d3d8", "#888888"

_UNITS = {"transactions": "transactions per customer", "revenue": "revenue per customer", "retained": "share retained"}
_METRICS = {
    "mae": "MAE",
    "rmse": "RMSE",
    "crps": "CRPS",
    "gini": "Gini",
    "brier": "Brier score",
    "poisson_deviance": "Poisson deviance",
    "tweedie_deviance": "Tweedie deviance",
}
_PIT_BINS = 20
_PIT_BAND = 0.95


def tracking(
    frame: pd.DataFrame, *, interval: float | None = None, models: Iterable[str] = (), ax: Axes | None = None
) -> Axes:
    """Repeat transactions of each week: what happened, and what models expected before and after the cutoff.

    Parameters
    ----------
    frame : DataFrame
        One row per week, and model where there are several: `date` (last day of the week), `period` ("calibration",
        "holdout"), `actual`, `expected`, and where known `lower`, `upper`; `model`. A model is not drawn where it
        expects NaN.
    interval : float, optional
        What `lower` and `upper` promise to hold, to be told.
    models : iterable of str
        All models in the order of their colours, so that each has its own in every picture; those here if not given.
    ax : Axes, optional
        Where to draw; a new figure if not given.

    Returns
    -------
    Axes
    """
    ax = _tracked(frame, "", interval, models, ax)
    ax.set(title="Do the models follow the weeks?", ylabel="repeat transactions per week")
    return ax


def tracking_cumulative(
    frame: pd.DataFrame, *, interval: float | None = None, models: Iterable[str] = (), ax: Axes | None = None
) -> Axes:
    """Running sum of the repeat transactions, as `tracking`: `actual_sum`, `expected_sum`, `lower_sum`, `upper_sum`."""
    ax = _tracked(frame, "_sum", interval, models, ax)
    ax.set(title="Do the models reach the total?", ylabel="repeat transactions so far")
    return ax


def calibration(frame: pd.DataFrame, *, models: Iterable[str] = (), ax: Axes | None = None) -> Axes:
    """Actual against predicted mean of groups of customers, such as the deciles of the prediction.

    The scales of counts and money are those of square roots: chance moves a small count as far as a large one.

    Parameters
    ----------
    frame : DataFrame
        One row per model and group: `model`, `target`, `group`, `customers`, `predicted`, `actual`; several cutoffs are
        drawn as one.
    models, ax : optional
        As for `tracking`.
    """
    from matplotlib.ticker import PercentFormatter

    target = _the_only(frame, "target")
    ax = axes(ax, size=(8, 4.6))
    means = _over_cutoffs(frame)
    values = means[["predicted", "actual"]].to_numpy()
    low, high = float(values.min()), float(values.max())
    if target == "retained" or low < 0:
        margin = 0.08 * (high - low) or 0.05
        low, high = low - margin, high + margin
    else:
        low, high = 0.0, 1.05 * high or 1.0
        ax.set_xscale("function", functions=(_root, np.square))
        ax.set_yscale("function", functions=(_root, np.square))
        ax.set(xticks=_root_ticks(high), yticks=_root_ticks(high))
    ax.plot([low, high], [low, high], color=GUIDE, linewidth=1, linestyle="--", label="as predicted")
    for model, style in _styles(means["model"], models):
        some = means[means["model"] == model].sort_values("predicted")
        ax.plot(some["predicted"], some["actual"], **style, linewidth=0.9, markersize=6, label=model)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(PercentFormatter(1) if target == "retained" else "{x:,.4g}")
    unit = _UNITS[target]
    ax.set(xlim=(low, high), ylim=(low, high), xlabel=f"predicted {unit}, mean of each group", ylabel=f"actual {unit}")
    ax.set_title("Does what was predicted come?")
    return _finished(ax, grid="both")


def by_frequency(frame: pd.DataFrame, *, models: Iterable[str] = (), ax: Axes | None = None) -> Axes:
    """Mean outcome of customers by how often they came back before the cutoff: bars for that, lines for models.

    Parameters
    ----------
    frame : DataFrame
        As for `calibration`, in the order of the groups.
    models, ax : optional
        As for `tracking`.
    """
    ax = _by_group(frame, models, ax)
    ax.set_xlabel("repeat transactions before the cutoff, and customers who made them")
    ax.set_title("Are the frequent and the rare predicted alike?")
    return ax


def by_tenure(frame: pd.DataFrame, *, models: Iterable[str] = (), ax: Axes | None = None) -> Axes:
    """Mean outcome of contracts by how old they were at the cutoff, in the fit's unit of time: as `by_frequency`."""
    ax = _by_group(frame.assign(group=frame["group"].str.replace(" to ", "–")), models, ax)
    ax.set_xlabel("tenure at the cutoff, and contracts of that age")
    ax.tick_params(axis="x", labelsize=8)
    ax.set_title("Are the old and the young predicted alike?")
    return ax


def _by_group(frame: pd.DataFrame, models: Iterable[str], ax: Axes | None) -> Axes:
    """Groups side by side."""
    target = _the_only(frame, "target")
    ax = axes(ax, size=(8.8, 4))
    means = _over_cutoffs(frame)
    groups = list(dict.fromkeys(frame["group"]))
    data = means.drop_duplicates("group").set_index("group").loc[groups]
    place = np.arange(len(groups))
    ax.bar(place, data["actual"], width=0.72, color=BARS, label="actual")
    for model, style in _styles(means["model"], models):
        some = means[means["model"] == model].set_index("group")["predicted"].reindex(groups)
        ax.plot(place, some, **style, markersize=6, label=model)
    ax.set_xticks(place, [f"{group}\n{number:,.0f}" for group, number in data["customers"].items()])
    ax.set_ylabel(_UNITS[target])
    ax.yaxis.set_major_formatter("{x:.0%}" if target == "retained" else "{x:,.4g}")
    return _finished(ax)


def pit(values: Mapping[str, NDArray], *, models: Iterable[str] = (), ax: Axes | None = None) -> Axes:
    """Histogram of the places of the outcomes in their predictive distributions, which is flat where these are right.

    The band holds all bars of 95 % of the uniform samples of that size.

    Parameters
    ----------
    values : mapping of str to ndarray, each (N,)
        By model, its randomised probability integral transforms.
    models, ax : optional
        As for `tracking`.
    """
    if not values:
        raise ValueError("there is no model with a predictive distribution here")
    ax = axes(ax, size=(8.8, 4))
    number = min(len(places) for places in values.values())
    # All bars at once: each within its part of the chance to be outside (Bonferroni).
    tail = (1 - _PIT_BAND) / _PIT_BINS / 2
    band = stats.binom.ppf([tail, 1 - tail], number, 1 / _PIT_BINS) * _PIT_BINS / number
    ax.axhspan(*band, color=BARS, alpha=0.6, linewidth=0, label=f"flat, {_PIT_BAND:.0%} band")
    ax.axhline(1, color=GUIDE, linewidth=1, linestyle="--")
    highest = float(band[1])
    for model, style in _styles(values, models):
        counts, edges = np.histogram(values[model], _PIT_BINS, (0, 1))
        height = counts * _PIT_BINS / max(len(values[model]), 1)
        highest = max(highest, float(height.max()))
        ax.stairs(
            height, edges, color=style["color"], linestyle=style["linestyle"], linewidth=1.8, baseline=None, label=model
        )
    ax.set(xlim=(0, 1), ylim=(0, 1.08 * highest), ylabel="customers, 1 = as promised")
    ax.set_xlabel(
        "place of the outcome in its predictive distribution\n"
        "high at the ends: too narrow; a hump: too wide; a slope: too high or too low"
    )
    ax.set_title("Do the outcomes fall where the models say?")
    return _finished(ax)


def lift(frame: pd.DataFrame, *, models: Iterable[str] = (), ax: Axes | None = None) -> Axes:
    """Share of the outcome held by a share of the customers, those predicted highest first.

    Parameters
    ----------
    frame : DataFrame
        `model`, `share_of_customers`, `share_of_outcome`; the model "perfect" is drawn as a guide.
    models, ax : optional
        As for `tracking`.
    """
    ax = axes(ax, size=(8, 4.6))
    columns = ["share_of_customers", "share_of_outcome"]
    perfect = frame.loc[frame["model"] == "perfect", columns]
    if len(perfect):
        ax.plot(*perfect.to_numpy().T, color=GUIDE, linewidth=1, linestyle=":", label="perfect order")
    shown = frame[~frame["model"].isin(["perfect", "random"])]
    for model, style in _styles(shown["model"], models):
        some = shown.loc[shown["model"] == model, columns]
        ax.plot(*some.to_numpy().T, color=style["color"], linestyle=style["linestyle"], label=model)
    ax.plot([0, 1], [0, 1], color=GUIDE, linewidth=1, linestyle="--", label="random order")
    ax.set(xlim=(0, 1), ylim=(0, 1.01), title="How much do the customers predicted highest bring?")
    ax.set(xlabel="share of the customers, those predicted highest first", ylabel="share of the outcome")
    ax.xaxis.set_major_formatter("{x:.0%}")
    ax.yaxis.set_major_formatter("{x:.0%}")
    return _finished(ax, grid="both")


def differences(
    frame: pd.DataFrame, *, baseline: str = "the baseline", models: Iterable[str] = (), ax: Axes | None = None
) -> Axes:
    """Forest plot: by how much each model is better than a baseline, with the interval of the difference.

    Losses are in per cent of the baseline's, and what is better if higher, as a Gini, in hundredths; all point to the
    right where the model is better. Points are hollow where the verdict is "not distinguishable"; where a difference
    is not finite, words stand in its place.

    Parameters
    ----------
    frame : DataFrame
        `target`, `model`, `metric`, `better` ("lower" or "higher"), `baseline_value`, `difference` (model less
        baseline), `lower`, `upper`, `verdict`; and `horizon`, where there are several.
    baseline : str
        Its name.
    models, ax : optional
        As for `tracking`.
    """
    frame = frame[frame["model"] != baseline]
    if frame.empty:
        raise ValueError(f"there is no other model here to be compared with {baseline!r}")
    keys = ["target", "metric"]
    if "horizon" in frame.columns and len(frame["horizon"].unique()) > 1:
        keys.insert(0, "horizon")
    targets = list(dict.fromkeys(frame["target"]))
    rows = sorted(
        dict.fromkeys(frame[keys].itertuples(index=False, name=None)),
        key=lambda row: (row[:-2], targets.index(row[-2])),
    )
    styles = list(_styles(frame["model"], models))
    ax = axes(ax, size=(9, 1.6 + 0.16 * len(rows) * (len(styles) + 1)))
    ax.axvline(0, color=ACTUAL, linewidth=1)
    for number, (model, style) in enumerate(styles):
        some = frame[frame["model"] == model]
        away = (number - (len(styles) - 1) / 2) / (len(styles) + 1)
        y = np.array([rows.index(key) for key in some[keys].itertuples(index=False, name=None)]) + away
        loss = -100 / some["baseline_value"].abs().replace(0, np.nan)
        sign = np.where(some["better"] == "higher", 100.0, loss)
        middle, *ends = (sign * some[name] for name in ("difference", "lower", "upper"))
        left, right = np.minimum(*ends), np.maximum(*ends)
        finite = np.isfinite(middle) & np.isfinite(left) & np.isfinite(right)
        unclear = some["verdict"] == "not distinguishable"
        colour = style["color"]
        ax.hlines(y[finite], left[finite], right[finite], color=colour, linewidth=2)
        for hollow in (False, True):
            shown = finite & (unclear == hollow)
            ax.plot(
                middle[shown],
                y[shown],
                style["marker"],
                color=colour,
                markerfacecolor="white" if hollow else colour,
                markersize=6,
            )
        for height, value in zip(y[~finite], middle[~finite], strict=True):
            word = "no number" if np.isnan(value) else f"infinitely {'better' if value > 0 else 'worse'}"
            ax.annotate(
                word, (0, height), (-6, 0), textcoords="offset points", ha="right", va="center", color=colour, size=8
            )
        ax.plot([], [], f"{style['marker']}-", color=colour, label=model)
    names = [": ".join([*row[:-1], _METRICS.get(row[-1], row[-1].replace("_", " "))]) for row in rows]
    ax.set_yticks(range(len(rows)), names)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    for edge in np.arange(0.5, len(rows) - 1):
        ax.axhline(edge, color="#eeeeee", linewidth=0.8, zorder=0)
    ax.set_title(f"Is it better than {baseline}?", pad=18)
    _either_side(ax, 0, "← worse", "better →", above=True)
    unit = f"per cent of {baseline}'s loss" + ("; Gini: hundredths" if "gini" in set(frame["metric"]) else "")
    ax.set_xlabel(f"{unit} (hollow: not distinguishable)")
    ax.xaxis.set_major_formatter("{x:+,.4g}")
    ax.tick_params(axis="y", length=0)
    return _finished(ax, grid="x")


def _tracked(frame: pd.DataFrame, which: str, interval: float | None, order: Iterable[str], ax: Axes | None) -> Axes:
    """The weeks of the data and of each model, and the cutoff."""
    from matplotlib import dates

    ax = axes(ax, size=(9.4, 4))
    if "model" not in frame.columns:
        frame = frame.assign(model="model")
    names = list(dict.fromkeys(frame["model"]))
    first = frame[frame["model"] == names[0]]
    ax.plot(first["date"], first[f"actual{which}"], color=ACTUAL, linewidth=1.2, label="actual", zorder=3)
    for model, style in _styles(names, order):
        some = frame[frame["model"] == model]
        colour = style["color"]
        if f"lower{which}" in some.columns:
            low, high = some[f"lower{which}"], some[f"upper{which}"]
            ax.fill_between(some["date"], low, high, color=colour, alpha=0.18, linewidth=0)
        ax.plot(
            some["date"], some[f"expected{which}"], color=colour, linestyle=style["linestyle"], label=model, zorder=4
        )
    if f"lower{which}" in frame.columns:
        ax.fill_between(
            [], [], color=BARS, linewidth=0, label=f"{interval:.0%} band" if interval else "predictive band"
        )
    cutoff = first.loc[first["period"] == "calibration", "date"].max()
    if not pd.isna(cutoff):
        ax.axvline(cutoff, color=GUIDE, linewidth=1, linestyle="--", zorder=1)
        _either_side(ax, cutoff, "fitted to", "not seen")
    ax.xaxis.set_major_formatter(dates.ConciseDateFormatter(ax.xaxis.get_major_locator()))
    ax.yaxis.set_major_formatter("{x:,.0f}")
    ax.margins(x=0.01)
    ax.set_ylim(0, 1.08 * ax.dataLim.ymax)
    ax.set_xlabel(f"{first['date'].min():%B %Y} to {first['date'].max():%B %Y}")
    return _finished(ax)


def _either_side(ax: Axes, place: Any, left: str, right: str, *, above: bool = False) -> None:
    """What lies on either side of a vertical line, written at its top."""
    for text, side, away in ((left, "right", -5), (right, "left", 5)):
        ax.annotate(
            text,
            (place, 1),
            (away, 3 if above else -2),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha=side,
            va="bottom" if above else "top",
            color=GUIDE,
        )


def _styles(models: Iterable[str], order: Iterable[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each model once, with its colour, marker and line: those of its place in an order of all, or among those here."""
    places = {model: number for number, model in enumerate(dict.fromkeys([*order, *models]))}
    for model in dict.fromkeys(models):
        line, kind = divmod(places[model], len(COLOURS))
        yield model, {"color": COLOURS[kind], "marker": MARKERS[kind], "linestyle": LINES[line % len(LINES)]}


def _over_cutoffs(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per model and group, in their order: sum of customers, means of a customer over the cutoffs."""
    _the_only(frame, "horizon")
    sums = frame[["predicted", "actual"]].mul(frame["customers"], axis=0)
    total = sums.assign(customers=frame["customers"]).groupby([frame["model"], frame["group"]], sort=False).sum()
    total[["predicted", "actual"]] = total[["predicted", "actual"]].div(total["customers"], axis=0)
    return total.reset_index()


def _the_only(frame: pd.DataFrame, column: str) -> str:
    """The value that all rows have: pictures mix neither targets nor horizons."""
    found = frame[column].unique() if column in frame.columns else [""]
    if len(found) != 1:
        raise ValueError(f"a picture shows one {column}; choose one of {', '.join(map(repr, found))}")
    return str(found[0])


def _root(values: NDArray) -> NDArray:
    """Square root, 0 below 0: matplotlib asks for the margins, too."""
    return np.sqrt(np.maximum(values, 0))


def _root_ticks(top: float) -> list[float]:
    """0 and some of 1, 2, 5, 10, ... up to the top, not too near to each other on the scale of square roots."""
    power = np.floor(np.log10(top))
    ticks = [top * 4]
    for tick in sorted((digit * 10.0 ** (power - back) for digit in (1, 2, 5) for back in range(4)), reverse=True):
        if tick <= top and np.sqrt(ticks[-1] / top) - np.sqrt(tick / top) > 0.1 < np.sqrt(tick / top):
            ticks.append(tick)
    return [*ticks[1:], 0.0]


def _finished(ax: Axes, grid: Literal["x", "y", "both"] = "y") -> Axes:
    """A light grid behind the data, and the legend beside them, where it hides nothing."""
    ax.grid(axis=grid, color="#e6e6e6", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0)
    return ax
