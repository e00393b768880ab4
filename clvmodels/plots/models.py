"""Pictures of fitted models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clvmodels.draws import summarise

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BAND = 0.9


def counts_against_model(
    labels: Sequence[str], actual: NDArray, simulated: NDArray, *, title: str, xlabel: str, ax: Axes | None = None
) -> Axes:
    """Customers by class: bars for the data, points with a 90 % band for what the model makes of such customers.

    Parameters
    ----------
    labels : sequence of str, (K,)
        The classes.
    actual : ndarray, (K,)
        Customers of the data in each class.
    simulated : ndarray, (R, K)
        The same in R simulated data sets.
    title, xlabel : str
    ax : Axes, optional
        Where to draw; a new figure if not given.

    Returns
    -------
    Axes
    """
    if ax is None:
        from matplotlib import pyplot

        _, ax = pyplot.subplots(figsize=(7, 4), layout="constrained")
    place = np.arange(len(labels))
    lower, upper = summarise(simulated, BAND)
    mean = simulated.mean(axis=0)
    ax.bar(place, actual, width=0.7, color="#c6d4e1", label="actual")
    reach = np.abs(np.stack([lower, upper]) - mean)
    ax.errorbar(place, mean, yerr=reach, fmt="o", color="#2f5d8a", capsize=3, label=f"model, {BAND:.0%} band")
    ax.set_xticks(place, labels)
    ax.set(title=title, xlabel=xlabel, ylabel="customers")
    ax.yaxis.set_major_formatter("{x:,.0f}")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False)
    return ax
