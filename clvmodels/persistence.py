"""Save and load a fit: one zip of what was learnt, without the customers it was learnt from.

`model.json` says what the fit is: the model and its arguments, the optimum, the facts of the data, the versions.
`posterior.nc` (NetCDF) holds the draws of the parameters, in a group ``<part>/posterior`` with the dimensions chain and
draw, and the steps of curves that have no parameters, in groups ``survival/curve_0``, ... The zip's comment is the
SHA-256 of all bytes before it, which tells damage, not forgery. Nothing is compressed, so nothing can unpack to more
than the file is; and nothing is run: models are looked up by name among those of this package, priors among those of
`clvmodels.priors` and the distributions of `scipy.stats`, and formulas of covariates are read by
`clvmodels.models.survival.design`.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import inspect
import io
import json
import math
import platform
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import NoneType
from typing import Any, get_args

import numpy as np
import pandas as pd
import scipy
from numpy.typing import NDArray

from clvmodels import __version__
from clvmodels.data.contracts import Timing
from clvmodels.data.durations import ENTRY
from clvmodels.data.numbers import check_form
from clvmodels.data.parsing import check_choice
from clvmodels.data.subscriptions import Returns, Subscriptions
from clvmodels.data.transactions import BadRows, Refunds, Transactions
from clvmodels.draws import Parameters, check_seed
from clvmodels.errors import DataError, FitError, brief, counted
from clvmodels.files import check_targets, written_whole
from clvmodels.inference.likelihood import Optimum
from clvmodels.models.base import METHODS, Model, Specification
from clvmodels.models.fit import Fit, Origin
from clvmodels.models.spend.base import SpendFit, SpendModel
from clvmodels.models.survival.accelerated import AcceleratedModel
from clvmodels.models.survival.base import SurvivalFit, SurvivalModel
from clvmodels.models.survival.cox import Baseline, Cox, CoxFit, Partial
from clvmodels.models.survival.design import Design
from clvmodels.models.survival.kaplan_meier import KaplanMeier, KaplanMeierFit
from clvmodels.models.survival.steps import StepFit
from clvmodels.models.transactions.base import TransactionFit
from clvmodels.params import Coordinates
from clvmodels.product_limit import RiskTable
from clvmodels.saved_values import (
    curve_columns,
    date_text,
    decoded,
    decoded_options,
    encoded,
    encoded_options,
    get_array,
    get_covariance,
    get_day,
    get_entry,
    get_number,
    get_texts,
    get_whole,
    netcdf,
    parameter_draws,
)
from clvmodels.time import period, unit_days
from clvmodels.value.contractual import ContractualCLV, ContractualCLVFit
from clvmodels.value.noncontractual import NonContractualCLV, NonContractualCLVFit
from clvmodels.value.simple import SimpleCLV, SimpleCLVFit, SimpleFigures
from clvmodels.value.simple_contracts import ChurnFigures, SimpleContractsFit

SavedFit = (
    NonContractualCLVFit
    | TransactionFit
    | SpendFit
    | SimpleCLVFit
    | ContractualCLVFit
    | SurvivalFit
    | KaplanMeierFit
    | CoxFit
    | SimpleContractsFit
)

ENDING = ".clv"
SCHEMA = 1
MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}  # model.json of a schema -> that of the next
LARGEST = 2**30  # bytes of a file that is read

_MEMBERS = ["model.json", "posterior.nc"]
_SEAL = 64  # bytes of the hash
_OF_CONTRACTS = ("period", "only_cause")  # facts of the data that a shop has none of


def save(fit: SavedFit, path: str | Path, *, overwrite: bool = False) -> Path:
    """Write a fit to a file that `load` reads. Customers are not in it.

    An ml or map fit is saved with the draws that its intervals need. The curves of `KaplanMeier` and `Cox` are saved as
    they are: when customers left, and how many could have.

    Parameters
    ----------
    fit : NonContractualCLVFit, ContractualCLVFit, a fit of one model, or of SimpleCLV
    path : str or Path
        Ends in ``.clv``, in a folder that exists.
    overwrite : bool
        Replace a file that is there. The old file stays as it is until the new one is complete.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    DataError
        If something in the fit cannot be saved: a model that is not of this package, a prior that is not a continuous
        distribution of `scipy.stats`, a number that is not finite.
    ValueError
        If the ending is another.
    OSError
        If the file exists and is not to be replaced, or cannot be written.
    """
    path = checked_model_path(path, overwrite=overwrite)
    try:
        content = _packed(fit)
        _unpacked(content)  # what could not be loaded is not written
    except (ValueError, TypeError) as error:
        raise DataError(f"the fit cannot be saved: {error}") from error
    with written_whole(path) as folder:
        (folder / path.name).write_bytes(content)
    return path


def load(path: str | Path) -> SavedFit:
    """Read a fit that `save` wrote.

    It predicts for customers that it is given, ``fit.predict(data, ...)``, what the original did for the same ones and
    seed.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    NonContractualCLVFit, ContractualCLVFit, a fit of one model, or of SimpleCLV
        As it was saved; its `data` are None.

    Raises
    ------
    DataError
        If the file is missing, damaged, of a newer version, or holds what no fit can hold.
    OSError
        If it may not be read.
    """
    path = _path(path)
    if not path.is_file():
        raise DataError(f"there is no file {path}")
    try:
        if path.stat().st_size > LARGEST:
            raise DataError(f"it is larger than {counted(LARGEST, 'byte')}")
        return _unpacked(path.read_bytes())
    except RecursionError:
        raise DataError(f"{path} cannot be loaded: it is nested more deeply than a fit is") from None
    except (ValueError, TypeError) as error:
        raise DataError(f"{path} cannot be loaded: {error}") from error


def _path(path: str | Path) -> Path:
    if not isinstance(path, (str, Path)):
        raise TypeError(f"the path of a saved fit must be a text or a Path; got {path!r}")
    return Path(path)


def checked_model_path(path: str | Path, *, overwrite: bool) -> Path:
    """The path, if `save` can write there; asked before work that takes long."""
    path = _path(path)
    if path.suffix != ENDING:
        raise ValueError(f"{path} is no name of a saved fit, which ends in {ENDING}")
    check_targets(path, overwrite=overwrite)
    return path


# The file


def _packed(fit: SavedFit) -> bytes:
    described, draws = _described(fit)
    return _sealed({"model.json": json.dumps(described, indent=1).encode(), "posterior.nc": netcdf(draws)})


def _unpacked(content: bytes) -> SavedFit:
    members = _opened(content)
    described = _current(_parsed(members.get("model.json", b"")))
    if sorted(members) != _MEMBERS:
        raise DataError(f"its files are {', '.join(members)}, not {' and '.join(_MEMBERS)}")
    return _restored(described, members["posterior.nc"])


def _sealed(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.comment = bytes(_SEAL)
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    body = buffer.getvalue()[:-_SEAL]
    return body + hashlib.sha256(body).hexdigest().encode()


def _opened(content: bytes) -> dict[str, bytes]:
    """The members of a file whose hash is right."""
    if not content.startswith(b"PK\x03\x04"):
        raise DataError("it is not a file of clvmodels.save")
    if hashlib.sha256(content[:-_SEAL]).hexdigest().encode() != content[-_SEAL:]:
        raise DataError("its hash is not that of its content: it is damaged, cut short, or was changed")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            found = archive.infolist()
            if any(member.compress_type != zipfile.ZIP_STORED for member in found):
                raise DataError("it is compressed, which clvmodels.save never does")
            if len({member.filename for member in found}) < len(found):
                raise DataError("it holds two files of one name")
            return {member.filename: archive.read(member) for member in found}
    except (zipfile.BadZipFile, OSError, RuntimeError, EOFError) as error:
        raise DataError(f"it cannot be read as a zip ({error})") from error


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(text)
    except ValueError as error:
        raise DataError(f"model.json is not JSON ({error})") from error
    if not isinstance(parsed, dict):
        raise DataError("model.json is not an object")
    return parsed


def _current(described: dict[str, Any]) -> dict[str, Any]:
    """The description in the schema of this version."""
    schema = get_whole(described, "schema", least=1)
    if schema > SCHEMA:
        made_by = get_entry(get_entry(described, "versions", dict), "clvmodels", str)
        raise DataError(
            f"it was made by clvmodels {made_by} in schema {schema}, and clvmodels {__version__} reads up to schema "
            f"{SCHEMA}; update clvmodels"
        )
    for older in range(schema, SCHEMA):
        described = MIGRATIONS[older](described)
    return described


# A fit


def _described(fit: SavedFit) -> tuple[dict[str, Any], dict[str, Parameters]]:
    """What `model.json` says of a fit, and the draws of its parts."""
    if not isinstance(fit, SavedFit):
        raise DataError(f"it is a {type(fit).__name__}, not a fit")
    described: dict[str, Any] = {
        "schema": SCHEMA,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": {
            "clvmodels": __version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "scipy": scipy.__version__,
            "pandas": pd.__version__,
        },
        "model": encoded(fit.model),
        "data": {
            "unit": fit.origin.unit,
            "customers": fit.origin.customers,
            "observation_start": date_text(fit.origin.observation_start),
            "observation_end": date_text(fit.origin.observation_end),
            "covered": fit.origin.covered,
            "log": None if fit.origin.log is None else encoded_options(fit.origin.log),
            **{name: told for name in _OF_CONTRACTS if (told := getattr(fit.origin, name)) is not None},
        },
    }
    if isinstance(fit, SimpleCLVFit | SimpleContractsFit):
        described["figures"] = encoded(fit.figures)
        if isinstance(fit, SimpleCLVFit):
            described["transactions_per_year"] = encoded(fit.transactions_per_year)
        return described | {"notes": list(fit.notes)}, {}
    parts, models = _parts(fit)
    if any(part.model != model or part.origin != fit.origin for part, model in zip(parts, models, strict=True)):
        raise DataError("its parts are not from one call of NonContractualCLV(...).fit(data)")
    draws: dict[str, Parameters] = {}
    described["parts"] = {}
    for part in parts:
        if isinstance(part, StepFit):
            described["parts"][_name(part.model)], curves = _described_steps(part)
            draws |= curves
            continue
        try:
            drawn = part.posterior
        except FitError as error:
            posterior: Any = str(error)
        else:
            posterior = None if drawn is part else _described_estimate(drawn)
            by_chain = (values.reshape(drawn.chains, -1) for values in drawn.parameter_draws.values())
            draws[f"{_name(part.model)}/posterior"] = dict(zip(_draw_names(part), by_chain, strict=True))
        described["parts"][_name(part.model)] = {
            "seed": part.seed,
            "size": part.size,
            "data_hash": part.data_hash,
            "distinct_rows": part.distinct_rows,
            "scales": {name: part.coordinates.scales[name] for name in _carried(part.model)},
            "estimate": _described_estimate(part),
            "posterior": posterior,  # of an ml or map fit, or why it has none
        }
        if (design := getattr(part, "design", None)) is not None:
            described["parts"][_name(part.model)]["design"] = _described_design(design)
    return described, draws


def _parts(fit: Any) -> tuple[tuple[Any, ...], tuple[Specification, ...]]:
    """The fits that a fit is made of, and the models that they should be of."""
    if isinstance(fit, NonContractualCLVFit):
        return (fit.transactions, fit.spend), (fit.model.transactions, fit.model.spend)
    if isinstance(fit, ContractualCLVFit):
        return (fit.survival,), (fit.model.survival,)
    return (fit,), (fit.model,)


def _name(model: Any) -> str:
    if isinstance(model, SurvivalModel | KaplanMeier | Cox):
        return "survival"
    return "spend" if isinstance(model, SpendModel) else "transactions"


def _carried(model: Model) -> list[str]:
    """The dimensions of a model's own parameters."""
    return list(dict.fromkeys(param.carries for param in model.params if param.carries))


def _draw_names(fit: Fit) -> list[str]:
    """What the draws are called in NetCDF, which could not hold every name of a covariate."""
    own = [param.name for param in fit.model.params]
    return [*own, *_coefficient_names(len(fit.parameter_draws) - len(own))]


def _coefficient_names(number: int) -> list[str]:
    return [f"coefficient_{i}" for i in range(number)]


def _described_design(design: Design) -> dict[str, Any]:
    return {
        "levels": encoded(design.levels),
        "names": list(design.names),
        "means": list(design.means),
        "sds": list(design.sds),
    }


def _described_steps(fit: StepFit) -> tuple[dict[str, Any], dict[str, Parameters]]:
    """What `model.json` says of a fit of steps, and the columns of its curves."""
    told: dict[str, Any] = {
        "seed": fit.seed,
        "size": fit.size,
        "data_hash": fit.data_hash,
        "clock": fit.clock,
        "drawn": int(fit.drawn),
    }
    if isinstance(fit, KaplanMeierFit):
        return told | {"last": [fit.risk.last]}, {"survival/curve_0": _risk_columns(fit.risk)}
    assert isinstance(fit, CoxFit)  # noqa: S101 - there is no other
    partial, curves = fit.partial, {}
    for number, baseline in enumerate(fit.baselines):
        means = dict(zip(_coefficient_names(baseline.mean.shape[1]), baseline.mean.T, strict=True))
        curves[f"survival/curve_{number}"] = _risk_columns(baseline.table) | means
    told |= {
        "last": [baseline.table.last for baseline in fit.baselines],
        "design": _described_design(fit.design),
        "strata": encoded(list(fit.strata)),
        "coefficients": partial.coefficients.tolist(),
        "covariance": partial.covariance.tolist(),
        "log_likelihood": partial.log_likelihood,
        "problems": list(partial.problems),
    }
    return told, curves


def _risk_columns(table: RiskTable) -> Parameters:
    return {"time": table.time, "at_risk": table.at_risk, "events": table.events}


def _described_estimate(fit: Fit) -> dict[str, Any]:
    optimum = dataclasses.asdict(fit.optimum)
    return {
        "method": fit.method,
        "log_likelihood": fit.log_likelihood,
        "optimum": optimum | {name: optimum[name].tolist() for name in ("u", "covariance")},
        "sampling": fit.sampling and {name: None if value != value else value for name, value in fit.sampling.items()},
        "chains": fit.chains,
        "sampling_problems": list(fit.sampling_problems),
    }


def _restored(described: dict[str, Any], draws: bytes) -> SavedFit:
    model = decoded(get_entry(described, "model", dict))
    data = get_entry(described, "data", dict)
    log = get_entry(data, "log", (dict, NoneType))
    origin = Origin(
        unit=get_entry(data, "unit", str),
        customers=get_whole(data, "customers", least=1),
        observation_start=get_day(data, "observation_start"),
        observation_end=get_day(data, "observation_end"),
        covered=get_number(data, "covered"),
        log=None if log is None else _checked_log(decoded_options(log)),
        period=str(period(data["period"])) if "period" in data else None,
        only_cause=get_entry(data, "only_cause", str) if "only_cause" in data else None,
    )
    unit_days(origin.unit)
    if isinstance(model, SimpleCLV):
        return _restored_figures(described, model, origin)
    parts = get_entry(described, "parts", dict)
    if isinstance(model, ContractualCLV):
        return ContractualCLVFit(model, _restored_survival(parts, model.survival, origin, draws))
    if isinstance(model, KaplanMeier | Cox):
        return _restored_survival(parts, model, origin, draws)
    if isinstance(model, NonContractualCLV):
        both: Any = (_restored_part(parts, part, origin, draws) for part in (model.transactions, model.spend))
        return NonContractualCLVFit(model, *both)
    if isinstance(model, Model):
        return _restored_part(parts, model, origin, draws)
    raise DataError("model in model.json is none")


def _checked_log(options: dict[str, Any]) -> dict[str, Any]:
    """How records were read, if the options are those of `Subscriptions` or `Transactions`; no source is read."""
    reads = Subscriptions if "start" in options else Transactions
    known = inspect.signature(reads).parameters
    if unknown := options.keys() - (known.keys() - {"source"}):
        raise DataError(f"{reads.__name__} of clvmodels {__version__} has no {brief(min(unknown))}=")
    given = {name: parameter.default for name, parameter in known.items() if name != "source"} | options
    choices: dict[str, Any] = {"returns": Returns, "refunds": Refunds, "bad_rows": BadRows, "timing": Timing}
    for name, value in given.items():
        several = isinstance(value, (tuple, list)) and all(isinstance(text, str) for text in value)
        if name in choices:
            check_choice(value, name, get_args(choices[name]))
        elif not (
            (isinstance(value, str) and name not in ("attributes", "where", "inclusive_ends"))
            or (value is None and known[name].default is None)
            or (several and name in ("customer", "value", "attributes", "currency"))
            or (name == "where" and isinstance(value, dict))
            or (name == "inclusive_ends" and isinstance(value, bool))
            or (name == "first_seen_after" and isinstance(value, (datetime.date, np.datetime64)))
        ):
            raise DataError(f"{name} of the log in model.json is none")
    check_form(given["decimal"], given["thousands"])
    return options


def _restored_figures(described: dict[str, Any], model: SimpleCLV, origin: Origin) -> SimpleCLVFit | SimpleContractsFit:
    figures, notes = decoded(get_entry(described, "figures", dict)), get_texts(described, "notes")

    def check(found: Any, kind: type) -> None:
        if not all(isinstance(one, kind) for one in (found.values() if isinstance(found, dict) else [found])):
            raise DataError("model.json holds figures that are none")

    if "transactions_per_year" not in described:
        check(figures, ChurnFigures)
        return SimpleContractsFit(model, origin, figures, notes)
    per_year = decoded(get_entry(described, "transactions_per_year", (dict, float)))
    check(figures, SimpleFigures)
    check(per_year, float)
    return SimpleCLVFit(model, origin, figures, per_year, notes)


def _restored_survival(parts: dict[str, Any], model: Any, origin: Origin, draws: bytes) -> Any:
    if isinstance(model, SurvivalModel):
        return _restored_part(parts, model, origin, draws)
    told = get_entry(parts, "survival", dict)
    clock = get_entry(told, "clock", str)
    if clock not in ENTRY:
        raise DataError(f"clock in model.json is {brief(clock)!r}, not one of {', '.join(ENTRY)}")
    known: dict[str, Any] = {
        "model": model,
        "seed": check_seed(get_entry(told, "seed", int)),
        "size": get_whole(told, "size", least=1),
        "clock": clock,
        "origin": origin,
        "data_hash": get_entry(told, "data_hash", str),
        "drawn": bool(get_whole(told, "drawn", least=0)),
    }
    last = get_entry(told, "last", list)
    if isinstance(model, KaplanMeier):
        ((risk, _),) = _curves(draws, last[:1], 0)
        if (risk.events > risk.at_risk).any():
            raise DataError("more customers left in posterior.nc than could")
        return KaplanMeierFit(**known, risk=risk)
    design, strata = (
        _restored_design(get_entry(told, "design", dict), model.covariates),
        decoded(get_entry(told, "strata", list)),
    )
    p = len(design.names)
    if len(last) != max(len(strata), 1) or (model.strata is None) != (not strata):
        raise DataError("strata in model.json are not those of its curves")
    partial = Partial(
        get_array(told, "coefficients", (p,)),
        get_covariance(told, p),
        get_number(told, "log_likelihood"),
        get_texts(told, "problems"),
    )
    baselines = tuple(Baseline(risk, mean) for risk, mean in _curves(draws, last, p))
    return CoxFit(**known, design=design, partial=partial, strata=tuple(strata), baselines=baselines)


def _curves(draws: bytes, last: list[Any], p: int) -> list[tuple[RiskTable, NDArray[np.float64]]]:
    """The curves in `posterior.nc`, with the mean covariates (J, p) at their steps."""
    curves = []
    for number, end in enumerate(last):
        names = ["time", "at_risk", "events", *_coefficient_names(p)]
        found = curve_columns(draws, f"survival/curve_{number}", names)
        time, at_risk, events = (found[name] for name in names[:3])
        ends = get_number({"last": end}, "last")
        rising = (np.diff(time) > 0).all() and time[0] >= 0 and time[-1] <= ends
        if not (all(np.isfinite(column).all() for column in found.values()) and rising):
            raise DataError(f"the curve {number} in posterior.nc is not one of finite numbers at rising times")
        if not ((events > 0).all() and (at_risk > 0).all()):
            raise DataError(f"nobody left, or could, at a step of the curve {number} in posterior.nc")
        mean = np.stack([found[name] for name in names[3:]], axis=-1) if p else np.empty((len(time), 0))
        curves.append((RiskTable(time, at_risk, events, float(ends)), mean))
    if not curves:
        raise DataError("model.json names no curve")
    return curves


def _restored_design(described: dict[str, Any], covariates: Any) -> Design:
    names = get_texts(described, "names")
    levels = decoded(get_entry(described, "levels", dict))
    if covariates is None or not names or not all(isinstance(each, tuple) for each in levels.values()):
        raise DataError("design in model.json is none")
    means, sds = (get_array(described, name, (len(names),)) for name in ("means", "sds"))
    if (sds <= 0).any():
        raise DataError("sds in model.json are not positive")
    return Design(covariates, levels, names, tuple(means.tolist()), tuple(sds.tolist()))


def _restored_part(parts: dict[str, Any], model: Model, origin: Origin, draws: bytes) -> Any:
    described = get_entry(parts, _name(model), dict)
    scales, size = get_entry(described, "scales", dict), get_whole(described, "size", least=1)
    carried = {name: get_number(scales, name, above=0) for name in _carried(model)}
    more: dict[str, Any] = {}
    if isinstance(model, AcceleratedModel) and model.covariates is not None:
        more["design"] = _restored_design(get_entry(described, "design", dict), model.covariates)
        coordinates = model.coordinates_of(carried, more["design"])
    else:
        coordinates = Coordinates(model.params, carried, model.priors)
    names = [param.name for param in coordinates.params]
    saved_names = [param.name for param in model.params] + _coefficient_names(len(names) - len(model.params))

    def fit(estimate: dict[str, Any], saved_posterior: Fit | str | None = None) -> Fit:
        optimum = _restored_optimum(get_entry(estimate, "optimum", dict), len(names))
        sampling = get_entry(estimate, "sampling", (dict, NoneType))
        chains = get_whole(estimate, "chains", least=1) if "chains" in estimate else 1
        if sampling is None and saved_posterior is None:
            raise DataError("posterior in model.json is missing or of the wrong kind")
        at = coordinates if estimate.get("method") != "ml" else dataclasses.replace(coordinates, priors={})
        with np.errstate(all="ignore"):  # what overflows is refused
            drawn = at.to_values(optimum.u[None])
            if sampling is not None:
                saved = parameter_draws(draws, _name(model), saved_names, size, chains)
                drawn = dict(zip(names, saved.values(), strict=True))
            _check_support(drawn, at)
        method = get_entry(estimate, "method", str)
        if method not in METHODS:
            raise DataError(f"method in model.json is {method!r}, not one of {', '.join(METHODS)}")
        return model.results(
            model=model,
            method=method,
            seed=check_seed(get_entry(described, "seed", int)),
            size=size,
            parameter_draws=drawn,
            log_likelihood=get_number(estimate, "log_likelihood"),
            coordinates=at,
            optimum=optimum,
            sampling=sampling and {name: _figure(sampling, name) for name in sampling},
            chains=chains,
            sampling_problems=get_texts(estimate, "sampling_problems") if "sampling_problems" in estimate else (),
            origin=origin,
            data_hash=get_entry(described, "data_hash", str),
            distinct_rows=get_whole(described, "distinct_rows", least=1),
            saved_posterior=saved_posterior,
            **more,
        )

    posterior = get_entry(described, "posterior", (dict, str, NoneType))
    return fit(get_entry(described, "estimate", dict), fit(posterior) if isinstance(posterior, dict) else posterior)


def _figure(sampling: dict[str, Any], name: str) -> float | str:
    """What is said of the draws: a number, not a number where JSON has none, or the name of the sampler."""
    if name == "engine":
        return get_entry(sampling, name, str)
    return math.nan if sampling[name] is None else get_number(sampling, name)


def _restored_optimum(described: dict[str, Any], k: int) -> Optimum:
    return Optimum(
        u=get_array(described, "u", (k,)),
        covariance=get_covariance(described, k),
        iterations=get_whole(described, "iterations", least=0),
        decrement=get_number(described, "decrement"),
        weakest_sd=get_number(described, "weakest_sd"),
        problems=get_texts(described, "problems"),
    )


def _check_support(draws: Parameters, coordinates: Coordinates) -> None:
    outside = ~np.isfinite(coordinates.to_u(draws))
    for param, wrong in zip(coordinates.params, outside.sum(axis=0), strict=True):
        if wrong:
            raise DataError(
                f"the parameter {param.name} is not finite, or not above its bound, in {counted(int(wrong), 'draw')}"
            )
