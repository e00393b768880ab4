"""Model and Fit: a model is the whole specification, a fit is what the data made of it, and nothing lies between."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeVar, Unpack

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from clvmodels.data.customers import Customers
from clvmodels.data.summary import Summary
from clvmodels.draws import Of, Parameters, blocks, check_seed, generator, new_seed
from clvmodels.errors import ConvergenceWarning, DataError, FitError, counted
from clvmodels.inference import bayes, laplace, likelihood
from clvmodels.inference.bayes import Sampling, Settings
from clvmodels.inference.pymc_model import pymc_model
from clvmodels.models import predictive
from clvmodels.models.arviz_tree import LOADED, By, pointwise_log_likelihood, simulated_groups, tree
from clvmodels.models.predictive import Statistics
from clvmodels.params import Coordinates, Param, PriorDensity, prior_name
from clvmodels.priors import by_name, why_no_prior

if TYPE_CHECKING:
    from xarray import DataArray, Dataset, DataTree

Method = Literal["ml", "map", "laplace", "mcmc"]
METHODS: tuple[Method, ...] = ("ml", "map", "laplace", "mcmc")
DRAWN: tuple[Method, ...] = ("laplace", "mcmc")  # their fits hold draws of the parameters
CONFIDENCE = 0.95

Kind = TypeVar("Kind", bound=Customers)


@dataclass(frozen=True)
class Rows:
    """Distinct rows of some columns: equal rows are weights.

    Parameters
    ----------
    columns : tuple of ndarray, each (U,)
        Sorted by the first column, then the second, and so on.
    weights : ndarray, (U,)
        How many rows of the original share each.
    inverse : ndarray of int, (N,)
        ``columns[i][inverse]`` are the original columns.
    """

    columns: tuple[NDArray, ...]
    weights: NDArray
    inverse: NDArray

    @classmethod
    def distinct(cls, *columns: NDArray, weights: NDArray | None = None) -> Self:
        """Reduce columns of equal length to their distinct rows; of rows that have weights, these are summed.

        >>> rows = Rows.distinct(np.array([1.0, 0.0, 1.0]), np.array([5.0, 0.0, 5.0]))
        >>> rows.columns[0], rows.weights, rows.inverse
        (array([0., 1.]), array([1., 2.]), array([1, 0, 1]))
        """
        order = np.lexsort(columns[::-1])
        is_new = np.zeros(len(order), bool)
        is_new[:1] = True
        for column in columns:
            is_new[1:] |= np.diff(column[order]) != 0
        number = np.cumsum(is_new) - 1
        inverse = np.empty(len(order), np.intp)
        inverse[order] = number
        sums = np.bincount(number, None if weights is None else weights[order]).astype(float)
        return cls(tuple(column[order[is_new]] for column in columns), sums, inverse)

    def hash(self, unit: str) -> str:
        """Hash of the distinct rows, their weights and the unit of time."""
        digest = hashlib.sha256(unit.encode())
        for column in (*self.columns, self.weights):
            digest.update(np.ascontiguousarray(column).tobytes())
        return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Origin:
    """What a fit knows of its training data when the customers are gone.

    Parameters
    ----------
    unit : {"day", "week", "month", "year"}
        Unit of time of the parameters.
    customers : int
    observation_start, observation_end : Timestamp, optional
        First day of the log and last day observed.
    covered : float
        How long the data are, in the unit: of a shop the days between these two or, where they are not known, the
        largest T; of contracts the longest tenure.
    log : dict, optional
        How the log was read: the options of `clvmodels.Transactions` or `clvmodels.Subscriptions`.
    period : str, optional
        Of contracts, if they have one in common: what is paid for at once.
    only_cause : str, optional
        Of contracts: the cause, if endings by others were taken as not seen.
    """

    unit: str
    customers: int
    observation_start: pd.Timestamp | None
    observation_end: pd.Timestamp | None
    covered: float
    log: Mapping[str, Any] | None
    period: str | None = None
    only_cause: str | None = None

    @classmethod
    def of(cls, data: Customers) -> Self:
        """What is kept of the training data."""
        return cls(
            data.unit,
            data.number,
            data.observation_start,
            data.observation_end,
            data.covered,
            None if data.source is None else data.source.options,
            data.periods[0] if len(data.periods) == 1 else None,
            data.only_cause,
        )


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
            sampler, in several chains that must agree.
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
        target = self.target(rows, coordinates, prior=method != "ml")
        start = coordinates.start() if target.prior else np.zeros(len(coordinates.params))
        optimum = likelihood.maximise(target, start)
        found: dict[str, Any] = {"size": settings.draws}
        u = optimum.u[None]
        rng = generator(seed, "parameters", type(self).__name__)
        if method == "laplace":
            sample = laplace.sample(target, optimum.u, optimum.covariance, settings.draws, rng)
            u = sample.u
            found["sampling"] = {"k_hat": sample.k_hat, "effective_draws": sample.effective, "rounds": sample.rounds}
        elif method == "mcmc":
            names = [param.name for param in coordinates.params]
            gradient = bayes.gradient_of(type(self), names, rows.columns, rows.weights, self.kernel)
            chains = bayes.sample(bayes.Density(gradient, coordinates, optimum), settings, rng)
            found["sampling"], found["sampling_problems"] = bayes.quality(chains, names)
            u = chains.u.reshape(-1, len(names))
            found |= {"size": len(u), "chains": settings.chains, "sample_stats": chains.stats}
        return found | {
            "parameter_draws": coordinates.to_values(u),
            "log_likelihood": dataclasses.replace(target, prior=False)(optimum.u[None]).item(),
            "coordinates": coordinates,
            "optimum": optimum,
        }


@dataclass(frozen=True, eq=False, repr=False)
class Fit:
    """What the data made of a model. Frozen; the same call gives the same answer, because the seed is kept.

    Attributes
    ----------
    model : Model
    method : {"ml", "map", "laplace", "mcmc"}
    seed : int
    size : int
        How many draws of the parameters there are; of an ml or map fit, how many its intervals are made of.
    parameter_draws : dict of ndarray, each (S, 1)
        One draw for ml and map; of mcmc chain after chain.
    log_likelihood : float
        At the optimum, in the units of the data (a change of the unit of time or money adds a constant).
    coordinates : Coordinates
        The parameters on the real line, in the data's own time and money.
    optimum : Optimum
        Where the search ended.
    sampling : dict or None
        How well was drawn: by laplace `k_hat`, `effective_draws`, `rounds`; by mcmc the worst `r_hat`, `ess_bulk` and
        `ess_tail` of the parameters, `divergences`, `max_treedepth`, and `engine`, the sampler that drew. None for ml
        and map.
    origin : Origin
        What is known of the training data.
    data_hash : str
        Hash of what the likelihood saw: the distinct rows, their weights and the unit of time.
    distinct_rows : int
        How many they are.
    data : Summary or Durations or None
        The training data. A loaded fit has none: customers are not saved.
    rows : Rows or None
        What the likelihood saw; none, as the data.
    saved_posterior : Fit or str or None
        Of a loaded ml or map fit: its `posterior`, or why it has none.
    chains : int
        How many chains the draws are made of.
    sample_stats : dict of ndarray, each (chains, draws), or None
        What the sampler of mcmc said of each draw, by the names of PyMC; a loaded fit has none.
    sampling_problems : tuple of str
        What is not good enough about the draws.
    """

    model: Model
    method: Method
    seed: int
    size: int
    parameter_draws: Parameters
    log_likelihood: float
    coordinates: Coordinates
    optimum: likelihood.Optimum
    origin: Origin
    data_hash: str
    distinct_rows: int
    sampling: Mapping[str, Any] | None = None
    data: Any = None
    rows: Rows | None = None
    saved_posterior: Self | str | None = None
    chains: int = 1
    sample_stats: Mapping[str, NDArray] | None = None
    sampling_problems: tuple[str, ...] = ()

    @property
    def draw_count(self) -> int:
        """How many draws of the parameters there are: 1 of an ml or map fit."""
        return len(next(iter(self.parameter_draws.values())))

    @functools.cached_property
    def posterior(self) -> Self:
        """A fit with draws of the parameters: itself if it has them, else the Laplace approximation."""
        if self.sampling is not None:
            return self
        if isinstance(self.saved_posterior, Fit):
            return self.saved_posterior
        if self.rows is None:
            raise FitError(self.saved_posterior)
        estimate = self.model._estimate(self.rows, "laplace", self.seed, Settings(self.size))
        return dataclasses.replace(self, method="laplace", **estimate)

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with the fit, in sentences: nothing, if all went well."""
        return (*self.optimum.problems, *self.sampling_problems)

    @property
    def parameters(self) -> pd.DataFrame:
        """Estimate, standard error and 95 % interval of each parameter, in the declared order and the data's units.

        For ml and map the estimate is the optimum, the error that of the delta method, the interval symmetric in the
        logarithm. For laplace and mcmc they are mean, standard deviation and quantiles of the draws.
        """
        names = [param.name for param in self.coordinates.params]
        tail = (1 - CONFIDENCE) / 2
        if self.sampling is not None:
            values = np.column_stack([self.parameter_draws[name][:, 0] for name in names])
            lower, upper = np.quantile(values, [tail, 1 - tail], axis=0)
            estimate, error = values.mean(axis=0), values.std(axis=0, ddof=1)
        else:
            u, covariance = self.optimum.u, self.optimum.covariance
            reach = stats.norm.ppf(1 - tail) * np.sqrt(np.diag(covariance))
            estimate, lower, upper = (
                np.array([self.coordinates.to_values(point[None])[name].item() for name in names])
                for point in (u, u - reach, u + reach)
            )
            error = self.coordinates.standard_errors(u, covariance)
        frame = pd.DataFrame({"estimate": estimate, "se": error, "lower": lower, "upper": upper}, index=names)
        return frame.rename_axis("parameter")

    def summary(self) -> pd.DataFrame:
        """The parameters with what each says about customers."""
        return self.parameters.assign(meaning=[param.meaning for param in self.coordinates.params])

    @property
    def aic(self) -> float:
        """Akaike's information criterion, 2 k - 2 log-likelihood."""
        return 2 * len(self.coordinates.params) - 2 * self.log_likelihood

    @property
    def bic(self) -> float:
        """Schwarz's criterion, k log(customers) - 2 log-likelihood, over all customers of the data."""
        return len(self.coordinates.params) * float(np.log(self.origin.customers)) - 2 * self.log_likelihood

    @property
    def diagnostics(self) -> dict[str, Any]:
        """How the fit went: what was searched, where it ended, how well it is determined.

        `newton_decrement` is the distance to the optimum in standard errors; `weakest_sd` the standard error, in log
        parameters, of the direction that the data determine least; what else there is says how well was drawn, as
        `sampling`.
        """
        return {
            "problems": list(self.problems),
            "iterations": self.optimum.iterations,
            "newton_decrement": self.optimum.decrement,
            "weakest_sd": self.optimum.weakest_sd,
            "distinct_rows": self.distinct_rows,
            **(self.sampling or {}),
        }

    @property
    def training_rows(self) -> Rows:
        """The distinct rows, refused where there are none."""
        if self.rows is None:
            raise DataError(f"{LOADED}; fit the model again")
        return self.rows

    def log_likelihood_blocks(self) -> Iterator[tuple[slice, NDArray[np.float64]]]:
        """Log-likelihood of one customer of each distinct row, by draw of the posterior: blocks of rows, (S, B)."""
        rows, drawn = self.training_rows, self.posterior
        for part in blocks(np.full(len(rows.weights), drawn.draw_count)):
            columns = [column[part] for column in rows.columns]
            yield part, np.asarray(self.model.row_log_likelihood(columns, drawn.parameter_draws))

    def pointwise_log_likelihood(self, by: By = "row") -> DataArray:
        """Log-likelihood of each customer by draw of the parameters; of an ml or map fit by the draws of `posterior`.

        Parameters
        ----------
        by : {"row", "customer"}
            Once per distinct row, with the number of customers that share it as the coordinate `weight`; or expanded
            to customers, as ArviZ's `loo` wants it, those left out of the fit excepted. Memory is that of draws x rows.

        Returns
        -------
        DataArray, (chain, draw, row) or (chain, draw, customer)

        Raises
        ------
        DataError
            If it is a loaded fit, which has no customers.
        """
        return pointwise_log_likelihood(self, by)

    @functools.cached_property
    def simulated_groups(self) -> tuple[dict[str, Dataset], list[str]]:
        """The groups of `inference_data` that are simulated, and what is missing: made once."""
        return simulated_groups(self)

    @property
    def inference_data(self) -> DataTree:
        """Draws, data and log-likelihood as an xarray DataTree in ArviZ's groups, made anew each time.

        `posterior` and `prior` (chain, draw; of an ml or map fit the draws of its Laplace approximation), of mcmc
        `sample_stats`; `observed_data` and `log_likelihood` by distinct row, with its `weight`; `posterior_predictive`
        and `prior_predictive`, the `statistics` of `predictive_check` of 100 simulated data sets, which stand in
        `observed_data` too. `attrs` has model, method, unit, data hash, seed and version, and `notes` what is missing
        and why: of a loaded fit all that needs its customers.

        ArviZ 1 takes it as it is, ``az.summary(fit.inference_data)``; ArviZ 0.23, which came before the DataTree,
        takes ``az.from_datatree(fit.inference_data)``. A function that counts every row once, as `az.loo` does, needs
        the customers: ``tree["log_likelihood"] = fit.pointwise_log_likelihood(by="customer").to_dataset()`` first, or
        `clvmodels.compare_loo`.
        """
        return tree(self)

    def training_columns(self) -> tuple[NDArray, ...]:
        """The columns that the likelihood saw, one row per customer, for a picture or a check."""
        if self.rows is None:
            raise DataError("this needs the customers that the model was fitted to; a loaded fit has none")
        if not self.countable:
            raise DataError("weights must be whole numbers for customers to be simulated")
        return tuple(np.repeat(column, self.rows.weights.astype(int)) for column in self.rows.columns)

    @property
    def countable(self) -> bool:
        """Whether the rows stand for whole numbers of customers."""
        return self.rows is not None and bool((self.rows.weights == np.round(self.rows.weights)).all())

    def with_draws(self, parameter_draws: Parameters) -> Self:
        """The same fit with other draws of its parameters, each (S, 1)."""
        return dataclasses.replace(
            self, parameter_draws=parameter_draws, sampling={}, chains=1, sample_stats=None, sampling_problems=()
        )

    def draw(self, number: int) -> dict[str, float]:
        """The parameters of one draw."""
        return {name: float(values[number, 0]) for name, values in self.parameter_draws.items()}

    def simulator(self) -> Callable[[np.random.Generator, int], Any]:
        """What simulates data of the training customers: random generator and number of a draw -> what the data were.

        It knows of each customer what the model does not explain, such as how long he was observed.
        """
        raise TypeError(f"{type(self.model).__name__} belongs to no family")

    def statistics(self, kind: str | None) -> Statistics:
        """The numbers that a predictive check of a kind looks at."""
        raise TypeError(f"{type(self.model).__name__} belongs to no family")

    def predictive_check(
        self, kind: str | None = None, *, of: Of = "posterior", interval: float = 0.9, seed: int | None = None
    ) -> pd.DataFrame:
        """Whether data that the model makes look like those it was fitted to.

        Up to 1,000 data sets (100 where customers are very many) are simulated of as many customers, each observed for
        as long as the true one and each data set with a draw of the parameters of its own.

        Parameters
        ----------
        kind : str, optional
            One of the kinds of `plot`: the numbers of that picture. If not given, a few statistics of all of them.
        of : {"posterior", "prior"}
            Draws of the parameters after the fit (of an ml or map fit from the Laplace approximation), or of the priors
            alone: what the model held possible before it saw data, for which the p-value says nothing bad.
        interval : float
            Coverage of the interval, such as 0.9 for 5 % of the simulated data sets on either side.
        seed : int, optional
            Of the simulation; the fit's own if not given.

        Returns
        -------
        DataFrame
            One row per statistic: `observed`; of the simulated data sets `mean`, `lower` and `upper`; and `p_value`,
            the share of them that lie above what was observed, those equal to it counting half. After the fit a value
            near 0 or 1 tells of something that the model cannot make; because the same data were fitted, those of a
            true model lie nearer to 0.5 than uniform ones. `attrs` says how they were made; its `notes` what was left
            out.

        Warns
        -----
        AssumptionWarning
            If draws of the priors are too wild to be simulated.
        """
        return predictive.table(self, kind, self.statistics(kind), of, interval, seed)

    def __repr__(self) -> str:
        lines = [
            f"{type(self.model).__name__} fitted by {self.method} to {counted(self.origin.customers, 'customer')}",
            self.parameters.to_string(float_format=lambda value: f"{value:.4g}"),
            f"log-likelihood {self.log_likelihood:.3f}   AIC {self.aic:.1f}   BIC {self.bic:.1f}   seed {self.seed}",
            *(f"! {problem}" for problem in self.problems),
        ]
        return "\n".join(lines)


def latent_blocks(
    fit: Fit, columns: tuple[NDArray, ...], seed: int | None
) -> Iterator[tuple[slice, dict[str, NDArray]]]:
    """What `model.simulate_latent` draws of customers given their columns (N,): slices, and (S, B) by name."""
    source, seed = fit.posterior, fit.seed if seed is None else check_seed(seed)
    for number, part in enumerate(blocks(np.full(len(columns[0]), source.draw_count))):
        rng = generator(seed, "latent", type(fit.model).__name__, number)
        yield part, source.model.simulate_latent(rng, *(column[part] for column in columns), **source.parameter_draws)


Specification.results = Fit
