"""Curves that fall in steps, as Kaplan-Meier and Cox leave them: one, or one for each draw.

They end where the data do, and are never continued.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from clvmodels.data.durations import Clock, Durations
from clvmodels.draws import blocks, check_interval, check_seed, new_seed, summarise
from clvmodels.errors import examples
from clvmodels.inference.bayes import Sampling, Settings
from clvmodels.models.base import Method
from clvmodels.models.fit import Origin
from clvmodels.models.survival.base import survival_data
from clvmodels.models.survival.contracts import ContractFit
from clvmodels.product_limit import LOG_ZERO

Array = NDArray[np.float64]

# Steps of a drawn curve that are kept: where data have more, they are added up.
KEPT = 10_000


# What other fits have, and why a curve of steps does not.
_LACKING = {
    "hazard": ": a curve that falls in steps has no rate between them",
    "parameters": ": the curve has no shape that parameters would describe",
    "log_likelihood": ", which would be that of parameters",
    "aic": ", which would count parameters",
    "bic": ", which would count parameters",
    "diagnostics": ": nothing is searched for",
    "inference_data": ", which would hold draws of parameters",
    "pointwise_log_likelihood": ", which would be that of parameters",
}


@dataclass(frozen=True)
class Steps:
    """A cumulative hazard -log S(t) that rises at known times.

    Parameters
    ----------
    time : ndarray, (K + 1,)
        When it rises; first minus infinity.
    hazard : ndarray, (S, K + 1)
        What it is from then on; first 0.
    last : float
        Nothing is known of later times: `at` is NaN there.
    """

    time: Array
    hazard: Array
    last: float

    @classmethod
    def drawn(cls, time: Array, last: float, size: int, draw: Callable[[slice], Array]) -> Steps:
        """Add up independent steps.

        Parameters
        ----------
        time : ndarray, (J,)
        last : float
        size : int
            Number of draws S.
        draw : callable
            Slice of `time` -> positive steps (S, B).
        """
        ends = np.unique(np.linspace(0, len(time), min(len(time), KEPT) + 1).astype(int))[1:]  # of each kept step
        hazard, before = np.zeros((size, len(ends) + 1)), np.zeros((size, 1))
        for part in blocks(np.full(len(time), size)):
            sums = before + np.cumsum(draw(part), axis=1)
            kept = np.flatnonzero((ends > part.start) & (ends <= part.stop))
            hazard[:, kept + 1] = sums[:, ends[kept] - part.start - 1]
            before = sums[:, -1:]
        return cls(np.append(-np.inf, time[ends - 1]), hazard, last)

    def at(self, t: Array, draws: slice = slice(None)) -> Array:
        """Cumulative hazard (S, B) at times (B,) or (S, B)."""
        hazard, t = self.hazard[draws], np.atleast_1d(t)
        number = np.searchsorted(self.time, t, side="right") - 1
        if number.ndim < 2:
            values = hazard[:, number]
        else:
            values = np.take_along_axis(np.broadcast_to(hazard, (len(number), len(self.time))), number, axis=1)
        return np.where(t <= self.last, values, np.nan)

    def reached(self, level: Array, draws: slice = slice(None)) -> Array:
        """When the cumulative hazard first is at least `level`, (S, B); infinite if not within what is known."""
        time = np.append(self.time, np.inf)
        hazard = np.broadcast_to(self.hazard[draws], (len(level), len(self.time)))
        return np.stack([time[np.searchsorted(one, at)] for one, at in zip(hazard, level, strict=True)])

    def area(self, start: Array, end: Array) -> Array:
        """The integral of S(u) / S(start) over u from `start` to `end`, each (B,), as far as it is known: (S, B)."""
        # A survival of 0 is left out of the curve; what it ends is cut off there.
        zeros = np.floor(self.hazard[0] / -LOG_ZERO)
        survival = np.exp(-(self.hazard + LOG_ZERO * zeros))
        fallen = np.append(self.time[1:][np.diff(zeros) > 0], np.inf)
        end = np.minimum(end, np.minimum(self.last, fallen[np.searchsorted(fallen, start, side="right")]))
        time = np.append(np.maximum(self.time, 0.0), self.last)
        before = np.insert(np.cumsum(np.diff(time) * survival, axis=1), 0, 0.0, axis=1)  # up to each of `time`

        def until(t: Array) -> Array:
            number = np.searchsorted(self.time, t, side="right") - 1
            return np.asarray(before[:, number] + survival[:, number] * (t - time[number]))

        number = np.searchsorted(self.time, start, side="right") - 1
        return np.where(start <= self.last, (until(end) - until(start)) / survival[:, number], np.nan)


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class StepFit(ContractFit):
    """A fitted curve of steps, or draws of it. Frozen; the same call gives the same answer, because the seed is kept.

    Attributes
    ----------
    model : KaplanMeier or Cox
    seed : int
    size : int
        How many draws of the curve the intervals are made of.
    clock : {"duration", "renewals"}
        What tenure is counted in.
    origin : Origin
        What is known of the training data.
    data_hash : str
        Hash of what was fitted.
    data : Durations or None
        The training data. A loaded fit has none: customers are not saved.
    drawn : bool
        Whether predictions come from draws of the curve, not from its estimate.
    """

    model: Any
    seed: int
    size: int
    clock: Clock
    origin: Origin
    data_hash: str
    data: Durations | None = None
    drawn: bool = False

    method: Method = dataclasses.field(default="ml", init=False)
    drawn_from: ClassVar[str] = "draws of the curve"

    @property
    def support(self) -> float:
        """The longest tenure that was observed: the curve ends there."""
        raise NotImplementedError

    @functools.cached_property
    def posterior(self) -> Self:
        """The fit with draws of the curve."""
        return self if self.drawn else dataclasses.replace(self, drawn=True)

    def __getattr__(self, name: str) -> Any:
        if name in _LACKING:
            raise AttributeError(
                f"a fit of {type(self.model).__name__} has no {name}{_LACKING[name]}; it has survival(), retention() "
                "and summary()"
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def draw_count(self) -> int:
        """How many curves there are: 1, the estimate, or as many as there are draws."""
        return self.size if self.drawn else 1

    def customer_columns(self, data: Durations) -> tuple[NDArray, ...]:
        """What is known of each customer, each (N,): first the tenure."""
        data = survival_data(data, type(self.model).__name__, self.clock)
        return (data.table[self.clock].to_numpy(float),)

    def log_survival_at(self, t: ArrayLike, columns: tuple[NDArray, ...], draws: slice = slice(None)) -> Array:
        """Log survival at the tenure t, (B,) or (S, B), of customers of these columns: (S, B); NaN beyond support."""
        raise NotImplementedError

    def lifetimes(self, rng: np.random.Generator, columns: tuple[NDArray, ...], draws: slice = slice(None)) -> Array:
        """Simulated tenure at the end of the contracts of customers who have reached theirs, (S, B).

        Infinite for who stays beyond the support: when he leaves is not known.
        """
        raise NotImplementedError

    def survival(self, t: ArrayLike, *, data: Durations | None = None, interval: float | None = None) -> pd.DataFrame:
        """P(still a customer after t), from the start of the contract; NaN beyond the support.

        Parameters
        ----------
        t : array_like
            Tenures on the clock of the fit.
        data : Durations, optional
            Customers who are asked about; the average one if not given.
        interval : float, optional
            Adds `lower` and `upper`, where the probability itself lies by what the data leave open.

        Returns
        -------
        DataFrame
            One row per t with `survival`; if there are data, one row per customer and one column per t.
        """

        def value(fit: Self, at: Array, columns: tuple[NDArray, ...]) -> Array:
            return np.exp(fit.log_survival_at(at, columns))

        return self._table("survival", tenures(t, 0), data, interval, value)

    def retention(self, t: ArrayLike, *, data: Durations | None = None, interval: float | None = None) -> pd.DataFrame:
        """Share of the customers of t - 1 who are still there at t: S(t) / S(t - 1). Other arguments as `survival`."""

        def value(fit: Self, at: Array, columns: tuple[NDArray, ...]) -> Array:
            return np.exp(fit.log_survival_at(at, columns) - fit.log_survival_at(at - 1, columns))

        return self._table("retention_rate", tenures(t, 1), data, interval, value)

    def mean_residual_lifetime(self, t: float, columns: tuple[NDArray, ...]) -> Array:
        """Mean of the lifetime to come, counted up to t and to the support: (S, B)."""
        raise NotImplementedError

    def _average(self) -> tuple[NDArray, ...]:
        """Columns, each (1,), of the average customer."""
        return (np.zeros(1),)

    def _table(
        self,
        name: str,
        times: Array,
        data: Durations | None,
        interval: float | None,
        value: Callable[[Self, Array, tuple[NDArray, ...]], Array],
    ) -> pd.DataFrame:
        check_interval(interval)
        if data is not None:
            columns = self.customer_columns(data)
            shape = (self.draw_count, len(data))
            by_time = {at: np.broadcast_to(value(self, at[None], columns), shape).mean(axis=0) for at in times}
            return pd.DataFrame(by_time, index=data.table.index)
        frame = pd.DataFrame({name: value(self, times, self._average()).mean(axis=0)}, pd.Index(times, name="t"))
        if interval:
            frame["lower"], frame["upper"] = summarise(value(self.posterior, times, self._average()), interval)
        return frame


def check_how(model: str, method: Method, seed: int | None, sampling: Sampling) -> tuple[int, int]:
    """The seed, or a new one, and the number of draws; refuses what a curve of steps cannot be fitted with."""
    if method != "ml":
        raise ValueError(f"{model} is fitted by method 'ml' alone: it has no parameters with priors; got {method!r}")
    draws = Settings.of(method, sampling).draws
    return new_seed() if seed is None else check_seed(seed), draws


def tenures(t: ArrayLike, least: float) -> Array:
    """Tenures that a curve is asked for, as an array (T,)."""
    times = np.atleast_1d(np.asarray(t, float))
    if times.ndim != 1 or not (times >= least).all():
        raise ValueError(f"tenures must be {least} or more; got {examples(np.ravel(times))}")
    return times
