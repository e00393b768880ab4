"""Maximum likelihood and MAP: from a log-likelihood, its parameters and distinct rows to an optimum."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from clvmodels.draws import Parameters
from clvmodels.errors import FitError
from clvmodels.params import PRIOR_SD, Coordinates

_STEP = 2e-3  # of the difference quotients, in log-parameters
_CELLS = 100_000  # points times rows computed at once: as many as stay in a processor's cache
_FLAT = 1e-4  # curvature below which a direction counts as flat: a standard error of 100 in log-parameters


@dataclass(frozen=True)
class Target:
    """The log-likelihood of distinct rows with weights, as a function of the coordinates u, with or without prior.

    Parameters
    ----------
    log_likelihood : callable
        Parameters, each (S, 1), and a slice of rows -> (S, rows).
    weights : ndarray, (U,)
        How many customers share each distinct row.
    coordinates : Coordinates
    prior : bool
        Whether the log prior is added.
    design : ndarray, (U, m), optional
        Covariates whose coefficients are the last m coordinates: they act by adding ``design @ u[-m:]`` to the first
        coordinate of each row. Saying so makes derivatives cheap, and changes nothing else.
    sums : callable, optional
        Parameters, each (S, 1) -> what `log_likelihood` sums up to (S,), faster.
    """

    log_likelihood: Callable[[Parameters, slice], NDArray]
    weights: NDArray
    coordinates: Coordinates
    prior: bool = True
    design: NDArray | None = None
    sums: Callable[[Parameters], NDArray] | None = None

    def __call__(self, u: NDArray) -> NDArray[np.float64]:
        """Log density at u (S, k) -> (S,); minus infinity where it is not a number."""
        if self.sums is None:
            total = self._relative(u, None)
        else:
            total = self.sums(self.coordinates.to_values(u))
            if self.prior:
                total = total + self.coordinates.log_prior(u)
        return np.where(np.isfinite(total), total, -np.inf)

    def _relative(self, u: NDArray, centre: NDArray | None) -> NDArray:
        """Log density at u less that at the centre, differenced row by row so that digits do not cancel in sums."""
        total = self.coordinates.log_prior(u) if self.prior else np.zeros(len(u))
        if centre is not None and self.prior:
            total = total - self.coordinates.log_prior(centre)
        for part, rows in self._parts(u, centre):
            total = total + part @ self.weights[rows]
        return np.asarray(total)

    def _parts(self, u: NDArray, centre: NDArray | None) -> Iterator[tuple[NDArray, slice]]:
        """Log-likelihood (S, rows) at u less that at the centre, block after block of rows."""
        values = self.coordinates.to_values(u)
        here = self.coordinates.to_values(centre) if centre is not None else None
        size = max(1, _CELLS // len(u))
        for start in range(0, len(self.weights), size):
            rows = slice(start, start + size)
            with np.errstate(all="ignore"):  # a proposal far out may overflow; it is then refused as minus infinity
                part = self.log_likelihood(values, rows)
                if here is not None:
                    part = part - self.log_likelihood(here, rows)
            yield part, rows

    def derivatives(self, u: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Gradient (k,) and Hessian (k, k) at u (k,) by central differences: of fourth order, mixed ones of second."""
        if not np.isfinite(self(u[None])[0]):  # outside a prior's support: a search that asks will not go there
            return np.zeros(len(u)), -np.eye(len(u))
        if self.design is None:
            gradient, hessian = _slopes(self._relative(u + _stencil(len(u)), u[None]), len(u))
        else:
            with np.errstate(all="ignore"):
                gradient, hessian = self._by_row(u, self.design)
            if self.prior:
                around = self.coordinates.log_prior(u + _stencil(len(u))) - self.coordinates.log_prior(u[None])
                of_prior = _slopes(around, len(u))
                gradient, hessian = gradient + of_prior[0], hessian + of_prior[1]
        if not (np.isfinite(gradient).all() and np.isfinite(hessian).all()):
            raise FitError(
                "the search came to where the density ends: the border of the support of a prior (priors were given "
                f"for {', '.join(self.coordinates.priors)}); give priors that are positive for every value"
            )
        return gradient, hessian

    def _by_row(self, u: NDArray, design: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Derivatives of the log-likelihood by the chain rule: a covariate moves the first coordinate of its row."""
        k, free = len(u), len(u) - design.shape[1]
        gradient, hessian = np.zeros(k), np.zeros((k, k))
        offsets = np.zeros((len(_stencil(free)), k))
        offsets[:, :free] = _stencil(free)
        for part, rows in self._parts(u + offsets, u[None]):
            slopes, curvatures = (each * self.weights[rows] for each in _slopes(part, free))
            columns = design[rows]
            gradient[:free] += slopes.sum(axis=-1)
            gradient[free:] += slopes[0] @ columns
            hessian[:free, :free] += curvatures.sum(axis=-1)
            hessian[:free, free:] += curvatures[0] @ columns
            hessian[free:, free:] += (columns.T * curvatures[0, 0]) @ columns
        hessian[free:, :free] = hessian[:free, free:].T
        return gradient, hessian


def _stencil(k: int) -> NDArray[np.float64]:
    """The places (4 k + k (k - 1), k) around a centre from which `_slopes` makes derivatives."""
    unit = np.eye(k)
    pairs = [(i, j) for i in range(k) for j in range(i)]
    offsets = [step * unit for step in (_STEP, -_STEP, 2 * _STEP, -2 * _STEP)]
    offsets += [np.array([sign * _STEP * (unit[i] + unit[j]) for i, j in pairs]).reshape(-1, k) for sign in (1, -1)]
    return np.concatenate(offsets)


def _slopes(values: NDArray, k: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gradient (k, ...) and Hessian (k, k, ...) from values (4 k + k (k - 1), ...) less that at the centre."""
    h, shape = _STEP, values.shape[1:]
    with np.errstate(invalid="ignore"):  # infinite differences are for the caller to refuse
        near_up, near_down, far_up, far_down = values[: 4 * k].reshape(4, k, *shape)
        gradient = (8 * (near_up - near_down) - (far_up - far_down)) / (12 * h)
        hessian = np.empty((k, k, *shape))
        single = near_up + near_down
        both = values[4 * k :].reshape(2, -1, *shape).sum(axis=0)
        for i in range(k):
            hessian[i, i] = (16 * single[i] - (far_up[i] + far_down[i])) / (12 * h * h)
            for j in range(i):
                hessian[i, j] = hessian[j, i] = (both[i * (i - 1) // 2 + j] - single[i] - single[j]) / (2 * h * h)
    return gradient, hessian


@dataclass(frozen=True)
class Optimum:
    """Where the search ended, and what is known about that place.

    `problems` holds sentences: empty where the optimum is one and the data determine it. `decrement` is the distance
    that Newton's method would still go, in standard errors; `weakest_sd` the standard error, in log-parameters and at
    most 100, of the direction that the data determine least.
    """

    u: NDArray[np.float64]
    covariance: NDArray[np.float64]
    iterations: int
    decrement: float
    weakest_sd: float
    problems: tuple[str, ...]


def maximise(target: Target, start: NDArray) -> Optimum:
    """Find the mode of the target by Newton's method within a trust region, and look at what lies around it."""
    if not np.isfinite(target(start[None])[0]):
        raise FitError(
            f"the density is zero where the search starts; a prior (they were given for "
            f"{', '.join(target.coordinates.priors)}) must have a ppf method, or be positive for every value"
        )
    weight = float(target.weights.sum())
    memory: dict[bytes, tuple[NDArray, NDArray]] = {}

    def derivatives(u: NDArray) -> tuple[NDArray, NDArray]:
        key = u.tobytes()
        if key not in memory:
            memory.clear()
            memory[key] = target.derivatives(u)
        return memory[key]

    # The mean, not the sum: what "small" means must not depend on the number of customers.
    result = optimize.minimize(
        lambda u: -target(u[None])[0] / weight,
        start,
        jac=lambda u: -derivatives(u)[0] / weight,
        hess=lambda u: -derivatives(u)[1] / weight,
        method="trust-exact",
        options={"initial_trust_radius": 1.0, "max_trust_radius": 4.0, "gtol": 1e-7, "maxiter": 200},
    )
    u = np.asarray(result.x)
    for _ in range(2):  # from the trust region's tolerance to the last digits
        gradient, hessian = derivatives(u)
        step = np.linalg.lstsq(-hessian, gradient, rcond=1e-12)[0]
        if np.linalg.eigvalsh(-hessian)[0] > 0 and np.abs(step).max() < 0.01:
            u = u + step
    gradient, hessian = derivatives(u)
    curvature, directions = np.linalg.eigh(-hessian)
    inverse = directions @ np.diag(1 / np.maximum(curvature, _FLAT)) @ directions.T
    decrement = float(np.sqrt(max(gradient @ inverse @ gradient, 0.0)))
    data_curvature, data_directions = curvature, directions
    if target.prior:
        flat = replace(target, prior=False)
        data_curvature, data_directions = np.linalg.eigh(-flat.derivatives(u)[1])
    weakest_sd = float(1 / np.sqrt(max(data_curvature[0], _FLAT)))
    problems = []
    if curvature[0] < -0.01 or decrement > 1e-3:
        problems.append(
            f"the search did not end at an optimum (after {result.nit} iterations; Newton decrement {decrement:.1g})"
        )
    heavy = [i for i in range(len(u)) if abs(data_directions[i, 0]) > 0.3]
    meant = target.prior and all(target.coordinates.params[i].name in target.coordinates.priors for i in heavy)
    if weakest_sd > PRIOR_SD and not meant:  # a user who gives the priors there means them to decide
        names = _named(target.coordinates, data_directions[:, 0], heavy)
        problems.append(
            f"the likelihood is flat: the data say next to nothing about {names} "
            f"(standard error {weakest_sd:.1f} in the logarithm along that direction)"
        )
    return Optimum(u, inverse, int(result.nit), decrement, weakest_sd, tuple(problems))


def _named(coordinates: Coordinates, direction: NDArray, heavy: list[int]) -> str:
    """The parameters that make up a direction, such as "a and b growing together"."""
    names = [coordinates.params[i].name for i in heavy]
    if len(names) == 1:
        return names[0]
    signs = {np.sign(direction[i]) for i in heavy}
    return " and ".join(names) + (" growing together" if len(signs) == 1 else " growing against each other")
