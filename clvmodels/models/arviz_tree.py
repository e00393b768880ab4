"""What a fit knows, in the groups that ArviZ reads: draws of the parameters, data and log-likelihood by distinct row.

They are made by xarray alone, so that they are the same whichever ArviZ is installed.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from clvmodels import __version__
from clvmodels.draws import Of, spread
from clvmodels.errors import DataError, FitError, recorded
from clvmodels.models import predictive

if TYPE_CHECKING:
    from xarray import DataArray, Dataset, DataTree

    from clvmodels.models.fit import Fit
    from clvmodels.models.rows import Rows

By = Literal["row", "customer"]

LEAST, MOST = 10, 100  # data sets that are simulated, by the priors and after the fit
LARGEST = 50_000_000  # cells (draws x rows) of a log-likelihood that a tree holds: 400 MB
LOADED = "a loaded fit has no customers, so there are no observed data and no log-likelihood of them"
_ROWS = "one value per distinct row; weight says how many customers share the row"


def tree(fit: Fit, simulated: dict[str, Dataset], missing: list[str]) -> DataTree:
    """What `Fit.inference_data` tells, with what `simulated_groups` gives."""
    import xarray as xr

    drawn = fit.posterior
    groups = {"posterior": parameters(drawn).assign_attrs(drawn.sampling or {})}
    if drawn.sample_stats is not None:
        stats = {name: (("chain", "draw"), values) for name, values in drawn.sample_stats.items()}
        groups["sample_stats"] = xr.Dataset(stats, _chains(drawn))
    notes = [] if drawn is fit else [f"the {fit.method} fit has no draws; these are of its Laplace approximation"]
    groups |= simulated
    notes += missing
    if fit.rows is None:
        notes.append(LOADED)
    else:
        cells = drawn.draw_count * len(fit.rows.weights)
        if cells <= LARGEST:
            groups["log_likelihood"] = pointwise_log_likelihood(fit, "row").to_dataset().assign_attrs(note=_ROWS)
        else:
            notes.append(
                f"no log_likelihood: {drawn.draw_count:,} draws of {len(fit.rows.weights):,} distinct rows would be "
                f"{8e-9 * cells:.1f} GB; fit.pointwise_log_likelihood() gives it"
            )
        groups["constant_data"] = _rows(fit)
    made = xr.DataTree.from_dict(groups)
    made.attrs.update(_described(fit), notes="; ".join(notes))
    return made


def pointwise_log_likelihood(fit: Fit, by: By) -> DataArray:
    """What `Fit.pointwise_log_likelihood` tells."""
    import xarray as xr

    if by not in ("row", "customer"):
        raise ValueError(f"by must be 'row' or 'customer'; got {by!r}")
    rows = fit.training_rows
    values = np.concatenate([block for _, block in fit.log_likelihood_blocks()], axis=1)
    coords = _distinct(rows)
    if by == "customer":
        ids, weights = fit.data.table.index[fit.model.in_likelihood(fit.data)].to_numpy(), fit.data.weights
        repeats = np.ones(len(ids)) if weights is None else weights
        if (repeats % 1).any():
            raise DataError("weights that are not whole numbers cannot be expanded to customers; take by='row'")
        values = values[:, np.repeat(rows.inverse, repeats.astype(int))]
        coords = {"customer": np.repeat(ids, repeats.astype(int))}
    return xr.DataArray(
        _by_chain(fit.posterior, values), _chains(fit.posterior) | coords, ("chain", "draw", by), "log_likelihood"
    )


def simulated_groups(fit: Fit) -> tuple[dict[str, Dataset], list[str]]:
    """Draws of the priors, statistics of data sets by them and after the fit, those observed; and what is missing."""
    import xarray as xr

    groups, missing = {}, []
    try:
        groups["prior"] = parameters(predictive.drawn(fit, "prior", None))
    except ValueError as problem:
        missing.append(f"no prior: {problem}")
    if fit.rows is None:
        return groups, missing
    number = predictive.data_sets(fit, LEAST, MOST)
    chosen = spread(fit.posterior.draw_count, number)
    few = {
        "posterior": fit.with_draws({name: draws[chosen] for name, draws in fit.posterior.parameter_draws.items()}),
        "prior": dataclasses.replace(fit, size=number),
    }
    for of in get_args(Of):
        try:
            with recorded():  # what is told of a check stands in its notes
                statistics = few[of].statistics(None)
                values, notes = predictive.replicas(few[of], statistics, of, None)
        except (ValueError, FitError) as problem:
            missing.append(f"no {of}_predictive: {problem}")
            continue
        names = {"statistic": list(statistics.labels)}
        drawn = {"chain": np.arange(1), "draw": np.arange(len(values)), **names}
        note = "; ".join(
            [f"statistics of {len(values)} simulated data sets, as fit.predictive_check() has them", *notes]
        )
        variable = {"statistics": (("chain", "draw", "statistic"), values[None])}
        groups[f"{of}_predictive"] = xr.Dataset(variable, drawn, {"note": note})
        groups["observed_data"] = xr.Dataset({"statistics": ("statistic", statistics.observed)}, names)
    return groups, missing


def parameters(fit: Fit) -> Dataset:
    """The draws of the parameters by name; those of the coefficients together, by the names of their covariates."""
    import xarray as xr

    own = [param.name for param in fit.model.params]
    draws = fit.parameter_draws
    variables: dict[str, Any] = {name: (("chain", "draw"), _by_chain(fit, draws[name][:, 0])) for name in own}
    coords = _chains(fit)
    if names := [name for name in draws if name not in own]:
        coefficients = np.hstack([draws[name] for name in names])
        variables["coefficient"] = (("chain", "draw", "covariate"), _by_chain(fit, coefficients))
        coords["covariate"] = names
    return xr.Dataset(variables, coords)


def _rows(fit: Fit) -> Dataset:
    """The distinct rows that the likelihood saw, and how many customers share each."""
    import xarray as xr

    rows = fit.training_rows
    columns, names = rows.columns, fit.model.columns
    variables: dict[str, Any] = {name: ("row", column) for name, column in zip(names, columns, strict=False)}
    coords = _distinct(rows)
    if covariates := columns[len(names) :]:
        variables["covariates"] = (("row", "covariate"), np.column_stack(covariates))
        coords["covariate"] = [param.name for param in fit.coordinates.params[len(fit.model.params) :]]
    less = "; covariates are less their means" if covariates else ""
    return xr.Dataset(variables, coords, {"note": f"{_ROWS}{less}"})


def _chains(fit: Fit) -> dict[str, Any]:
    return {"chain": np.arange(fit.chains), "draw": np.arange(fit.draw_count // fit.chains)}


def _distinct(rows: Rows) -> dict[str, Any]:
    return {"row": np.arange(len(rows.weights)), "weight": ("row", rows.weights)}


def _by_chain(fit: Fit, values: NDArray) -> NDArray:
    """Draws (S, ...), chain after chain, as (chains, draws, ...)."""
    return values.reshape(fit.chains, -1, *values.shape[1:])


def _described(fit: Fit) -> dict[str, Any]:
    """Numbers and texts alone, as NetCDF has them."""
    origin = fit.origin
    days = {"observation_start": origin.observation_start, "observation_end": origin.observation_end}
    return {
        "creation_library": "clvmodels",
        "creation_library_version": __version__,
        "model": repr(fit.model),
        "method": fit.method,
        "unit": origin.unit,
        "customers": origin.customers,
        "distinct_rows": fit.distinct_rows,
        "data_hash": fit.data_hash,
        "seed": fit.seed,
        **{name: f"{day:%Y-%m-%d}" for name, day in days.items() if day is not None},
    }
