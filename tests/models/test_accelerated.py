"""Models of time on real data, with and without covariates: what lifelines and R found, reductions, bad input."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from conftest import quietly, shared
from matplotlib.figure import Figure
from scipy import optimize, stats

import clvmodels as clv
from clvmodels.models.survival.design import Design

MODELS = [clv.Exponential, clv.Weibull, clv.LogNormal, clv.LogLogistic]
every_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)


def classic(name):
    """One of the classics as durations: its covariates with it, late entry and weights where there are some."""
    frame = pd.read_csv(shared(f"survival_classics/{name}.csv.gz"), sep=" " if name == "anderson" else ",")
    match name:
        case "rossi":
            frame = frame.rename(columns={"week": "duration", "arrest": "event"})
            return clv.Durations(frame, "week"), "fin + age + race + wexp + mar + paro + prio"
        case "waltons_dataset":  # many flies died on the same day: as weights
            frame = frame.rename(columns={"T": "duration", "E": "event"})
            frame = frame.groupby(["duration", "event", "group"]).size().reset_index(name="weight")
            return clv.Durations(frame, "day"), "group"
        case "lung":
            frame = frame.rename(columns={"time": "duration", "status": "event"})
            return clv.Durations(frame.dropna(subset="ph.ecog"), "day"), "age + sex + `ph.ecog`"
        case "larynx":
            frame = frame.rename(columns={"time": "duration", "death": "event"})
            return clv.Durations(frame, "year"), "age + Stage_II + Stage_III + Stage_IV"
        case "gbsg2":
            frame = frame.rename(columns={"time": "duration", "cens": "event"})
            return clv.Durations(frame, "day"), "horTh*age + C(tgrade) + np.log1p(pnodes) + np.sqrt(estrec)"
        case "anderson":
            frame = frame.rename(columns={"t": "duration", "status": "event"})
            return clv.Durations(frame, "week"), "sex + logWBC + Rx"
        case "canadian_senators":  # as if nobody had been recorded before 1950
            start, end = (pd.to_datetime(frame[name], format="ISO8601") for name in ("start_date", "end_date"))
            late = (pd.Timestamp("1950-01-01") - start).dt.days.clip(lower=0)
            frame = frame.assign(duration=(end - start).dt.days / 365.25, entry=late / 365.25)
            frame["event"] = frame["observed"].astype(int)
            frame["liberal"] = frame["Political Affiliation at Appointment"].str.startswith("Liberal").astype(int)
            frame["year"] = start.dt.year - 1950
            frame = frame[(frame["duration"] > frame["entry"]) & (frame["duration"] > 0)]
            columns = ["duration", "event", "entry", "liberal", "year"]
            return clv.Durations(frame[columns].reset_index(drop=True), "year"), "liberal + year"


CLASSICS = ["rossi", "waltons_dataset", "lung", "larynx", "gbsg2", "anderson", "canadian_senators"]
every_classic = pytest.mark.parametrize("name", CLASSICS)


def by_lifelines(model, data, covariates=None):
    """A fit of lifelines, and its parameters as ours: log scale (or its linear predictor), and the second one."""
    lifelines = pytest.importorskip("lifelines")
    if covariates is None:
        fitter = {
            clv.Exponential: lifelines.ExponentialFitter,
            clv.Weibull: lifelines.WeibullFitter,
            clv.LogNormal: lifelines.LogNormalFitter,
            clv.LogLogistic: lifelines.LogLogisticFitter,
        }[model]()
        table = data.table
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fitter.fit(table["duration"], table["event"], entry=table["entry"], weights=data.weights)
        values = fitter.params_.to_list()
        if model is clv.LogNormal:
            values[0] = np.exp(values[0])
        return fitter, dict(zip((param.name for param in model.params), values, strict=True))
    fitter, second = {
        clv.Weibull: (lifelines.WeibullAFTFitter(), "rho_"),
        clv.LogNormal: (lifelines.LogNormalAFTFitter(), "sigma_"),
        clv.LogLogistic: (lifelines.LogLogisticAFTFitter(), "beta_"),
    }[model]
    table = data.table
    asked = {"weights_col": "weight"} if "weight" in table.columns else {}
    if (table["entry"] > 0).any():
        asked["entry_col"] = "entry"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitter.fit(table, "duration", "event", formula=covariates, **asked)
    coefficients = fitter.params_.drop(index=second, level=0).droplevel(0)
    return fitter, coefficients, float(np.exp(fitter.params_[second].item()))


def reach(lacking, errors):
    """How far a search may have stopped from the optimum whose log-likelihood is so little higher: (2 x)^(1/2) errors.

    lifelines stops where its search is content, on Rossi's Weibull 1.3e-5 from the optimum, R 4.5e-4.
    """
    return 1e-4 + 1.05 * np.sqrt(2 * max(lacking, 0)) * errors


@every_model
@every_classic
def test_without_covariates_it_is_what_lifelines_fits(model, name):
    data, _ = classic(name)
    fitter, values = by_lifelines(model, data)
    weights = np.ones(len(data)) if data.weights is None else data.weights
    columns = model().arrays(data)
    there = model.log_likelihood(*columns, **values) @ weights
    assert there == pytest.approx(fitter.log_likelihood_, rel=1e-8)
    fit = quietly(model().fit, data, seed=1)
    assert fit.log_likelihood >= there - 1e-6
    away = reach(fit.log_likelihood - there, fit.parameters["se"])
    for param, value in values.items():
        assert abs(fit.parameters.loc[param, "estimate"] - value) < away[param]


@pytest.mark.parametrize("model", MODELS[1:], ids=lambda model: model.__name__)
@every_classic
def test_with_covariates_it_is_what_lifelines_fits(model, name):
    data, covariates = classic(name)
    fitter, coefficients, second = by_lifelines(model, data, covariates)
    fit = model(covariates).fit(data, seed=1)
    names, other = list(fit.design.names), model.params[1].name
    assert set(coefficients.index) == {"Intercept", *names}
    b = coefficients[names].to_numpy()
    weights = np.ones(len(data)) if data.weights is None else data.weights
    average = np.exp(coefficients["Intercept"] + np.array(fit.design.means) @ b)
    scale = average * np.exp(fit.design.matrix(data.table) @ b)
    there = model.log_likelihood(*model().arrays(data), **{"scale": scale, other: second}) @ weights
    assert there == pytest.approx(fitter.log_likelihood_, rel=1e-8)
    assert fit.log_likelihood >= there - 1e-6
    found = fit.parameters
    away = reach(fit.log_likelihood - there, found["se"])
    assert (np.abs(found.loc[names, "estimate"] - b) < away[names]).all()
    assert abs(np.log(found.loc["scale", "estimate"] / average)) < away["scale"] / average
    assert abs(np.log(found.loc[other, "estimate"] / second)) < away[other] / second
    # Theirs are those of the place where they stopped.
    theirs = fitter.standard_errors_.droplevel(0)[names]
    np.testing.assert_allclose(found.loc[names, "se"], theirs, rtol=1e-4 + 0.2 * np.sqrt(fit.log_likelihood - there))


def reference(case):
    """Value and tolerance of a row of the reference file."""
    rows = json.loads(shared("reference_results.json").read_text())
    row = next(row for row in rows if row["id"] == case)
    return row["value"], row["tolerance_suggested"]


@pytest.fixture(scope="module")
def rossi():
    return classic("rossi")[0]


@pytest.fixture(scope="module")
def rossi_fit(rossi):
    return clv.Weibull("fin + age + race + wexp + mar + paro + prio").fit(rossi, seed=1)


def test_rossi_is_what_r_found(rossi, rossi_fit):
    design, table = rossi_fit.design, rossi_fit.parameters
    intercept = (
        np.log(table.loc["scale", "estimate"]) - np.array(design.means) @ table.loc[list(design.names), "estimate"]
    )
    found = [*table.loc[list(design.names), "estimate"], intercept, np.log(table.loc["shape", "estimate"])]
    value, tolerance = reference("waft.rossi.coef")
    np.testing.assert_allclose(found, value, rtol=tolerance["rel"])
    # The intercept's standard error needs the covariances: coordinates are log scale, log shape, coefficients x sd.
    weights = np.concatenate([[1, 0], -np.array(design.means) / design.sds])
    covariance = rossi_fit.optimum.covariance
    found = [*table.loc[list(design.names), "se"], np.sqrt(weights @ covariance @ weights), np.sqrt(covariance[1, 1])]
    value, tolerance = reference("waft.rossi.se")
    np.testing.assert_allclose(found, value, rtol=tolerance["rel"])
    value, tolerance = reference("waft.rossi.ll")
    ratio = 2 * (rossi_fit.log_likelihood - clv.Weibull().fit(rossi).log_likelihood)
    np.testing.assert_allclose([rossi_fit.log_likelihood, ratio], value, atol=tolerance["abs"])


def test_the_coefficients_of_rossi_are_at_the_exact_optimum(rossi, rossi_fit):
    # The score by mpmath is 0 there: every customer's derivative in log scale and log shape, times the design.
    import mpmath

    t, event = rossi.table["duration"].to_numpy(), rossi.table["event"].to_numpy()
    (scale,) = rossi_fit.customer_params(rossi_fit.customer_columns(rossi))["scale"]
    shape = rossi_fit.parameters.loc["shape", "estimate"]
    ratio = [mpmath.log(a) - mpmath.log(b) for a, b in zip(t, scale, strict=True)]
    in_scale = np.array([float(shape * (mpmath.exp(shape * r) - e)) for r, e in zip(ratio, event, strict=True)])
    in_shape = float(
        sum(e * (1 + shape * r) - shape * r * mpmath.exp(shape * r) for r, e in zip(ratio, event, strict=True))
    )
    score = [in_scale.sum(), in_shape, *(in_scale @ rossi_fit.design.matrix(rossi.table) / rossi_fit.design.sds)]
    np.testing.assert_allclose(score, 0, atol=1e-8)


def test_formulas_take_a_shape_for_each_customer(rossi):
    # As flexsurv has it; the models put covariates on the scale alone.
    columns = clv.Weibull().arrays(rossi)
    design = Design.of("fin + age + race + wexp + mar + paro + prio", rossi.table)
    x = design.matrix(rossi.table) / design.sds
    age, prio = x[:, [1, 6]].T

    def lacking(b):
        shape = np.exp(b[8] + b[9] * prio + b[10] * age)
        return -clv.Weibull.log_likelihood(*columns, scale=np.exp(b[0] + x @ b[1:8]), shape=shape).sum()

    found = optimize.minimize(lacking, [5.0] + 10 * [0.0], method="BFGS", options={"gtol": 1e-4}).x
    found[1:8] /= design.sds
    found[[9, 10]] /= np.array(design.sds)[[6, 1]]
    intercept = found[0] - found[1:8] @ design.means
    of_shape = found[8] - found[[9, 10]] @ np.array(design.means)[[6, 1]]
    value, tolerance = reference("waft.rossi.ancillary")
    np.testing.assert_allclose([*found[[6, 7]], intercept, of_shape, *found[[9, 10]]], value, rtol=tolerance["rel"])


def test_lapses_of_an_american_insurer_are_what_lifelines_found():
    value, tolerance = reference("weibull.us_lapse_agent")
    frame = pd.read_parquet(shared("us_lapse_agent/uslapseagent.parquet"))
    frame = pd.DataFrame({"duration": frame["duration"].astype(float), "event": frame["surrender"].astype(int)})
    data = clv.Durations(frame[frame["duration"] > 0], "month")  # a unit of three months
    fit = clv.Weibull().fit(data)
    found = [*fit.parameters["estimate"], fit.log_likelihood]
    np.testing.assert_allclose(found, value, rtol=tolerance["rel"])
    assert found[2] >= value[2] - 1e-3


# What covariates are


def with_covariates(seed=3, contracts=800, weight=None):
    """Contracts in months with a price, an age and a channel that matter, some seen late."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "price": rng.gamma(4, 5, contracts).round(2),
            "age": rng.integers(18, 80, contracts),
            "channel": rng.choice(["shop", "web", "mail"], contracts),
        }
    )
    scale = np.exp(2.5 - 0.03 * frame["price"] + 0.4 * (frame["channel"] == "web")).to_numpy()
    entry = rng.uniform(-8, 4, contracts).clip(0)
    end = clv.Weibull.simulate(rng, entry, scale=scale, shape=np.full(contracts, 1.2))
    seen = entry + rng.uniform(0.5, 20, contracts)
    frame = frame.assign(duration=np.minimum(end, seen), event=(end <= seen).astype(int), entry=entry)
    return clv.Durations(frame.rename_axis("customer"), "month")


@pytest.fixture(scope="module")
def contracts():
    return with_covariates()


def test_a_covariate_that_does_not_matter_changes_next_to_nothing_and_none_changes_nothing(contracts):
    rng = np.random.default_rng(0)
    noisy = clv.Durations(contracts.table.assign(noise=rng.normal(size=len(contracts))), "month")
    plain, fit = clv.Weibull().fit(noisy), clv.Weibull(["noise"]).fit(noisy)
    assert 0 <= fit.log_likelihood - plain.log_likelihood < 5
    # At a coefficient of 0 the likelihood is that without covariates.
    target = fit.model.target(fit.rows, fit.coordinates, prior=False)
    at_zero = fit.coordinates.to_u(dict(plain.parameters["estimate"]) | {"noise": 0.0})
    assert target(at_zero).item() == pytest.approx(plain.log_likelihood, rel=1e-12)


@every_model
@pytest.mark.parametrize("method", ["ml", "map", "laplace"])
def test_the_unit_of_time_changes_the_scale_and_the_unit_of_a_covariate_its_coefficient(model, method, contracts):
    fit = model("price + channel").fit(contracts, method, seed=1)
    days = contracts.table.assign(**{name: contracts.table[name] * 30.4375 for name in ("duration", "entry")})
    again = model("price + channel").fit(clv.Durations(days, "day"), method, seed=1)
    factor = again.parameters["estimate"] / fit.parameters["estimate"]
    np.testing.assert_allclose(factor, [30.4375] + [1.0] * (len(factor) - 1), rtol=1e-6)
    cents = contracts.table.assign(price=contracts.table["price"] * 100)
    again = model("price + channel").fit(clv.Durations(cents, "month"), method, seed=1)
    factor = again.parameters["estimate"] / fit.parameters["estimate"]
    np.testing.assert_allclose(factor, [0.01 if name == "price" else 1.0 for name in factor.index], rtol=1e-6)


@every_model
def test_equal_rows_are_weights(model, contracts):
    table = contracts.table
    copies = np.random.default_rng(5).integers(1, 4, len(table))
    repeated = clv.Durations(table.loc[table.index.repeat(copies)].reset_index(drop=True), "month")
    weighted = clv.Durations(table.assign(weight=copies), "month")
    for method in ("ml", "map"):
        fit, again = (model("price*channel").fit(data, method) for data in (repeated, weighted))
        np.testing.assert_allclose(fit.parameters, again.parameters, rtol=1e-7)
        assert fit.log_likelihood == pytest.approx(again.log_likelihood, rel=1e-12)
        assert fit.design.means == pytest.approx(again.design.means, rel=1e-12)


def test_what_was_simulated_is_found():
    fit = clv.Weibull("price + channel").fit(with_covariates(seed=8, contracts=20_000))
    table = fit.parameters
    truth = {"price": -0.03, "channel[T.web]": 0.4, "channel[T.shop]": 0.0, "shape": 1.2}
    for name, value in truth.items():
        assert abs(table.loc[name, "estimate"] - value) < 4 * table.loc[name, "se"], name


def test_the_scale_is_that_of_a_customer_with_average_covariates(contracts):
    fit = clv.LogNormal(["price"]).fit(contracts)
    table = contracts.table.head(1).assign(price=fit.design.means[0])
    alone = fit.survival([3.0, 12.0], data=clv.Durations(table, "month")).iloc[0]
    average = fit.survival([3.0, 12.0], interval=0.9)
    np.testing.assert_allclose(alone, average["survival"], rtol=1e-12)
    assert ((average["lower"] < average["survival"]) & (average["survival"] < average["upper"])).all()
    # One more standard deviation: the same curve on a clock that runs exp(b sd) times as slowly.
    table["price"] += fit.design.sds[0]
    slower = np.exp(fit.parameters.loc["price", "estimate"] * fit.design.sds[0])
    other = fit.survival(np.array([3.0, 12.0]) * slower, data=clv.Durations(table, "month")).iloc[0]
    np.testing.assert_allclose(other.to_numpy(), alone.to_numpy(), rtol=1e-12)


def test_customers_have_their_own_lifetimes(contracts):
    fit = clv.Weibull("price + channel").fit(contracts, method="laplace", seed=1, draws=400)
    table = contracts.table.head(3).assign(price=[5.0, 20.0, 60.0], channel="web", duration=2.0)
    columns = fit.customer_columns(clv.Durations(table, "month"))
    assert len(columns) == 1 + 3
    lifetimes = fit.lifetimes(np.random.default_rng(0), columns)
    assert lifetimes.shape == (400, 3)
    assert (lifetimes > 2).all()
    means = np.median(lifetimes, axis=0)
    assert means[0] > means[1] > means[2]
    logs = fit.log_survival_at(np.array([4.0, 4.0, 4.0]), columns, draws=slice(0, 7))
    scale = fit.customer_params(columns, slice(0, 7))["scale"]
    assert scale.shape == (7, 3)
    expected = clv.Weibull.log_survival(4.0, scale=scale, shape=fit.parameter_draws["shape"][:7])
    np.testing.assert_array_equal(logs, expected)


def test_priors_of_coefficients_are_in_the_units_of_the_covariate(contracts):
    prior = stats.norm(0.0, 1e-5)
    fit = clv.Weibull("price + channel", priors={"price": prior}).fit(contracts, method="map")
    assert abs(fit.parameters.loc["price", "estimate"]) < 1e-4
    tight = clv.Weibull("price + channel", priors={"price": stats.norm(-0.03, 0.001)}).fit(contracts, method="map")
    assert tight.parameters.loc["price", "estimate"] == pytest.approx(-0.03, abs=0.001)
    assert "priors={'price': norm(0.0, 1e-05)}" in repr(fit.model)
    with pytest.raises(
        ValueError, match=r"Weibull has no parameter 'prize'; it has scale, shape, price, channel\[T.shop"
    ):
        clv.Weibull("price + channel", priors={"prize": prior}).fit(contracts)
    with pytest.raises(ValueError, match="Weibull has no parameter 'price'; it has scale, shape"):
        clv.Weibull(priors={"price": prior})


def test_a_model_says_its_covariates(contracts):
    assert repr(clv.Weibull("price + log(age)")) == "Weibull(covariates='price + log(age)')"
    assert repr(clv.LogLogistic(["price"])) == "LogLogistic(covariates=('price',))"
    assert clv.Weibull(["price"]) == clv.Weibull(("price",)) != clv.Weibull("price")
    fit = clv.Weibull(["price"]).fit(contracts, seed=1)
    assert "above 0 customers stay longer" in fit.summary().loc["price", "meaning"]
    assert type(fit.model)(**fit.model.options()) == fit.model


def test_the_picture_shows_the_mean_of_all_customers_not_the_average_one():
    # Half of them stay ten times as long: the curve of the average customer is nobody's.
    rng = np.random.default_rng(2)
    web = rng.integers(0, 2, 3000)
    end = clv.Weibull.simulate(rng, np.zeros(3000), scale=np.where(web, 30.0, 3.0), shape=1.5)
    data = clv.Durations(pd.DataFrame({"duration": end, "event": 1, "web": web}), "month")
    fit = clv.Weibull(["web"]).fit(data, seed=1)
    axes = fit.plot("survival", ax=Figure().subplots())
    (model,) = (line for line in axes.lines if line.get_label() == "model")
    times, share = model.get_xydata().T
    left = (end[:, None] > times).mean(axis=0)
    np.testing.assert_allclose(share, left, atol=4 * 0.5 / np.sqrt(3000))
    assert np.abs(fit.survival(times)["survival"].to_numpy() - left).max() > 0.2


def test_the_band_is_that_of_all_chains():
    rng = np.random.default_rng(2)
    data = clv.Durations(
        pd.DataFrame({"duration": rng.exponential(5, 200), "event": 1, "web": np.arange(200) % 2}), "month"
    )
    fit = clv.Weibull("web").fit(data, "laplace", seed=1, draws=1000)
    # Draws lie chain after chain: here the second half knows another time of life.
    halves = np.where(np.arange(1000) < 500, 1.0, 100.0)[:, None]
    apart = fit.with_draws({**fit.parameter_draws, "scale": fit.parameter_draws["scale"] * halves})
    lower, upper = apart._population(np.array([20.0])).to_numpy()[0, 1:]
    assert lower < 0.1 < 0.9 < upper


# Bad input


@pytest.mark.parametrize("model", MODELS[1:], ids=lambda model: model.__name__)
def test_endings_at_one_time_are_refused(model, contracts):
    frame = pd.DataFrame({"duration": [5.0, 5, 5, 3, 4], "event": [1, 1, 1, 0, 0], "price": [1.0, 2, 4, 5, 3]})
    for covariates in (None, ["price"]):
        with pytest.raises(clv.DataError, match="all 3 endings are at 5, and nobody is seen longer: they do not tell"):
            model(covariates).fit(clv.Durations(frame, "month"))
    assert clv.Exponential().fit(clv.Durations(frame, "month")).parameters.loc["scale", "estimate"] == pytest.approx(
        22 / 3
    )


@every_model
def test_data_that_cannot_carry_a_fit_are_refused(model, contracts):
    table = contracts.table
    with pytest.raises(clv.DataError, match="none of 800 contracts has ended"):
        model(["price"]).fit(clv.Durations(table.assign(event=0), "month"))
    few = table.assign(event=(np.arange(len(table)) < 2).astype(int))
    with pytest.raises(clv.DataError, match=r"2 endings cannot carry 4 covariates beside [12] param.*; leave some out"):
        model("price + age + channel").fit(clv.Durations(few, "month"))
    with pytest.raises(clv.DataError, match="covariate 'scale' has the name of a parameter"):
        model(["scale"]).fit(clv.Durations(table.rename(columns={"price": "scale"}), "month"))
    with pytest.raises(clv.DataError, match=r"'(cents|price)' is a combination of '(cents|price)'"):
        model("price + cents").fit(clv.Durations(table.assign(cents=100 * table["price"]), "month"))
    with pytest.raises(clv.DataError, match=r"needs the column 'duration', .* a model such as SBG"):
        model().fit(clv.Durations.from_survivors([100, 80, 70]))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"duration": -1.0}, "duration must not be negative; it is for"),
        ({"duration": 0.0, "entry": 0.0, "event": 1}, "duration is 0 for"),
        ({"entry": 99.0}, "entry must be less than duration"),
    ],
)
def test_durations_that_are_none_are_refused_before_any_model_sees_them(change, sentence, contracts):
    with pytest.raises(clv.DataError, match=sentence):
        clv.Durations(contracts.table.assign(**change), "month")


@every_model
def test_perfect_separation_is_told_and_a_prior_settles_it(model, contracts):
    table = contracts.table
    table = table.assign(event=table["event"].where(table["channel"] != "web", 0))
    data = clv.Durations(table, "month")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        model(["channel"]).fit(data)
    told = [(warning.category, str(warning.message)) for warning in told]
    assert told[0][0] is clv.DataWarning
    assert "every contract that ended has channel[T.web] = 0, so the data do not say how much longer" in told[0][1]
    assert told[-1][0] is clv.ConvergenceWarning
    assert "the data say next to nothing about" in told[-1][1]
    assert "channel[T.web]" in told[-1][1]
    with pytest.warns(clv.DataWarning, match="channel"):
        fit = model(["channel"], priors={"channel[T.web]": stats.norm(0, 0.5)}).fit(data, method="map")
    assert 0 < fit.parameters.loc["channel[T.web]", "estimate"] < 5
    assert fit.diagnostics["problems"] == []


def test_separation_by_many_categories_is_told_once(contracts):
    shop = np.array([f"shop {i % 7}" for i in range(len(contracts))])
    event = contracts.table["event"].where(shop < "shop 2", 0)
    with pytest.warns(clv.DataWarning) as told:
        clv.Weibull(["shop"]).fit_rows(clv.Durations(contracts.table.assign(shop=shop, event=event), "month"))
    (sentence,) = (str(each.message) for each in told)
    assert "has shop[T.shop 2] = 0, shop[T.shop 3] = 0, shop[T.shop 4] = 0, ... (5 covariates), so" in sentence
    assert sentence.endswith("leave them out, or give their coefficients priors")


def test_covariates_of_customers_who_are_asked_about_must_be_there(contracts):
    fit = clv.Weibull("price + channel").fit(contracts)
    with pytest.raises(clv.DataError, match="have no covariate 'price'"):
        fit.survival([1.0], data=clv.Durations(contracts.table.drop(columns="price"), "month"))
    table = contracts.table.head(5).assign(channel="fax")
    with pytest.raises(clv.DataError, match="1 value that the training data did not have"):
        fit.customer_columns(clv.Durations(table, "month"))


# Intervals


@pytest.mark.slow
def test_intervals_of_residual_lifetimes_cover_what_they_say():
    # 200 data sets of 300 contracts, half of them seen late and two in five not to their end, with a covariate; of
    # each 60 customers whose lifetimes are simulated further.
    truth = {
        clv.Exponential: {"scale": 12.0},
        clv.Weibull: {"scale": 12.0, "shape": 0.8},
        clv.LogNormal: {"scale": 8.0, "sigma": 1.2},
        clv.LogLogistic: {"scale": 8.0, "shape": 1.5},
    }
    covered = {}
    for model, params in truth.items():
        inside = []
        for seed in range(50):
            rng = np.random.default_rng([seed, 9])
            x = rng.normal(size=1000)
            entry = rng.uniform(-10, 12, 1000).clip(0)
            end = model.simulate(rng, np.zeros(1000), **params | {"scale": params["scale"] * np.exp(0.4 * x)})
            seen = entry + rng.uniform(1, 24, 1000)
            kept = np.flatnonzero(end > entry)[:300]  # who left before anybody looked is not in the data
            end, seen, entry, x = (column[kept] for column in (end, seen, entry, x))
            frame = {"duration": np.minimum(end, seen), "event": (end <= seen).astype(int), "entry": entry, "x": x}
            data = clv.Durations(pd.DataFrame(frame), "month")
            active = np.flatnonzero(end > seen)[:60]
            fit = model(["x"]).fit(data, seed=seed, draws=400)
            table = fit.predict(clv.Durations(data.table.iloc[active], "month"), horizon="100 years", interval=0.9)
            residual = np.minimum(end - seen, 1200)[active]
            inside.append(((table["lifetime_lower"] <= residual) & (residual <= table["lifetime_upper"])).mean())
        covered[model.__name__] = np.mean(inside)
    assert all(0.88 < share < 0.92 for share in covered.values()), covered
