"""P(alive) against customers whose death is known: nobody else sees it, so only a simulation can check it."""

import numpy as np
import pytest

import clvmodels as clv

T = 39.0
BUYING = {"r": 0.55, "alpha": 6.0}
LEAVING = {
    clv.BGNBD: {"a": 0.8, "b": 2.4},
    clv.MBGNBD: {"a": 0.9, "b": 1.6},
    clv.ParetoNBD: {"s": 0.6, "beta": 11.7},
}


def lives(model, rng, customers):
    """Frequency, recency, and whether each customer is alive at T, purchase by purchase."""
    rate = rng.gamma(BUYING["r"], 1 / BUYING["alpha"], customers)
    leaving = LEAVING[model]
    death, p = np.full(customers, np.inf), np.zeros(customers)
    if model is clv.ParetoNBD:
        death = rng.exponential(1 / rng.gamma(leaving["s"], 1 / leaving["beta"], customers))
    else:
        p = rng.beta(leaving["a"], leaving["b"], customers)
        death[(rng.random(customers) < p) & (model is clv.MBGNBD)] = 0.0
    now, x, t_x = np.zeros(customers), np.zeros(customers), np.zeros(customers)
    buys = np.ones(customers, bool)
    while buys.any():
        now = now + rng.exponential(1 / rate)
        buys &= now < np.minimum(T, death)
        x, t_x = x + buys, np.where(buys, now, t_x)
        dies = buys & (rng.random(customers) < p)
        death = np.where(dies, now, death)
    return x, t_x, death > T


@pytest.mark.parametrize("model", LEAVING)
def test_p_alive_is_the_share_that_is_alive(model):
    x, t_x, alive = lives(model, np.random.default_rng(1), 40_000)
    p = np.broadcast_to(model.p_alive(x, t_x, T, **BUYING, **LEAVING[model]), x.shape)
    order = np.argsort(p, kind="stable")
    for group in np.array_split(order, 12):
        error = np.sqrt((p[group] * (1 - p[group])).sum()) / len(group)
        assert abs(alive[group].mean() - p[group].mean()) <= 4 * error + 1e-12
    assert 0.1 < alive.mean() < 0.9
