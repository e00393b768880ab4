"""Fit: what the data made of a model."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from clvmodels.data.customers import Customers
from clvmodels.draws import Of, Parameters, blocks, check_seed, generator
from clvmodels.errors import DataError, FitError, counted
from clvmodels.inference import likelihood
from clvmodels.inference.bayes import Settings
from clvmodels.models import predictive
from clvmodels.models.arviz_tree import LOADED, By, pointwise_log_likelihood, simulated_groups, tree
from clvmodels.models.predictive import Statistics
from clvmodels.models.rows import Rows
from clvmodels.params import Coordinates

if TYPE_CHECKING:
    from xarray import DataArray, Dataset, DataTree

    from clvmodels.models.base import Method, Model

CONFIDENCE = 0.95


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


def check_unit(fit: Any, data: Customers) -> None:
    """Refuse data whose times are in another unit than the parameters of the fit."""
    unit = fit.origin.unit
    if data.unit != unit:
        raise DataError(f"the fit is in {unit}s and the data are in {data.unit}s; use unit={unit!r}")


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
    def _simulated_groups(self) -> tuple[dict[str, Dataset], list[str]]:
        """The groups of `inference_data` that are simulated, and what is missing: made once."""
        return simulated_groups(self)

    @property
    def inference_data(self) -> DataTree:
        """Draws, data and log-likelihood as an xarray DataTree in ArviZ's groups, made anew each time.

        `posterior` and `prior` (chain, draw; of an ml or map fit the draws of its Laplace approximation), of mcmc
        `sample_stats`; `constant_data`, the distinct rows that were fitted, and `log_likelihood`, by row with its
        `weight`; `posterior_predictive` and `prior_predictive`, the `statistics` of `predictive_check` of 100 simulated
        data sets (10 where customers are very many), and `observed_data`, those of the true data: what a predictive
        check of ArviZ holds against each other. `attrs` has model, method, unit, data hash, seed and version, and
        `notes` what is missing and why: of a loaded fit all that needs its customers.

        ArviZ 1 takes it as it is, ``az.summary(fit.inference_data)``; ArviZ 0.23, which came before the DataTree,
        takes ``az.from_datatree(fit.inference_data)``. A function that counts every row once, as `az.loo` does, needs
        the customers: ``tree["log_likelihood"] = fit.pointwise_log_likelihood(by="customer").to_dataset()`` first, or
        `clvmodels.compare_loo`.
        """
        return tree(self, *self._simulated_groups)

    def training_columns(self) -> tuple[NDArray, ...]:
        """The columns that the likelihood saw, one row per customer, for a picture or a check."""
        if self.rows is None:
            raise DataError("this needs the customers that the model was fitted to; a loaded fit has none")
        if not self.rows.countable:
            raise DataError("weights must be whole numbers for customers to be simulated")
        return tuple(np.repeat(column, self.rows.weights.astype(int)) for column in self.rows.columns)

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

    def drawn(number: int, part: slice) -> tuple[slice, dict[str, NDArray]]:
        rng = generator(seed, "latent", type(fit.model).__name__, number)
        some = (column[part] for column in columns)
        return part, source.model.simulate_latent(rng, *some, **source.parameter_draws)

    parts = blocks(np.full(len(columns[0]), source.draw_count))
    return (drawn(number, part) for number, part in enumerate(parts))
