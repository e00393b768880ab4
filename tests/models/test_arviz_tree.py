"""What a fit hands to ArviZ, of either version: draws, rows and their log-likelihood, each by the right name."""

import warnings

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from conftest import Density, quietly, simulated_contracts, simulated_shop

import clvmodels as clv
from clvmodels.models import arviz_tree, predictive

with warnings.catch_warnings():
    warnings.simplefilter("ignore", FutureWarning)  # ArviZ 0.23 tells of its coming version
    import arviz as az


GROUPS = {"posterior", "prior", "constant_data", "log_likelihood"}
GROUPS |= {"observed_data", "posterior_predictive", "prior_predictive"}


def taken(tree):
    """The tree as the installed ArviZ takes it."""
    return az.from_datatree(tree) if hasattr(az, "from_datatree") else tree


def by_quiet(function, *args, **kwargs):
    """Call a function whose warnings, those of ArviZ to its own programmers included, are not what this is about."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args, **kwargs)


def by_arviz(name, *args):
    """What a function of ArviZ makes of it."""
    return by_quiet(getattr(az, name), *args)


@pytest.fixture(scope="module")
def shop():
    return simulated_shop(3, customers=150)


@pytest.fixture(scope="module")
def fit(shop):
    return quietly(clv.BGNBD().fit, shop, "laplace", seed=1, draws=400)


def test_the_tree_holds_the_draws_and_the_rows(fit):
    tree = fit.inference_data
    assert isinstance(tree, xr.DataTree)
    assert set(tree) == GROUPS
    assert list(tree["posterior"].data_vars) == ["r", "alpha", "a", "b"]
    for name, draws in fit.parameter_draws.items():
        assert tree["posterior"][name].dims == ("chain", "draw")
        np.testing.assert_array_equal(tree["posterior"][name].to_numpy().ravel(), draws[:, 0])
    rows = tree["constant_data"]
    for name, column in zip(("frequency", "recency", "T"), fit.rows.columns, strict=True):
        np.testing.assert_array_equal(rows[name], column)
    assert rows["weight"].sum() == 150
    assert "row" in rows["weight"].dims
    # What ArviZ holds against each other is in both.
    assert {*tree["observed_data"].data_vars} == {*tree["posterior_predictive"].data_vars} == {"statistics"}


def test_the_tree_says_what_it_is_of(fit):
    told = fit.inference_data.attrs
    expected = {"model": "BGNBD()", "method": "laplace", "unit": "week", "seed": 1, "data_hash": fit.data_hash}
    assert expected.items() <= told.items()
    assert told["creation_library_version"] == clv.__version__
    assert told["customers"] == 150
    assert fit.inference_data["posterior"].attrs == fit.sampling


def test_the_log_likelihood_is_that_of_the_formula(fit):
    by_row = fit.pointwise_log_likelihood()
    assert by_row.dims == ("chain", "draw", "row")
    one = {name: draws[7, 0] for name, draws in fit.parameter_draws.items()}
    np.testing.assert_allclose(by_row[0, 7], clv.BGNBD.log_likelihood(*fit.rows.columns, **one), rtol=1e-12)
    np.testing.assert_array_equal(by_row, fit.inference_data["log_likelihood"]["log_likelihood"])


def test_by_customer_each_has_the_value_of_its_own_history(fit, shop):
    by_customer = fit.pointwise_log_likelihood(by="customer")
    assert by_customer.dims == ("chain", "draw", "customer")
    assert list(by_customer["customer"].to_numpy()) == list(shop.table.index)
    history = shop.table[["frequency", "recency", "T"]].to_numpy(float).T
    one = {name: draws[3, 0] for name, draws in fit.parameter_draws.items()}
    np.testing.assert_allclose(by_customer[0, 3], clv.BGNBD.log_likelihood(*history, **one), rtol=1e-12)
    by_row = fit.pointwise_log_likelihood()
    np.testing.assert_allclose((by_row * by_row["weight"]).sum("row"), by_customer.sum("customer"), rtol=1e-12)


def test_at_the_optimum_the_sum_is_the_fitted_log_likelihood(shop):
    fit = quietly(clv.MBGNBD().fit, shop, seed=1)
    at_optimum = [clv.MBGNBD.log_likelihood(*fit.rows.columns, **fit.parameter_draws)[0] @ fit.rows.weights]
    assert at_optimum[0] == pytest.approx(fit.log_likelihood, rel=1e-12)
    assert fit.pointwise_log_likelihood().sizes["draw"] == 1000  # those of its posterior, not the optimum alone


def test_customers_who_spent_nothing_that_counts_are_left_out(shop):
    table = shop.table.copy()
    table.loc[table.index[table["frequency"] > 0][:2], "monetary_value"] = 0.0
    fit = quietly(clv.GammaGamma().fit, clv.Summary(table, "week"), "laplace", seed=1)
    ids = fit.pointwise_log_likelihood(by="customer")["customer"].to_numpy()
    kept = table[(table["frequency"] > 0) & (table["monetary_value"] > 0)]
    assert list(ids) == list(kept.index)
    one = {name: draws[0, 0] for name, draws in fit.parameter_draws.items()}
    direct = clv.GammaGamma.log_likelihood(*kept[["frequency", "monetary_value"]].to_numpy(float).T, **one)
    np.testing.assert_allclose(fit.pointwise_log_likelihood(by="customer")[0, 0], direct, rtol=1e-12)


def test_rows_that_stand_for_several_are_repeated():
    durations = clv.Durations.from_survivors([100, 80, 70, 65])
    fit = quietly(clv.SBG().fit, durations, "laplace", seed=1)
    by_customer = fit.pointwise_log_likelihood(by="customer")
    assert by_customer.sizes["customer"] == 100
    assert (by_customer[0, 0, :20] == by_customer[0, 0, 0]).all()  # twenty left at the first renewal
    assert set(fit.inference_data) == GROUPS
    half = durations.table.assign(weight=durations.table["weight"] + 0.5)
    fit = quietly(clv.SBG().fit, clv.Durations(half, "year"), "laplace", seed=1)
    with pytest.raises(clv.DataError, match="weights that are not whole"):
        fit.pointwise_log_likelihood(by="customer")
    assert "no posterior_predictive: weights must be whole numbers" in fit.inference_data.attrs["notes"]


def test_coefficients_are_one_variable_by_covariate():
    durations = simulated_contracts(clv.Weibull, {"shape": 1.3, "scale": 10.0}, 3)
    rng = np.random.default_rng(1)
    table = durations.table.assign(price=rng.normal(size=len(durations)), size=rng.normal(size=len(durations)))
    fit = clv.Weibull(covariates="price + I(size / 2)").fit(clv.Durations(table, "month"), "laplace", seed=1)
    tree = fit.inference_data
    assert list(tree["posterior"]["covariate"].to_numpy()) == list(fit.design.names)
    drawn = tree["posterior"]["coefficient"].sel(covariate="price")
    np.testing.assert_array_equal(drawn.to_numpy().ravel(), fit.parameter_draws["price"][:, 0])
    own = {name: tree["posterior"][name].to_numpy()[0, 5] for name in ("scale", "shape")}
    covariates, coefficients = tree["constant_data"]["covariates"], tree["posterior"]["coefficient"][0, 5]
    moved = own["scale"] * np.exp(covariates.dot(coefficients, "covariate").to_numpy())
    columns = (tree["constant_data"][name].to_numpy() for name in ("duration", "event", "entry"))
    direct = clv.Weibull.log_likelihood(*columns, scale=moved, shape=own["shape"])
    np.testing.assert_allclose(tree["log_likelihood"]["log_likelihood"][0, 5], direct, rtol=1e-9)
    assert "less their means" in tree["constant_data"].attrs["note"]


def test_data_are_simulated_by_the_priors_and_after_the_fit(fit):
    tree = fit.inference_data
    observed = tree["observed_data"]["statistics"]
    table = fit.predictive_check()
    for group, of in (("posterior_predictive", "posterior"), ("prior_predictive", "prior")):
        statistics = tree[group]["statistics"]
        assert statistics.dims == ("chain", "draw", "statistic")
        assert list(statistics["statistic"].to_numpy()) == list(observed["statistic"].to_numpy()) == list(table.index)
        assert statistics.sizes["draw"] == 100
        assert "simulated data sets" in tree[group].attrs["note"]
        share = statistics.sel(statistic="share_without_repeat").to_numpy()
        mean = quietly(fit.predictive_check, of=of).loc["share_without_repeat", "mean"]
        assert share.mean() == pytest.approx(mean, abs=4 * share.std() / 10)
    np.testing.assert_array_equal(observed, table["observed"])
    spread = {group: np.log(tree[group]["r"]).std().item() for group in ("prior", "posterior")}
    assert spread["prior"] == pytest.approx(2, rel=4 / np.sqrt(2 * 400))  # Normal(0, 2) on the logarithm
    assert spread["posterior"] < 0.5


def test_of_very_many_customers_fewer_data_sets_are_simulated(shop, monkeypatch):
    monkeypatch.setattr(predictive, "_CUSTOMERS", 150 * 12)
    tree = quietly(clv.BGNBD().fit, shop, "laplace", seed=1, draws=400).inference_data
    assert tree["posterior_predictive"].sizes["draw"] == 12
    assert tree["prior_predictive"].attrs["note"].startswith("statistics of 12 simulated data sets")


def test_priors_that_only_tell_their_density_are_told(shop):
    fit = quietly(clv.BGNBD(priors={"r": Density(np.negative)}).fit, shop, "laplace", seed=1)
    tree = fit.inference_data
    assert set(tree) == GROUPS - {"prior", "prior_predictive"}
    assert "no prior: " in tree.attrs["notes"]
    assert "no prior_predictive: " in tree.attrs["notes"]


def test_arviz_takes_it(fit):
    tree = fit.inference_data
    table = by_arviz("summary", taken(tree))
    assert list(table.index) == ["r", "alpha", "a", "b"]
    assert float(table.loc["r", "mean"]) == pytest.approx(fit.parameters.loc["r", "estimate"], abs=0.006)  # rounded
    by_arviz("ess", taken(tree))
    tree["log_likelihood"] = fit.pointwise_log_likelihood(by="customer").to_dataset()
    loo = by_arviz("loo", taken(tree))
    assert loo.n_data_points == 150
    compared = by_arviz("compare", {"one": taken(tree), "same": taken(tree.copy())})
    assert set(compared.index) == {"one", "same"}


def test_arviz_draws_it(fit):
    import matplotlib.pyplot as plt

    check = "plot_ppc" if hasattr(az, "plot_ppc") else "plot_ppc_dist"
    for name in ("plot_trace", "plot_forest", "plot_pair", check):
        assert not plt.get_fignums()
        by_arviz(name, taken(fit.inference_data))
        drawn = [axes for number in plt.get_fignums() for axes in plt.figure(number).axes]
        assert any(axes.has_data() for axes in drawn), name
        plt.close("all")


@pytest.fixture(scope="module")
def sampled(shop):
    return by_quiet(clv.GammaGamma().fit, shop, "mcmc", seed=1, draws=300, chains=3, progress=False)


@pytest.mark.slow
def test_chains_are_told_apart_and_what_the_sampler_said(sampled):
    tree = sampled.inference_data
    assert set(tree) == GROUPS | {"sample_stats"}
    q = tree["posterior"]["q"]
    assert q.sizes == {"chain": 3, "draw": 300}
    np.testing.assert_array_equal(q.to_numpy()[1], sampled.parameter_draws["q"][300:600, 0])
    for name, values in sampled.sample_stats.items():
        np.testing.assert_array_equal(tree["sample_stats"][name], values)
    by_row = sampled.pointwise_log_likelihood()
    assert by_row.sizes["chain"] == 3
    one = {name: draws[650, 0] for name, draws in sampled.parameter_draws.items()}
    np.testing.assert_allclose(by_row[2, 50], clv.GammaGamma.log_likelihood(*sampled.rows.columns, **one), rtol=1e-9)
    assert tree["posterior"].attrs["r_hat"] == sampled.sampling["r_hat"]


@pytest.mark.slow
def test_arviz_judges_the_chains(sampled, tmp_path):
    table = by_arviz("summary", taken(sampled.inference_data))
    assert (table["r_hat"].astype(float) < 1.1).all()
    sampled.inference_data.to_netcdf(tmp_path / "fit.nc", engine="h5netcdf")


@pytest.mark.slow
def test_chains_are_kept_by_a_saved_fit(sampled, tmp_path):
    clv.save(sampled, tmp_path / "fit.clv")
    tree = clv.load(tmp_path / "fit.clv").inference_data
    assert set(tree) == {"posterior", "prior"}
    xr.testing.assert_equal(tree["posterior"].to_dataset(), sampled.inference_data["posterior"].to_dataset())


def test_it_is_written_and_read(fit, tmp_path):
    fit.inference_data.to_netcdf(tmp_path / "fit.nc", engine="h5netcdf")
    with xr.open_datatree(tmp_path / "fit.nc", engine="h5netcdf") as tree:
        assert tree.attrs["model"] == "BGNBD()"
        xr.testing.assert_identical(tree["posterior"]["r"].load(), fit.inference_data["posterior"]["r"])


def test_what_a_user_changes_is_not_the_fits(fit):
    tree = fit.inference_data
    del tree["posterior"]
    assert "posterior" in fit.inference_data


def test_draws_of_an_ml_fit_are_told(shop):
    fit = quietly(clv.BGNBD().fit, shop, seed=1)
    tree = fit.inference_data
    assert tree.attrs["method"] == "ml"
    assert "Laplace approximation" in tree.attrs["notes"]
    np.testing.assert_array_equal(tree["posterior"]["r"].to_numpy().ravel(), fit.posterior.parameter_draws["r"][:, 0])


def test_a_loaded_fit_gives_its_draws_and_says_what_it_lacks(fit, shop, tmp_path):
    clv.save(fit, tmp_path / "fit.clv")
    loaded = clv.load(tmp_path / "fit.clv")
    tree = loaded.inference_data
    assert set(tree) == {"posterior", "prior"}
    assert "a loaded fit has no customers" in tree.attrs["notes"]
    xr.testing.assert_equal(tree["posterior"].to_dataset(), fit.inference_data["posterior"].to_dataset())
    with pytest.raises(clv.DataError, match="a loaded fit has no customers"):
        loaded.pointwise_log_likelihood()


def test_a_log_likelihood_too_large_is_left_out_and_told(fit, monkeypatch):
    monkeypatch.setattr(arviz_tree, "LARGEST", 1000)
    tree = fit.inference_data
    assert set(tree) == GROUPS - {"log_likelihood"}
    assert "no log_likelihood: 400 draws of" in tree.attrs["notes"]
    assert fit.pointwise_log_likelihood().size > 1000


def test_a_composition_has_a_branch_for_each_part(shop, tmp_path):
    fit = quietly(clv.NonContractualCLV(clv.BGNBD(), clv.GammaGamma()).fit, shop, "laplace", seed=1)
    tree = fit.inference_data
    xr.testing.assert_identical(tree["transactions/posterior"], fit.transactions.inference_data["posterior"])
    told = {"model": repr(fit.model), "method": "laplace", "unit": "week", "data_hash": fit.data_hash, "notes": ""}
    assert told.items() <= tree.attrs.items()
    ml = quietly(fit.model.fit, shop, seed=1)
    assert ml.inference_data.attrs["notes"].count("Laplace approximation") == 2
    assert list(by_arviz("summary", taken(tree["spend"])).index) == ["p", "q", "v"]
    tree.to_netcdf(tmp_path / "fit.nc", engine="h5netcdf")


def test_contracts_with_prices_have_those_of_their_survival():
    durations = clv.Durations(clv.Durations.from_survivors([100, 80, 70, 65]).table.assign(value=10.0), "year")
    fit = quietly(clv.ContractualCLV(clv.SBG()).fit, durations, "laplace", seed=1)
    xr.testing.assert_identical(fit.inference_data["posterior"], fit.survival.inference_data["posterior"])


def test_curves_without_parameters_say_so():
    durations = clv.Durations(pd.DataFrame({"duration": [1.0, 2.0, 3.0], "event": [1, 0, 1]}), "month")
    fit = clv.KaplanMeier().fit(durations)
    for name in ("inference_data", "pointwise_log_likelihood", "predictive_check", "latent_draws"):
        with pytest.raises(AttributeError, match=f"KaplanMeier has no {name}"):
            getattr(fit, name)


def test_another_by_is_refused(fit):
    with pytest.raises(ValueError, match="by must be 'row' or 'customer'; got 'week'"):
        fit.pointwise_log_likelihood(by="week")
