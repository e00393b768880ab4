"""What a saved fit is made of: values as JSON and back, draws as NetCDF and back, each checked when it is read.

Nothing is run: models are looked up by name among those of this package, priors among those of
`clvmodels.priors` and the distributions of `scipy.stats`.
"""

from __future__ import annotations

import dataclasses
import datetime
import inspect
import io
import math
from collections.abc import Mapping
from types import NoneType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from scipy.stats.distributions import rv_frozen

from clvmodels import __version__
from clvmodels.draws import Parameters
from clvmodels.errors import DataError, brief, counted
from clvmodels.models import ALL
from clvmodels.models.base import Specification
from clvmodels.models.survival.cox import Cox
from clvmodels.models.survival.kaplan_meier import KaplanMeier
from clvmodels.priors import Prior
from clvmodels.time import day
from clvmodels.value.contractual import ContractualCLV
from clvmodels.value.noncontractual import NonContractualCLV
from clvmodels.value.simple import SimpleCLV, SimpleFigures
from clvmodels.value.simple_contracts import ChurnFigures

_FIGURES: dict[str, type[SimpleFigures | ChurnFigures]] = {"figures": SimpleFigures, "churn figures": ChurnFigures}
_SPECIFICATIONS: dict[str, type[Specification]] = {
    known.__name__: known for known in (*ALL, KaplanMeier, Cox, NonContractualCLV, ContractualCLV, SimpleCLV)
}


# Draws


def netcdf(groups: Mapping[str, Parameters]) -> bytes:
    """Draws (chains, draws) of parameters, or columns (J,) of a curve, by group."""
    import h5netcdf

    buffer = io.BytesIO()
    with h5netcdf.File(buffer, "w") as file:
        for name, columns in groups.items():
            group = file.create_group(name)
            shape = next(iter(columns.values())).shape
            if name.endswith("/posterior"):
                group.dimensions = dict(zip(("chain", "draw"), shape, strict=True))
                for dimension, size in group.dimensions.items():
                    group.create_variable(dimension, (dimension,), data=np.arange(len(size)))
                for param, values in columns.items():
                    group.create_variable(param, ("chain", "draw"), data=values)
            else:
                group.dimensions = {"step": shape[0]}
                for column, values in columns.items():
                    group.create_variable(column, ("step",), data=values)
    return buffer.getvalue()


def curve_columns(content: bytes, group: str, names: list[str]) -> Parameters:
    """The columns of a curve, each (J,)."""
    import h5netcdf

    try:
        with h5netcdf.File(io.BytesIO(content), "r") as file:
            variables = file[group].variables
            shapes = {name: (found.dimensions, found.dtype) for name, found in variables.items()}
            size = variables[names[0]].shape[0]
            if any(shapes.get(name) != (("step",), np.dtype(float)) for name in names) or size < 1:
                raise DataError(f"it holds {', '.join(shapes) or 'nothing'}, not {', '.join(names)}")
            if 8 * size * len(names) > len(content):
                raise DataError(f"it is too small for {counted(size, 'step')}")
            return {name: np.asarray(variables[name][...]) for name in names}
    except Exception as error:
        raise DataError(f"posterior.nc cannot be read: {error}") from error


def parameter_draws(content: bytes, part: str, names: list[str], size: int, chains: int) -> Parameters:
    """The draws of a model's parameters, each (S, 1), chain after chain."""
    import h5netcdf

    expected = f"{counted(size, 'draw')} of {', '.join(names)}"
    if 8 * size * len(names) > len(content):
        raise DataError(f"posterior.nc is too small for {expected}")
    try:
        with h5netcdf.File(io.BytesIO(content), "r") as file:
            variables = file[f"{part}/posterior"].variables
            shapes = {name: (found.dimensions, found.shape, found.dtype) for name, found in variables.items()}
            shape = (("chain", "draw"), (chains, size // chains), np.dtype(float))
            if any(shapes.get(name) != shape for name in names) or shapes.keys() - {"chain", "draw", *names}:
                raise DataError(f"it holds {', '.join(shapes) or 'nothing'}, not {expected}")
            return {name: np.asarray(variables[name][...]).reshape(size, 1) for name in names}
    except Exception as error:
        raise DataError(f"posterior.nc cannot be read: {error}") from error


# Arguments of models and options of logs: as JSON, and what it does not know as an object that says its kind


def encoded(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, (datetime.datetime, np.datetime64)):
        return {"kind": "time", "text": pd.Timestamp(value).isoformat()}
    if isinstance(value, datetime.date):
        return {"kind": "date", "text": value.isoformat()}
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, list):
        return [encoded(item) for item in value]
    if isinstance(value, tuple):
        return {"kind": "tuple", "items": encoded(list(value))}
    if isinstance(value, Mapping):
        return {"kind": "mapping", "items": [[encoded(key), encoded(item)] for key, item in value.items()]}
    if isinstance(value, SimpleFigures | ChurnFigures):
        kind = next(kind for kind, known in _FIGURES.items() if known is type(value))
        return {"kind": kind, "figures": dataclasses.asdict(value)}
    name = type(value).__name__
    if _SPECIFICATIONS.get(name) is type(value):
        return {"kind": "model", "name": name, "arguments": encoded_options(value.options())}
    if isinstance(value, Specification):
        raise DataError(f"{name} is not a model of clvmodels, and would not be found again")
    if isinstance(value, Prior):
        return {"kind": "prior by name", "name": value.name, "parameters": encoded_options(value.parameters)}
    if isinstance(value, rv_frozen):
        args, kwds = encoded(list(value.args)), encoded_options(value.kwds)
        prior = {"kind": "prior", "name": value.dist.name, "args": args, "kwds": kwds}
        numbers = all(isinstance(number, (int, float)) for number in (*args, *kwds.values()))
        if numbers and type(decoded(prior).dist) is type(value.dist) and decoded(prior).support() == value.support():
            return prior
    raise DataError(
        f"a {name} cannot be saved; a prior can, if it is a clvmodels.Prior, or a distribution such as "
        "scipy.stats.gamma(2)"
    )


def encoded_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options by name as JSON has them."""
    return {name: encoded(given) for name, given in options.items()}


def decoded(value: Any) -> Any:
    """The value that `encoded` made JSON of."""
    if isinstance(value, float) and not math.isfinite(value):
        raise DataError(f"model.json holds {value}, which is not finite")
    if isinstance(value, list):
        return [decoded(item) for item in value]
    if not isinstance(value, dict):
        return value
    kind = get_entry(value, "kind", str)
    if kind == "tuple":
        return tuple(decoded(get_entry(value, "items", list)))
    if kind == "mapping":
        return dict(decoded(get_entry(value, "items", list)))
    if kind == "time":
        return pd.Timestamp(get_entry(value, "text", str))
    if kind == "date":
        return datetime.date.fromisoformat(get_entry(value, "text", str))
    if kind in _FIGURES:
        figures = get_entry(value, "figures", dict)
        return _FIGURES[kind](
            **{field.name: get_number(figures, field.name) for field in dataclasses.fields(_FIGURES[kind])}
        )
    if kind == "model":
        return _decoded_model(get_entry(value, "name", str), decoded_options(get_entry(value, "arguments", dict)))
    if kind == "prior by name":
        return Prior(get_entry(value, "name", str), **decoded_options(get_entry(value, "parameters", dict)))
    if kind == "prior":
        known = getattr(stats, get_entry(value, "name", str), None)
        if isinstance(known, stats.rv_continuous):
            return known(*decoded(get_entry(value, "args", list)), **decoded_options(get_entry(value, "kwds", dict)))
        raise DataError(f"{value['name']!r} is not a continuous distribution of scipy.stats")
    raise DataError(f"model.json holds an unknown kind of value, {brief(kind)!r}")


def decoded_options(options: dict[str, Any]) -> dict[str, Any]:
    """The options that `encoded_options` made JSON of."""
    return {name: decoded(given) for name, given in options.items()}


def _decoded_model(name: str, arguments: dict[str, Any]) -> Specification:
    if name not in _SPECIFICATIONS:
        raise DataError(f"clvmodels {__version__} has no model {brief(name)!r}; update it if the file is newer")
    known = _SPECIFICATIONS[name]
    unknown = arguments.keys() - inspect.signature(known).parameters.keys()
    if unknown:
        raise DataError(f"{name} of clvmodels {__version__} has no {min(unknown)}=; update it if the file is newer")
    return known(**arguments)


# Entries of model.json, checked


def get_entry(record: dict[str, Any], name: str, kind: type | tuple[type, ...]) -> Any:
    """An entry of one of these kinds."""
    value = record.get(name, ...)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise DataError(f"{name} in model.json is missing or of the wrong kind")
    return value


def get_number(record: dict[str, Any], name: str, above: float = -math.inf) -> float:
    """A finite number."""
    value = get_entry(record, name, (int, float))
    if not (math.isfinite(value) and value > above):
        raise DataError(f"{name} in model.json is {value}, which cannot be")
    return value


def get_whole(record: dict[str, Any], name: str, least: int) -> int:
    """A whole number."""
    value = get_entry(record, name, int)
    if value < least:
        raise DataError(f"{name} in model.json is {value}, which cannot be")
    return value


def get_texts(record: dict[str, Any], name: str) -> tuple[str, ...]:
    """A list of texts."""
    return tuple(map(str, get_entry(record, name, list)))


def get_array(record: dict[str, Any], name: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Finite numbers of this shape."""
    values = np.array(get_entry(record, name, list), float)
    if values.shape != shape or not np.isfinite(values).all():
        raise DataError(f"{name} in model.json is not finite or not of the shape {shape}")
    return values


def get_covariance(record: dict[str, Any], k: int) -> NDArray[np.float64]:
    """The covariance of estimates (k, k); rounding may leave it neither quite symmetric nor quite positive."""
    values = get_array(record, "covariance", (k, k))
    spread = np.sqrt(np.maximum(np.diag(values), 0.0))
    if not (spread > 0).all():
        raise DataError("covariance in model.json is none: a variance is not positive")
    correlation = values / np.outer(spread, spread)
    if not np.allclose(correlation, correlation.T, rtol=0, atol=1e-8):
        raise DataError("covariance in model.json is none: it is not symmetric")
    if np.linalg.eigvalsh(correlation)[0] < -1e-8:
        raise DataError("covariance in model.json is none: it is not positive definite")
    return values


def date_text(date: pd.Timestamp | None) -> str | None:
    """A day as `get_day` reads it."""
    return None if date is None else f"{date:%Y-%m-%d}"


def get_day(record: dict[str, Any], name: str) -> pd.Timestamp | None:
    """A day, or none."""
    value = get_entry(record, name, (str, NoneType))
    return None if value is None else day(value, name)
