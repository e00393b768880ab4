"""Concordance: pairs that can be compared, ties, censoring, weights and size."""

import time as clock

import numpy as np
import pytest

from clvmodels.evaluation.metrics import Concordance

concordance_index = pytest.importorskip("lifelines").utils.concordance_index


def customers(seed, n, times=12, risks=9):
    rng = np.random.default_rng(seed)
    return rng.integers(1, times, n).astype(float), rng.integers(0, 2, n).astype(float), rng.integers(0, risks, n) / 8


def test_pairs_by_hand():
    time, event, risk = [1, 1, 1, 2, 3], [1, 1, 0, 0, 1], [0.5, 0.9, 0.5, 0.2, 0.6]
    # Who left at 1 outlasted by those at 2, 3 and by him who was lost at 1; each other they left together: no pair.
    # Risk 0.5: a tie, right, wrong: 1.5 of 3. Risk 0.9: three right. Who left at 3 was outlasted by nobody.
    assert Concordance()(time, event, risk) == pytest.approx(4.5 / 6)


@pytest.mark.parametrize("seed", range(20))
def test_it_is_that_of_lifelines_with_ties_and_censoring(seed):
    time, event, risk = customers(seed, 60 + seed)
    assert Concordance()(time, event, risk) == pytest.approx(concordance_index(time, -risk, event), rel=1e-14)


def test_it_is_that_of_lifelines_without_ties():
    rng = np.random.default_rng(1)
    time, event, risk = rng.exponential(size=500), rng.integers(0, 2, 500), rng.normal(size=500)
    assert Concordance()(time, event, risk) == pytest.approx(concordance_index(time, -risk, event), rel=1e-14)


def test_the_order_turned_round_is_the_rest():
    time, event, risk = customers(3, 300)
    assert Concordance()(time, event, risk) == pytest.approx(1 - Concordance()(time, event, -risk), rel=1e-14)


def test_without_endings_or_with_all_at_once_no_pair_is_comparable():
    assert np.isnan(Concordance()([1, 2, 3], [0, 0, 0], [1, 2, 3]))
    assert np.isnan(Concordance()([2, 2, 2], [1, 1, 1], [1, 2, 3]))
    assert np.isnan(Concordance()([1, 2], [0, 1], [1, 2]))


def test_a_hundred_thousand_customers_take_a_moment():
    rng = np.random.default_rng(4)
    n = 100_000
    risk = rng.gamma(2, 1, n)
    time = rng.exponential(1 / risk)
    start = clock.process_time()
    found = Concordance()(np.minimum(time, 1), time < 1, risk)
    # In half a second here; all pairs at once would take minutes and 80 GB.
    assert clock.process_time() - start < 20
    part = slice(3000)
    theirs = concordance_index(np.minimum(time, 1)[part], -risk[part], (time < 1)[part])
    # The standard error of C of n customers is below 0.5 / sqrt(n).
    assert found == pytest.approx(theirs, abs=4 * 0.5 / np.sqrt(3000))
