"""The function of Pareto/NBD's kernel against mpmath and closed forms, on both sides of where the method changes."""

import mpmath
import numpy as np
import pytest

from clvmodels.kernels.hypergeometric import _FAR, log_hypergeometric


def at(B, D, y):
    """Value and slopes at one place."""
    return log_hypergeometric(np.array([B]), np.array([D]), np.array([0]), np.array([y]))[:, 0]


def exact(B, D, y):
    """log 2F1(B, 1; B + D; -y) after Euler's transformation: all terms are positive."""
    return mpmath.log(mpmath.hyp2f1(D, 1, B + D, y / (1 + y)) / (1 + y))


def exact_slope(number, *arguments):
    """The slope in one argument, by a central difference in 40 digits with half of them left."""
    up, down = list(arguments), list(arguments)
    step = arguments[number] * mpmath.mpf(10) ** -10
    up[number], down[number] = arguments[number] + step, arguments[number] - step
    return (exact(*up) - exact(*down)) / (2 * step)


def test_the_function_and_its_slopes_keep_their_digits_everywhere():
    # Exponents as Pareto/NBD has them for r and s in 1e-3 ... 1e3 and up to 5000 purchases, in either order.
    rng = np.random.default_rng(1813)
    for number in range(60):
        r, s = 10 ** rng.uniform(-3, 3, 2)
        x = rng.choice([0, 1, 40, 5000])
        B, D = [(r + x, s + 1), (r + x + 1, s), (s + 1, r + x), (s, r + x + 1)][number % 4]
        y = 10 ** (rng.uniform(-6, np.log10(_FAR)) if number % 3 else rng.uniform(np.log10(_FAR), 2.5))
        ours = at(B, D, y)
        with mpmath.workdps(40):
            arguments = [mpmath.mpf(float(value)) for value in (B, D, y)]
            wanted = [exact(*arguments), *(exact_slope(i, *arguments) for i in range(3))]
        # Slopes that are nearly nothing are differences of larger terms.
        np.testing.assert_allclose(ours, np.array(wanted, float), rtol=1e-12, atol=1e-13, err_msg=str((B, D, y)))


def test_both_methods_agree_where_one_takes_over():
    for B, D in ((0.55, 1.6), (5000.0, 0.6), (0.6, 5000.0), (1e-3, 1.0), (1000.0, 1000.0)):
        y = np.array([_FAR * (1 + 1e-12), _FAR * (1 - 1e-12)])
        far, near = log_hypergeometric(np.array([B]), np.array([D]), np.zeros(2, int), y).T
        assert far[0] != near[0]
        # Where B + D - 1 is a thousandth, slopes are differences of terms of a thousand.
        np.testing.assert_allclose(far, near, rtol=1e-10, atol=1e-12)


def test_closed_forms():
    y = np.array([1e12, 1e6, 1e3, 31.0, 29.0, 1.0, 1e-3, 1e-9])
    one = log_hypergeometric(np.array([1.0]), np.array([1.0]), np.zeros(len(y), int), y)
    np.testing.assert_allclose(one[0], np.log(np.log1p(y) / y), rtol=1e-12, atol=1e-15)
    # The mean of (1 + y u)^-1/2 over u in (0, 1).
    half = log_hypergeometric(np.array([0.5]), np.array([1.5]), np.zeros(len(y), int), y)
    np.testing.assert_allclose(half[0], -np.log1p(y / (1 + np.sqrt(1 + y)) / 2), rtol=1e-12, atol=1e-15)


def test_equal_bases_are_no_singularity():
    np.testing.assert_allclose(at(2.5, 1.5, 0.0), [0, 0, 0, -2.5 / 4], atol=1e-16)


def test_many_at_once_are_as_each_alone():
    rng = np.random.default_rng(4)
    B, D = rng.uniform(0.1, 50, 7), rng.uniform(0.1, 5, 7)
    y = np.sort(10 ** rng.uniform(-3, 4, 5000))[::-1]
    group = rng.integers(0, 7, len(y))
    together = log_hypergeometric(B, D, group, y)
    for i in range(0, len(y), 97):
        np.testing.assert_allclose(together[:, i], at(B[group[i]], D[group[i]], y[i]), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("y", [np.nan, np.inf, 1e300])
def test_a_sampler_that_leapt_too_far_is_not_kept_waiting(y):
    with np.errstate(all="ignore"):
        assert at(0.5, 1.5, y).shape == (4,)
