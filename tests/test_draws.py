"""Where draws become numbers."""

import numpy as np
import pytest

from clvmodels import draws


def test_interval_ends_are_draws_and_hold_their_share():
    values = np.random.default_rng(0).permutation(np.arange(1.0, 1001))[:, None]
    lower, upper = draws.summarise(values, 0.9)
    assert (lower.item(), upper.item()) == (50, 950)
    assert ((values >= lower) & (values <= upper)).mean() >= 0.9


def test_counts_give_whole_ends():
    counts = np.random.default_rng(0).poisson(0.3, (1000, 4))
    lower, upper = draws.summarise(counts, 0.5)
    assert (lower == np.floor(lower)).all()
    assert (upper == np.floor(upper)).all()


@pytest.mark.parametrize("interval", [0, 1, 90, -0.1, "wide"])
def test_an_interval_is_a_share(interval):
    with pytest.raises(ValueError, match=r"interval must lie strictly between 0 and 1, such as 0\.9"):
        draws.check_interval(interval)


def test_generators_differ_by_purpose_and_repeat():
    first, again, other = (draws.generator(1, *purpose).random(3) for purpose in (("a", 0), ("a", 0), ("a", 1)))
    assert (first == again).all()
    assert not (first == other).any()


@pytest.mark.parametrize("seed", [-1, 1.5, "lucky", True])
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises(ValueError, match="seed must be a whole number, 0 or more"):
        draws.check_seed(seed)


def test_blocks_cover_every_row_once_and_a_huge_row_has_its_own():
    cost = np.array([1e6, 5e6, 1.0, 1.0, 1.5e6, 1e6])
    parts = list(draws.blocks(cost))
    assert np.concatenate([np.arange(6)[part] for part in parts]).tolist() == list(range(6))
    assert all(cost[part].sum() <= draws.BLOCK_CELLS or part.stop - part.start == 1 for part in parts)
    assert list(draws.blocks([])) == []
