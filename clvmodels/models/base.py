"""Model: the whole specification of what is fitted; a fit is what the data make of it, and nothing lies between."""

from __future__ import annotations

import dataclasses
import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal, TypeVar, Unpack

import numpy as np
from numpy.typing import NDArray

from clvmodels.data.customers import Customers
from clvmodels.data.summary import Summary
from clvmodels.draws import check_seed, generator, new_seed
from clvmodels.errors import ConvergenceWarning, DataError
from clvmodels.inference import bayes, laplace, likelihood
from clvmodels.inference.bayes import Sampling, Settings
from clvmodels.inference.pymc_model import pymc_model
from clvmodels.models.fit import Fit, Origin
from clvmodels.models.rows import Rows
from clvmodels.params import Coordinates, Param, PriorDensity, prior_name
from clvmodels.priors import by_name, why_no_prior

Method = Literal["ml", "map", "laplace", "mcmc"]
METHODS: tuple[Method, ...] = ("ml", "map", "laplace", "mcmc")
DRAWN: tuple[Method, ...] = ("laplace", "mcmc")  # their fits hold draws of the parameters

Kind = TypeVar("Kind", bound=Customers)


def checked_summary(data: Any) -> Summary:
    """The data, if they are a summary."""
    if not isinstance(data, Summary):
        raise DataError(
            f"a Summary is needed, not a {type(data).__name__}; use Transactions(...).summary(unit=...) or "
            "Summary(frame, unit=...)"
        )
    return data


def given_or_training(data: Any, training: Kind | None, checked: Callable[[Any], Kind]) -> Kind:
    """The data, if they are of the right kind; the training data where none are given."""
    if data is None and training is None:
        raise DataError("a loaded fit has no customers of its own; give it some, as in fit.predict(data, ...)")
    return checked(training if data is None else data)


def summary_or_training(data: Summary | None, training: Summary | None) -> Summary:
    """The summary, or that of the training."""
    return given_or_training(data, training, checked_summary)


def check_kind(kind: str, *known: str) -> None:
    """Refuse a kind of plot that is not known."""
    if kind not in known:
        raise ValueError(f"there is no plot of kind {kind!r}; choose {' or '.join(map(repr, known))}")


def check_priors(model: str, priors: Mapping[str, PriorDensity], params: Sequence[Param]) -> None:
    """Refuse priors of parameters that the model does not have, and what is no prior of its parameter."""
    known = {param.name: param for param in params}
    for name, prior in priors.items():
        if name not in known:
            raise ValueError(f"{model} has no parameter {name!r}; it has {', '.join(known)}")
        if why := why_no_prior(prior, known[name].lower, known[name].upper):
            raise ValueError(f"the prior of {name!r} {why}")


class Specification:
    """What a user builds before there are data; asked for a result, it says where results come from."""

    results: ClassVar[type]

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]

    def options(self) -> dict[str, Any]:
        """What it was built with: ``type(model)(**model.options())`` equals it."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def __str__(self) -> str:
        return type(self).__name__

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and hasattr(type(self).results, name):
            kind = type(self).__name__
            raise AttributeError(
                f"{kind} is a specification and holds no results: use fit = model.fit(data), then fit.{name}"
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


class Model(Specification):
    """A model of the transaction, the spend or the survival family.

    A model declares its `params` and gives its formulas as static methods: pure functions of data and named
    parameters that broadcast draws (S, 1) against customers (N,). Fitting and predicting are inherited.

    Parameters
    ----------
    priors : mapping of str to prior, optional
        A density for a parameter in the user's units: ``clvmodels.Prior("Gamma", alpha=2, beta=1)``, a distribution of
        PreliZ, or anything with `logpdf`, such as ``scipy.stats.gamma(2)``. Used by map, laplace and mcmc. The others
        are Normal(0, 2) on the log of the parameter in scaled time and money.
    """

    params: ClassVar[tuple[Param, ...]]
    columns: tuple[str, ...]
    simulate: Any
    kernel: ClassVar[Any] = None  # a fast twin of the likelihood with its gradient, where there is one
    sums: ClassVar[Any] = None  # another, of many draws at once
    simulate_latent: Any

    def __init__(self, *, priors: Mapping[str, PriorDensity] | None = None) -> None:
        self.priors: dict[str, PriorDensity] = {name: by_name(prior) for name, prior in (priors or {}).items()}
        check_priors(type(self).__name__, self.priors, self.params)

    def __repr__(self) -> str:
        options = {name: repr(value) for name, value in self.options().items() if value}
        if self.priors:
            priors = ", ".join(f"{name!r}: {prior_name(prior)}" for name, prior in self.priors.items())
            options["priors"] = f"{{{priors}}}"
        return f"{type(self).__name__}({', '.join(f'{name}={text}' for name, text in options.items())})"

    @classmethod
    def log_likelihood(cls, *columns: Any, **params: Any) -> Any:
        """Log-likelihood of each row, given by the model's file."""
        raise TypeError(f"{cls.__name__} gives no log_likelihood")

    @classmethod
    def row_log_likelihood(cls, columns: Sequence[Any], params: Mapping[str, Any]) -> Any:
        """Log-likelihood (S, U) of distinct rows, given their columns, each (U,), and parameters, each (S, 1)."""
        return cls.log_likelihood(*columns, **params)

    @staticmethod
    def checked(data: Any) -> Customers:
        """The data, if they are of the kind that the family is fitted to."""
        return checked_summary(data)

    def arrays(self, data: Any) -> tuple[NDArray[np.float64], ...]:
        """The columns that the formulas take, in their order, each (N,)."""
        missing = [name for name in self.columns if name not in data.table.columns]
        if missing:
            money = {"monetary_value", "first_value"}.intersection(missing)
            advice = "; give the transactions a value= column" if money else ""
            raise DataError(f"{type(self).__name__} needs the column {', '.join(map(repr, missing))}{advice}")
        return tuple(data.table[name].to_numpy(float) for name in self.columns)

    def fit_rows(self, data: Any) -> Rows:
        """Distinct rows that the likelihood is made of; raises or warns where the data cannot carry a fit."""
        raise TypeError(f"{type(self).__name__} belongs to no family")

    def in_likelihood(self, data: Any) -> NDArray[np.bool_]:
        """Which customers the likelihood counts, (N,); all, unless a family leaves some out."""
        return np.ones(len(data), bool)

    def scales(self, rows: Rows) -> dict[str, float]:
        """The data's own unit of time or money."""
        raise TypeError(f"{type(self).__name__} belongs to no family")

    def fit(self, data: Any, method: Method = "ml", seed: int | None = None, **sampling: Unpack[Sampling]) -> Fit:
        """Estimate the parameters.

        Parameters
        ----------
        data : Summary or Durations
            What the family is fitted to.
        method : {"ml", "map", "laplace", "mcmc"}
            Maximum likelihood; the mode of the posterior in log-parameters; or draws from that posterior. laplace:
            Student-t proposals around its mode, Pareto-smoothed importance weights, resampled. mcmc: the No-U-Turn
            sampler, in several chains that must agree; they start around one mode.
        seed : int, optional
            Kept in the fit, so that its tables can be repeated; drawn if not given. mcmc draws others with another
            sampler.
        draws : int, default 1000
            Number of draws of laplace, also when an interval is asked of an ml or map fit; with mcmc of each chain.
        tune : int, default 500
            Of mcmc: draws of each chain, thrown away, in which the sampler finds its step.
        chains : int, default 4
            Of mcmc: at least 2, or nothing could be compared.
        target_accept : float, default 0.8
            Of mcmc: the share of proposals that the steps are made for; near 1 they are short, and divergences rare.
        sampler : {"auto", "pymc", "nutpie"}, default "auto"
            Of mcmc: "auto" is nutpie where it is installed, else PyMC. Neither needs a C++ compiler.
        progress : bool, default True
            Of mcmc: show a bar where somebody looks, at a terminal or in a notebook.

        Returns
        -------
        Fit
            Frozen.

        Raises
        ------
        DataError
            If the data cannot carry a fit.
        FitError
            If laplace's proposals are too unlike the posterior, or mcmc cannot start, or its sampler is not installed.

        Warns
        -----
        ConvergenceWarning
            If the search did not end at an optimum, the data leave a direction of the parameters open, or the chains
            disagree, diverge or are too short.

        References
        ----------
        Hoffman & Gelman (2014), The No-U-Turn Sampler, Journal of Machine Learning Research 15. Vehtari, Gelman,
        Simpson, Carpenter & Bürkner (2021), Rank-Normalization, Folding, and Localization: An Improved R-hat, Bayesian
        Analysis 16(2), for what the chains are judged by.
        """
        self.checked(data)
        if method not in METHODS:
            raise ValueError(f"method must be one of {', '.join(map(repr, METHODS))}; got {method!r}")
        settings = Settings.of(method, sampling)
        rows = self.fit_rows(data)
        seed = new_seed() if seed is None else check_seed(seed)
        fit: Fit = self.results(
            model=self,
            method=method,
            seed=seed,
            **self._estimate(rows, method, seed, settings),
            origin=Origin.of(data),
            data_hash=rows.hash(data.unit),
            distinct_rows=len(rows.weights),
            data=data,
            rows=rows,
        )
        way_out = "try method='map', or give more data" if method == "ml" else "the priors decide there"
        for problem in fit.optimum.problems:
            warnings.warn(f"{type(self).__name__}: {problem}; {way_out}", ConvergenceWarning, stacklevel=2)
        for problem in fit.problems[len(fit.optimum.problems) :]:
            warnings.warn(f"{type(self).__name__}: {problem}", ConvergenceWarning, stacklevel=2)
        return fit

    def coordinates(self, rows: Rows) -> Coordinates:
        """The parameters on the real line, in the data's own units."""
        return Coordinates(self.params, self.scales(rows), self.priors)

    def target(self, rows: Rows, coordinates: Coordinates, prior: bool) -> likelihood.Target:
        """The log-likelihood of the rows as a function of the coordinates."""
        formula = type(self).row_log_likelihood
        return likelihood.Target(
            lambda params, part: formula([column[part] for column in rows.columns], params),
            rows.weights,
            coordinates,
            prior,
        )

    def pymc_model(self, data: Any) -> Any:
        """The model as one of PyMC, with the priors and the density that `fit` has, to be extended or sampled.

        Its variables are the parameters in the user's units, under their own names; the distinct rows and their
        `weights` are its data, along `row`, and their log-likelihood is a potential.

        Parameters
        ----------
        data : Summary or Durations
            What the family is fitted to.

        Returns
        -------
        pymc.Model
            ``with model.pymc_model(data): pymc.sample(compile_kwargs={"mode": "NUMBA"})`` needs no C++ compiler.
        """
        self.checked(data)
        rows = self.fit_rows(data)
        coordinates = self.coordinates(rows)
        takes = inspect.signature(type(self).log_likelihood).parameters.values()
        names = [each.name for each in takes if each.kind is each.POSITIONAL_OR_KEYWORD]
        names += [f"{param.name} less its mean" for param in coordinates.params[len(self.params) :]]
        columns = dict(zip(names, rows.columns, strict=True))
        return pymc_model(coordinates, columns, rows.weights, type(self).row_log_likelihood)

    def _estimate(self, rows: Rows, method: Method, seed: int, settings: Settings) -> dict[str, Any]:
        """The fields of a fit that depend on the method."""
        coordinates = self.coordinates(rows)
        if method == "ml":  # which knows of no priors, nor of where they end
            coordinates = dataclasses.replace(coordinates, priors={})
        target = self.target(rows, coordinates, prior=method != "ml")
        start = coordinates.start() if target.prior else np.zeros(len(coordinates.params))
        optimum = likelihood.maximise(target, start)
        found: dict[str, Any] = {"size": settings.draws}
        u = optimum.u[None]
        rng = generator(seed, "parameters", type(self).__name__)
        if method == "laplace":
            if self.sums is not None:
                target = dataclasses.replace(target, sums=self.sums(*rows.columns, weights=rows.weights))
            sample = laplace.sample(target, optimum.u, optimum.covariance, settings.draws, rng)
            u = sample.u
            found["sampling"] = {"k_hat": sample.k_hat, "effective_draws": sample.effective, "rounds": sample.rounds}
        elif method == "mcmc":
            names = [param.name for param in coordinates.params]
            gradient = bayes.gradient_of(type(self), names, rows.columns, rows.weights, self.kernel)
            chains = bayes.sample(bayes.Whitened(gradient, coordinates, optimum), settings, rng)
            found["sampling"], found["sampling_problems"] = bayes.quality(chains, names)
            u = chains.u.reshape(-1, len(names))
            found |= {"size": len(u), "chains": settings.chains, "sample_stats": chains.stats}
        return found | {
            "parameter_draws": coordinates.to_values(u),
            "log_likelihood": dataclasses.replace(target, prior=False, sums=None)(optimum.u[None]).item(),
            "coordinates": coordinates,
            "optimum": optimum,
        }


Specification.results = Fit
