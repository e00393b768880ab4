"""Accelerated failure time: models of time whose covariates stretch or shorten every tenure by a factor.

References
----------
Kalbfleisch & Prentice (2002), The Statistical Analysis of Failure Time Data, 2nd edition, chapters 2 and 3.
"""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvmodels.draws import spread, summarise
from clvmodels.errors import DataError, DataWarning, counted, examples
from clvmodels.inference import likelihood
from clvmodels.inference.bayes import Settings
from clvmodels.models.base import Method, check_priors
from clvmodels.models.rows import Rows
from clvmodels.models.survival.base import SurvivalFit, SurvivalModel
from clvmodels.models.survival.design import Design, checked
from clvmodels.ops import exp, is_tensor
from clvmodels.params import Coordinates, Param, PriorDensity
from clvmodels.plots.models import BAND
from clvmodels.priors import by_name

_SHOWN = 300  # customers, and draws, whose curves a picture takes the mean of


@dataclass(frozen=True)
class DesignRows(Rows):
    """Distinct rows of tenure, event, entry and covariates, and how the covariates were made."""

    design: Design


@dataclass(frozen=True, eq=False, repr=False)
class AcceleratedFit(SurvivalFit):
    """A fitted model of time; `design` says how its covariates are made, if it has some."""

    model: AcceleratedModel
    design: Design | None = None

    def customer_columns(self, data: Any) -> tuple[NDArray[np.float64], ...]:
        """What the model knows of each customer, each (N,): the tenure, then the covariates less their means."""
        columns = super().customer_columns(data)
        return columns if self.design is None else (*columns, *self.design.matrix(data.table).T)

    def customer_params(
        self, columns: tuple[NDArray, ...], draws: slice | NDArray[np.intp] = slice(None)
    ) -> Mapping[str, NDArray[np.float64]]:
        """The parameters of customers of these columns, (S, B); of the average one, (S, 1), where there are none."""
        params = super().customer_params(columns, draws)
        return params if self.design is None else scaled(params, self.design.names, columns[1:])

    def _population(self, times: NDArray) -> pd.DataFrame:
        """As `SurvivalFit`: the mean of the customers' own curves, which is not the curve of the average one."""
        if self.design is None or self.rows is None:
            return super()._population(times)
        share = np.cumsum(self.rows.weights) / self.rows.weights.sum()
        chosen = np.searchsorted(share, (np.arange(_SHOWN) + 0.5) / _SHOWN)
        columns = tuple(self.rows.columns[i][chosen] for i in (0, *range(3, len(self.rows.columns))))
        drawn = self.posterior
        some = spread(drawn.draw_count, min(_SHOWN, drawn.draw_count))
        here, around = (
            np.stack([self.model.survival(t, **params).mean(axis=1) for t in times], axis=-1)
            for params in (self.customer_params(columns), drawn.customer_params(columns, some))
        )
        return pd.DataFrame(np.stack([here.mean(axis=0), *summarise(around, BAND)], axis=-1))


class AcceleratedModel(SurvivalModel):
    """A model of time with a `scale`, the parameter that covariates act on.

    Parameters
    ----------
    covariates : str or list of str, optional
        What makes customers stay longer or shorter: names of columns, or a formula such as
        ``"price + C(channel) + log(age)"`` (also ``-``, ``:``, ``*``, ``(a + b)**2``, ``log1p()``, ``exp()``,
        ``sqrt()``, ``I()`` around arithmetic, and names in backticks). Text and C() make categories, which are compared
        with the first. A customer's scale is ``scale x exp(b_1 (x_1 - mean x_1) + ...)``: a coefficient of 0.1 makes
        every tenure 10.5 % longer for each 1 more of its covariate, and `scale` is that of a customer whose covariates
        are the training data's means. R and lifelines report an intercept instead, the log of the scale where all
        covariates are 0: log(scale) - b_1 mean x_1 - ...; ``fit.design.means`` has the means.
    priors : mapping of str to prior, optional
        Densities of the parameters in the user's units, coefficients by the name of their column. Without one, a
        coefficient times the standard deviation of its column is Normal(0, 2).
    """

    clock = "duration"
    results = AcceleratedFit

    def __init__(
        self, covariates: str | Sequence[str] | None = None, *, priors: Mapping[str, PriorDensity] | None = None
    ) -> None:
        self.covariates = None if covariates is None else checked(covariates)
        given = {name: by_name(prior) for name, prior in (priors or {}).items()}
        own = [param.name for param in self.params]
        super().__init__(priors={name: each for name, each in given.items() if covariates is None or name in own})
        self.priors = given  # those of coefficients are looked at once the columns are known

    def fit_rows(self, data: Any) -> Rows:
        """Distinct (tenure, event, entry, covariates); refuses data that cannot carry as many parameters."""
        if self.covariates is None:
            return super().fit_rows(data)
        t, event, entry = self.endings(data)
        design = Design.of(self.covariates, data.table, data.weights)
        matrix = design.matrix(data.table)
        self._check_covariates(design, matrix[event == 1], matrix)
        rows = Rows.distinct(t, event, entry, *matrix.T, weights=data.weights)
        return DesignRows(rows.columns, rows.weights, rows.inverse, design)

    def _check_covariates(self, design: Design, ended: NDArray, matrix: NDArray) -> None:
        """Refuse more covariates than endings; warn of one that has no finite coefficient."""
        model = type(self).__name__
        for name in design.names:
            if name in (param.name for param in self.params):
                raise DataError(f"covariate {name!r} has the name of a parameter of {model}; rename it")
        if len(ended) < len(design.names) + len(self.params):
            asked = f"{counted(len(design.names), 'covariate')} beside {counted(len(self.params), 'parameter')}"
            raise DataError(f"{counted(len(ended), 'ending')} cannot carry {asked}; leave some out")
        alike = []
        for i, name in enumerate(design.names):
            value, column = ended[0, i], matrix[:, i]
            if (ended[:, i] == value).all() and value in (column.min(), column.max()):
                alike.append(f"{name} = {value + design.means[i]:.10g}")
        if alike:  # nothing keeps the others from lasting for ever
            number = f" ({counted(len(alike), 'covariate')})" if len(alike) > 1 else ""
            warnings.warn(
                f"{model}: every contract that ended has {examples(alike)}{number}, so the data do not say how much "
                f"longer the others last; leave {'it' if len(alike) == 1 else 'them'} out, or give "
                f"{'its coefficient a prior' if len(alike) == 1 else 'their coefficients priors'}",
                DataWarning,
                stacklevel=4,
            )

    def coordinates(self, rows: Rows) -> Coordinates:
        """The parameters and the coefficients, each in units of the spread of its covariate."""
        return self.coordinates_of(self.scales(rows), rows.design if isinstance(rows, DesignRows) else None)

    def coordinates_of(self, scales: Mapping[str, float], design: Design | None) -> Coordinates:
        """The same, from the data's own time and the design of the covariates."""
        params, scales = self.params, dict(scales)
        if design is not None:
            for name, sd in zip(design.names, design.sds, strict=True):
                meaning = f"change of log scale for each 1 more of {name}: above 0 customers stay longer"
                params = (*params, Param(name, meaning, carries=name, lower=-math.inf))
                scales[name] = 1 / sd
        check_priors(type(self).__name__, self.priors, params)
        return Coordinates(params, scales, self.priors)

    def target(self, rows: Rows, coordinates: Coordinates, prior: bool) -> likelihood.Target:
        """The log-likelihood of the rows, covariates put into the scale before the formula is called."""
        if not isinstance(rows, DesignRows):
            return super().target(rows, coordinates, prior)
        spread = np.column_stack(rows.columns[3:]) / rows.design.sds
        return dataclasses.replace(super().target(rows, coordinates, prior), design=spread)

    @classmethod
    def row_log_likelihood(cls, columns: Sequence[Any], params: Mapping[str, Any]) -> Any:
        """As `Model`, covariates put into the scale before the formula is called."""
        names = list(params)[len(cls.params) :]
        return cls.log_likelihood(*columns[:3], **scaled(params, names, columns[3:]))

    def _estimate(self, rows: Rows, method: Method, seed: int, settings: Settings) -> dict[str, Any]:
        design = rows.design if isinstance(rows, DesignRows) else None
        return super()._estimate(rows, method, seed, settings) | {"design": design}


def scaled(params: Mapping[str, Any], names: Sequence[str], covariates: Sequence[Any]) -> dict[str, Any]:
    """The model's own parameters, with the scale (S, B) of customers of these covariates, each (B,)."""
    own = {name: value for name, value in params.items() if name not in names}
    coefficients = [params[name] for name in names]
    if any(is_tensor(coefficient) for coefficient in coefficients):
        effects = (coefficient * column for coefficient, column in zip(coefficients, covariates, strict=True))
        own["scale"] = own["scale"] * exp(sum(effects))
    elif covariates:
        own["scale"] = own["scale"] * np.exp(np.hstack(coefficients) @ np.asarray(covariates))
    return own
