"""What every model keeps, over `models.ALL`: a new model joins the list and is tested."""

import functools
import inspect
import itertools

import numpy as np
import pandas as pd
import pytest
from conftest import in_units, quietly, simulated_contracts, simulated_shop
from scipy import stats

import clvmodels as clv
from clvmodels.discounting import discount_nodes
from clvmodels.models import (
    ALL,
    BGNBD,
    MBGNBD,
    SBG,
    BdW,
    DiscreteWeibull,
    Exponential,
    GammaGamma,
    LogLogistic,
    LogNormal,
    ParetoNBD,
    ShiftedGeometric,
    Weibull,
)
from clvmodels.models.base import METHODS
from clvmodels.models.spend.base import SpendModel
from clvmodels.models.survival.base import SurvivalModel
from clvmodels.models.transactions.base import NEGLIGIBLE, TransactionModel

TRUTH = {
    BGNBD: {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426},
    MBGNBD: {"r": 0.525, "alpha": 6.183, "a": 0.891, "b": 1.614},
    ParetoNBD: {"r": 0.5533, "alpha": 10.578, "s": 0.6062, "beta": 11.669},
    GammaGamma: {"p": 6.25, "q": 3.74, "v": 15.44},
    ShiftedGeometric: {"theta": 0.11},
    SBG: {"alpha": 0.668, "beta": 3.806},
    DiscreteWeibull: {"theta": 0.15, "c": 0.77},
    BdW: {"gamma": 0.6, "delta": 2.1, "c": 1.3},
    Exponential: {"scale": 9.0},
    Weibull: {"scale": 9.0, "shape": 0.8},
    LogNormal: {"scale": 6.0, "sigma": 1.1},
    LogLogistic: {"scale": 6.0, "shape": 1.6},
}
FORMULAS = {
    TransactionModel: [
        "log_likelihood", "p_alive", "p_purchase_alive", "pmf_alive", "survival_alive", "expected_transactions_alive",
        "simulate", "simulate_future_alive", "latent",
    ],
    SpendModel: [
        "log_likelihood", "expected_spend_new", "conditional_expected_spend", "simulate", "simulate_latent",
        "simulate_future",
    ],
    SurvivalModel: ["log_survival"],
}  # fmt: skip
EDGES = {
    TransactionModel: np.array([
        [0, 0, 0], [0, 0, 39], [1, 39, 39], [1, 1 / 7, 39], [2, 30.43, 38.86], [40, 38, 39], [5000, 38.9, 39],
        [5000, 39, 39],
    ]).T,
    SpendModel: np.array([[1, 0.01], [1, 35.0], [7, 71.0], [5000, 20.0], [3, 1e6]]).T,
    # Tenure, event, entry: new, gone at once, late, there for long, and gone after it.
    SurvivalModel: np.array([[0, 0, 0], [1, 1, 0], [1, 0, 0], [5, 1, 4], [5, 0, 3], [5000, 0, 0], [5000, 1, 0]]).T,
}  # fmt: skip

every_model = pytest.mark.parametrize("model", ALL, ids=lambda model: model.__name__)
every_method = pytest.mark.parametrize("method", METHODS)
# A sampler's path takes the last digit of a density to other draws: not the draws of mcmc are kept, but their law.
every_method_but_mcmc = pytest.mark.parametrize("method", [method for method in METHODS if method != "mcmc"])
FEW = {method: {} for method in METHODS} | {"mcmc": {"draws": 200, "tune": 200, "chains": 2}}
transaction_models = pytest.mark.parametrize(
    "model", [model for model in ALL if issubclass(model, TransactionModel)], ids=lambda model: model.__name__
)
spend_models = pytest.mark.parametrize(
    "model", [model for model in ALL if issubclass(model, SpendModel)], ids=lambda model: model.__name__
)
survival_models = pytest.mark.parametrize(
    "model", [model for model in ALL if issubclass(model, SurvivalModel)], ids=lambda model: model.__name__
)
models_with_kernel = pytest.mark.parametrize(
    "model", [model for model in ALL if getattr(model, "kernel", None)], ids=lambda model: model.__name__
)


def family(model):
    return next(kind for kind in FORMULAS if issubclass(model, kind))


@functools.cache
def sample(model, seed=11, customers=1500):
    """Customers that the model could have made."""
    if family(model) is SurvivalModel:
        return simulated_contracts(model, TRUTH[model], seed, customers)
    if family(model) is TransactionModel:
        return simulated_shop(seed, customers, params=TRUTH[model], model=model)
    return simulated_shop(seed, customers)


def draws_of(model, size, seed=0):
    """Draws (S, 1) of the parameters around the truth, inside their support."""
    rng = np.random.default_rng(seed)
    return {
        param.name: param.lower + (TRUTH[model][param.name] - param.lower) * np.exp(rng.normal(0, 0.2, (size, 1)))
        for param in model.params
    }


@pytest.fixture
def shop(request):
    return sample(request.getfixturevalue("model"))


# Formulas


@every_model
def test_formulas_take_exactly_the_declared_parameters(model):
    declared = {param.name for param in model.params}
    assert set(TRUTH[model]) == declared
    for name in FORMULAS[family(model)]:
        signature = inspect.signature(getattr(model, name)).parameters.values()
        assert {p.name for p in signature if p.kind is p.KEYWORD_ONLY} == declared, name


@every_model
def test_draws_broadcast_and_equal_a_loop(model):
    rows, draws = EDGES[family(model)], draws_of(model, 5)
    formulas = [model.log_likelihood]
    if family(model) is TransactionModel:
        formulas += [
            model.p_alive,
            lambda *rows, **params: model.p_purchase(39.0, *rows, **params),
            lambda *rows, **params: model.conditional_expected_transactions(39.0, *rows, **params),
            lambda *rows, **params: model.conditional_pmf(3, 39.0, *rows, **params),
            lambda *rows, **params: model.p_alive_at(39.0, *rows, **params),
        ]
    elif family(model) is SpendModel:
        formulas += [model.conditional_expected_spend]
    else:
        formulas += [
            lambda t, event, entry, **params: model.survival(t, **params),
            lambda t, event, entry, **params: model.conditional_survival(39.0, t, **params),
            lambda t, event, entry, **params: model.derl(t, 0.1, **params),
        ]
    for formula in formulas:
        together = formula(*rows, **draws)
        assert together.shape == (5, rows.shape[1])
        for n in range(rows.shape[1]):
            np.testing.assert_allclose(formula(*rows[:, n], **draws), together[:, [n]], rtol=1e-10)
            for s in range(5):
                alone = formula(*rows[:, n], **{name: float(value[s, 0]) for name, value in draws.items()})
                np.testing.assert_allclose(together[s, n], alone, rtol=1e-10)


@every_model
def test_arrays_and_tensors_agree(model):
    from pytensor import tensor

    rows, draws = EDGES[family(model)], draws_of(model, 3)
    formulas = [model.log_likelihood]
    if family(model) is TransactionModel:
        formulas.append(model.p_alive)
    if family(model) is SurvivalModel:
        formulas.append(lambda t, event, entry, **params: model.log_survival(t, **params))
    symbols = {name: tensor.tensor(name, shape=(None, 1), dtype="float64") for name in draws}
    for formula in formulas:
        graph = formula(*rows, **symbols)
        value = graph.eval({symbols[name]: draws[name] for name in draws}, mode="FAST_COMPILE")
        # Tensors take differences of log-gammas where arrays add logarithms: 5000 log(5000) to 16 digits.
        np.testing.assert_allclose(value, formula(*rows, **draws), rtol=1e-10, atol=1e-10)


@every_model
def test_edge_rows_are_finite(model):
    rows, draws = EDGES[family(model)], draws_of(model, 50)
    assert np.isfinite(model.log_likelihood(*rows, **draws)).all()


@transaction_models
def test_probabilities_are_probabilities_and_expectations_rise_from_zero(model):
    rows, draws = EDGES[TransactionModel], draws_of(model, 20)
    alive = np.broadcast_to(model.p_alive(*rows, **draws), (20, rows.shape[1]))
    buys = model.p_purchase(39.0, *rows, **draws)
    assert ((alive >= 0) & (alive <= 1)).all()
    assert ((buys >= 0) & (buys <= alive)).all()
    expected = [model.conditional_expected_transactions(t, *rows, **draws) for t in (0, 1e-6, 1, 39, 520)]
    assert (expected[0] == 0).all()
    assert all((later >= earlier).all() for earlier, later in itertools.pairwise(expected))
    assert (expected[3] >= buys * (1 - 1e-12)).all()  # one purchase at least, if any
    later = [model.p_alive_at(t, *rows, **draws) for t in (0, 1, 39, 1e4)]
    np.testing.assert_allclose(later[0], alive, rtol=1e-13)
    assert all(((b <= a) & (b >= 0)).all() for a, b in itertools.pairwise(later))


@transaction_models
def test_counts_are_a_distribution_with_the_probability_and_the_mean_of_the_formulas(model):
    rows, draws = EDGES[TransactionModel][:, :6], draws_of(model, 5)
    pmf = model.conditional_pmf(np.arange(1500)[:, None, None], 39.0, *rows, **draws)
    assert (pmf >= 0).all()
    np.testing.assert_allclose(pmf.sum(axis=0), 1, rtol=1e-10)
    np.testing.assert_allclose(1 - pmf[0], model.p_purchase(39.0, *rows, **draws), rtol=1e-9, atol=1e-14)
    mean = np.einsum("n,nsu->su", np.arange(1500.0), pmf)
    np.testing.assert_allclose(mean, model.conditional_expected_transactions(39.0, *rows, **draws), rtol=1e-8)


# Kernels


def differences(function, theta):
    """Gradient by central differences of eighth order."""
    gradient = []
    for step in 1e-2 * np.diag(theta):
        up, down = (np.array([function(theta + sign * k * step) for k in (1, 2, 3, 4)]) for sign in (1, -1))
        gradient.append(np.array([4 / 5, -1 / 5, 4 / 105, -1 / 280]) @ (up - down) / step.sum())
    return np.array(gradient)


def named(model, theta):
    return {param.name: value for param, value in zip(model.params, theta, strict=True)}


@models_with_kernel
def test_kernels_are_their_formulas_and_their_gradients_the_slopes(model):
    rng, rows = np.random.default_rng(12), EDGES[family(model)]
    lower = np.array([param.lower for param in model.params])
    truth = np.array([TRUTH[model][param.name] for param in model.params])
    near = lower + (truth - lower) * np.exp(rng.normal(0, 0.5, (20, len(truth))))
    hostile = lower + 10 ** rng.uniform(-3, 3, (60, len(truth)))
    kernels = [model.kernel(*row[:, None], weights=np.ones(1)) for row in rows.T]
    # Far out the formulas themselves add terms as large as 5000 x 1000 log(5000 x 1000), to 16 digits.
    for thetas, rounding in ((near, 1e-9), (hostile, 2e-8)):
        for theta in thetas:
            formula = model.log_likelihood(*rows, **named(model, theta))
            slopes = differences(lambda theta: model.log_likelihood(*rows, **named(model, theta)), theta)
            for kernel, value, slope in zip(kernels, formula, slopes.T, strict=True):
                ours, gradient = kernel(theta)
                assert ours == pytest.approx(value, rel=1e-12, abs=rounding), theta
                np.testing.assert_allclose(gradient * theta, slope * theta, rtol=1e-7, atol=100 * rounding)


@models_with_kernel
def test_kernels_add_up_customers(model):
    rows = quietly(model().fit_rows, sample(model))
    kernel = model.kernel(*rows.columns, weights=rows.weights)
    customers = tuple(column[rows.inverse] for column in rows.columns)  # in the order of the data, one row each
    one_by_one = model.kernel(*customers, weights=np.ones(len(rows.inverse)))
    for draw in draws_of(model, 5).values():
        assert draw.shape == (5, 1)
    thetas = np.column_stack(list(draws_of(model, 5).values()))
    for theta in thetas:
        before = theta.copy()
        value, gradient = kernel(theta)
        assert isinstance(value, float)
        assert gradient.shape == theta.shape
        np.testing.assert_array_equal(theta, before)
        formula = model.log_likelihood(*rows.columns, **named(model, theta))
        assert value == pytest.approx(formula @ rows.weights, rel=1e-12)
        slopes = differences(lambda theta: model.log_likelihood(*rows.columns, **named(model, theta)), theta)
        np.testing.assert_allclose(gradient, slopes @ rows.weights, rtol=1e-7, atol=1e-6)
        again = one_by_one(theta)
        assert again[0] == pytest.approx(value, rel=1e-12)
        np.testing.assert_allclose(again[1], gradient, rtol=1e-9, atol=1e-9)


@models_with_kernel
def test_kernels_say_of_impossible_parameters_that_there_is_no_number(model):
    kernel = model.kernel(*EDGES[family(model)], weights=np.ones(EDGES[family(model)].shape[1]))
    truth = np.array([TRUTH[model][param.name] for param in model.params])
    for number in range(len(truth)):
        for impossible in (-1.0, -1e-300, 0.0, np.nan, np.inf, -np.inf):
            theta = truth.copy()
            theta[number] = impossible
            assert not np.isfinite(kernel(theta)[0]), (number, impossible)
    for theta in itertools.product((1e-300, 1e300), repeat=len(truth)):  # where a sampler may leap to
        kernel(np.array(theta))


# Simulation against formulas


def assert_within(mean, draws, formula, errors=4):
    standard_error = draws.std(axis=0) / np.sqrt(len(draws))
    assert (np.abs(mean - formula) <= errors * standard_error + 1e-12).all()


@transaction_models
def test_simulated_futures_have_the_means_of_the_formulas(model):
    rows = EDGES[TransactionModel][:, :6]
    params = {name: np.full((40_000, 1), value) for name, value in TRUTH[model].items()}
    counts, times = model.simulate_future(np.random.default_rng(1), 39.0, *rows, **params)
    assert_within(counts.mean(axis=0), counts, model.conditional_expected_transactions(39.0, *rows, **TRUTH[model]))
    buys = counts > 0
    assert_within(buys.mean(axis=0), buys, model.p_purchase(39.0, *rows, **TRUTH[model]))
    shares = np.stack([np.bincount(np.minimum(column, 10), minlength=11) for column in counts.T], axis=1) / 40_000
    pmf = model.conditional_pmf(np.arange(10)[:, None], 39.0, *rows, **TRUTH[model])
    error = np.sqrt(pmf * (1 - pmf) / 40_000)
    assert (np.abs(shares[:10] - pmf) < 4.5 * error + 1e-12).all()
    assert len(times) == counts.sum()
    assert ((times > 0) & (times <= 39)).all()
    # Their times: how many come within the first 13 weeks.
    cell = np.repeat(np.arange(counts.size), counts.ravel())
    early = np.bincount(cell, times <= 13, minlength=counts.size).reshape(counts.shape)
    assert_within(early.mean(axis=0), early, model.conditional_expected_transactions(13.0, *rows, **TRUTH[model]))


@transaction_models
def test_latent_draws_have_the_means_of_the_formulas(model):
    rows = EDGES[TransactionModel][:, :6]
    params = {name: np.full((40_000, 1), value) for name, value in TRUTH[model].items()}
    found = model.simulate_latent(np.random.default_rng(10), *rows, **params)
    alive = np.broadcast_to(model.p_alive(*rows, **TRUTH[model]), 6)
    assert_within(found["alive"].mean(axis=0), found["alive"], alive)
    # The mean rate of the living is the rate of now.
    now = model.conditional_expected_transactions(1e-9, *rows, **TRUTH[model]) / 1e-9
    rate = found["alive"] * found["purchase_rate"]
    assert_within(rate.mean(axis=0), rate, now)
    dropout = found["dropout_rate" if "dropout_rate" in found else "dropout_probability"]
    per_time = dropout if "dropout_rate" in found else dropout * found["purchase_rate"]
    stays = found["alive"] * np.exp(-per_time * 39)
    assert_within(stays.mean(axis=0), stays, model.p_alive_at(39.0, *rows, **TRUTH[model]))


@transaction_models
def test_simulated_pasts_have_the_mean_of_the_formula_and_the_likelihood_of_the_model(model):
    T = np.full(60_000, 39.0)
    x, t_x = model.simulate(np.random.default_rng(2), T, **TRUTH[model])
    assert ((t_x <= T) & ((t_x > 0) == (x > 0))).all()
    assert_within(x.mean(), x[:, None], model.expected_transactions_new(39.0, **TRUTH[model]))
    # The score has mean zero at the truth, if the simulator and the likelihood belong to one model.
    for name, value in TRUTH[model].items():
        step = 1e-4 * value
        up, down = (model.log_likelihood(x, t_x, T, **(TRUTH[model] | {name: value + sign * step})) for sign in (1, -1))
        score = (up - down) / (2 * step)
        assert abs(score.mean()) < 4 * score.std() / np.sqrt(len(score)), name


@transaction_models
def test_the_average_conditional_expectation_is_the_unconditional_increment(model):
    T = np.full(60_000, 39.0)
    x, t_x = model.simulate(np.random.default_rng(3), T, **TRUTH[model])
    expected = model.conditional_expected_transactions(39.0, x, t_x, T, **TRUTH[model])
    both, first = (model.expected_transactions_new(t, **TRUTH[model]) for t in (78.0, 39.0))
    assert_within(expected.mean(), expected[:, None], both - first)


@transaction_models
def test_simulated_futures_have_the_discounted_mean_of_the_formula(model):
    rows = EDGES[TransactionModel][:, :6]
    params = {name: np.full((20_000, 1), value) for name, value in TRUTH[model].items()}
    rate = 0.05
    # What comes after exp(-rate t) = 1e-6 is less than a millionth of all, because rates of purchase only fall.
    counts, times = model.simulate_future(np.random.default_rng(8), np.log(1e6) / rate, *rows, **params)
    cell = np.repeat(np.arange(counts.size), counts.ravel())
    discounted = np.bincount(cell, np.exp(-rate * times), minlength=counts.size).reshape(counts.shape)
    assert_within(discounted.mean(axis=0), discounted, model.dert(*rows, rate, **TRUTH[model]))


@transaction_models
def test_what_is_simulated_over_an_infinite_horizon_lacks_less_than_a_thousandth(model):
    rows, draws = EDGES[TransactionModel][:, :7], draws_of(model, 20)
    for rate in (1e-4, 0.002, 0.1):
        times, weights = discount_nodes(np.log(1 / NEGLIGIBLE) / rate, rate)
        reached = sum(
            weight * model.conditional_expected_transactions(t, *rows, **draws)
            for t, weight in zip(times, weights, strict=True)
        )
        lacking = 1 - reached / model.dert(*rows, rate, **draws)
        assert ((lacking > 0) & (lacking < 1e-3)).all()


@transaction_models
def test_dert_lies_between_its_limits(model):
    rows, draws = EDGES[TransactionModel], draws_of(model, 5)
    rates = [1e-6, 0.002, 0.1, 10, 1e9]
    dert = [model.dert(*rows, rate, **draws) for rate in rates]
    assert all(value.shape == (5, rows.shape[1]) and np.isfinite(value).all() for value in dert)
    assert all((later <= earlier).all() for earlier, later in itertools.pairwise(dert))
    # The rate of now, where nothing else counts; within a year, at least what the year brings at its last price.
    now = model.conditional_expected_transactions(1e-9, *rows, **draws) / 1e-9
    np.testing.assert_allclose(1e9 * dert[-1], now, rtol=1e-4)
    year = model.conditional_expected_transactions(52.0, *rows, **draws)
    assert (dert[1] >= np.exp(-0.002 * 52) * year * (1 - 1e-9)).all()
    ever = model.conditional_expected_transactions(np.inf, *rows[:, :7], **draws)
    assert (dert[0][:, :7] < ever).all()


@transaction_models
def test_dert_of_an_average_customer_is_what_is_left_of_a_new_one(model):
    # Averaged over histories: all discounted transactions of a new customer less those of the first 39 weeks.
    T, rate = np.full(60_000, 39.0), 0.01
    x, t_x = model.simulate(np.random.default_rng(9), T, **TRUTH[model])
    expected = model.dert(x, t_x, T, rate, **TRUTH[model])
    times, weights = discount_nodes(39.0, rate)
    first = sum(w * model.expected_transactions_new(t, **TRUTH[model]) for t, w in zip(times, weights, strict=True))
    left = (model.dert(0, 0, 0, rate, **TRUTH[model]) - first) * np.exp(rate * 39)
    assert_within(expected.mean(), expected[:, None], left)


@spend_models
def test_simulated_spend_has_the_mean_of_the_formula(model):
    x, m_x = np.array([0.0, 1, 7]), np.array([0.0, 35, 71])
    params = {name: np.full((40_000, 1), value) for name, value in TRUTH[model].items()}
    counts = np.broadcast_to([1, 2, 1], (40_000, 3))
    values = model.simulate_future(np.random.default_rng(4), x, m_x, counts, **params)
    cell = np.repeat(np.arange(counts.size), counts.ravel())
    sums = np.bincount(cell, values, minlength=counts.size).reshape(counts.shape)
    expected = counts[0] * model.conditional_expected_spend(x, m_x, **TRUTH[model])
    assert_within(sums.mean(axis=0), sums, expected)


@spend_models
def test_latent_spend_has_the_mean_of_the_formula_and_is_that_of_simulated_customers(model):
    x, m_x = np.array([0.0, 1, 7, 5000]), np.array([0.0, 35, 71, 20])
    params = {name: np.full((40_000, 1), value) for name, value in TRUTH[model].items()}
    spend = model.simulate_latent(np.random.default_rng(11), x, m_x, **params)["mean_spend"]
    assert_within(spend.mean(axis=0), spend, model.conditional_expected_spend(x, m_x, **TRUTH[model]))
    # A very long future has the same mean in each draw.
    counts = np.broadcast_to(400, (4000, 4))
    some = {name: values[:4000] for name, values in params.items()}
    values = model.simulate_future(np.random.default_rng(12), x, m_x, counts, **some).reshape(4000, 4, 400).mean(axis=2)
    for i in range(3):  # of the fourth the mean is known so well that that of 400 is rougher
        assert stats.ks_2samp(values[:, i], spend[:4000, i]).pvalue > 1e-3


@spend_models
def test_simulated_past_spend_has_the_mean_of_the_formula(model):
    x = np.tile([1, 5], 30_000)
    m_x = model.simulate(np.random.default_rng(5), x, **TRUTH[model])
    assert_within(m_x.mean(), m_x[:, None], model.expected_spend_new(**TRUTH[model]))


@transaction_models
def test_the_variance_of_a_total_is_the_sum_of_variances(model, shop):
    # Given the parameters customers are independent: no draw may be shared by customers with equal rows.
    few = clv.Summary(shop.table.iloc[np.repeat(np.arange(10), 30)].reset_index(drop=True), "week")
    fit = quietly(model().fit, shop, method="laplace", seed=3)
    point = {name: np.full((4000, 1), value) for name, value in TRUTH[model].items()}
    counts, _ = model.simulate_future(np.random.default_rng(6), 39.0, *fit.model.arrays(few), **point)
    ratio = counts.sum(axis=1).var() / counts.var(axis=0).sum()
    assert ratio == pytest.approx(1, abs=4 * np.sqrt(2 / 4000))
    # And through the package: 30 copies of 10 customers, whose draws shared would be sqrt(30) times wider.
    total = fit.total(few, horizon=39, interval=0.9)
    alone = sum(
        np.square(np.diff(fit.total(clv.Summary(few.table.iloc[[i]], "week"), horizon=39, interval=0.9)[
            ["transactions_lower", "transactions_upper"]].to_numpy()).item()) for i in range(0, 300, 30)
    )  # fmt: skip
    width = np.diff(total[["transactions_lower", "transactions_upper"]].to_numpy()).item()
    assert width < 2.5 * np.sqrt(30 * alone)


@transaction_models
@every_method
def test_a_new_customer_is_one_without_a_history(model, method, shop):
    fit = quietly(model().fit, shop, method=method, seed=3, **FEW[method])
    alone, counted = (
        fit.new_customer(horizon=39, include_first_transaction=first, interval=0.9) for first in (False, True)
    )
    formula = model.expected_transactions_new(39.0, **fit.parameter_draws).mean()
    assert alone["expected_transactions"].item() == pytest.approx(formula, rel=1e-12)
    pd.testing.assert_frame_equal(counted, alone + 1)  # the mean, and both ends: the rest is equally random
    mean = fit.new_customer(horizon=39, interval=0.9, interval_of="mean")
    draws = np.sort(1 + model.expected_transactions_new(39.0, **fit.posterior.parameter_draws)[:, 0])
    np.testing.assert_allclose(
        mean[["transactions_lower", "transactions_upper"]], [np.quantile(draws, [0.05, 0.95], method="inverted_cdf")]
    )


@survival_models
def test_the_churn_probabilities_of_a_tenure_make_the_survival_of_the_formula(model):
    if not hasattr(model, "simulate_latent"):
        assert model not in (SBG, BdW)
        return
    tenure = np.array([0.0, 1, 5, 100])
    params = {name: np.full((40_000, 1), value) for name, value in TRUTH[model].items()}
    theta = model.simulate_latent(np.random.default_rng(13), tenure, **params)["churn_probability"]
    assert theta.shape == (40_000, 4)
    c = TRUTH[model].get("c", 1.0)
    for later in (1, 12):
        stays = (1 - theta) ** ((tenure + later) ** c - tenure**c)
        assert_within(stays.mean(axis=0), stays, model.conditional_survival(later, tenure, **TRUTH[model]))


# Fits


@every_model
def test_latent_draws_are_those_of_customers_and_can_be_repeated(model, shop):
    fit = quietly(model().fit, shop, seed=5, draws=200)
    if not hasattr(model, "simulate_latent"):
        assert not hasattr(fit, "latent_draws")
        return
    blocks = [*quietly(fit.latent_draws)]
    customers = len(shop.active) if family(model) is SurvivalModel else len(shop)
    number = sum(draws.shape[1] for _, found in blocks for draws in found.values())
    assert number == customers * len(blocks[0][1])
    assert {len(draws) for _, found in blocks for draws in found.values()} == {200}
    same, other = next(fit.latent_draws(shop))[1], next(fit.latent_draws(seed=6))[1]
    for name, draws in blocks[0][1].items():
        assert (draws == same[name]).all()
        assert (draws != other[name]).any()


def methods_of_data(fit):
    """The methods of a fit that take customers, with what else they need."""
    needed = {"horizon": "1 year", "threshold": 1, "quantity": "p_alive", "t": 1.0}
    for name, method in inspect.getmembers(fit, inspect.ismethod):
        takes = inspect.signature(method).parameters
        if "data" in takes and not name.startswith("_") and name not in ("forecast", "customer_columns"):
            lacking = [key for key, each in takes.items() if each.default is each.empty and key != "data"]
            yield name, functools.partial(method, **{key: needed[key] for key in lacking})


WITH_MONEY = [(clv.ContractualCLV(SBG()), SBG), (clv.NonContractualCLV(BGNBD(), GammaGamma()), BGNBD)]


def fitted(model, source):
    """A fit of customers that the source could have made."""
    data = sample(source)
    if family(source) is SurvivalModel:
        more = {"value": 10.0, "age": np.arange(len(data)) % 7.0}
        data = clv.Durations(data.table.assign(**more), data.unit)
    return quietly(model.fit, data, seed=1)


@pytest.mark.parametrize(
    ("model", "source"),
    [*((model(), model) for model in ALL), (clv.KaplanMeier(), SBG), (clv.Cox(["age"]), Exponential), *WITH_MONEY],
    ids=str,
)
def test_data_in_another_unit_of_time_are_refused_by_every_method(model, source):
    fit = fitted(model, source)
    data, other = fit.data, in_units(fit.data, unit="day")
    found = dict(methods_of_data(fit))
    if isinstance(model, SpendModel):  # money does not depend on it
        assert {*found} == {"predict", "latent_draws", "spend_against_frequency"}
        np.testing.assert_array_equal(found["predict"](data=other), found["predict"](data=data))
        return
    if not hasattr(source, "simulate_latent"):
        found.pop("latent_draws", None)
    assert {"predict", "total", "exceedance", "draws", "outcome_draws"} <= {*found}
    for method in found.values():
        with pytest.raises(clv.DataError, match=f"^the fit is in {data.unit}s and the data are in days; use unit="):
            method(data=other)  # at once, not when it is iterated


@pytest.mark.parametrize(("model", "source"), [(BGNBD(), BGNBD), (GammaGamma(), GammaGamma), *WITH_MONEY], ids=str)
def test_what_is_drawn_in_blocks_refuses_a_bad_seed_at_once(model, source):
    fit = fitted(model, source)
    found = dict(methods_of_data(fit))
    for name in {"latent_draws", "outcome_draws", "simulate_future"} & {*found}:
        with pytest.raises(ValueError, match="seed must be a whole number"):
            found[name](seed=-1)


@pytest.mark.parametrize("model", [BGNBD, MBGNBD, ParetoNBD, GammaGamma])
@every_method
def test_save_and_load_give_equal_predictions(model, method, shop, tmp_path):
    fit = quietly(model().fit, shop, method=method, seed=5, **{"draws": 200} | FEW[method])
    loaded = clv.load(clv.save(fit, tmp_path / "june.clv"))
    asked = {"horizon": "39 weeks", "interval": 0.9} if family(model) is TransactionModel else {}
    found, expected = loaded.predict(shop, **asked), fit.predict(shop, **asked)
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    assert found.attrs == expected.attrs
    if asked:
        counts = [each.count_distribution(shop, horizon="39 weeks", most=3) for each in (loaded, fit)]
        pd.testing.assert_frame_equal(*counts, check_exact=True)
    drawn = [next(each.latent_draws(shop))[1] for each in (loaded, fit)]
    assert all((drawn[0][name] == draws).all() for name, draws in drawn[1].items())
    assert loaded.model == fit.model
    assert repr(loaded) == repr(fit)


@every_model
def test_equal_rows_count_as_weights(model, shop):
    fit = quietly(model().fit, shop)
    direct = model.log_likelihood(*spend_rows(model, shop), **fit.parameters["estimate"]).sum()
    assert fit.log_likelihood == pytest.approx(direct, rel=1e-12)
    twice = type(shop)(pd.concat([shop.table, shop.table], ignore_index=True), shop.unit)
    again = quietly(model().fit, twice)
    np.testing.assert_allclose(again.parameters["estimate"], fit.parameters["estimate"], rtol=1e-8)
    np.testing.assert_allclose(again.parameters["se"], fit.parameters["se"] / np.sqrt(2), rtol=1e-6)


def spend_rows(model, data):
    """The rows that the likelihood is made of."""
    columns = model().arrays(data)
    keep = columns[0] > 0 if family(model) is SpendModel else slice(None)
    return [column[keep] for column in columns]


@every_model
@every_method_but_mcmc
def test_units_change_only_the_parameters_that_carry_them(model, method, shop):
    fit = quietly(model().fit, shop, method=method, seed=5, draws=200)
    for unit, money in [("day", 100.0), ("year", 1.0), ("month", 1e-3)]:
        other = quietly(model().fit, in_units(shop, unit=unit, money=money), method=method, seed=5, draws=200)
        factor = {"time": clv.time.unit_days(shop.unit) / clv.time.unit_days(unit), "money": money}
        for param in model.params:
            ratio = other.parameters.loc[param.name] / fit.parameters.loc[param.name]
            np.testing.assert_allclose(ratio, factor.get(param.carries, 1.0), rtol=1e-6)


@pytest.mark.parametrize("model", [BGNBD, GammaGamma, Weibull])
def test_units_leave_the_law_of_mcmc_as_it_is(model, shop):
    fits = [
        quietly(model().fit, data, method="mcmc", seed=5, draws=500, tune=300)
        for data in (shop, in_units(shop, unit="day", money=100.0))
    ]
    ours, other = (fit.coordinates.to_u(fit.parameter_draws) for fit in fits)
    # Of the data's own unit nothing is left in the coordinates; 400 effective draws at least, of each.
    assert min(fit.sampling["ess_bulk"] for fit in fits) > 400
    assert (np.abs(ours.mean(axis=0) - other.mean(axis=0)) < 4.5 * ours.std(axis=0) * np.sqrt(2 / 400)).all()
    np.testing.assert_allclose(ours.std(axis=0), other.std(axis=0), rtol=4.5 * np.sqrt(2 / 400))


@transaction_models
@every_method_but_mcmc
def test_predictions_do_not_depend_on_the_unit(model, method, shop):
    ours, other = (
        quietly(model().fit, data, method=method, seed=5, draws=200).predict(horizon="39 weeks", interval=0.9)
        for data in (shop, in_units(shop, unit="year"))
    )
    np.testing.assert_allclose(ours, other, rtol=1e-6)


@every_model
@every_method
def test_the_fit_recovers_the_parameters_that_made_the_data(model, method):
    shop = sample(model, seed=7, customers=8000)
    table = quietly(model().fit, shop, method=method, seed=1, **FEW[method]).parameters
    truth = np.array([TRUTH[model][param.name] for param in model.params])
    assert (np.abs(table["estimate"] - truth) < 4 * table["se"]).all()
    assert ((table["lower"] < table["estimate"]) & (table["estimate"] < table["upper"])).all()


@every_model
def test_the_same_call_gives_the_same_table(model, shop):
    first, second = (quietly(model().fit, shop, method="laplace", seed=9, draws=200) for _ in range(2))
    pd.testing.assert_frame_equal(first.parameters, second.parameters)
    other = quietly(model().fit, shop, method="laplace", seed=10, draws=200)
    assert not first.parameters.equals(other.parameters)
    kept = quietly(model().fit, shop, method="laplace", draws=200)
    again = quietly(model().fit, shop, method="laplace", seed=kept.seed, draws=200)
    pd.testing.assert_frame_equal(kept.parameters, again.parameters)


@every_model
def test_a_sharp_prior_decides_and_is_in_the_units_of_the_user(model, shop):
    for param in model.params:
        centre = 3.0 * TRUTH[model][param.name]
        prior = stats.lognorm(1e-4, scale=centre)
        for unit in (shop.unit, "day"):
            fit = quietly(model(priors={param.name: prior}).fit, in_units(shop, unit=unit), method="map")
            assert fit.parameters.loc[param.name, "estimate"] == pytest.approx(centre, rel=1e-3)


@every_model
def test_a_model_is_known_by_its_options(model):
    for options in ({}, {"priors": {model.params[0].name: stats.gamma(2)}}):
        made = model(**options)
        assert made == model(**made.options())
        assert (made == model()) == (not options)
    assert repr(model()) == f"{model.__name__}()"
    assert model() != "a model"


@every_model
def test_a_specification_says_where_results_come_from(model):
    with pytest.raises(AttributeError, match=r"holds no results: use fit = model\.fit\(data\), then fit\.parameters"):
        model().parameters  # noqa: B018
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        model().nonsense  # noqa: B018


@every_model
def test_wrong_arguments_are_named(model, shop):
    with pytest.raises(ValueError, match="has no parameter 'nonsense'; it has"):
        model(priors={"nonsense": stats.norm()})
    with pytest.raises(ValueError, match="has no logpdf"):
        model(priors={model.params[0].name: 3.0})
    with pytest.raises(ValueError, match="method must be one of 'ml', 'map', 'laplace', 'mcmc'; got 'mle'"):
        model().fit(shop, method="mle")
    with pytest.raises(ValueError, match="draws must be a whole number"):
        model().fit(shop, draws=10)
    with pytest.raises(clv.DataError, match=r"(a Summary is|Durations are) needed, not a DataFrame"):
        model().fit(shop.table)


@every_model
def test_a_fit_is_frozen_and_leaves_its_data_alone(model, shop):
    before = shop.table.copy()
    fit = quietly(model().fit, shop)
    pd.testing.assert_frame_equal(shop.table, before)
    with pytest.raises(AttributeError):
        fit.seed = 3


@transaction_models
@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ({"frequency": [2], "recency": [10.0], "T": [20.0]}, "1 customer cannot carry the 4 parameters"),
        ({"frequency": [0] * 9, "recency": [0.0] * 9, "T": [20.0] * 9}, "frequency is 0 for all 9 customers: nobody"),
        ({"frequency": [0] * 9, "recency": [0.0] * 9, "T": [0.0] * 9}, "T is 0 for all 9 customers"),
    ],
)
def test_data_that_cannot_carry_a_fit_are_refused(model, rows, sentence):
    with pytest.raises(clv.DataError, match=sentence):
        model().fit(clv.Summary(pd.DataFrame(rows), "week"))


@spend_models
def test_spend_without_repeats_is_refused(model):
    frame = pd.DataFrame({"frequency": [0] * 5, "recency": [0.0] * 5, "T": [9.0] * 5, "monetary_value": [0.0] * 5})
    with pytest.raises(clv.DataError, match="0 customers with a repeat transaction worth more than 0"):
        model().fit(clv.Summary(frame, "week"))


@every_model
def test_what_is_told_of_one_customer_by_the_others_falls_short_by_about_one_for_each_parameter(model):
    fit = quietly(model().fit, sample(model, 12, 400), "laplace", seed=1, draws=400)
    found = clv.compare_loo([fit]).table.iloc[0]
    # Of a true model it is near the number of parameters (Vehtari et al. 2017); where the priors tell something, less.
    assert 0.3 < found["p_loo"] / len(model.params) < 1.7
    each = fit.pointwise_log_likelihood("customer").sum("customer").to_numpy().ravel()
    target = fit.model.target(fit.rows, fit.coordinates, prior=False)(fit.coordinates.to_u(fit.parameter_draws))
    np.testing.assert_allclose(each, target, rtol=1e-9)
    assert list(fit.inference_data["posterior"].data_vars) == [param.name for param in model.params]
