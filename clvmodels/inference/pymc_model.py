"""A model as one of PyMC, for who wants to extend it: hierarchies, other priors, further data."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clvmodels.errors import DataError
from clvmodels.inference.blackbox import blackbox
from clvmodels.params import PRIOR_SD, Coordinates, Param, PriorDensity, drawn_between
from clvmodels.priors import Prior

_STEP = 1e-3  # of the difference quotient, on the line of the coordinates
_RESERVED = ("row", "weights", "log_likelihood")


def pymc_model(
    coordinates: Coordinates,
    columns: Mapping[str, NDArray],
    weights: NDArray,
    log_likelihood: Callable[[list[Any], Mapping[str, Any]], Any],
) -> Any:
    """The parameters as variables, the distinct rows as data, and the log-likelihood as a potential.

    Parameters
    ----------
    coordinates : Coordinates
        The parameters with their priors.
    columns : mapping of str to ndarray, each (U,)
        The distinct rows; `weights` say how many customers share each.
    log_likelihood : callable
        Columns and parameters -> (U,), for tensors.

    Returns
    -------
    pymc.Model
    """
    import pymc

    taken = {*_RESERVED, *columns}
    if clash := sorted(taken.intersection(param.name for param in coordinates.params)):
        raise DataError(f"covariate {clash[0]!r} has the name of another variable of the PyMC model; rename it")
    with pymc.Model(coords={"row": np.arange(len(weights))}) as built:
        params = {param.name: _variable(param, coordinates) for param in coordinates.params}
        rows = [pymc.Data(name, column, dims="row") for name, column in columns.items()]
        shared = pymc.Data("weights", weights, dims="row")
        pymc.Potential("log_likelihood", (shared * log_likelihood(rows, params)).sum())
    return built


def _variable(param: Param, coordinates: Coordinates) -> Any:
    """A parameter, with the user's prior or the default one, which is normal on the line of the coordinates."""
    import pymc

    prior, scale = coordinates.priors.get(param.name), coordinates.scale(param)
    if isinstance(prior, Prior):
        return prior.to_pymc(param.name, scale * param.lower, scale * param.upper)
    if prior is not None:
        return _own_density(param, prior, scale)
    if param.lower == -math.inf:
        return Prior("Normal", mu=0, sigma=scale * PRIOR_SD).to_pymc(param.name)
    if param.upper < math.inf:  # there are no bounds but 0 and 1, and PyMC samples on their line only if it is told
        logodds = pymc.distributions.transforms.logodds
        return pymc.LogitNormal(param.name, np.float64(0), np.float64(PRIOR_SD), transform=logodds)
    if param.lower == 0:
        return Prior("LogNormal", mu=math.log(scale), sigma=PRIOR_SD).to_pymc(param.name)

    def above(mu: Any, sigma: Any, size: Any) -> Any:
        return np.float64(scale * param.lower) + pymc.LogNormal.dist(mu, sigma, size=size)

    transform = pymc.distributions.transforms.Interval(np.float64(scale * param.lower), None)
    return pymc.CustomDist(
        param.name, np.float64(math.log(scale)), np.float64(PRIOR_SD), dist=above, transform=transform
    )


def _own_density(param: Param, prior: PriorDensity, scale: float) -> Any:
    """A variable with a density that PyTensor cannot look into."""
    import pymc
    from pytensor import tensor

    density = blackbox(_slope_by_differences(param, prior, scale))
    _quiet_in_numba(type(density))
    least, most = param.lower, param.upper
    if hasattr(prior, "support"):
        low, high = prior.support()
        least, most = max(least, float(low)), min(most, float(high))
    bounds = [None if math.isinf(bound) else np.float64(bound) for bound in (least, most)]
    start = float(prior.ppf(0.5)) if hasattr(prior, "ppf") else math.nan
    if not least < start < most:
        start = scale * float(param.from_line(np.zeros(1))[0])

    def random(rng: np.random.Generator, size: Any = None) -> NDArray[np.float64]:
        shape = tuple(size or ())
        return drawn_between(prior, param.name, least, most, rng, math.prod(shape)).reshape(shape)

    return pymc.CustomDist(
        param.name,
        logp=lambda value: density(tensor.stack([value]))[0],
        random=random,
        support_point=lambda rv, size: tensor.full(rv.shape, start),
        transform=None if bounds == [None, None] else pymc.distributions.transforms.Interval(*bounds),
        signature="->()",
    )


def _slope_by_differences(
    param: Param, prior: PriorDensity, scale: float
) -> Callable[[NDArray], tuple[float, NDArray[np.float64]]]:
    """Log density at a value (1,), and its derivative (1,)."""

    def density(value: NDArray) -> tuple[float, NDArray[np.float64]]:
        with np.errstate(all="ignore"):
            u = param.to_line(value / scale)
            near = u + _STEP * np.array([0.0, 1.0, -1.0, 2.0, -2.0])
            here, up, down, far_up, far_down = np.ravel(prior.logpdf(scale * param.from_line(near)))
            slope = (8 * (up - down) - (far_up - far_down)) / (12 * _STEP) / (scale * np.exp(param.log_slope(u)))
        return float(here), np.where(np.isfinite(slope), slope, 0.0)

    return density


def _quiet_in_numba(operation: type) -> None:
    """Numba calls Python for this operation, and need not warn of it."""
    from pytensor.link.numba.dispatch.basic import generate_fallback_impl, numba_funcify

    @numba_funcify.register(operation)
    def _(op: Any, node: Any = None, **more: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return generate_fallback_impl(op, node, **more)
