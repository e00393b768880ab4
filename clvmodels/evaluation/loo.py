"""Leave-one-out: how well each model tells of a customer what it learnt from all the others, without fitting again.

References
----------
Vehtari, Gelman & Gabry (2017), Practical Bayesian model evaluation using leave-one-out cross-validation and WAIC,
Statistics and Computing 27(5).
Sivula, Magnusson, Matamoros & Vehtari (2020), Uncertainty in Bayesian Leave-One-Out Cross-Validation Based Model
Comparison, arXiv:2008.10296.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from clvmodels.errors import DataError, DataWarning, counted, examples
from clvmodels.evaluation.comparison import SAME
from clvmodels.inference import psis
from clvmodels.models.arviz_tree import parameters
from clvmodels.models.base import Specification
from clvmodels.models.fit import Fit
from clvmodels.models.rows import Rows
from clvmodels.value.contractual import ContractualCLVFit
from clvmodels.value.noncontractual import NonContractualCLVFit

SMALL = 4.0  # a difference below this is small whatever its standard error, which is then not to be trusted
_WHAT = (
    f"The elpd is the sum of the log densities of customers, each given all others. A difference below {SMALL:g}, or\n"
    "within two of its standard errors, is not told from chance. This is about other customers of the same time, not\n"
    "about what these do next: that is what clvmodels.backtest tells."
)


@dataclass(frozen=True, eq=False)
class LooComparison:
    """Fits of the same data by leave-one-out, the best first.

    Attributes
    ----------
    table : DataFrame
        One row per model: `elpd`, the sum over customers of the log density of each given all others, and its standard
        error `se` over customers (of a `NonContractualCLV` also `elpd_transactions` and `elpd_spend`, whose sum it is);
        `p_loo`, by how much it falls short of the fit to the customers themselves, which is about the number of
        parameters; `difference` from the best and `se_difference`, over customers; the largest `pareto_k`, and for how
        many customers it is too high (`unreliable`); and the `verdict`.
    elpd, pareto_k : DataFrame
        The same of each customer, a column per model; where a row of the data stands for several, of one of them. A
        `pareto_k` of minus infinity says that all draws agree on the customer's density.
    verdict : str
        All of it in words.
    """

    table: pd.DataFrame
    elpd: pd.DataFrame
    pareto_k: pd.DataFrame
    verdict: str

    def __repr__(self) -> str:
        return self.verdict


@dataclass(frozen=True)
class _Seen:
    """What a likelihood is a density of, each array (N,) in the order of the data."""

    data: Any
    data_hash: str
    weights: NDArray  # how many customers each row stands for; 0 where the likelihood leaves it out
    columns: dict[str, NDArray]

    def __str__(self) -> str:
        customers = counted(round(self.weights.sum()), "customer")
        return f"{customers}; {', '.join(self.columns)} in {self.data.unit}s; hash {self.data_hash}"


@dataclass(frozen=True)
class _LeftOut:
    """What is told of each customer by all others, each array (N,) in the order of the data."""

    parts: dict[str, NDArray]  # elpd of each part of a composition, or of the one model
    shortfall: NDArray  # log density by the draws less elpd
    k_hat: NDArray
    draws: int

    @property
    def elpd(self) -> NDArray:
        return np.asarray(sum(self.parts.values()))


def compare_loo(fits: Iterable[Any] | Mapping[str, Any]) -> LooComparison:
    """Compare fits of the same data by Pareto-smoothed leave-one-out cross-validation.

    The density of a customer given all others is found from the draws given all, once per distinct row, of one customer
    of it; sums and standard errors are over customers. Of an ml or map fit the draws are those of its `posterior`.

    Parameters
    ----------
    fits : fits, or mapping of name to fit
        Of models of transactions, of spend or of contracts, or of `NonContractualCLV` or `ContractualCLV`, whose
        customers are then compared by the sum of both parts. Models of time with different covariates are of the same
        data; one of renewals and one of time are not.

    Returns
    -------
    LooComparison

    Raises
    ------
    DataError
        If they are not fits of the same data, or a fit was loaded and has no customers.

    Warns
    -----
    DataWarning
        If some customers change a posterior more than its draws can tell (Pareto k above min(0.7, 1 - 1/log10(draws))).

    Examples
    --------
    >>> from clvmodels import SBG, Durations, ShiftedGeometric, datasets
    >>> durations = Durations.from_survivors(datasets.retention("high-end")[:8])
    >>> fits = [model.fit(durations, "laplace", seed=1) for model in (ShiftedGeometric(), SBG())]
    >>> compare_loo(fits).table["verdict"].to_dict()
    {'SBG': 'best', 'ShiftedGeometric': 'worse'}
    """
    named = _named(fits)
    seen = {name: _seen(name, fit) for name, fit in named.items()}
    first, base = next(iter(seen.items()))
    for name, other in seen.items():
        if not _same(base, other):
            raise DataError(
                "leave-one-out compares models of the same data, which these were not fitted to: "
                f"{first} ({base}), {name} ({other}); fit both to one summary, or to one table of durations"
            )
    weights, index = base.weights, base.data.table.index
    found = {name: _left_out(fit) for name, fit in named.items()}
    best = max(found, key=lambda name: float(found[name].elpd @ weights))
    rows = {name: _row(one, found[best], weights) for name, one in found.items()}
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")
    table["unreliable"] = table["unreliable"].astype(int)
    alone = "nothing to compare with" if len(found) == 1 else "best"
    table["verdict"] = [alone if name == best else _word(row) for name, row in table.iterrows()]
    table = table.sort_values("elpd", ascending=False)
    notes = [told for name, one in found.items() if (told := _unreliable(name, one, weights, index))]
    for note in notes:
        warnings.warn(note, DataWarning, stacklevel=2)
    counts = weights > 0
    return LooComparison(
        table,
        pd.DataFrame({name: found[name].elpd for name in table.index}, index)[counts],
        pd.DataFrame({name: found[name].k_hat for name in table.index}, index)[counts],
        _verdict(table, round(weights.sum()), notes),
    )


def _named(fits: Iterable[Any] | Mapping[str, Any]) -> dict[str, Any]:
    """The fits by the names of their models, with their arguments where names repeat, and numbers where these do."""
    if isinstance(fits, Mapping):
        named = {str(name): fit for name, fit in fits.items()}
    else:
        alone = isinstance(fits, str) or not isinstance(fits, Iterable)
        listed: list[Any] = [fits] if alone else list(fits)
        named = {}
        short = [str(getattr(fit, "model", type(fit).__name__)) for fit in listed]
        for fit, name in zip(listed, short, strict=True):
            full = repr(fit.model) if short.count(name) > 1 else name
            number = sum(known == full or known.startswith(f"{full} (") for known in named)
            named[f"{full} ({number + 1})" if number else full] = fit
    if not named:
        raise ValueError("compare_loo needs a fit at least, such as [BGNBD().fit(customers)]")
    return named


def _seen(name: str, fit: Any) -> _Seen:
    if isinstance(fit, NonContractualCLVFit):
        bought, spent = (_seen(name, part) for part in (fit.transactions, fit.spend))
        of_spend = {f"{key} of spend": column for key, column in spent.columns.items()}
        return _Seen(fit.data, fit.data_hash, bought.weights, bought.columns | of_spend)
    if isinstance(fit, ContractualCLVFit):
        return _seen(name, fit.survival)
    if isinstance(fit, Specification):
        raise DataError(f"{name} is a model without data; fit it first: {type(fit).__name__}(...).fit(data)")
    if not isinstance(fit, Fit):
        kind = type(fit).__name__
        raise DataError(
            f"{name} is a {kind}, which has no likelihood of parameters; leave-one-out compares fits of models of "
            "transactions, spend and contracts, such as BGNBD, GammaGamma and SBG"
        )
    rows = fit.training_rows
    kept = fit.model.in_likelihood(fit.data)
    # Covariates, the columns behind these, are given: models with others speak of the same data.
    columns = dict(zip(fit.model.columns, rows.columns, strict=False))
    return _Seen(
        fit.data,
        fit.data_hash,
        kept * (1.0 if fit.data.weights is None else fit.data.weights),
        {key: _by_customer(column, rows, kept, np.nan) for key, column in columns.items()},
    )


def _same(one: _Seen, other: _Seen) -> bool:
    """Whether both are of the same customers, in the same order and unit."""
    if (one.data.unit, [*one.columns]) != (other.data.unit, [*other.columns]):
        return False
    pairs = [(one.weights, other.weights), *((one.columns[key], other.columns[key]) for key in one.columns)]
    return all(np.array_equal(mine, theirs, equal_nan=True) for mine, theirs in pairs)


def _left_out(fit: Any) -> _LeftOut:
    if isinstance(fit, NonContractualCLVFit):
        bought, spent = _left_out(fit.transactions), _left_out(fit.spend)
        return _LeftOut(
            {"transactions": bought.elpd, "spend": spent.elpd},
            bought.shortfall + spent.shortfall,
            np.maximum(bought.k_hat, spent.k_hat),
            bought.draws,
        )
    if isinstance(fit, ContractualCLVFit):
        return _left_out(fit.survival)
    by_row, efficiency = [], _efficiency(fit.posterior)
    for _, block in fit.log_likelihood_blocks():
        elpd, k_hat = psis.leave_one_out(block, efficiency)
        by_row.append((elpd, special.logsumexp(block, axis=0) - math.log(len(block)) - elpd, k_hat))
    rows, kept = fit.training_rows, fit.model.in_likelihood(fit.data)
    elpd, shortfall, k_hat = (
        _by_customer(values, rows, kept, of_others)
        for values, of_others in zip(np.concatenate(by_row, axis=1), (0.0, 0.0, -np.inf), strict=True)
    )
    return _LeftOut({"": elpd}, shortfall, k_hat, fit.posterior.draw_count)


def _efficiency(fit: Fit) -> float:
    """How many independent draws one is worth, on average over the parameters, of chains; else 1."""
    if fit.chains == 1:
        return 1.0
    import arviz

    effective = arviz.ess(parameters(fit), method="mean")
    return float(np.mean(np.concatenate([np.ravel(effective[name]) for name in effective.data_vars])) / fit.draw_count)


def _by_customer(values: NDArray, rows: Rows, kept: NDArray, of_others: float) -> NDArray:
    """Values of distinct rows for the customers that the likelihood counts, and one for the others: (N,)."""
    full = np.full(len(kept), of_others)
    full[kept] = values[rows.inverse]
    return full


def _row(one: _LeftOut, best: _LeftOut, weights: NDArray) -> dict[str, float]:
    parts = {f"elpd_{key}": float(elpd @ weights) for key, elpd in one.parts.items() if len(one.parts) > 1}
    difference = one.elpd - best.elpd
    return {
        "elpd": float(one.elpd @ weights),
        **parts,
        "se": _error_of_sum(one.elpd, weights),
        "p_loo": float(one.shortfall @ weights),
        "difference": float(difference @ weights),
        "se_difference": _error_of_sum(difference, weights),
        "pareto_k": float(one.k_hat.max()),
        "unreliable": float(weights @ (one.k_hat > psis.reliable(one.draws))),
    }


def _error_of_sum(values: NDArray, weights: NDArray) -> float:
    """Standard error of the sum over customers, values and weights each (N,)."""
    number = weights.sum()
    spread = weights @ (values - values @ weights / number) ** 2 / max(number - 1, 1)
    return float(np.sqrt(number * spread))


def _word(row: pd.Series) -> str:
    return SAME if abs(row["difference"]) < max(SMALL, 2 * row["se_difference"]) else "worse"


def _unreliable(name: str, one: _LeftOut, weights: NDArray, index: pd.Index) -> str:
    """What is to be said of the customers whose k is too high; empty if there are none."""
    limit = psis.reliable(one.draws)
    heavy = np.flatnonzero(one.k_hat > limit)
    if not len(heavy):
        return ""
    heavy = heavy[np.argsort(-one.k_hat[heavy], kind="stable")]
    customers = counted(round(weights[heavy].sum()), "customer")
    return (
        f"{name}: the Pareto k of {customers} ({examples(index[heavy])}) is above "
        f"{limit:.2f}, up to {one.k_hat[heavy[0]]:.2f}: each moves the posterior further than its draws can tell, so "
        "that the elpd is unsure, and as a rule too high. Look whether they are customers like the others (no "
        "resellers, tests or duplicates); compare fits without them, or with more draws"
    )


def _verdict(table: pd.DataFrame, customers: int, notes: list[str]) -> str:
    """The comparison in words."""
    shown = table.drop(columns=["unreliable"]).rename_axis(None)
    places = {name: "{:.2f}" if name == "pareto_k" else "{:,.1f}" for name in shown.columns.drop("verdict")}
    formatters = {name: form.format for name, form in places.items()}
    width = max(map(len, shown["verdict"]))
    shown["verdict"] = shown["verdict"].str.ljust(width)
    lines = [f"Leave-one-out: {counted(customers, 'customer')}", ""]
    text = shown.rename(columns={"verdict": ""}).to_string(formatters=formatters)
    return "\n".join([*lines, *map(str.rstrip, text.splitlines()), "", *(f"! {note}." for note in notes), _WHAT])
