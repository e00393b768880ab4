"""Parameters: name, meaning, support, the prior, and the way to and from the real line on which they are estimated.

All fitting, approximating and sampling is done in a coordinate u on the real line, in time and money scaled by the data
(mean T, mean spend): the unit of the data then never decides whether a fit converges or what a prior means. It is
log(value - lower) for a parameter above a bound, the logit for one between two bounds, and the value itself for one
without bounds; a user's prior that ends somewhere is such a bound.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special
from scipy.stats import rv_continuous
from scipy.stats.distributions import rv_frozen

PRIOR_SD = 2.0
_STEP = 1e-3  # of the difference quotients of a user's log density
_AROUND = _STEP * np.array([0.0, 1.0, -1.0, 2.0, -2.0])

_ATTEMPTS = 100  # of drawing from a prior of which a part lies where the parameter cannot

LogDensity = Callable[[NDArray], NDArray]


class PriorDensity(Protocol):
    """A prior: a density of the parameter in the user's units, by name or such as those of `scipy.stats`."""

    def logpdf(self, x: ArrayLike, /) -> NDArray[np.float64]:
        """Logarithm of the density at x."""
        ...


def prior_name(prior: PriorDensity) -> str:
    """What a prior is called: a distribution of `scipy.stats` as it was written.

    >>> from scipy import stats
    >>> prior_name(stats.gamma(2, scale=0.3))
    'gamma(2, scale=0.3)'
    """
    if not hasattr(prior, "dist"):
        return repr(prior)
    given = [*map(str, prior.args), *(f"{name}={value}" for name, value in prior.kwds.items())]  # type: ignore[attr-defined]
    return f"{prior.dist.name}({', '.join(given)})"


@dataclass(frozen=True)
class Param:
    """One parameter of a model.

    Parameters
    ----------
    name, meaning : str
        The paper's symbol, and what it says about customers.
    carries : str, optional
        The dimension of the parameter, "time" or "money" or a covariate: a change of that unit multiplies it.
    lower, upper : float
        The support: above a finite bound, between two, or all numbers.
    """

    name: str
    meaning: str
    carries: str | None = None
    lower: float = 0.0
    upper: float = math.inf

    def from_line(self, u: NDArray) -> NDArray[np.float64]:
        """Values in the data's own unit from coordinates."""
        if self.lower == -math.inf:
            return u
        if self.upper == math.inf:
            return np.asarray(self.lower + np.exp(u))
        return np.asarray(self.lower + (self.upper - self.lower) * special.expit(u))

    def to_line(self, value: NDArray) -> NDArray[np.float64]:
        """Coordinates from values in the data's own unit."""
        if self.lower == -math.inf:
            return value
        if self.upper == math.inf:
            return np.asarray(np.log(value - self.lower))
        return np.asarray(special.logit((value - self.lower) / (self.upper - self.lower)))

    def log_slope(self, u: NDArray) -> NDArray[np.float64]:
        """Logarithm of d value / d u."""
        if self.lower == -math.inf:
            return np.zeros_like(u)
        if self.upper == math.inf:
            return u
        return np.asarray(math.log(self.upper - self.lower) + special.log_expit(u) + special.log_expit(-u))


@dataclass(frozen=True)
class Coordinates:
    """A model's parameters on the real line, in the time and money of one data set.

    Parameters
    ----------
    params : tuple of Param
    scales : mapping of str to float
        The data's own units: the mean T ("time") and the mean spend ("money"), in the user's units.
    priors : mapping of str to PriorDensity
        The user's own priors; the others are Normal(0, 2) on u.
    """

    params: tuple[Param, ...]
    scales: Mapping[str, float]
    priors: Mapping[str, PriorDensity]

    def scale(self, param: Param) -> float:
        """The unit of the coordinates' own value, in the user's units."""
        return self.scales[param.carries] if param.carries else 1.0

    @functools.cached_property
    def lines(self) -> tuple[Param, ...]:
        """The parameters between the bounds that their priors leave them: a sampler then meets no border."""
        return tuple(self._within_prior(param) for param in self.params)

    def _within_prior(self, param: Param) -> Param:
        prior = self.priors.get(param.name)
        if prior is None or not hasattr(prior, "support"):
            return param
        least, most = (float(bound) / self.scale(param) for bound in prior.support())
        least, most = max(param.lower, least), min(param.upper, most)
        return param if least == -math.inf else dataclasses.replace(param, lower=least, upper=most)

    def to_values(self, u: NDArray) -> dict[str, NDArray]:
        """Parameters in the user's units, each (S, 1), from coordinates (S, k)."""
        return {param.name: self.scale(param) * param.from_line(u[:, [i]]) for i, param in enumerate(self.lines)}

    def to_u(self, values: Mapping[str, ArrayLike]) -> NDArray[np.float64]:
        """Coordinates (S, k) from parameters in the user's units."""
        columns = [
            param.to_line(np.ravel(np.asarray(values[param.name], float)) / self.scale(param)) for param in self.lines
        ]
        return np.stack(columns, axis=-1)

    def start(self) -> NDArray[np.float64]:
        """Where a search begins (k,): at the median of the user's priors, and at 0 for the other parameters."""
        values = self.to_values(np.zeros((1, len(self.params))))
        for param in self.lines:
            prior = self.priors.get(param.name)
            median = float(prior.ppf(0.5)) if prior is not None and hasattr(prior, "ppf") else math.nan
            if param.lower < median / self.scale(param) < param.upper:
                values[param.name] = np.array([[median]])
        return self.to_u(values)[0]

    def prior_draws(self, rng: np.random.Generator, size: int) -> dict[str, NDArray[np.float64]]:
        """Draws of the parameters from their priors alone, in the user's units, each (size, 1).

        A user's prior counts within the support of its parameter only, as in the posterior.

        Raises
        ------
        ValueError
            If a prior can only tell its density, or has next to nothing of it within the support.
        """
        values = self.to_values(PRIOR_SD * rng.standard_normal((size, len(self.params))))
        for param in self.params:
            if param.name in self.priors:
                scale, prior = self.scale(param), self.priors[param.name]
                drawn = drawn_between(prior, param.name, scale * param.lower, scale * param.upper, rng, size)
                values[param.name] = drawn[:, None]
        return values

    def log_prior(self, u: NDArray) -> NDArray[np.float64]:
        """Log density of the coordinates (S, k) -> (S,), up to a constant.

        A user's prior is a density of the parameter, so the Jacobian d value / d u comes with it.
        """
        total = np.zeros(len(u))
        values = self.to_values(u)
        for i, param in enumerate(self.lines):
            if param.name in self.priors:
                total += np.asarray(self.priors[param.name].logpdf(values[param.name][:, 0]))
                total += param.log_slope(u[:, i])
            else:
                total += -0.5 * (u[:, i] / PRIOR_SD) ** 2
        return total

    def values_and_slopes(self, u: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Parameters in the user's units at one point u (k,), and d value / d u, each (k,)."""
        scale, lower, line, between = self._shape
        exp = np.exp(u)
        values, slopes = lower + exp, exp
        if line is not None:
            values, slopes = np.where(line, u, values), np.where(line, 1.0, slopes)
        for i in between:
            param, at = self.lines[i], u[[i]]
            values[i], slopes[i] = param.from_line(at).item(), math.exp(param.log_slope(at).item())
        return scale * values, scale * slopes

    @functools.cached_property
    def _shape(self) -> tuple[NDArray, NDArray, NDArray | None, list[int]]:
        """Scales, lower bounds, which parameters have no bound (None if all have) and which have two."""
        scale = np.array([self.scale(param) for param in self.lines])
        lower = np.array([param.lower for param in self.lines])
        line = lower == -math.inf
        between = [i for i, param in enumerate(self.lines) if param.upper < math.inf]
        return scale, np.where(line, 0.0, lower), line if line.any() else None, between

    def log_prior_gradient(self, u: NDArray) -> tuple[float, NDArray[np.float64]]:
        """`log_prior` at one point u (k,), and its gradient (k,)."""
        by_default, given = self._given
        total, gradient = -0.5 * float(u @ (by_default * u)), -by_default * u
        for i, log_density in given:
            param = self.lines[i]
            near = u[i] + _AROUND
            density = np.ravel(log_density(self.scale(param) * param.from_line(near)))
            here, up, down, far_up, far_down = density + param.log_slope(near)
            total += float(here)
            gradient[i] = (8 * (up - down) - (far_up - far_down)) / (12 * _STEP)
        return total, gradient

    @functools.cached_property
    def _given(self) -> tuple[NDArray, list[tuple[int, LogDensity]]]:
        """The precisions of the default priors, 0 for the others, and which the others are with their densities."""
        given = [(i, _unchecked(self.priors[p.name])) for i, p in enumerate(self.lines) if p.name in self.priors]
        precision = np.full(len(self.params), PRIOR_SD**-2)
        precision[[i for i, _ in given]] = 0.0
        return precision, given

    def standard_errors(self, u: NDArray, covariance: NDArray) -> NDArray[np.float64]:
        """Standard errors of the parameters in the user's units, by the delta method, at one point u (k,)."""
        scales = np.array([self.scale(param) for param in self.lines])
        slopes = np.exp([param.log_slope(u[i]) for i, param in enumerate(self.lines)])
        return np.asarray(scales * slopes * np.sqrt(np.diag(covariance)))


def drawn_between(
    prior: PriorDensity, name: str, lower: float, upper: float, rng: np.random.Generator, size: int
) -> NDArray[np.float64]:
    """Draws (size,) of a user's prior between two bounds: by its quantiles, or by its own generator."""
    kept: NDArray[np.float64] = np.empty(0)
    for _ in range(_ATTEMPTS):
        if hasattr(prior, "ppf"):
            some = prior.ppf(rng.random(size))
        elif hasattr(prior, "rvs"):
            some = prior.rvs(size=size, random_state=rng)
        else:
            raise ValueError(
                f"the prior of {name!r} has neither ppf nor rvs, so that nothing can be drawn from it; use one such as "
                "scipy.stats.gamma(2)"
            )
        some = np.asarray(some, float)
        kept = np.append(kept, some[(some > lower) & (some < upper)])
        if len(kept) >= size:
            return kept[:size]
    raise ValueError(
        f"the prior of {name!r}, {prior_name(prior)}, has less than {1 / _ATTEMPTS:.0%} of its probability between "
        f"{lower:g} and {upper:g}, where {name} may lie; give one that has more"
    )


def _unchecked(prior: PriorDensity) -> LogDensity:
    """`logpdf` at the points of a difference quotient, of a prior of `scipy.stats` without the checks of each call.

    They take ten times as long as the density itself, which a sampler asks for some twenty thousand times.
    """
    frozen: Any = getattr(prior, "distribution", prior)
    if not isinstance(frozen, rv_frozen) or type(frozen.dist).logpdf is not rv_continuous.logpdf:
        return prior.logpdf
    shapes, location, scale = frozen.dist._parse_args(*frozen.args, **frozen.kwds)
    columns = [np.full(len(_AROUND), shape, float) for shape in shapes]
    lower, upper = frozen.support()

    def log_density(x: NDArray) -> NDArray[np.float64]:
        inside = (lower <= x) & (x <= upper)
        density = frozen.dist._logpdf((x - location) / scale, *columns) - math.log(scale)
        return np.where(inside, density, -np.inf)

    return log_density
