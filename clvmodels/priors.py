"""The user's priors by name, in the names and parameters of PyMC and PreliZ, and what makes a density a prior."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats
from scipy.stats.distributions import rv_frozen

from clvmodels.errors import brief

_IMPROPER = ("Flat", "HalfFlat")
_SPREADS = ("sigma", "nu")  # squared on the way to scipy.stats, which would not see their sign
_FAR = 700.0  # on the log scale: a double ends there
_POINTS = 20_001
_OUTER = 0.01  # share of a density in the outer half of all that a double holds, above which it has no end


class _HalfStudentT(stats.rv_continuous):
    """The positive half of Student's t, which SciPy lacks."""

    def _logpdf(self, x: NDArray, nu: NDArray) -> NDArray[np.float64]:
        return np.asarray(math.log(2) + stats.t.logpdf(x, nu))

    def _pdf(self, x: NDArray, nu: NDArray) -> NDArray[np.float64]:
        return np.exp(self._logpdf(x, nu))

    def _cdf(self, x: NDArray, nu: NDArray) -> NDArray[np.float64]:
        return np.asarray(1 - 2 * stats.t.sf(x, nu))

    def _ppf(self, q: NDArray, nu: NDArray) -> NDArray[np.float64]:
        return np.asarray(stats.t.isf((1 - q) / 2, nu))


_half_student_t = _HalfStudentT(a=0.0, name="half_student_t", shapes="nu")


def _inverse_gamma(mu: float, sigma: float) -> Any:
    alpha = 2 + (mu / sigma) ** 2
    return stats.invgamma(alpha, scale=mu * (alpha - 1))


def _beta(mu: float, nu: float) -> Any:
    return stats.beta(mu * nu, (1 - mu) * nu)


def _truncated_normal(mu: float, sigma: float, lower: float = -math.inf, upper: float = math.inf) -> Any:
    return stats.truncnorm((lower - mu) / sigma, (upper - mu) / sigma, mu, sigma)


# Each way to write a distribution is a function of PyMC's parameters that gives that of scipy.stats.
_DISTRIBUTIONS: dict[str, tuple[Callable[..., Any], ...]] = {
    "Beta": (
        lambda alpha, beta: stats.beta(alpha, beta),
        lambda mu, sigma: _beta(mu, mu * (1 - mu) / sigma**2 - 1),
        _beta,
    ),
    "Cauchy": (lambda alpha, beta: stats.cauchy(alpha, beta),),
    "Exponential": (lambda lam: stats.expon(scale=1 / lam), lambda scale: stats.expon(scale=scale)),
    "Gamma": (
        lambda alpha, beta: stats.gamma(alpha, scale=1 / beta),
        lambda mu, sigma: stats.gamma((mu / sigma) ** 2, scale=sigma**2 / mu),
    ),
    "HalfCauchy": (lambda beta: stats.halfcauchy(scale=beta),),
    "HalfNormal": (lambda sigma: stats.halfnorm(scale=sigma),),
    "HalfStudentT": (lambda nu, sigma: _half_student_t(nu, scale=sigma),),
    "InverseGamma": (lambda alpha, beta: stats.invgamma(alpha, scale=beta), _inverse_gamma),
    "Laplace": (lambda mu, b: stats.laplace(mu, b),),
    "LogNormal": (lambda mu, sigma: stats.lognorm(sigma, scale=np.exp(mu)),),
    "Logistic": (lambda mu, s: stats.logistic(mu, s),),
    "Normal": (lambda mu, sigma: stats.norm(mu, sigma),),
    "Pareto": (lambda alpha, m: stats.pareto(alpha, scale=m),),
    "StudentT": (lambda nu, mu, sigma: stats.t(nu, mu, sigma),),
    "TruncatedNormal": (_truncated_normal,),
    "Uniform": (lambda lower, upper: stats.uniform(lower, upper - lower),),
    "Weibull": (lambda alpha, beta: stats.weibull_min(alpha, scale=beta),),
}


@dataclass(frozen=True, init=False, repr=False)
class Prior:
    """A distribution by the name and the parameters that PyMC and PreliZ give it.

    PyMC itself is imported only by who samples with it.

    Parameters
    ----------
    name : str
        Such as "Normal", "HalfNormal", "LogNormal", "Gamma", "InverseGamma", "Exponential", "Weibull", "Beta",
        "Uniform", "HalfCauchy", "StudentT" or "TruncatedNormal".
    **parameters : float
        As PyMC calls them, all of them: Gamma has alpha and beta (the rate), or mu and sigma.

    Raises
    ------
    ValueError
        If there is no such distribution, or none with such parameters; if it is improper.

    Examples
    --------
    >>> prior = Prior("Gamma", mu=2, sigma=1)
    >>> prior, prior.ppf([0.05, 0.95]).round(2)
    (Prior('Gamma', mu=2, sigma=1), array([0.68, 3.88]))
    >>> prior.logpdf(3.0) == Prior("Gamma", alpha=4, beta=2).logpdf(3.0)
    np.True_
    """

    name: str
    _given: tuple[tuple[str, float], ...]  # in the order of declaration, so that equal ones are equal
    distribution: Any = field(compare=False)

    def __init__(self, name: str, /, **parameters: float) -> None:
        given = {key: _number(name, key, value) for key, value in parameters.items()}
        way = _way(name, given)
        order = inspect.signature(way).parameters
        given = {key: given[key] for key in order if math.isfinite(given.get(key, math.inf))}
        with np.errstate(all="ignore"):  # what cannot be is told by its support, which is not a number
            distribution = way(**{key: np.float64(value) for key, value in given.items()})
            support = distribution.support()
        if any(given.get(spread, 1.0) <= 0 for spread in _SPREADS) or np.isnan(support).any():
            raise ValueError(f"there is no {name} with {_listed(given)}: shapes and scales must be above 0")
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "_given", tuple(given.items()))
        object.__setattr__(self, "distribution", distribution)

    @property
    def parameters(self) -> dict[str, float]:
        """Its parameters by name."""
        return dict(self._given)

    def __repr__(self) -> str:
        return f"Prior({self.name!r}, {_listed(self.parameters)})"

    def support(self) -> tuple[float, float]:
        """Between which values it lies."""
        return self.distribution.support()

    def logpdf(self, x: ArrayLike, /) -> NDArray[np.float64]:
        """Logarithm of the density at x."""
        return np.asarray(self.distribution.logpdf(x))[()]

    def cdf(self, x: ArrayLike, /) -> NDArray[np.float64]:
        """Probability of a value up to x."""
        return np.asarray(self.distribution.cdf(x))[()]

    def ppf(self, q: ArrayLike, /) -> NDArray[np.float64]:
        """The value up to which lies the probability q."""
        return np.asarray(self.distribution.ppf(q))[()]

    def rvs(self, size: Any = 1, random_state: Any = None) -> NDArray[np.float64]:
        """Random values, as `scipy.stats` gives them: a number where size is 1."""
        return np.asarray(self.distribution.rvs(size, random_state))[()]

    def to_pymc(self, name: str, lower: float = -math.inf, upper: float = math.inf) -> Any:
        """The variable of PyMC of this name, within a model's context; truncated to these bounds if it is wider."""
        import pymc

        distribution = getattr(pymc, self.name)
        exact = {key: np.float64(value) for key, value in self._given}  # Python's own numbers become single precision
        least, most = self.support()
        if lower <= least and most <= upper:
            return distribution(name, **exact)
        bounds = (None if math.isinf(bound) else np.float64(bound) for bound in (max(least, lower), min(most, upper)))
        return pymc.Truncated(name, distribution.dist(**exact), *bounds)


def _listed(parameters: Mapping[str, float]) -> str:
    return ", ".join(f"{name}={value}" for name, value in parameters.items())


def _number(distribution: str, name: str, value: Any) -> float:
    """The value, as Python's own number."""
    if isinstance(value, np.ndarray | np.generic) and np.size(value) == 1:
        value = value.item()
    unbounded = distribution == "TruncatedNormal" and name in ("lower", "upper") and value in (-math.inf, math.inf)
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not (math.isfinite(value) or unbounded):
        raise ValueError(f"{name} of {distribution} must be a finite number; got {brief(repr(value))}")
    return value


def _way(name: str, given: Mapping[str, float]) -> Callable[..., Any]:
    """The function that makes a distribution of these parameters."""
    if name in _IMPROPER:
        raise ValueError(f"{name} is improper: its density has no end, and the data may not give one to the posterior")
    if name not in _DISTRIBUTIONS:
        raise ValueError(f"there is no prior {brief(repr(name))}; choose one of {', '.join(_DISTRIBUTIONS)}")
    for way in _DISTRIBUTIONS[name]:
        takes = inspect.signature(way).parameters.values()
        needed = {each.name for each in takes if each.default is each.empty}
        if needed <= given.keys() <= {each.name for each in takes}:
            return way
    ways = ", or ".join(" and ".join(inspect.signature(way).parameters) for way in _DISTRIBUTIONS[name])
    raise ValueError(f"{name} takes {ways}; got {', '.join(given) or 'none of them'}")


def by_name(prior: Any) -> Any:
    """A distribution of PreliZ as a `Prior`, anything else as it is."""
    if not type(prior).__module__.startswith("preliz."):
        return prior
    kind = type(prior).__name__
    if not prior.is_frozen:
        raise ValueError(f"{kind} of PreliZ has no parameters yet; give it some, as in preliz.Gamma(alpha=2, beta=1)")
    if kind == "Truncated":
        kind += type(prior.dist).__name__
    return Prior(kind, **dict(zip(prior.param_names, prior.params, strict=True)))


def why_no_prior(prior: Any, lower: float, upper: float) -> str | None:
    """Why it is no prior of a parameter between these bounds, or None if it is one."""
    if not hasattr(prior, "logpdf"):
        return "has no logpdf; use one such as clvmodels.Prior('Gamma', alpha=2, beta=1) or scipy.stats.gamma(2)"
    if isinstance(prior, Prior | rv_frozen):
        if np.shape(prior.support()) != (2,):
            return "is several distributions: its parameters must be numbers, not arrays"
        if np.isnan(prior.support()).any():
            return "has parameters that it cannot have"
        inside = prior.cdf(upper) - prior.cdf(lower)
        return None if inside > 0 else f"is 0 wherever the parameter can be, {_between(lower, upper)}"
    return "is improper: its density has no end" if _has_no_end(prior, lower, upper) else None


def _between(lower: float, upper: float) -> str:
    return f"above {lower:g}" if upper == math.inf else f"between {lower:g} and {upper:g}"


def _has_no_end(density: Any, lower: float, upper: float) -> bool:
    """Whether much of a density lies beyond all numbers that anything is measured in.

    On the line of u, on which parameters are estimated (for one without bounds value = sinh(u)), a density that
    integrates to something finite is next to nothing in the outer half of what a double can hold.
    """
    reach = _FAR if upper == math.inf else -math.log(np.finfo(float).eps)
    u = np.linspace(-reach, reach, _POINTS)
    if lower == -math.inf:
        values, log_slope = np.sinh(u), np.logaddexp(u, -u) - math.log(2)
    elif upper == math.inf:
        values, log_slope = lower + np.exp(u), u
    else:
        values = lower + (upper - lower) * special.expit(u)
        log_slope = special.log_expit(u) + special.log_expit(-u)
    with np.errstate(all="ignore"):
        log_density = np.asarray(density.logpdf(values), float) + log_slope
    shares = special.softmax(np.where(np.isfinite(log_density), log_density, -np.inf))
    return bool(shares[np.abs(u) > reach / 2].sum() > _OUTER)
