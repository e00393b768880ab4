"""The functions of formulas, where they are more than a name for NumPy's."""

import mpmath
import numpy as np
import pytest

from clvmodels import ops


@pytest.mark.parametrize("start", [1e-8, 0.25, 3.0, 1e6, 1e12])
@pytest.mark.parametrize("count", [0, 1, 7, 5000])
def test_log_rising_keeps_its_digits(start, count):
    with mpmath.workdps(50):
        exact = float(mpmath.log(mpmath.rf(start, count)))
    assert ops.log_rising(start, np.array([count])) == pytest.approx(exact, rel=1e-13, abs=1e-15)


def test_log_rising_of_draws_of_customers_and_of_both():
    start, count = np.array([[0.3], [4.0]]), np.array([0, 2, 9])
    shared = ops.log_rising(start, count)
    assert shared.shape == (2, 3)
    per_customer = ops.log_rising(np.broadcast_to(start, (2, 3)), count)
    np.testing.assert_allclose(shared, per_customer, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(ops.log_rising(0.3, count), shared[0])
    huge = ops.log_rising(0.3, np.array([30_000]))  # too many to sum one by one
    with mpmath.workdps(50):
        assert huge == pytest.approx(float(mpmath.log(mpmath.rf(0.3, 30_000))), rel=1e-12)
