"""Distributions of the number of purchases against mpmath, simulation, identities and other software."""

import itertools

import mpmath
import numpy as np
import pandas as pd
import pytest
from conftest import quietly
from scipy import optimize, special, stats

import clvmodels as clv
from clvmodels import BGNBD, MBGNBD, ParetoNBD
from clvmodels.models.transactions import counts


def exact_bgnbd(n, t, x, T, r, alpha, a, b):
    """Equation 8 as the paper has it, whose difference cancels, with digits to spare; and P(alive) after t."""
    r, alpha, a, b, t = (mpmath.mpf(float(value)) for value in (r, alpha, a, b, t))
    r, alpha, b = r + x, alpha + T, b + x
    rest, share = alpha / (alpha + t), t / (alpha + t)
    survived = mpmath.rf(b, n) / mpmath.rf(a + b, n)
    due, before = rest**r, mpmath.mpf(0)
    for j in range(n):
        before += due
        due *= (r + j) / (j + 1) * share
    died = a / (b + n - 1) * survived * (1 - before) if n else 0
    return survived * due + died


def exact_integral(log_density, slope, end):
    """Integral of a density with one peak over v up to the end, and the logarithm of what it is divided by."""
    peak = end if slope(end) > 0 else optimize.brentq(slope, -3000.0, end)
    high = log_density(mpmath.mpf(peak))

    def fallen(v):
        return float(log_density(mpmath.mpf(v)) - high) + 60

    reach = 1.0
    while fallen(peak - reach) > 0:
        reach *= 2
    low = optimize.brentq(fallen, peak - reach, peak)
    last = end if fallen(end) > 0 else optimize.brentq(fallen, peak, end)
    points = [*np.linspace(low, peak, 5), *(np.linspace(peak, last, 5)[1:] if last > peak else ())]
    return mpmath.quad(lambda v: mpmath.exp(log_density(v) - high), [mpmath.mpf(v) for v in points]), high


def exact_survival(t, x, T, r, alpha, a, b):
    """E[(1 + p tau)^-(r + x)] over p ~ Beta(a, b + x), in v = logit p."""
    r, b, a, tau = (mpmath.mpf(float(value)) for value in (r + x, b + x, a, t / (alpha + T)))

    def log_density(v):
        p = 1 / (1 + mpmath.exp(-v))
        return a * mpmath.log(p) - b * mpmath.log1p(mpmath.exp(v)) - r * mpmath.log1p(p * tau)

    def slope(v):
        p = special.expit(v)
        return float(a * (1 - p) - b * p - r * tau * p * (1 - p) / (1 + p * tau))

    integral, high = exact_integral(log_density, slope, 3000.0)
    return integral * mpmath.exp(high) / mpmath.beta(a, b)


def exact_pareto(n, t, x, T, r, alpha, s, beta):
    """P(n or more) - P(n + 1 or more), each the integral of the time of that purchase, alive: not our formula."""
    r, alpha, s, beta, t = (mpmath.mpf(float(value)) for value in (r + x, alpha + T, s, beta + T, t))

    def at_least(n):
        if n == 0:
            return mpmath.mpf(1)

        def log_density(v):
            u = mpmath.exp(v)
            return n * v - (r + n) * mpmath.log(alpha + u) - s * mpmath.log(beta + u)

        def slope(v):
            u = np.exp(v)
            return float(n - (r + n) * u / (alpha + u) - s * u / (beta + u))

        integral, high = exact_integral(log_density, slope, float(mpmath.log(t)))
        ways = mpmath.rf(r, n) / mpmath.factorial(n - 1)
        return ways * alpha**r * beta**s * mpmath.exp(high) * integral

    return at_least(n) - at_least(n + 1)


def hostile_counts(scales, shapes, seed):
    """alpha and other scales far apart, tiny and large shapes, up to 5000 purchases, T = 0, counts up to hundreds."""
    rng = np.random.default_rng(seed)
    for scale, shape, x in itertools.product(scales, shapes, (0, 2, 300, 5000)):
        T = rng.choice([39.0, 0.0]) if x == 0 else 39.0
        t = np.exp(rng.uniform(*np.log([1e-2, 1e3])))
        r = rng.choice([0.03, 0.55, 20])
        mean = (r + x) * t / (scale[0] + T)
        for n in {0, 1, 7, int(rng.choice([40, 300])), min(int(mean), 800)}:
            yield n, t, x, T, r, scale, shape


# mpmath


def test_counts_of_bgnbd_keep_their_digits_everywhere():
    for n, t, x, T, r, (alpha,), (a, b) in hostile_counts(
        [(1e-3,), (4.4,), (1e7,)], [(1, 2.4), (0.03, 0.03), (500, 1e6), (20, 0.05)], seed=1
    ):
        params = {"r": r, "alpha": alpha, "a": a, "b": b}
        with mpmath.workdps(400):  # the difference in it may be 1e-300 of its terms
            exact = float(exact_bgnbd(n, t, x, T, **params))
        assert BGNBD.pmf_alive(n, t, x, T, **params) == pytest.approx(exact, rel=1e-10, abs=1e-280), (
            n,
            t,
            x,
            T,
            params,
        )


def test_counts_of_pareto_nbd_keep_their_digits_everywhere():
    scales = [(0.1, 3000), (3000, 0.1), (10, 10), (1, 500), (1e7, 1e-3), (1e-60, 1.0), (1.0, 1e-60)]
    for n, t, x, T, r, (alpha, beta), (s,) in [*hostile_counts(scales, [(0.03,), (1,), (20,), (1e6,)], seed=2)][::29]:
        params = {"r": r, "alpha": alpha, "s": s, "beta": beta * max(s, 1.0)}
        with mpmath.workdps(30):
            exact = float(exact_pareto(n, t, x, T, **params))
        ours = ParetoNBD.pmf_alive(n, t, x, T, **params)
        assert ours == pytest.approx(exact, rel=1e-10, abs=1e-20), (n, t, x, T, params)


def test_survival_of_bgnbd_keeps_its_digits_everywhere():
    shapes, histories = (
        [(1, 2.4), (0.03, 0.03), (500, 1e6), (20, 0.05)],
        [(0, 0.0), (2, 39.0), (300, 39.0), (5000, 39.0)],
    )
    points = itertools.product((1e-3, 4.4, 1e7), shapes, histories, (0.01, 39.0, 1e4))
    for alpha, (a, b), (x, T), t in [*points][::13]:
        params = {"r": 0.55, "alpha": alpha, "a": a, "b": b}
        with mpmath.workdps(30):
            exact = float(exact_survival(t, x, T, **params))
        assert BGNBD.survival_alive(t, x, T, **params) == pytest.approx(exact, abs=1e-10), (t, x, T, params)
    assert BGNBD.survival_alive(np.inf, 2, 39.0, r=0.55, alpha=4.4, a=1.0, b=2.4) == pytest.approx(0, abs=1e-12)
    assert BGNBD.survival_alive(0.0, 2, 39.0, r=0.55, alpha=4.4, a=1.0, b=2.4) == 1


# Other software


def test_counts_of_pareto_nbd_are_those_of_lifetimes():
    # lifetimes 0.11.3, conditional_probability_of_n_purchases_up_to_time: differences of hypergeometric functions
    # (Fader & Hardie 2014, note 028), here where they keep their digits.
    params = {"r": 0.55, "alpha": 10.58, "s": 0.61, "beta": 11.67}
    history = np.array([[0, 0, 39], [2, 30.43, 38.86], [7, 35, 38.86]]).T
    theirs = {
        0: [0.9317559862285378, 0.40939360423352456, 0.14058666223159053],
        1: [0.045291194751544646, 0.2191513741801131, 0.08173362083846956],
        2: [0.01442863465290907, 0.15143199508709326, 0.0942677756390263],
        5: [0.0007859376385437958, 0.03183682856929252, 0.10296530723795284],
    }
    for n, values in theirs.items():
        np.testing.assert_allclose(ParetoNBD.conditional_pmf(n, 39.0, *history, **params), values, rtol=1e-11)


# Identities and reductions

TRUTH = {
    BGNBD: {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426},
    MBGNBD: {"r": 0.525, "alpha": 6.183, "a": 0.891, "b": 1.614},
    ParetoNBD: {"r": 0.5533, "alpha": 10.578, "s": 0.6062, "beta": 11.669},
}
every_model = pytest.mark.parametrize("model", TRUTH)


@every_model
@pytest.mark.parametrize("most", [1, 31, 32, 200])
def test_consecutive_counts_are_those_of_each_alone(model, most):
    n = np.arange(3, 3 + most)
    x, t_x, T = np.array([0, 2, 40, 5000, 0]), np.array([0, 30, 38.9, 38.9, 0]), np.array([39, 39, 39, 39, 0.0])
    params = {name: value * np.array([[0.7], [1.0], [1.4]]) for name, value in TRUTH[model].items()}
    together = model.conditional_pmf(n[:, None, None], 39.0, x, t_x, T, **params)
    assert together.shape == (most, 3, 5)
    alone = np.stack([model.conditional_pmf(each, 39.0, x, t_x, T, **params) for each in n])
    # Each is the last one's times a ratio, up to 31 times over.
    np.testing.assert_allclose(together, alone, rtol=1e-11, atol=1e-250)


@every_model
@pytest.mark.parametrize(("x", "t_x", "T"), [(0, 0, 0), (0, 0, 39), (1, 39, 39), (40, 38, 39), (5000, 38.99, 39)])
@pytest.mark.parametrize("a", [1.0, 0.03, 20.0])  # or s, where closed forms of expectations have a pole at 1
@pytest.mark.parametrize("t", [1e-3, 60.0])
def test_counts_have_probability_one_and_the_mean_of_the_formula(model, x, t_x, T, a, t):
    params = TRUTH[model] | ({"s": a} if model is ParetoNBD else {"a": a})
    largest = 40 + 2 * int((params["r"] + x) * t / (params["alpha"] + T))
    largest = max(largest, 3000 if T == 0 else 1500)
    pmf = model.conditional_pmf(np.arange(largest)[:, None], t, np.array([x]), t_x, T, **params)[:, 0]
    expected = model.conditional_expected_transactions(t, x, t_x, T, **params)
    assert pmf.sum() == pytest.approx(1, abs=1e-10)
    assert np.arange(largest) @ pmf == pytest.approx(expected, rel=1e-7, abs=1e-10)
    assert 1 - pmf[0] == pytest.approx(model.p_purchase(t, x, t_x, T, **params), rel=1e-9, abs=1e-14)


@pytest.mark.parametrize("model", [BGNBD, MBGNBD, ParetoNBD])
def test_without_dropout_it_is_the_nbd(model):
    r, alpha, n, x, T, t = 0.4, 5.0, np.arange(60), 3, 39.0, 26.0
    leaving = {"s": 1e-13, "beta": 1.0} if model is ParetoNBD else {"a": 1e-13, "b": 1.0}
    pmf = model.pmf_alive(n, t, x, T, r=r, alpha=alpha, **leaving)
    nbd = stats.nbinom.pmf(n, r + x, (alpha + T) / (alpha + T + t))
    np.testing.assert_allclose(pmf, nbd, rtol=1e-10, atol=1e-12)


def test_with_one_rate_for_all_pareto_nbd_is_a_poisson_process_that_ends():
    # As shapes and scales grow together the rates become constants; the next term is of order 1e-9.
    rate, leaving, n, t = 0.3, 0.02, np.arange(40), 52.0
    pmf = ParetoNBD.pmf_alive(n, t, 3, 39.0, r=rate * 1e10, alpha=1e10, s=leaving * 1e10, beta=1e10)
    both = rate + leaving
    dead = leaving / both * (rate / both) ** n * special.gammainc(n + 1, both * t)
    np.testing.assert_allclose(pmf, stats.poisson.pmf(n, rate * t) * np.exp(-leaving * t) + dead, rtol=1e-6)


def test_with_one_rate_and_one_dropout_for_all_bgnbd_is_a_poisson_process_that_stops():
    rate, p, n, t = 0.3, 0.1, np.arange(40), 52.0
    pmf = BGNBD.pmf_alive(n, t, 3, 39.0, r=rate * 1e10, alpha=1e10, a=p * 1e10, b=(1 - p) * 1e10)
    due = stats.poisson.pmf(n, rate * t) * (1 - p) ** n
    dead = np.where(n > 0, p * (1 - p) ** (n - 1) * stats.poisson.sf(n - 1, rate * t), 0.0)
    np.testing.assert_allclose(pmf, due + dead, rtol=1e-6)
    alive = BGNBD.survival_alive(t, 3, 39.0, r=rate * 1e10, alpha=1e10, a=p * 1e10, b=(1 - p) * 1e10)
    assert alive == pytest.approx(np.exp(-rate * p * t), rel=1e-6)


@every_model
def test_nothing_happens_in_no_time(model):
    x, t_x, T = np.array([0, 2, 5000]), np.array([0, 30, 38.9]), 39.0
    pmf = model.conditional_pmf(np.arange(40)[:, None], 0.0, x, t_x, T, **TRUTH[model])
    np.testing.assert_allclose(pmf, np.outer(np.arange(40) == 0, np.ones(3)), atol=1e-15)
    alive = np.broadcast_to(model.p_alive(x, t_x, T, **TRUTH[model]), 3)
    np.testing.assert_allclose(model.p_alive_at(0.0, x, t_x, T, **TRUTH[model]), alive, rtol=1e-13)


# The table of a fit


@pytest.mark.parametrize("model", [BGNBD, ParetoNBD])
def test_the_table_is_that_of_the_formula_and_of_predict(cdnow, model):
    fit = quietly(model().fit, cdnow, seed=1)
    table, predicted = fit.count_distribution(horizon="39 weeks"), fit.predict(horizon="39 weeks")
    assert [*table.columns] == [*range(len(table.columns) - 1), "more"]
    assert table.index.equals(cdnow.table.index)
    np.testing.assert_allclose(table.sum(axis=1), 1, rtol=1e-12)
    assert 0 <= table["more"].min() <= table["more"].max() <= 1e-3
    assert (table["more"] + table[len(table.columns) - 2]).max() > 1e-3  # and no column too many
    np.testing.assert_allclose(1 - table[0], predicted["p_purchase"], rtol=1e-10, atol=1e-15)
    few = [5, 80, 1515]
    x, t_x, T = (column[few] for column in fit.model.arrays(cdnow))
    exact = model.conditional_pmf(np.arange(12)[:, None], 39.0, x, t_x, T, **fit.parameters["estimate"])
    np.testing.assert_allclose(table.iloc[few, :12], exact.T, rtol=1e-11)
    assert table.attrs["horizon"] == "39 weeks"
    assert table.attrs["model"] == f"{model.__name__}()"
    # The number of those who buy so often, against the holdout: the whole table has the mean of predict.
    longer = fit.count_distribution(horizon="39 weeks", most=400)
    assert len(longer.columns) == 402
    mean = longer.to_numpy()[:, :-1] @ np.arange(401)  # what is less likely than 1e-13 is left out
    np.testing.assert_allclose(mean, predicted["expected_transactions"], rtol=1e-9, atol=1e-12)


@every_model
def test_the_table_is_a_mean_over_the_draws_of_the_parameters(cdnow, model):
    few = clv.Summary(cdnow.table.iloc[:40], "week")
    fit = quietly(model().fit, cdnow, method="laplace", seed=1, draws=200)
    table = fit.count_distribution(few, horizon=26, most=9)
    draws = model.conditional_pmf(np.arange(10)[:, None, None], 26.0, *fit.model.arrays(few), **fit.parameter_draws)
    np.testing.assert_allclose(table.to_numpy()[:, :-1], draws.mean(axis=1).T, rtol=1e-11, atol=1e-15)
    np.testing.assert_allclose(table["more"], 1 - draws.mean(axis=1).sum(axis=0), rtol=1e-6, atol=1e-13)
    np.testing.assert_allclose(1 - table[0], fit.predict(few, horizon=26)["p_purchase"], rtol=1e-10, atol=1e-15)


def test_simulated_outcomes_have_the_distribution_of_the_table(cdnow):
    # Of all customers together: a draw of the parameters, then each customer's own fate.
    fit = quietly(BGNBD().fit, cdnow, method="laplace", seed=1)
    table = fit.count_distribution(horizon="39 weeks", most=9).sum()
    counts = np.zeros((1000, 11))
    for _, draws in fit.outcome_draws(horizon="39 weeks", seed=2):
        for s, row in enumerate(draws["transactions"]):
            counts[s] += np.bincount(np.minimum(row, 10), minlength=11)
    error = counts.std(axis=0) / np.sqrt(1000)
    assert (np.abs(counts.mean(axis=0) - table.to_numpy()) < 4.5 * error).all()


def test_how_many_customers_of_cdnow_buy_how_often_is_near_what_they_did(cdnow_split, cdnow_fit):
    table = cdnow_fit.count_distribution(horizon="39 weeks", most=6).sum()
    actual = np.bincount(np.minimum(cdnow_split.holdout["transactions"], 7), minlength=8)
    assert table.round().tolist() == [1740, 301, 121, 64, 39, 25, 17, 50]  # as the README says
    assert actual.tolist() == [1673, 302, 153, 77, 54, 23, 21, 54]


def test_questions_without_an_answer_are_refused(cdnow_fit, monkeypatch):
    with pytest.raises(ValueError, match="counts over an infinite horizon have no end"):
        cdnow_fit.count_distribution(horizon=None)
    with pytest.raises(ValueError, match="nobody is a customer for ever"):
        cdnow_fit.p_alive_at(horizon=None)
    for most in (-1, 2.5, True):
        with pytest.raises(ValueError, match="most must be a whole number, 0 or more; got"):
            cdnow_fit.count_distribution(horizon=39, most=most)
    with pytest.raises(clv.DataError, match="a table of 1,000,001 counts for 2,357 customers is too large; choose a"):
        cdnow_fit.count_distribution(horizon=39, most=1_000_000)
    monkeypatch.setattr(counts, "CELLS", 2357 * 40)
    with pytest.raises(clv.DataError, match=r"probability of 40.4% of some customer; say how many columns"):
        cdnow_fit.count_distribution(horizon=390)


def test_one_customer_without_a_history_has_a_row(cdnow_fit):
    new = clv.Summary(pd.DataFrame({"frequency": [0], "recency": [0.0], "T": [0.0]}, index=["new"]), "week")
    assert cdnow_fit.count_distribution(new, horizon=39, most=0).sum(axis=1).item() == 1
    pmf = BGNBD.pmf(np.arange(5), 39.0, **cdnow_fit.parameters["estimate"])
    np.testing.assert_allclose(cdnow_fit.count_distribution(new, horizon=39).to_numpy()[0, :5], pmf, rtol=1e-12)
