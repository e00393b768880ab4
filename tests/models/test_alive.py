"""What nobody sees of customers, against simulated ones of whom it is known: death, rates and probabilities."""

import dataclasses
import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

import clvmodels as clv
from clvmodels.draws import summarise
from clvmodels.models.transactions.pareto_nbd import _death

T = 39.0
BUYING = {"r": 0.55, "alpha": 6.0}
LEAVING = {
    clv.BGNBD: {"a": 0.8, "b": 2.4},
    clv.MBGNBD: {"a": 0.9, "b": 1.6},
    clv.ParetoNBD: {"s": 0.6, "beta": 11.7},
}


def lives(model, rng, customers, until=T):
    """Frequency and recency at T, and death, rate and dropout of each customer, purchase by purchase."""
    rate = rng.gamma(BUYING["r"], 1 / BUYING["alpha"], customers)
    leaving = LEAVING[model]
    death = np.full(customers, np.inf)
    if model is clv.ParetoNBD:
        dropout = rng.gamma(leaving["s"], 1 / leaving["beta"], customers)
        death = rng.exponential(1 / dropout)
    else:
        dropout = rng.beta(leaving["a"], leaving["b"], customers)
        death[(rng.random(customers) < dropout) & (model is clv.MBGNBD)] = 0.0
    now, x, t_x = np.zeros(customers), np.zeros(customers), np.zeros(customers)
    buys = np.ones(customers, bool)
    while buys.any():
        now = now + rng.exponential(1 / rate)
        buys &= now < np.minimum(until, death)
        seen = buys & (now < T)
        x, t_x = x + seen, np.where(seen, now, t_x)
        if model is not clv.ParetoNBD:
            death = np.where(buys & (rng.random(customers) < dropout), now, death)
    return x, t_x, death, rate, dropout


def assert_is_the_share(p, happened):
    """Of customers sorted by a probability, in twelve groups, what happened is within four errors of it."""
    for group in np.array_split(np.argsort(p, kind="stable"), 12):
        error = np.sqrt((p[group] * (1 - p[group])).sum()) / len(group)
        assert abs(happened[group].mean() - p[group].mean()) <= 4 * error + 1e-12


@pytest.mark.parametrize("model", LEAVING)
def test_p_alive_is_the_share_that_is_alive(model):
    x, t_x, death, _, _ = lives(model, np.random.default_rng(1), 40_000)
    p = np.broadcast_to(model.p_alive(x, t_x, T, **BUYING, **LEAVING[model]), x.shape)
    assert_is_the_share(p, death > T)
    assert 0.1 < (death > T).mean() < 0.9


@pytest.mark.parametrize("model", LEAVING)
def test_p_alive_at_a_later_time_is_the_share_that_is_still_alive(model):
    x, t_x, death, _, _ = lives(model, np.random.default_rng(2), 40_000, until=T + 26)
    p = model.p_alive_at(26.0, x, t_x, T, **BUYING, **LEAVING[model])
    assert_is_the_share(p, death > T + 26)
    assert (p < model.p_alive(x, t_x, T, **BUYING, **LEAVING[model])).all()


@pytest.mark.parametrize("model", LEAVING)
def test_latent_draws_of_a_history_are_those_of_the_customers_who_have_it(model):
    # Bayes by simulation: among customers of alike histories the drawn and the true are alike, together too.
    rng = np.random.default_rng(3)
    x, t_x, death, rate, dropout = lives(model, rng, 60_000)
    params = {name: np.array([[value]]) for name, value in (BUYING | LEAVING[model]).items()}
    drawn = {name: values[0] for name, values in model.simulate_latent(rng, x, t_x, T, **params).items()}
    named = "dropout_rate" if model is clv.ParetoNBD else "dropout_probability"
    assert {*drawn} == {"alive", "purchase_rate", named}
    ours = (drawn["alive"], drawn["purchase_rate"], drawn[named])
    truth = (death > T, rate, dropout)
    kinds = 0
    for number, late, alive in itertools.product(range(5), (False, True), (False, True)):
        history = (np.minimum(x, 4) == number) & ((t_x > 20) == late)
        both = [history & (side[0] == alive) for side in (ours, truth)]
        if min(each.sum() for each in both) < 100:
            continue
        kinds += 1
        for i in (1, 2):
            samples = [side[i][rows] for side, rows in zip((ours, truth), both, strict=True)]
            assert stats.ks_2samp(*samples).pvalue > 1e-4, (number, late, alive, i)
        products = [np.log(side[1][rows] * side[2][rows]) for side, rows in zip((ours, truth), both, strict=True)]
        assert stats.ks_2samp(*products).pvalue > 1e-4, (number, late, alive)
        shares = [rows.sum() / history.sum() for rows in both]
        assert abs(shares[0] - shares[1]) < 4.5 * np.sqrt(2 * 0.25 / history.sum())
    assert kinds >= 13


def test_times_of_death_are_drawn_from_their_density():
    # Against its distribution function by quadrature, where either factor is the steeper one, and at a power of 1.
    rng = np.random.default_rng(4)
    for a, alpha, b, beta in [
        (2, 5, 3, 11),
        (1, 1e-3, 1.6, 500),
        (300, 10, 1.6, 0.1),
        (0.03, 1e-6, 1000, 1),
        (5e3, 1e3, 1, 9),
    ]:
        named = {"start": 2.0, "end": 39.0, "a": a, "alpha": alpha, "b": b, "beta": beta}
        drawn = _death(rng, *(np.full(4000, float(value)) for value in named.values()))
        assert ((drawn >= 2) & (drawn <= 39)).all()
        grid = 2 + 37 * np.linspace(0, 1, 200_001) ** 3  # finest at the start, where it may fall at once
        density = np.exp(-a * np.log((alpha + grid) / (alpha + 2)) - b * np.log((beta + grid) / (beta + 2)))
        below = integrate.cumulative_trapezoid(density, grid, initial=0)
        uniform = np.interp(drawn, grid, below / below[-1])
        assert stats.kstest(uniform, "uniform").pvalue > 1e-4, named


@pytest.mark.parametrize("model", LEAVING)
def test_latent_draws_are_finite_for_any_history_and_parameters(model):
    rng = np.random.default_rng(5)
    x, t_x, T = np.array([[0, 0, 1, 1, 5000, 5000], [0, 0, 39, 1e-3, 38.9, 1.0], [0, 39, 39, 39, 39, 39]])
    for scale, shape in itertools.product((1e-6, 1.0, 1e6), (0.03, 1.0, 1e4)):
        params = {name: np.full((200, 1), shape) for name in ("r", *LEAVING[model])}
        params |= {name: np.full((200, 1), scale) for name in ("alpha", "beta") if name in params or name == "alpha"}
        found = model.simulate_latent(rng, x, t_x, T, **params)
        assert all(np.isfinite(values).all() and (values >= 0).all() for values in found.values())


def test_p_alive_at_the_end_of_a_horizon_is_that_of_the_formula(cdnow, cdnow_fit):
    for fit in (cdnow_fit, cdnow_fit.posterior):
        frame = fit.p_alive_at(horizon="39 weeks", interval=0.8)
        draws = clv.BGNBD.p_alive_at(39.0, *fit.model.arrays(cdnow), **fit.parameter_draws)
        np.testing.assert_allclose(frame["p_alive"], draws.mean(axis=0), rtol=1e-9)
        draws = clv.BGNBD.p_alive_at(39.0, *fit.model.arrays(cdnow), **fit.posterior.parameter_draws)
        np.testing.assert_allclose(frame[["lower", "upper"]].T, summarise(draws, 0.8), rtol=1e-9)
    assert frame.attrs["interval_of"] == "mean"
    assert frame.index.equals(cdnow.table.index)
    assert [*cdnow_fit.p_alive_at(horizon=39).columns] == ["p_alive"]


def test_tables_tell_what_they_are_made_of(cdnow, cdnow_fit):
    longer = "the horizon of 728 days is longer than the data, 272 days: only the model reaches so far"
    laplace = "intervals: draws of the parameters from the Laplace approximation"
    assert cdnow_fit.p_alive_at(horizon="104 weeks", interval=0.8).attrs["notes"] == [longer, laplace]
    assert cdnow_fit.count_distribution(horizon="104 weeks", most=1).attrs["notes"] == [longer]
    assert cdnow_fit.p_alive_at(horizon="1 week").attrs["notes"] == []


def test_a_composition_has_what_its_parts_have(cdnow):
    fit = clv.NonContractualCLV(clv.BGNBD(), clv.GammaGamma()).fit(cdnow, seed=4)
    for name in ("p_alive_at", "count_distribution"):
        found, expected = (getattr(each, name)(horizon="1 week") for each in (fit, fit.transactions))
        pd.testing.assert_frame_equal(found, expected)
    assert fit.problems == ()
    weak = dataclasses.replace(fit.spend, sampling_problems=("the chains disagree",))
    assert dataclasses.replace(fit, spend=weak).problems == ("GammaGamma: the chains disagree",)


def test_contracts_with_prices_have_the_latent_draws_of_their_survival():
    durations = clv.Durations(clv.Durations.from_survivors([100, 80, 70, 65]).table.assign(value=10.0), "year")
    fit = clv.ContractualCLV(clv.SBG()).fit(durations, seed=1)
    (_, found), (_, expected) = next(fit.latent_draws()), next(fit.survival.latent_draws())
    np.testing.assert_array_equal(found["churn_probability"], expected["churn_probability"])
    assert fit.problems == fit.survival.problems
    for survival in (clv.ShiftedGeometric(), clv.KaplanMeier()):
        fit = clv.ContractualCLV(survival).fit(durations, seed=1)
        with pytest.raises(ValueError, match=f"^{type(survival).__name__} knows nothing of a customer that could be"):
            fit.latent_draws()
        assert fit.problems == ()


def test_latent_draws_come_with_those_of_spend(cdnow):
    fit = clv.NonContractualCLV(clv.MBGNBD(), clv.GammaGamma()).fit(cdnow, seed=4)
    blocks = [*fit.latent_draws()]
    assert [part.start for part, _ in blocks[1:]] == [part.stop for part, _ in blocks[:-1]]
    found = {name: np.concatenate([draws[name] for _, draws in blocks], axis=1) for name in blocks[0][1]}
    assert [*found] == ["alive", "purchase_rate", "dropout_probability", "mean_spend"]
    assert {values.shape for values in found.values()} == {(1000, len(cdnow))}
    table, drawn = fit.posterior.predict(horizon=39), found["alive"].mean(axis=0)
    error = np.sqrt(table["p_alive"] * (1 - table["p_alive"]) / 1000)
    assert (np.abs(drawn - table["p_alive"]) < 5 * error + 1e-3).all()
    spend = found["mean_spend"]
    assert (np.abs(spend.mean(axis=0) - table["expected_spend"]) < 6 * spend.std(axis=0) / np.sqrt(1000)).mean() > 0.999
    again = next(fit.latent_draws())[1]
    assert all((again[name] == draws).all() for name, draws in blocks[0][1].items())
    assert (next(fit.latent_draws(seed=5))[1]["purchase_rate"] != again["purchase_rate"]).any()
