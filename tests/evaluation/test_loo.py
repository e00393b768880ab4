"""Leave-one-out against an exact solution, against fitting again without each customer, and against ArviZ."""

import math
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import in_units, quietly, simulated_contracts, simulated_shop
from scipy import special, stats

import clvmodels as clv
from clvmodels.inference import psis

with warnings.catch_warnings():
    warnings.simplefilter("ignore", FutureWarning)  # ArviZ 0.23 tells of its coming version
    import arviz as az


README = Path(__file__).parents[2] / "README.md"


def arviz_loo(fit):
    """Pointwise, on the rows of all customers."""
    tree = fit.inference_data
    tree["log_likelihood"] = fit.pointwise_log_likelihood(by="customer").to_dataset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return az.loo(az.from_datatree(tree) if hasattr(az, "from_datatree") else tree, pointwise=True)


def without(data, number):
    """The same table less one row."""
    return type(data)(data.table.drop(data.table.index[number]), data.unit)


def test_leave_one_out_is_that_of_the_exact_posterior():
    # One churn rate with a Beta(2, 3) prior: the posterior given all others is a beta distribution too.
    renewals = np.array([1, 1, 2, 3, 1, 5, 2, 8, 4, 1, 2, 6, 3, 3, 12])
    event = np.array([1, 1, 1, 0, 1, 1, 0, 1, 1, 1, 1, 0, 1, 0, 1])
    data = clv.Durations(pd.DataFrame({"renewals": renewals, "event": event}), "month")
    stayed = renewals - event
    model = clv.ShiftedGeometric(priors={"theta": stats.beta(2, 3)})
    fit = quietly(model.fit, data, "laplace", seed=1, draws=20_000)
    a, b = 2 + event.sum() - event, 3 + stayed.sum() - stayed  # given the others
    exact = special.betaln(a + event, b + stayed) - special.betaln(a, b)
    found = clv.compare_loo([fit])
    # The exact standard deviation of theta^event (1 - theta)^stayed over its mean, for so many draws: below 0.008 but
    # for the customer of 12 renewals.
    np.testing.assert_allclose(found.elpd.iloc[:, 0], exact, atol=0.02)
    all_of_them = special.betaln(2 + event.sum() + event, 3 + stayed.sum() + stayed)
    given_all = all_of_them - special.betaln(2 + event.sum(), 3 + stayed.sum())
    assert found.table["p_loo"].item() == pytest.approx((given_all - exact).sum(), abs=0.05)
    assert np.abs(given_all - exact).max() > 0.1  # which would not be missed


def against_new_fits(model, fit, found, numbers):
    """Elpd less the log density by a fit to the raw rows without the customer, and the standard error of that."""
    difference, variance = [], []
    for number in numbers:
        others = quietly(model.fit, without(fit.data, number), "laplace", seed=2, draws=1000)
        history = fit.data.table.iloc[[number]][["frequency", "recency", "T"]].to_numpy(float).T
        density = np.exp(clv.BGNBD.log_likelihood(*history, **others.parameter_draws))
        inverse = 1 / np.exp(clv.BGNBD.log_likelihood(*history, **fit.parameter_draws))
        difference.append(found.elpd.iloc[number, 0] - math.log(density.mean()))
        relative = (np.var(density) / density.mean() ** 2 / 1000, np.var(inverse) / inverse.mean() ** 2 / len(inverse))
        variance.append(sum(relative))
    # Draws are resampled from so many proposals that they are worth at least half as many independent ones.
    return np.array(difference), np.sqrt(2 * np.array(variance))


PRIORS = {"r": stats.gamma(2), "alpha": stats.gamma(2, scale=3), "a": stats.gamma(2), "b": stats.gamma(2, scale=2)}


@pytest.mark.parametrize("equal", [1, 2])
def test_leave_one_out_is_that_of_fits_without_each_customer(equal):
    """Each fit anew from raw rows; where two customers are equal, the other one stays."""
    shop = simulated_shop(4, customers=40)
    table = pd.concat([shop.table] * equal, ignore_index=True).rename_axis("customer")
    shop = clv.Summary(table, "week")
    model = clv.BGNBD(priors=PRIORS)  # in the user's units, so that leaving one out does not move them
    fit = quietly(model.fit, shop, "laplace", seed=1, draws=4000)
    found = clv.compare_loo([fit])
    numbers = range(0, 40, 2)
    difference, error = against_new_fits(model, fit, found, numbers)
    assert np.abs(difference / error).max() < 4
    shortfall = found.table["p_loo"].item()
    assert abs(difference.sum()) < shortfall / 4  # the fit to the customers themselves would be off by half of it


def test_on_real_data_it_is_that_of_fits_without_the_customers_who_matter_most(cdnow):
    model = clv.BGNBD()
    fit = quietly(model.fit, cdnow, "laplace", seed=1, draws=2000)
    found = clv.compare_loo([fit])
    k = found.pareto_k.iloc[:, 0].to_numpy()
    numbers = [*np.argsort(-k)[:3], *np.flatnonzero(cdnow.table["frequency"] == 0)[:1]]
    difference, error = against_new_fits(model, fit, found, numbers)
    assert np.abs(difference / error).max() < 4
    # The density given all customers, the first himself included, would not pass for it.
    of_first = fit.pointwise_log_likelihood("customer")[0, :, numbers[0]].to_numpy()
    by_all = special.logsumexp(of_first) - math.log(len(of_first))
    assert by_all - found.elpd.iloc[numbers[0], 0] > 8 * error[0]


@pytest.mark.parametrize("model", [clv.BGNBD(), clv.GammaGamma()], ids=str)
def test_it_is_that_of_arviz_on_all_customers(model, cdnow):
    fit = quietly(model.fit, cdnow, "laplace", seed=1, draws=900)  # a tail of whole draws, however it is rounded
    found, theirs = clv.compare_loo([fit]), arviz_loo(fit)
    elpd, p_loo, elpd_i = (getattr(theirs, name[hasattr(theirs, "elpd")]) for name in ARVIZ_NAMES)
    row = found.table.iloc[0]
    assert row["elpd"] == pytest.approx(elpd, rel=1e-9)
    assert row["p_loo"] == pytest.approx(p_loo, rel=1e-6)
    assert row["se"] == pytest.approx(theirs.se, rel=1 / 946)  # ArviZ 0.23 divides by n, ArviZ 1 by n - 1
    np.testing.assert_allclose(found.elpd.iloc[:, 0], elpd_i, rtol=1e-9)
    np.testing.assert_allclose(found.pareto_k.iloc[:, 0], theirs.pareto_k, atol=1e-9)


@pytest.mark.slow
def test_chains_are_worth_as_much_as_arviz_says():
    shop = simulated_shop(4, customers=100)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = clv.GammaGamma().fit(shop, "mcmc", seed=1, draws=900, progress=False)
        found, theirs = clv.compare_loo([fit]), arviz_loo(fit)
    elpd, _, elpd_i = (getattr(theirs, name[hasattr(theirs, "elpd")]) for name in ARVIZ_NAMES)
    # A tail that is one draw longer, by rounding or because draws are equal, changes it by so much.
    np.testing.assert_allclose(found.elpd.iloc[:, 0], elpd_i, atol=2e-3)
    np.testing.assert_allclose(found.pareto_k.iloc[:, 0], theirs.pareto_k, atol=0.05)
    assert found.table["elpd"].item() == pytest.approx(elpd, abs=0.01)
    # The same posterior by other draws: a thousand effective ones tell the sum to a tenth, and p_loo is 2.7.
    others = clv.compare_loo([quietly(clv.GammaGamma().fit, shop, "laplace", seed=1, draws=4000)])
    assert others.table["elpd"].item() == pytest.approx(elpd, abs=0.4)


ARVIZ_NAMES = (("elpd_loo", "elpd"), ("p_loo", "p"), ("loo_i", "elpd_i"))  # of ArviZ 0.23, and of 1


def test_a_difference_is_taken_customer_by_customer(cdnow):
    fits = [quietly(model.fit, cdnow, "laplace", seed=1) for model in (clv.BGNBD(), clv.MBGNBD())]
    found = clv.compare_loo(fits)
    each = found.elpd["MBGNBD"] - found.elpd["BGNBD"]
    row = found.table.loc["MBGNBD"]
    assert row["difference"] == pytest.approx(each.sum(), abs=1e-9)
    assert row["se_difference"] == pytest.approx(math.sqrt(len(cdnow)) * each.std(ddof=1), rel=1e-9)
    assert row["se_difference"] < row["se"] / 20
    assert row["verdict"] == "not distinguishable"
    # Three or four parameters, which the data determine.
    assert found.table["p_loo"].between(2, 6).all()


def test_customers_who_differ_are_found_as_the_readme_shows():
    durations = clv.Durations.from_survivors(clv.datasets.retention("high-end")[:8])
    models = [clv.ShiftedGeometric(), clv.DiscreteWeibull(), clv.SBG(), clv.BdW()]
    found = clv.compare_loo([model.fit(durations, "laplace", seed=1) for model in models])
    assert list(found.table.index) == ["BdW", "SBG", "DiscreteWeibull", "ShiftedGeometric"]
    assert list(found.table["verdict"]) == ["best", "not distinguishable", "worse", "worse"]
    assert f"```text\n{found}\n```" in README.read_text(encoding="utf-8")


def test_rows_that_stand_for_several_count_as_often():
    left = [40, 31, 26, 23]
    grouped = clv.Durations.from_survivors(left)
    table = grouped.table.loc[np.repeat(grouped.table.index, grouped.table["weight"].astype(int))]
    single = clv.Durations(table.drop(columns="weight").reset_index(drop=True), "year")
    one, other = (
        clv.compare_loo([quietly(clv.SBG().fit, data, "laplace", seed=1)]).table.iloc[0] for data in (grouped, single)
    )
    for name in ("elpd", "se", "p_loo", "pareto_k"):
        assert one[name] == pytest.approx(other[name], rel=1e-6)


def test_a_composition_is_the_sum_of_its_parts():
    shop = simulated_shop(5, customers=200)
    fits = [
        quietly(clv.NonContractualCLV(model, clv.GammaGamma()).fit, shop, "laplace", seed=1)
        for model in (clv.BGNBD(), clv.MBGNBD())
    ]
    found = clv.compare_loo(fits).table.loc["BGNBD + GammaGamma"]
    transactions = clv.compare_loo([fit.transactions for fit in fits]).table.loc["BGNBD"]
    spend = clv.compare_loo([fits[0].spend]).table.loc["GammaGamma"]
    assert found["elpd_transactions"] == pytest.approx(transactions["elpd"])
    assert found["elpd_spend"] == pytest.approx(spend["elpd"])
    for name in ("elpd", "p_loo"):
        assert found[name] == pytest.approx(transactions[name] + spend[name])
    # The same draws of spend in both: nothing but transactions makes the difference.
    both = clv.compare_loo(fits).table
    assert both["se_difference"].max() == pytest.approx(
        clv.compare_loo([fit.transactions for fit in fits]).table["se_difference"].max()
    )
    assert clv.compare_loo([fits[0].spend]).elpd.shape[0] == (shop.table["frequency"] > 0).sum()


def test_covariates_do_not_make_other_data():
    rng = np.random.default_rng(2)
    data = simulated_contracts(clv.Weibull, {"shape": 1.3, "scale": 10.0}, 3)
    price = rng.normal(size=len(data))
    table = data.table.assign(price=price, duration=data.table["duration"] * np.exp(0.5 * price))
    data = clv.Durations(table.assign(entry=0), "month")
    models = (clv.Weibull(), clv.Weibull(covariates=["price"]))
    fits = [model.fit(data, "laplace", seed=1) for model in models]
    found = clv.compare_loo(fits)
    assert list(found.table.index) == ["Weibull(covariates=('price',))", "Weibull()"]
    assert found.table.iloc[1]["verdict"] == "worse"
    # An informative covariate is worth about its gain in log-likelihood, less what it costs to learn it.
    gain = fits[1].log_likelihood - fits[0].log_likelihood
    assert -found.table.iloc[1]["difference"] == pytest.approx(gain, abs=5)


def test_fits_of_a_composition_of_contracts_are_compared_by_their_survival():
    durations = clv.Durations.from_survivors([100, 80, 70, 65])
    priced = clv.Durations(durations.table.assign(value=10.0), "year")
    fit = quietly(clv.ContractualCLV(clv.SBG()).fit, priced, "laplace", seed=1)
    pd.testing.assert_frame_equal(clv.compare_loo([fit]).table, clv.compare_loo([fit.survival]).table)


def test_other_data_are_refused(cdnow, cdnow_fit):
    fewer = clv.Summary(cdnow.table.iloc[:-1], "week")
    days = in_units(cdnow, unit="day")
    for data in (fewer, days):
        with pytest.raises(
            clv.DataError, match=r"models of the same data, which these were not fitted to: BGNBD \(2,357"
        ):
            clv.compare_loo([cdnow_fit, quietly(clv.MBGNBD().fit, data, seed=1)])
    whole = quietly(clv.NonContractualCLV(clv.BGNBD(), clv.GammaGamma()).fit, cdnow, seed=1)
    with pytest.raises(clv.DataError, match="models of the same data"):
        clv.compare_loo([whole, cdnow_fit])
    with pytest.raises(clv.DataError, match="models of the same data"):
        clv.compare_loo([whole.spend, quietly(clv.GammaGamma(include_first=True).fit, cdnow, seed=1)])


def test_what_has_no_likelihood_of_parameters_is_refused(cdnow, cdnow_fit, tmp_path):
    with pytest.raises(clv.DataError, match="SimpleCLV is a SimpleCLVFit, which has no likelihood of parameters"):
        clv.compare_loo([clv.SimpleCLV().fit(cdnow)])
    with pytest.raises(ValueError, match="needs a fit at least"):
        clv.compare_loo([])
    clv.save(cdnow_fit, tmp_path / "fit.clv")
    with pytest.raises(clv.DataError, match="a loaded fit has no customers"):
        clv.compare_loo([clv.load(tmp_path / "fit.clv")])


def test_a_model_without_data_is_told_to_be_fitted():
    with pytest.raises(clv.DataError, match=r"^BGNBD is a model without data; fit it first: BGNBD\(...\).fit\(data\)"):
        clv.compare_loo([clv.BGNBD()])
    with pytest.raises(clv.DataError, match=r"^str is a str, which has no likelihood"):
        clv.compare_loo("BGNBD")


def test_one_fit_alone_is_not_the_best_and_any_iterable_will_do(cdnow_fit):
    found = clv.compare_loo(fit for fit in [cdnow_fit])
    assert found.table["verdict"].to_dict() == {"BGNBD": "nothing to compare with"}
    assert "best" not in repr(found)


def test_names_are_given_or_made(cdnow_fit):
    assert list(clv.compare_loo({"mine": cdnow_fit}).table.index) == ["mine"]
    twice = clv.compare_loo([cdnow_fit, cdnow_fit]).table
    assert list(twice.index) == ["BGNBD()", "BGNBD() (2)"]
    assert list(twice["verdict"]) == ["best", "not distinguishable"]


def test_a_customer_unlike_all_others_is_named():
    shop = simulated_shop(6, customers=60)
    table = shop.table.copy()
    table.index = [f"c{number}" for number in range(60)]
    table.loc["c7", ["frequency", "recency", "T"]] = [5000, 38.9, 39.0]  # a reseller
    fit = quietly(clv.BGNBD().fit, clv.Summary(table.rename_axis("customer"), "week"), "laplace", seed=1)
    with pytest.warns(clv.DataWarning, match=r"BGNBD: the Pareto k of \d+ customers? \(c7.*above 0.67, up to"):
        found = clv.compare_loo([fit])
    assert found.table["unreliable"].item() >= 1
    assert "! BGNBD: the Pareto k" in found.verdict
    assert found.pareto_k.loc["c7"].item() == found.table["pareto_k"].item()


def test_a_customer_of_whom_nothing_is_known_costs_nothing():
    # Acquired on the last day: every draw gives the density 1.
    shop = simulated_shop(7, customers=60)
    table = shop.table.copy()
    table.iloc[0] = [0, 0, 0, 0]
    fit = quietly(clv.BGNBD().fit, clv.Summary(table, "week"), "laplace", seed=1)
    found = clv.compare_loo([fit])
    assert found.elpd.iloc[0].item() == 0
    assert found.pareto_k.iloc[0].item() == -np.inf


def test_memory_is_that_of_blocks(cdnow_fit, monkeypatch):
    whole = clv.compare_loo([cdnow_fit])
    monkeypatch.setattr("clvmodels.draws.BLOCK_CELLS", 50_000)
    sizes = [block.size for _, block in cdnow_fit.log_likelihood_blocks()]
    assert max(sizes) <= 50_000
    pd.testing.assert_frame_equal(clv.compare_loo([cdnow_fit]).elpd, whole.elpd)


def test_reliable_is_the_limit_of_so_many_draws():
    assert psis.reliable(1000) == pytest.approx(2 / 3)
    assert psis.reliable(4000) == 0.7
