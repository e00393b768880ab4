"""Pictures of fitted models."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvmodels.draws import Of, summarise
from clvmodels.plots.axes import axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BAND = 0.9
_FAR = 50  # times the highest week, above which a band would hide the data on a scale that is not logarithmic
_NAMES = {"posterior": "model", "prior": "priors"}


def counts_against_model(
    labels: pd.Index, actual: NDArray, simulated: NDArray, *, title: str, of: Of = "posterior", ax: Axes | None = None
) -> Axes:
    """Customers by class: bars for the data, points with a 90 % band for what the model makes of such customers.

    Parameters
    ----------
    labels : Index of str, (K,)
        The classes; its name says of what.
    actual : ndarray, (K,)
        Customers of the data in each class.
    simulated : ndarray, (R, K)
        The same in R simulated data sets.
    title : str
    of : {"posterior", "prior"}
        What the parameters of these were drawn from.
    ax : Axes, optional
        Where to draw; a new figure if not given.

    Returns
    -------
    Axes
    """
    ax = axes(ax)
    place = np.arange(len(labels))
    lower, upper = summarise(simulated, BAND)
    mean = simulated.mean(axis=0)
    ax.bar(place, actual, width=0.7, color="#c6d4e1", label="actual")
    reach = np.abs(np.stack([lower, upper]) - mean)
    ax.errorbar(place, mean, yerr=reach, fmt="o", color="#2f5d8a", capsize=3, label=f"{_NAMES[of]}, {BAND:.0%} band")
    ax.set_xticks(place, labels)
    ax.set(title=title, xlabel=labels.name, ylabel="customers")
    ax.yaxis.set_major_formatter("{x:,.0f}")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False)
    return ax


def weeks_against_model(
    labels: pd.Index, actual: NDArray, simulated: NDArray, *, title: str, of: Of = "posterior", ax: Axes | None = None
) -> Axes:
    """Transactions of each week: a line for the data, and the mean and band of what the model makes of such customers.

    Parameters
    ----------
    labels : DatetimeIndex, (K,)
        The last days of the weeks.
    actual, simulated, title, of, ax
        As for `counts_against_model`.
    """
    from matplotlib import dates

    ax = axes(ax, size=(8, 4))
    lower, upper = summarise(simulated, BAND)
    ax.fill_between(labels, lower, upper, color="#c6d4e1", linewidth=0, label=f"{_NAMES[of]}, {BAND:.0%} band")
    ax.plot(labels, simulated.mean(axis=0), color="#2f5d8a", label=f"{_NAMES[of]}, mean")
    ax.plot(labels, actual, color="#222222", linewidth=1.2, label="actual")
    ax.set(title=title, ylabel="repeat transactions per week", xlabel=f"{labels[0]:%B %Y} to {labels[-1]:%B %Y}")
    ax.xaxis.set_major_formatter(dates.ConciseDateFormatter(ax.xaxis.get_major_locator()))
    ax.yaxis.set_major_formatter("{x:,.0f}")
    if upper.max() > _FAR * max(actual.max(), 1):
        ax.set_yscale("symlog", linthresh=max(actual.max(), 1))
    ax.set_ylim(0, None)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False)
    return ax


def step_curve(
    time: NDArray, survival: NDArray, lower: NDArray, upper: NDArray, *, title: str, xlabel: str, ax: Axes | None = None
) -> Axes:
    """Share of customers left after each tenure, in steps, with its limits as a band.

    Parameters
    ----------
    time, survival, lower, upper : ndarray, (K,)
        The curve from each time on; it begins at 1.
    title, xlabel : str
    ax : Axes, optional
        Where to draw; a new figure if not given.
    """
    ax = axes(ax)
    time = np.append(0.0, time)
    survival, lower, upper = (np.append(1.0, values) for values in (survival, lower, upper))
    ax.fill_between(time, lower, upper, step="post", color="#c6d4e1", linewidth=0, label="95 % limits")
    ax.step(time, survival, where="post", color="#2f5d8a", label="Kaplan-Meier")
    ax.set(title=title, xlabel=xlabel, ylabel="share left", xlim=(0, None), ylim=(0, 1))
    ax.yaxis.set_major_formatter("{x:.0%}")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False)
    return ax


def curve_against_steps(
    steps: tuple[NDArray, NDArray],
    curve: tuple[NDArray, ...],
    simulated: tuple[NDArray, ...] | None,
    *,
    whole: bool,
    title: str,
    xlabel: str,
    of: Of = "posterior",
    ax: Axes | None = None,
) -> Axes:
    """Share of customers left after each tenure: Kaplan-Meier's steps, and a model that goes on where they end.

    Parameters
    ----------
    steps : (time, survival), each (K,)
        The steps, the last time being that where they end.
    curve : (time, survival, lower, upper), each (M,)
        The model, and its band.
    simulated : (time, lower, upper), each (L,), or None
        Where the steps of data that the model makes lie.
    whole : bool
        The model speaks of whole times: it is drawn as points.
    title, xlabel : str
    of : {"posterior", "prior"}
        What the parameters of the bands were drawn from.
    ax : Axes, optional
        Where to draw; a new figure if not given.
    """
    from matplotlib.ticker import MaxNLocator

    ax = axes(ax)
    name = _NAMES[of]
    if simulated:
        at, low, high = simulated
        ax.fill_between(at, low, high, color="#c6d4e1", linewidth=0, label=f"data of the {name}, {BAND:.0%} band")
    time, survival, lower, upper = curve
    colour = "#8fadc9" if simulated else "#c6d4e1"
    ax.fill_between(time, lower, upper, color=colour, linewidth=0, label=f"{name}, {BAND:.0%} band")
    ax.plot(time, survival, "o-" if whole else "-", markersize=4, color="#2f5d8a", label=name)
    ax.step(
        np.append(0.0, steps[0]),
        np.append(1.0, steps[1]),
        where="post",
        color="#222222",
        linewidth=1,
        label="Kaplan-Meier",
    )
    ax.axvline(steps[0][-1], color="#999999", linewidth=0.8, linestyle=":")
    if whole:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(title=title, xlabel=xlabel, ylabel="share left", xlim=(0, None), ylim=(0, 1))
    ax.yaxis.set_major_formatter("{x:.0%}")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False)
    return ax
