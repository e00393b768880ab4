"""Kaplan-Meier, Greenwood and Aalen-Johansen on arrays: against lifelines, and against what must hold exactly."""

import numpy as np
import pytest

from clvmodels.product_limit import RiskTable, censoring_weights, cumulative_incidence

lifelines = pytest.importorskip("lifelines")


@pytest.fixture(scope="module")
def contracts():
    """Simulated contracts: tenure, event, entry (half are seen late) and weights; no two at the same time."""
    rng = np.random.default_rng(1)
    n = 400
    time = 10 * rng.weibull(1.3, n)
    event = (rng.random(n) < 0.7).astype(int)
    entry = np.where(rng.random(n) < 0.5, 0.0, time * rng.random(n) * 0.6)
    return time, event, entry, rng.integers(1, 5, n)


def test_curve_and_limits_are_those_of_lifelines(contracts):
    time, event, entry, weight = contracts
    peer = lifelines.KaplanMeierFitter().fit(time, event, entry=entry, weights=weight)
    table = RiskTable.of(time, event, entry, weight)
    assert (table.at_risk == peer.event_table.loc[table.time, "at_risk"]).all()
    assert np.allclose(
        np.exp(table.log_survival), peer.survival_function_.loc[table.time].iloc[:, 0], rtol=0, atol=1e-12
    )
    limits = peer.confidence_interval_.loc[table.time].to_numpy()
    assert np.allclose(np.column_stack(table.limits(0.95)), limits, rtol=0, atol=1e-10, equal_nan=True)


def test_cumulative_incidence_is_that_of_lifelines(contracts):
    time, event, entry, weight = contracts
    cause = np.where(event == 1, np.random.default_rng(2).integers(0, 2, len(time)), -1)
    at, incidence = cumulative_incidence(time, cause, 2, entry, weight)
    for number in range(2):
        peer = lifelines.AalenJohansenFitter(calculate_variance=False)
        peer.fit(time, cause + 1, number + 1, entry=entry, weights=weight)
        assert np.allclose(incidence[:, number], peer.cumulative_density_.loc[at].iloc[:, 0], rtol=0, atol=1e-10)
    everything = RiskTable.of(time, event, entry, weight)
    assert np.allclose(incidence.sum(axis=1), 1 - np.exp(everything.log_survival), rtol=0, atol=1e-13)


def test_without_censoring_the_curve_is_the_empirical_one():
    time = np.random.default_rng(3).integers(1, 20, 300)
    table = RiskTable.of(time, np.ones(300))
    empirical = np.array([(time > at).mean() for at in table.time])
    assert np.allclose(np.exp(table.log_survival), empirical, rtol=0, atol=1e-14)
    # Greenwood's variance is then that of a share.
    share = np.exp(table.log_survival[:-1])
    assert np.allclose(share**2 * table.log_variance[:-1], share * (1 - share) / 300, rtol=1e-12)


def test_weights_are_repeated_rows(contracts):
    time, event, entry, weight = contracts
    weighted = RiskTable.of(time, event, entry, weight)
    repeated = RiskTable.of(*(np.repeat(column, weight) for column in (time, event, entry)))
    for name in ("time", "at_risk", "events", "last"):
        assert np.array_equal(getattr(weighted, name), getattr(repeated, name))


def test_who_enters_at_a_time_is_not_at_risk_then_and_who_is_censored_is():
    #          leaves at 5, enters at 5, censored at 5, enters at 4
    table = RiskTable.of([5, 8, 5, 8], [1, 1, 0, 1], entry=[0, 5, 0, 4])
    assert table.time.tolist() == [5, 8]
    assert table.at_risk.tolist() == [3, 2]
    # An entry of 0 is the beginning: an exit at once is one of a customer at risk.
    assert RiskTable.of([0, 3], [1, 0], entry=[0, 0]).at_risk.tolist() == [2]


def test_one_customer_and_an_entry_just_before_the_exit():
    table = RiskTable.of([7.0], [1], entry=[np.nextafter(7.0, 0)])
    assert table.at_risk.tolist() == [1]
    assert np.exp(table.log_survival).tolist() == [0]
    assert np.isnan(table.limits(0.9)).all()
    assert len(table.emptied()) == 0  # nobody is known to have stayed longer


def test_fractions_as_weights_empty_a_risk_set_exactly():
    weight = np.full(10, 0.1)
    assert RiskTable.of(np.arange(1, 11), np.ones(10), weight=weight).log_survival[-1] < -900


def test_early_risk_sets_that_become_empty_are_found():
    table = RiskTable.of([1, 5, 6], [1, 1, 0], entry=[0, 2, 2])
    assert table.emptied().tolist() == [1]
    assert np.exp(table.log_survival).tolist() == [0, 0]
    # From a later tenure on the curve is not lost: one of two left at 5.
    assert np.exp(table.log_survival[1] - table.log_survival[0]) == pytest.approx(0.5)


def test_draws_have_the_mean_of_the_curve_and_greenwoods_variance(contracts):
    table = RiskTable.of(*contracts)
    size = 40_000
    steps = table.drawn_steps(np.random.default_rng(4), size)
    shares = np.exp(steps[:, :-1])
    stay = 1 - table.events / table.at_risk
    error = shares.std(axis=0) / np.sqrt(size)
    assert (np.abs(shares.mean(axis=0) - stay[:-1]) < 4.5 * error).all()  # 280 comparisons
    log_survival = np.cumsum(steps, axis=1)
    enough = table.at_risk >= 100  # a beta has a variance smaller by a share of 1 / (n + 1), and is not normal
    sd, greenwood = log_survival[:, enough].std(axis=0), np.sqrt(table.log_variance[enough])
    assert np.allclose(sd, greenwood, rtol=0.02)


@pytest.mark.parametrize("at", [0.5, 3.0, 4.0, 9.0, 30.0])
def test_who_is_known_stands_for_the_censored_and_gives_the_curve(at):
    # Efron (1967): their weights add up to all customers. And the share of who stayed is Kaplan and Meier's.
    rng = np.random.default_rng(5)
    time, event, weight = rng.integers(1, 12, 300), rng.random(300) < 0.6, rng.integers(1, 4, 300)
    event = np.where(time == 11, at > 20, event)  # the longest leave, where the question goes beyond them
    found = censoring_weights(time, event, at, weight)
    assert found @ weight == pytest.approx(weight.sum(), rel=1e-12)
    table = RiskTable.of(time, event, weight=weight)
    curve = np.exp(np.append(0, table.log_survival))[np.searchsorted(table.time, at, side="right")]
    stayed = ~(event.astype(bool) & (time <= at))
    assert (found * weight) @ stayed == pytest.approx(curve * weight.sum(), rel=1e-12)
    np.testing.assert_allclose(
        np.repeat(found, weight), censoring_weights(np.repeat(time, weight), np.repeat(event, weight), at)
    )


def test_without_censoring_each_stands_for_himself_and_beyond_the_last_nobody_is_known():
    assert censoring_weights([1, 3, 3], [1, 0, 0], at=3).tolist() == [1, 1, 1]
    assert np.isnan(censoring_weights([1, 2, 3], [1, 0, 0], at=4)).all()
    # The last left: all that was to happen is known.
    assert censoring_weights([1, 2, 3], [1, 0, 1], at=4).tolist() == [1, 0, 2]
