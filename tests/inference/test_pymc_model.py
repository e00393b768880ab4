"""The PyMC model has the density that every other method has, with finite derivatives, and can be sampled."""

import logging

import numpy as np
import pytest
from conftest import Density, quietly, simulated_contracts, simulated_shop
from scipy import stats
from test_contract import EDGES, TRUTH, every_model, family

import clvmodels as clv
from clvmodels.inference.likelihood import Target
from clvmodels.inference.pymc_model import pymc_model
from clvmodels.models import ALL
from clvmodels.models.survival.base import SurvivalModel
from clvmodels.params import Coordinates


def bell(centre):
    return Density(lambda x: -0.5 * (x / centre - 1) ** 2)


def priors_of(model):
    """A prior for each parameter, each of another kind and some wider than the parameter can be."""
    kinds = [
        lambda centre: clv.Prior("Normal", mu=centre, sigma=2 * centre),
        lambda centre: stats.gamma(2, scale=centre),
        bell,
        lambda centre: clv.Prior("Uniform", lower=-centre, upper=3 * centre),
        lambda centre: clv.Prior("InverseGamma", mu=centre, sigma=centre),
    ]
    first = ALL.index(model)
    return {
        param.name: kinds[(first + i) % len(kinds)](TRUTH[model][param.name]) for i, param in enumerate(model.params)
    }


def small(model):
    if family(model) is SurvivalModel:
        return simulated_contracts(model, TRUTH[model], seed=2, contracts=60)
    return simulated_shop(2, 60)


def points(params, truth, size=4):
    rng = np.random.default_rng(5)
    return {
        param.name: param.lower + (truth[param.name] - param.lower) * np.exp(rng.normal(0, 0.2, (size, 1)))
        for param in params
    }


def densities(built, values):
    """PyMC's log density of the parameters themselves, without Jacobians, at each of their values."""
    density = built.compile_logp(jacobian=False, mode="FAST_COMPILE")
    found = []
    for s in range(len(next(iter(values.values())))):
        point = {}
        for variable in built.free_RVs:
            value, transform = built.rvs_to_values[variable], built.rvs_to_transforms[variable]
            at = np.float64(values[variable.name][s, 0])
            if transform is not None:
                at = transform.forward(at, *variable.owner.inputs).eval(mode="FAST_COMPILE")
            point[value.name] = at
        found.append(float(density(point)))
    return np.array(found)


def log_posterior(model, rows, coordinates, values):
    """Our log density of the parameters themselves."""
    u = coordinates.to_u(values)
    slopes = sum(param.log_slope(u[:, i]) for i, param in enumerate(coordinates.lines))
    return model.target(rows, coordinates, prior=True)(u) - slopes


@every_model
@pytest.mark.parametrize("given", [False, True], ids=["default priors", "own priors"])
def test_the_density_is_that_of_the_other_methods(model, given):
    made, data = model(priors=priors_of(model) if given else None), small(model)
    built = quietly(made.pymc_model, data)
    rows = made.fit_rows(data)
    assert [variable.name for variable in built.free_RVs] == [param.name for param in model.params]
    assert None not in built.rvs_to_transforms.values()  # all are bounded, and sampled on the real line
    values = points(model.params, TRUTH[model])
    apart = densities(built, values) - log_posterior(made, rows, made.coordinates(rows), values)
    # The same up to a constant, to the digits of log-likelihoods of some hundreds.
    np.testing.assert_allclose(apart, apart[0], rtol=0, atol=1e-9)


def test_covariates_have_coefficients_by_their_names():
    rng = np.random.default_rng(1)
    table = simulated_contracts(clv.Weibull, TRUTH[clv.Weibull], seed=2, contracts=60).table
    table = table.assign(age=rng.normal(40, 9, 60), channel=rng.choice(["a", "b"], 60))
    model = clv.Weibull(["age", "channel"], priors={"age": clv.Prior("Laplace", mu=0, b=0.05)})
    data = clv.Durations(table, "month")
    built = quietly(model.pymc_model, data)
    rows = quietly(model.fit_rows, data)
    coordinates = model.coordinates(rows)
    names = [param.name for param in coordinates.lines]
    assert [variable.name for variable in built.free_RVs] == names
    values = points(model.params, TRUTH[clv.Weibull]) | {name: rng.normal(0, 0.05, (4, 1)) for name in names[2:]}
    apart = densities(built, values) - log_posterior(model, rows, coordinates, values)
    np.testing.assert_allclose(apart, apart[0], rtol=0, atol=1e-9)
    with pytest.raises(clv.DataError, match="covariate 'weights' has the name of another variable"):
        quietly(clv.Weibull(["weights"]).pymc_model, clv.Durations(table.rename(columns={"age": "weights"}), "month"))


@every_model
def test_derivatives_are_finite_and_right_at_edge_rows(model):
    rows, made = EDGES[family(model)], model()
    scales = {"time": 30.0, "money": 20.0, "renewals": 4.0}
    coordinates = Coordinates(model.params, scales, {})
    weights = np.linspace(1, 2, rows.shape[1])
    names = [f"column_{i}" for i in range(len(rows))]
    built = pymc_model(coordinates, dict(zip(names, rows, strict=True)), weights, model.row_log_likelihood)
    function = built.logp_dlogp_function(ravel_inputs=True, mode="FAST_COMPILE")
    function.set_extra_values({})
    target = Target(
        lambda params, part: made.row_log_likelihood([row[part] for row in rows], params), weights, coordinates
    )
    scale = np.log([coordinates.scale(param) for param in model.params])
    for u in coordinates.to_u(points(model.params, TRUTH[model], size=2)):
        value, gradient = function(u + scale)  # PyMC's line is that of the parameter itself, not in the data's unit
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()
        expected, curvature = target.derivatives(u)
        # Difference quotients of fourth order, of sums that rounding leaves some 1e-11 of.
        size = np.abs(expected) + np.sqrt(np.abs(np.diag(curvature)))
        np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-6 * size.max())


@pytest.mark.slow
def test_nothing_is_said_while_it_is_compiled(caplog, capfd):
    """Neither a warning (they are errors here) nor a line of PyTensor's log, for its longest graph."""
    pytest.importorskip("pytensor")
    import pytensor

    with caplog.at_level(logging.WARNING), pytensor.config.change_flags(cxx=""):
        built = clv.ParetoNBD(priors={"r": bell(0.5)}).pymc_model(small(clv.ParetoNBD))
        function = built.logp_dlogp_function(ravel_inputs=True, mode="NUMBA")
        function.set_extra_values({})
        assert np.isfinite(function(np.zeros(4))[0])
    assert not caplog.records
    assert "ERROR" not in "".join(capfd.readouterr())


def test_its_data_are_the_distinct_rows():
    data = small(clv.BGNBD)
    built, rows = clv.BGNBD().pymc_model(data), clv.BGNBD().fit_rows(data)
    assert dict(built.named_vars_to_dims) == dict.fromkeys(("x", "t_x", "T", "weights"), ("row",))
    np.testing.assert_array_equal(built["weights"].get_value(), rows.weights)
    np.testing.assert_array_equal(built["t_x"].get_value(), rows.columns[1])
    with pytest.raises(clv.DataError, match="a Summary is needed"):
        clv.BGNBD().pymc_model(data.table)


def test_priors_can_be_drawn_from():
    import pymc

    priors = {"p": stats.gamma(2, scale=3), "v": clv.Prior("Normal", mu=5, sigma=10)}
    model = clv.GammaGamma(priors=priors)
    with model.pymc_model(small(clv.GammaGamma)):
        drawn = {
            name: np.ravel(values)
            for name, values in zip(
                "pqv",
                pymc.draw([pymc.modelcontext(None)[name] for name in "pqv"], 4000, random_seed=3, mode="FAST_COMPILE"),
                strict=True,
            )
        }
    assert stats.kstest(drawn["p"], priors["p"].cdf).pvalue > 1e-4
    assert stats.kstest(np.log(drawn["q"] - 1), stats.norm(0, 2).cdf).pvalue > 1e-4
    assert stats.kstest(drawn["v"], stats.truncnorm(-0.5, np.inf, 5, 10).cdf).pvalue > 1e-4


@pytest.mark.slow
def test_it_is_sampled_without_a_compiler_and_agrees_with_laplace():
    import pymc
    import pytensor

    data = simulated_shop(4, 200)
    model = clv.BGNBD(priors={"a": clv.Prior("HalfNormal", sigma=2), "b": stats.gamma(2, scale=2)})
    laplace = quietly(model.fit, data, "laplace", seed=1, draws=4000)
    with pytensor.config.change_flags(cxx=""), model.pymc_model(data):
        trace = pymc.sample(
            400, tune=400, chains=2, cores=1, random_seed=1, progressbar=False, compile_kwargs={"mode": "NUMBA"}
        )
    for name in ("r", "alpha"):
        ours, theirs = laplace.parameter_draws[name], np.asarray(trace.posterior[name])
        # 800 draws, of which a fifth may be effective.
        assert theirs.mean() == pytest.approx(ours.mean(), abs=4 * ours.std() / np.sqrt(160))
