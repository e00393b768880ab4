"""The few functions that formulas are written in, for NumPy arrays and PyTensor tensors alike.

A formula uses these and the arithmetic operators; the same text then serves maximum likelihood on arrays and a
gradient-based sampler on tensors. PyTensor is never imported here: a tensor can only come from someone who has.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from scipy import special

# Above this count the logs of a rising factorial are not summed one by one.
_SUMMED_UP_TO = 20_000

# Where Stirling's series with five terms is exact to the last digit.
_STIRLING = 20.0
_LOG_2 = 0.6931471805599453


def _tensors(*values: Any) -> Any:
    """PyTensor's tensor module if any value is a tensor, else None."""
    if "pytensor" not in sys.modules:
        return None
    from pytensor import tensor
    from pytensor.graph.basic import Variable

    return tensor if any(isinstance(value, Variable) for value in values) else None


def is_tensor(value: Any) -> bool:
    """Whether the value is a tensor of PyTensor."""
    return _tensors(value) is not None


def log(value: Any) -> Any:
    """Natural logarithm."""
    tensor = _tensors(value)
    return tensor.log(value) if tensor else np.log(value)


def log1p(value: Any) -> Any:
    """log(1 + value), exact for small values."""
    tensor = _tensors(value)
    return tensor.log1p(value) if tensor else np.log1p(value)


def expm1(value: Any) -> Any:
    """exp(value) - 1, exact for small values."""
    tensor = _tensors(value)
    return tensor.expm1(value) if tensor else np.expm1(value)


def expit(value: Any) -> Any:
    """1 / (1 + exp(-value))."""
    tensor = _tensors(value)
    return tensor.sigmoid(value) if tensor else special.expit(value)


def logaddexp(first: Any, second: Any) -> Any:
    """log(exp(first) + exp(second)) without overflow."""
    tensor = _tensors(first, second)
    if tensor:  # its own is safe only in compiled modes that rewrite the logarithm of a sum
        return first + tensor.softplus(second - first)
    return np.logaddexp(first, second)


def gammaln(value: Any) -> Any:
    """Logarithm of the gamma function."""
    tensor = _tensors(value)
    return tensor.gammaln(value) if tensor else special.gammaln(value)


def exp(value: Any) -> Any:
    """Exponential function."""
    tensor = _tensors(value)
    return tensor.exp(value) if tensor else np.exp(value)


def log1mexp(value: Any) -> Any:
    """log(1 - exp(value)) for negative values, exact for small and for large ones."""
    tensor = _tensors(value)
    if tensor:
        return tensor.log1mexp(value)
    value = np.asarray(value, float)
    with np.errstate(divide="ignore"):  # minus infinity at 0
        return np.where(value > -_LOG_2, np.log(-np.expm1(np.minimum(value, 0.0))), np.log1p(-np.exp(value)))[()]


def log_beta_ratio(a: Any, b: Any, z: Any) -> Any:
    """log[B(a, b + z) / B(a, b)]: the mean of (1 - p)^z over a Beta(a, b) distributed p.

    The gamma functions are taken in the pairs that lie closest, so that large arguments do not cancel.

    >>> bool(np.isclose(log_beta_ratio(1.0, 2.0, 3.0), np.log(2 / 5)))
    True
    """
    small, large = minimum(a, z), maximum(a, z)  # the ratio is symmetric in both
    return log_gamma_ratio(b, small) - log_gamma_ratio(b + large, small)


def log_gamma_ratio(start: Any, step: Any) -> Any:
    """gammaln(start + step) - gammaln(start), by the difference of Stirling's series where `start` is large."""
    at = maximum(start, _STIRLING)
    series = (at - 0.5) * log1p(step / at) + step * (log(at + step) - 1) + _stirling(at + step) - _stirling(at)
    near = minimum(start, _STIRLING)  # where the series is taken, gammaln need not be exact but finite
    return where(start < _STIRLING, gammaln(near + step) - gammaln(near), series)


def _stirling(value: Any) -> Any:
    """The series of gammaln(value) behind (value - 1/2) log(value) - value + log(2 pi) / 2."""
    square = value**-2.0
    return (1 / 12 + square * (-1 / 360 + square * (1 / 1260 + square * (-1 / 1680 + square / 1188)))) / value


def minimum(first: Any, second: Any) -> Any:
    """The smaller of two values."""
    tensor = _tensors(first, second)
    return tensor.minimum(first, second) if tensor else np.minimum(first, second)


def maximum(first: Any, second: Any) -> Any:
    """The larger of two values."""
    tensor = _tensors(first, second)
    return tensor.maximum(first, second) if tensor else np.maximum(first, second)


def where(condition: Any, yes: Any, no: Any) -> Any:
    """`yes` where the condition holds, else `no`; both are computed, so both must be finite."""
    tensor = _tensors(condition, yes, no)
    return tensor.where(condition, yes, no) if tensor else np.where(condition, yes, no)


def stack(first: Any, second: Any) -> Any:
    """Both values along a new first axis."""
    tensor = _tensors(first, second)
    return tensor.stack([first, second]) if tensor else np.stack([first, second])


def log_ndtr(value: Any) -> Any:
    """Logarithm of the normal distribution function, exact far into both tails."""
    tensor = _tensors(value)
    if not tensor:
        return special.log_ndtr(value)
    # erfcx(x) = exp(x^2) erfc(x) keeps its digits where erfc is 0; each branch is finite where the other is taken.
    below, above = tensor.minimum(value, -1.0), tensor.maximum(value, -1.0)
    low = tensor.log(tensor.erfcx(-below / 2**0.5) / 2) - below**2 / 2
    return tensor.where(value < -1.0, low, tensor.log1p(-tensor.erfc(above / 2**0.5) / 2))


def log_rising(start: Any, count: Any) -> Any:
    """log[start (start + 1) ... (start + count - 1)] = gammaln(start + count) - gammaln(start), for whole counts.

    On arrays the logarithms are summed, which neither cancels for a large `start` nor computes a gamma function for
    each customer: `start` of shape (S, 1) against `count` of shape (N,) costs S x max(count) logarithms.

    >>> bool(np.isclose(log_rising(2.5, np.array([0, 3])), [0, np.log(2.5 * 3.5 * 4.5)]).all())
    True
    """
    if _tensors(start, count):
        return gammaln(start + count) - gammaln(start)
    start, count = np.asarray(start, float), np.asarray(count)
    one_start_per_row = start.ndim == 0 or (count.ndim <= 1 and start.shape[-1] == 1)
    most = int(count.max(initial=0))
    if not one_start_per_row or most > _SUMMED_UP_TO:
        return special.gammaln(start + count) - special.gammaln(start)
    sums = np.zeros((*(start.shape[:-1]), most + 1))
    np.cumsum(np.log(start + np.arange(most)), axis=-1, out=sums[..., 1:])
    at = count.astype(np.intp)
    return sums[..., at if start.ndim < 2 else np.atleast_1d(at)]  # a lone customer keeps the axis of the draws: (S, 1)
