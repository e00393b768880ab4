"""Covariates: from columns that describe customers to the numbers that a model multiplies with coefficients.

Formulas are read by formulaic, and none is ever run: a saved fit holds its formula, and a file must not hold code. What
a formula may contain (names of columns, C(), a few functions, arithmetic) is looked at node by node in Python's syntax
tree and computed here; formulaic sees the results and expands terms, interactions and categories.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import linalg

from clvmodels.errors import DataError, brief, counted, examples

# What happened to the customer cannot explain it; `historic_revenue` grows with the time that he stays.
OUTCOMES = {"duration", "renewals", "event", "entry", "entry_renewals", "weight", "cause", "historic_revenue"}

_FUNCTIONS: dict[str, Callable[[NDArray], NDArray]] = {
    "log": np.log,
    "log1p": np.log1p,
    "exp": np.exp,
    "sqrt": np.sqrt,
    "I": np.asarray,  # arithmetic: I(age ** 2), where age ** 2 is an interaction
}
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.Pow: np.power,
}
_NUMBERS = {"integer", "floating", "mixed-integer-float", "decimal", "boolean"}
_LONGEST, _DEEPEST, _HIGHEST_POWER, _MOST_CATEGORIES = 1000, 30, 4, 1000
_COLLINEAR = 1e-8  # of a column's own spread: what the other columns leave of it

Covariates = str | tuple[str, ...]


@dataclass(frozen=True)
class Design:
    """How covariates become numbers, as the training data had it: all that a saved fit needs of them.

    Parameters
    ----------
    covariates : str or tuple of str
        A formula, or the names of columns.
    levels : mapping of str to tuple
        The categories of each term that has some; the first is the one that the others are compared with.
    names : tuple of str
        The columns of the matrix: ``price``, ``channel[T.web]``.
    means, sds : tuple of float
        Their (weighted) mean and standard deviation in the training data.

    Examples
    --------
    >>> table = pd.DataFrame({"price": [10.0, 20.0, 30.0], "channel": ["shop", "web", "web"]}, index=["a", "b", "c"])
    >>> design = Design.of(("price", "channel"), table)
    >>> design.names
    ('price', 'channel[T.web]')
    >>> design.matrix(table.head(1)).round(3)
    array([[-10.   ,  -0.667]])
    """

    covariates: Covariates
    levels: Mapping[str, tuple[Any, ...]]
    names: tuple[str, ...]
    means: tuple[float, ...]
    sds: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "covariates", checked(self.covariates))
        object.__setattr__(self, "levels", {name: tuple(values) for name, values in self.levels.items()})
        for name in ("names", "means", "sds"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    @classmethod
    def of(cls, covariates: str | Sequence[str], table: pd.DataFrame, weights: ArrayLike | None = None) -> Self:
        """Look at the training data, one row per customer (or contract), with optional weights (N,).

        Raises
        ------
        ValueError
            If the formula cannot be read, or contains what it may not.
        DataError
            If a column is absent, missing for a customer, constant or a combination of others: one sentence.
        """
        covariates = checked(covariates)
        levels: dict[str, tuple[Any, ...]] = {}
        columns: dict[str, Any] = {}
        for factor in _factors(covariates):
            column = factor.category(table)
            if column is not None:
                levels[factor.name] = _levels(column, factor.name)
                columns[factor.name] = _coded(column, levels[factor.name], factor.name)
            else:
                columns[factor.name] = factor.number(table)
        matrix, names = _expanded(covariates, columns)
        if len(names) >= len(table):
            raise DataError(f"{counted(len(table), 'customer')} cannot carry {counted(len(names), 'covariate')}")
        share = np.ones(len(table)) if weights is None else np.asarray(weights, float)
        share = share / share.sum()
        means = share @ matrix
        centred = matrix - means
        sds = np.sqrt(share @ centred**2)
        for name, mean, sd in zip(names, means, sds, strict=True):
            if sd <= 1e-12 * abs(mean):
                raise DataError(
                    f"covariate {name!r} is {mean:g} for every customer, so it explains nothing; leave it out"
                )
        _refuse_combinations(centred / sds * np.sqrt(share)[:, None], names)
        return cls(covariates, levels, names, tuple(means.tolist()), tuple(sds.tolist()))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the customers that it is computed from."""
        named = (name for factor in _factors(self.covariates) for name in factor.columns.values())
        return tuple(dict.fromkeys(named))

    def matrix(self, table: pd.DataFrame) -> NDArray[np.float64]:
        """The covariates (N, k) of customers, less the means of the training data: an average customer has zeros.

        Raises
        ------
        DataError
            If a column is absent or missing for a customer, or holds a category that the training data did not.
        """
        columns: dict[str, Any] = {}
        for factor in _factors(self.covariates):
            if factor.name in self.levels:
                columns[factor.name] = _coded(factor.column(table), self.levels[factor.name], factor.name)
            else:
                columns[factor.name] = factor.number(table)
        matrix, names = _expanded(self.covariates, columns)
        if names != self.names:
            raise DataError(f"the covariates make the columns {', '.join(names)}; the fit has {', '.join(self.names)}")
        return matrix - np.array(self.means)


def checked(covariates: str | Sequence[str]) -> Covariates:
    """A formula or names of columns, if that is what they are and all that they contain is allowed.

    >>> checked("__import__('os').getcwd()")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    ValueError: in covariates, "__import__('os')" is not allowed; use names of columns ...
    """
    if not isinstance(covariates, str):
        if not isinstance(covariates, Sequence) or not all(isinstance(name, str) for name in covariates):
            raise ValueError(f"covariates must be a formula or a list of columns; got {covariates!r}")
        covariates = tuple(covariates)
        if len(set(covariates)) < len(covariates):
            raise ValueError(f"a covariate is named twice: {', '.join(covariates)}")
    if not _factors(covariates):
        raise ValueError(f"covariates {covariates!r} name no column; leave them out, or name one")
    return covariates


@dataclass(frozen=True)
class _Factor:
    """One factor of a formula: a column, C(a column), or arithmetic on columns."""

    name: str
    tree: ast.expr
    columns: Mapping[str, str]  # names in the tree -> columns of the table

    def _column(self, node: ast.expr, table: pd.DataFrame) -> pd.Series:
        """The column that a name in the tree stands for, without missing values."""
        name = self.columns[node.id]  # type: ignore[attr-defined]
        if name in OUTCOMES:
            raise DataError(
                f"covariate {name!r} is what happened to the customer, so it cannot explain it; leave it out"
            )
        if name not in table.columns:
            others = [column for column in table.columns if column not in OUTCOMES]
            they = f"they have {examples(map(repr, others), limit=20)}" if others else "they have none"
            raise DataError(f"the customers have no covariate {name!r}; {they}")
        column = table[name]
        if (missing := column.isna().to_numpy()).any():
            raise DataError(_told(f"covariate {name!r} is missing for", table, missing))
        return column

    def category(self, table: pd.DataFrame) -> pd.Series | None:
        """The column, if it is one of categories: text, or anything within C()."""
        if isinstance(self.tree, ast.Name):
            column = self._column(self.tree, table)
            kind = pd.api.types.infer_dtype(column, skipna=False)
            if kind == "string":
                _refuse_written_numbers(column)
            return column if kind in ("string", "categorical", "mixed") else None
        return self.column(table) if isinstance(self.tree, ast.Call) and _function(self.tree) == "C" else None

    def column(self, table: pd.DataFrame) -> pd.Series:
        """The column of a factor that is one: a plain name, or C(name)."""
        return self._column(self.tree.args[0] if isinstance(self.tree, ast.Call) else self.tree, table)

    def number(self, table: pd.DataFrame) -> NDArray[np.float64]:
        """The factor's value for each customer."""
        with np.errstate(all="ignore"):
            values = np.broadcast_to(np.asarray(self._value(self.tree, table), float), len(table))
        if not (finite := np.isfinite(values)).all():
            raise DataError(_told(f"covariate {self.name!r} is not a finite number for", table, ~finite))
        return values

    def _value(self, node: ast.expr, table: pd.DataFrame) -> Any:
        match node:
            case ast.Name():
                column = self._column(node, table)
                if (kind := pd.api.types.infer_dtype(column, skipna=False)) == "string":
                    _refuse_written_numbers(column, calculated=True)
                    raise DataError(
                        f"covariate {column.name!r} is text such as {brief(repr(column.iloc[0]))}, where {self.name} "
                        "needs numbers"
                    )
                if kind not in _NUMBERS:
                    allowed = "numbers or text" if isinstance(self.tree, ast.Name) else "numbers"
                    raise DataError(
                        f"covariate {column.name!r} holds {kind} values, not {allowed}; turn them into that"
                    )
                return column.to_numpy(float)
            case ast.Constant():
                return np.float64(node.value)  # type: ignore[arg-type]
            case ast.UnaryOp():
                return -self._value(node.operand, table)
            case ast.BinOp():
                return _ARITHMETIC[type(node.op)](self._value(node.left, table), self._value(node.right, table))
            case ast.Call():
                return _FUNCTIONS[_function(node)](self._value(node.args[0], table))
        raise AssertionError(node)  # `_refuse` has let nothing else through


def _refuse_written_numbers(column: pd.Series, calculated: bool = False) -> None:
    """Raise `DataError` if all that a column of text holds are numbers: categories of them would be no one's wish."""
    texts = column.astype(object).str.strip().str.replace(",", "")
    blank = (texts == "").to_numpy(bool)
    if blank.all() or pd.to_numeric(texts[~blank], errors="coerce").isna().any():
        return
    name = str(column.name)
    but = (
        f" (blank for {counted(int(blank.sum()), 'customer')}: {examples(column.index[blank])})" if blank.any() else ""
    )
    category = name if name.isidentifier() else f"`{name}`"
    raise DataError(
        f"covariate {name!r} is text whose values are all numbers{but}; turn it into numbers (the attributes of a CSV "
        "file are text; those of a frame stay what they are)"
        + ("" if calculated else f", or write the formula 'C({category})' for categories")
    )


def _told(rule: str, table: pd.DataFrame, bad: NDArray) -> str:
    return f"{rule} {counted(int(bad.sum()), 'customer')}: {examples(table.index[bad])}"


def _function(call: ast.Call) -> str:
    """Name of the function that is called, `np.` before it or not; empty where it is not plainly named."""
    match call.func:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=ast.Name(id="np"), attr=name) if name != "I":
            return name
    return ""


def _refuse(node: ast.AST, text: str, depth: int = 0) -> None:
    """Raise `ValueError` unless a node and all below it are on the short list of what a formula may contain."""
    if depth > _DEEPEST:
        raise _not_allowed(text)
    match node:
        case ast.Name():
            return
        case ast.Constant(value=int() | float() as value) if type(value) is not bool and abs(value) < 1e300:
            return
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _refuse(operand, text, depth + 1)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            _refuse(left, text, depth + 1)
            return _refuse(right, text, depth + 1)
        case ast.Call(args=[argument], keywords=[]) if _function(node) in _FUNCTIONS:
            return _refuse(argument, text, depth + 1)
        case ast.Call(func=ast.Name(id="C"), args=[ast.Name()], keywords=[]) if depth == 0:
            return None
    raise _not_allowed(text)


def _not_allowed(text: str) -> ValueError:
    functions = ", ".join(f"{name}()" for name in ("C", *_FUNCTIONS))
    return ValueError(
        f'in covariates, "{brief(text)}" is not allowed; use names of columns (`in backticks` where they are no plain '
        f"words), +, -, :, *, **, {functions}"
    )


@functools.lru_cache(maxsize=64)
def _terms(covariates: Covariates) -> tuple[tuple[_Factor, ...], ...]:
    """The terms of a formula, each a product of factors, after all of it was looked at."""
    if isinstance(covariates, tuple):
        return tuple((_Factor(name, ast.Name("column"), {"column": name}),) for name in covariates)
    from formulaic.errors import FormulaicError
    from formulaic.parser import DefaultFormulaParser
    from formulaic.parser.algos.tokenize import tokenize

    if len(covariates) > _LONGEST:
        raise ValueError(f"the formula is longer than {_LONGEST} characters; name the columns in a list")
    unreadable = f"the formula {brief(covariates)!r} cannot be read; write one such as 'price + C(channel) + log(age)'"
    try:
        before = ""
        for token in tokenize(covariates):
            kind, text = token.kind.value, token.token
            if kind == "operator" and not re.fullmatch(r"[-+:*]|\*\*", text):
                raise _not_allowed(text)
            if (kind == "value" and not text.isdigit() and not re.fullmatch(r"[\d.]+", text)) or text == "lambda":
                raise _not_allowed(text)
            if kind == "value" and not (before == "**" and text.isdigit() and 1 <= int(text) <= _HIGHEST_POWER):
                raise ValueError(
                    f"in covariates, the number {brief(text)} may only be a power up to {_HIGHEST_POWER}, as in "
                    "(a + b)**2, or stand within I() or a function; the scale is the intercept"
                )
            if kind == "python":
                _factor(text, is_column=False)
            before = text
        parser = DefaultFormulaParser(include_intercept=False)
        parsed = parser.get_terms(covariates)
        _refuse_absent(covariates, parser.get_terms)
        terms = [[(each.expr, each.eval_method.value == "lookup") for each in term.factors] for term in parsed]
    except (FormulaicError, SyntaxError, IndexError, RecursionError, MemoryError) as error:
        raise ValueError(unreadable) from error
    return tuple(tuple(_factor(*factor) for factor in term) for term in terms)


def _refuse_absent(formula: str, terms_of: Callable[[str], Any]) -> None:
    """Raise `ValueError` if a term is taken away that is not there, which is a slip: `value - channel`."""
    from formulaic.parser.algos.tokenize import tokenize

    there: set[Any] = set()
    depth, sign, start = 0, "+", 0
    ends = [(token.source_start, token.token) for token in tokenize(formula)] + [(len(formula), "+")]
    for place, text in ends:
        depth += {"(": 1, ")": -1}.get(text, 0)
        if text == "-" and depth:
            raise ValueError(f"in covariates, - may not stand within parentheses, but in I(): {brief(formula)!r}")
        if text not in ("+", "-") or depth:
            continue
        if part := formula[start:place].strip():
            named = {*terms_of(part)}
            if sign == "-" and (absent := named - there):
                names = brief(" and ".join(sorted(map(str, absent))))
                raise ValueError(
                    f"in covariates, {names} cannot be taken away: it is not there before; write a + b to use both, "
                    "and I(a - b) for their difference"
                )
            there = there - named if sign == "-" else there | named
        sign, start = text, place + 1


def _factor(text: str, is_column: bool) -> _Factor:
    """One factor, if it contains nothing but what is allowed."""
    if is_column:
        return _Factor(text, ast.Name("column"), {"column": text})
    names: list[str] = re.findall(r"`([^`]*)`", text)
    stem = "quoted"
    while stem in text:
        stem += "_"
    numbers = iter(range(len(names)))
    plain = re.sub(r"`[^`]*`", lambda _: f" {stem}{next(numbers)} ", text)
    try:
        tree = ast.parse(plain.strip(), mode="eval").body
    except ValueError as error:  # a null byte
        raise _not_allowed(text) from error
    _refuse(tree, text)
    quoted = {f"{stem}{i}": name for i, name in enumerate(names)}
    called = {id(part) for node in ast.walk(tree) if isinstance(node, ast.Call) for part in ast.walk(node.func)}
    names_in = (node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in called)
    found = {name: quoted.get(name, name) for name in names_in}
    return _Factor(text, tree, found)


def _factors(covariates: Covariates) -> list[_Factor]:
    """The distinct factors of all terms."""
    return list({factor.name: factor for term in _terms(covariates) for factor in term}.values())


def _levels(column: pd.Series, name: str) -> tuple[Any, ...]:
    """The categories that occur: in their own order if they have one, else sorted."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        found = column.cat.remove_unused_categories().cat.categories
    else:
        found = pd.Index(column.unique())
        if pd.api.types.infer_dtype(found) not in _NUMBERS | {"string"}:
            raise DataError(f"covariate {name!r} holds {pd.api.types.infer_dtype(found)} values; turn them into text")
        found = found.sort_values()
    if len(found) == 1:
        raise DataError(f"covariate {name!r} has the one value {found[0]!r}, so it explains nothing; leave it out")
    if len(found) > _MOST_CATEGORIES:
        raise DataError(
            f"covariate {name!r} has {len(found):,} categories, more than {_MOST_CATEGORIES:,}; "
            "group them or leave it out"
        )
    return tuple(value.item() if isinstance(value, np.generic) else value for value in found)


def _coded(column: pd.Series, levels: tuple[Any, ...], name: str) -> Any:
    """The column as categories of the training data."""
    codes = pd.Index(levels, dtype=object).get_indexer(column.astype(object))
    if (unseen := codes < 0).any():
        strange = pd.unique(column[unseen])
        raise DataError(
            _told(
                f"covariate {name!r} has {counted(len(strange), 'value')} that the training data did not have "
                f"({examples(map(repr, strange))}), for",
                column.to_frame(),
                unseen,
            )
        )
    return pd.Categorical.from_codes(codes, categories=pd.Index(levels))


def _expanded(covariates: Covariates, columns: Mapping[str, Any]) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """The matrix of all terms without the intercept, and the names of its columns."""
    from formulaic import Formula
    from formulaic.parser.types import Factor, Term

    # "lookup": formulaic takes each factor, whatever its name, from the columns computed here, and runs nothing.
    terms = [Term([Factor("1", eval_method="literal")])]
    terms += [Term([Factor(factor.name, eval_method="lookup") for factor in factors]) for factors in _terms(covariates)]
    found = Formula(terms).get_model_matrix(pd.DataFrame(dict(columns)), na_action="ignore", output="numpy", context={})
    names = tuple(found.model_spec.column_names)[1:]
    if len(set(names)) < len(names):
        raise DataError(f"two of the covariates' columns have one name ({', '.join(names)}); rename one")
    return np.asarray(found, float)[:, 1:], names


def _refuse_combinations(standardised: NDArray, names: tuple[str, ...]) -> None:
    """Raise `DataError` if a column is a combination of others, which it names."""
    _, triangle, order = linalg.qr(standardised, mode="economic", pivoting=True)
    size = np.abs(np.diag(triangle))
    rank = int((size > _COLLINEAR * size[0]).sum())
    if rank == len(names):
        return
    free = order[:rank]
    column = order[rank]
    weights = np.linalg.lstsq(standardised[:, free], standardised[:, column], rcond=None)[0]
    others = [names[i] for i, weight in zip(free, weights, strict=True) if abs(weight) > 1e-6]
    raise DataError(
        f"covariate {names[column]!r} is a combination of {examples(map(repr, sorted(others)), limit=5)}, so their "
        "coefficients cannot be told apart; leave one out"
    )
