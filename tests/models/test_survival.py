"""Models of renewals against the papers, exact identities, mpmath and simulation; what every survival model gets."""

import json
import math
import warnings

import mpmath
import numpy as np
import pandas as pd
import pytest
from conftest import quietly, shared, simulated_contracts
from scipy import special, stats

import clvmodels as clv
from clvmodels.models import SBG, BdW, DiscreteWeibull, ShiftedGeometric

# Fader & Hardie (2007), table 1: customers left of 1,000 after each renewal.
REGULAR = [1000, 631, 468, 382, 326, 289, 262, 241, 223, 207, 194, 183, 173]
HIGH_END = [1000, 869, 743, 653, 593, 551, 517, 491, 468, 445, 427, 409, 394]


def fit(model, survivors, **options):
    return model().fit(clv.Durations.from_survivors(survivors), **options)


def published(row):
    """A row of the reference file: its value and the tolerances it names."""
    rows = {row["id"]: row for row in json.loads(shared("reference_results.json").read_text())}
    tolerance = rows[row]["tolerance_suggested"]
    return pytest.approx(np.ravel(rows[row]["value"]), rel=tolerance.get("rel", 0), abs=tolerance.get("abs", 0))


def estimated(fitted):
    return [*fitted.parameters["estimate"], fitted.log_likelihood]


# Published


def test_sbg_on_high_end_is_the_paper():
    fitted = fit(SBG, HIGH_END[:8])
    # Page 80 prints alpha as .688: a misprint, whose log-likelihood is lower.
    assert estimated(fitted) == pytest.approx([0.668, 3.806, -1611.16], abs=0.005)
    rows = clv.Durations.from_survivors(HIGH_END[:8])
    columns = SBG().arrays(rows)
    at_misprint = SBG.log_likelihood(*columns, alpha=0.688, beta=3.806) @ rows.weights
    assert at_misprint == pytest.approx(-1611.355, abs=0.001)
    assert SBG.log_likelihood(*columns, alpha=1.0, beta=1.0) @ rows.weights == pytest.approx(-2115.55, abs=0.01)


@pytest.mark.parametrize(
    ("row", "model", "survivors"),
    [
        ("sbg.he7", SBG, HIGH_END[:8]),
        ("sbg.reg4", SBG, REGULAR[:5]),
        ("geom.he7", ShiftedGeometric, HIGH_END[:8]),
        ("geom.reg4", ShiftedGeometric, REGULAR[:5]),
        ("dw.reg4", DiscreteWeibull, REGULAR[:5]),
        ("bdw.reg4", BdW, REGULAR[:5]),
        ("bdw.reg12", BdW, REGULAR),
    ],
)
def test_published_estimates(row, model, survivors):
    assert np.array(estimated(fit(model, survivors))) == published(row)


def test_published_expected_numbers():
    expected = fit(SBG, REGULAR[:5]).survival([1, 2, 3, 4])["survival"]
    assert 1000 * expected.to_numpy() == published("sbg.reg4.expected")


def test_published_likelihood_ratios():
    found = []
    for survivors in (REGULAR[:5], HIGH_END[:5]):
        ratio = 2 * (fit(BdW, survivors).log_likelihood - fit(SBG, survivors).log_likelihood)
        found += [ratio, stats.chi2.sf(ratio, 1)]
    assert np.array(found) == published("bdw.lr")


def test_published_discounted_lifetimes():
    fits = {model: [fit(model, survivors[:5]) for survivors in (REGULAR, HIGH_END)] for model in (SBG, BdW)}

    def derl(model, renewals):
        return np.array([model.derl(renewals, 0.1, **each.parameter_draws).item() for each in fits[model]])

    assert 1 + derl(SBG, 0) / 1.1 == published("del.sbg")
    assert derl(SBG, 4) == published("drl.sbg")
    assert derl(BdW, 4) == published("drl.bdw")
    assert SBG.derl(np.arange(4, -1, -1), 0.1, alpha=3.80, beta=15.20) == published("derl.perils.1")


def test_published_cohorts():
    frame = pd.read_csv(shared("fader_hardie_retention/perils_2010_cohorts.csv"))
    found = []
    for _, case in frame.groupby("case"):
        cohorts = case.set_index(["calendar_year", "cohort_year"])["n_active"].unstack()  # noqa: PD010
        found += [*fit(SBG, cohorts.loc[:, cohorts.count() > 1]).parameters["estimate"]]
    assert np.array(found) == published("sbg.perils.mle")
    table = pd.read_csv(shared("fader_hardie_retention/multi_cohort_hypothetical.csv"), index_col="Year")
    assert fit(SBG, table.iloc[:, :4]).parameters["estimate"].to_numpy() == published("sbg.multicohort")


def test_published_value_of_two_segments():
    # Fader & Hardie (2010): retention .9 and .5, 100 a year, 10 %; after two renewals the mix has changed.
    loyal, fickle = (100 * ShiftedGeometric.derl(2, 0.1, theta=1 - r) for r in (0.9, 0.5))
    mix = 1 / 3 * 0.9**2 / (1 / 3 * 0.9**2 + 2 / 3 * 0.5**2)
    found = np.array([loyal, fickle, mix * loyal + (1 - mix) * fickle, mix])
    assert found == published("ed.twoseg")


def test_projection_to_the_twelfth_year():
    # A reproduction of the papers' argument on the papers' data, not evidence: survival at year 12, in thousandths.
    found = {
        (name, years): [round(1000 * fit(model, table[: years + 1]).survival([12])["survival"].item()) for model in
                        (ShiftedGeometric, DiscreteWeibull, SBG, BdW)]
        for name, table in (("regular", REGULAR), ("high-end", HIGH_END)) for years in (4, 7)
    }  # fmt: skip
    assert found == {
        ("regular", 4): [22, 103, 160, 171],
        ("regular", 7): [46, 137, 170, 177],
        ("high-end", 4): [202, 239, 307, 389],
        ("high-end", 7): [270, 333, 378, 404],
    }  # where 173 of the regular and 394 of the high-end customers were left


# Reductions and identities


def test_models_reduce_to_simpler_ones():
    t = np.array([0, 1, 2, 7, 400])
    np.testing.assert_allclose(
        BdW.log_survival(t, gamma=0.7, delta=3.0, c=1.0), SBG.log_survival(t, alpha=0.7, beta=3.0), rtol=1e-13
    )
    alike = {"gamma": 0.2e9, "delta": 0.8e9}
    np.testing.assert_allclose(
        BdW.log_survival(t, c=1.4, **alike), DiscreteWeibull.log_survival(t, theta=0.2, c=1.4), rtol=1e-4
    )
    np.testing.assert_allclose(
        DiscreteWeibull.log_survival(t, theta=0.2, c=1.0), ShiftedGeometric.log_survival(t, theta=0.2), rtol=1e-15
    )


def test_published_recursion_of_sbg():
    # Equation 7: P(T = t) from P(T = t - 1), and S(t) as what is left.
    alpha, beta = 0.668, 3.806
    p, left = alpha / (alpha + beta), 1.0
    for t in range(1, 40):
        left -= p
        assert SBG.survival(t, alpha=alpha, beta=beta) == pytest.approx(left, rel=1e-12)
        p *= (beta + t - 1) / (alpha + beta + t)


def test_geometric_sums():
    r, d = 0.9, 0.07
    assert ShiftedGeometric.derl(5, d, theta=1 - r) == pytest.approx(r * (1 + d) / (1 + d - r), rel=1e-12)
    assert ShiftedGeometric.expected_residual_lifetime(5, theta=1 - r) == pytest.approx(1 / (1 - r))
    whole = ShiftedGeometric.expected_residual_lifetime(5, 12, theta=1 - r)
    assert whole == pytest.approx((1 - r**12) / (1 - r), rel=1e-12)
    long = ShiftedGeometric.expected_residual_lifetime(5, 250, theta=0.001)  # more terms than are added one by one
    assert long == pytest.approx((1 - 0.999**250) / 0.001, rel=1e-11)


@pytest.mark.parametrize(
    ("alpha", "beta", "n", "d"),
    [(0.668, 3.806, 0, 0.1), (0.05, 0.1, 3, 0.01), (300, 1000, 50, 0.002), (0.7, 1.2, 0, 1e-4), (3.8, 15.2, 4, 3.0)],
)
def test_derl_of_sbg_is_the_hypergeometric_of_the_paper(alpha, beta, n, d):
    z = 1 / (1 + mpmath.mpf(d))
    formula = (beta + n) / mpmath.mpf(alpha + beta + n) * mpmath.hyp2f1(1, beta + n + 1, alpha + beta + n + 1, z)
    assert SBG.derl(n, d, alpha=alpha, beta=beta) == pytest.approx(float(formula), rel=1e-11)


def test_means_are_infinite_where_they_are():
    assert SBG.expected_residual_lifetime(3, alpha=1.0, beta=2.0) == math.inf
    assert SBG.expected_residual_lifetime(3, alpha=1.5, beta=2.0) == pytest.approx((1.5 + 2 + 3 - 1) / 0.5)
    # The sum itself, of a tail that is a power just steep enough.
    assert SBG.derl(3, 0.0, alpha=1.02, beta=2.0) + 1 == pytest.approx((1.02 + 2 + 3 - 1) / 0.02, rel=1e-9)
    assert BdW.expected_residual_lifetime(0, gamma=0.5, delta=1.0, c=2.0) == math.inf
    assert BdW.expected_residual_lifetime(0, gamma=0.5, delta=1.0, c=2.5) < math.inf
    found = SBG.expected_residual_lifetime(np.array([0, 3]), alpha=np.array([[0.9], [2.0]]), beta=1.0)
    np.testing.assert_allclose(found, [[math.inf, math.inf], [2.0, 5.0]])


@pytest.mark.parametrize("c", [0.3, 1.0, 3.5])
def test_sums_over_renewals_are_those_term_by_term(c):
    params = {"theta": 0.3, "c": c}
    k = np.arange(3_000_000.0)
    for n, d in ((0, 0.0), (7, 0.02)):
        terms = DiscreteWeibull.conditional_survival(k + 1, n, **params) * (1 + d) ** -k
        assert DiscreteWeibull.derl(n, d, **params) == pytest.approx(terms.sum(), rel=1e-9)


def test_survival_and_likelihood_against_mpmath():
    mpmath.mp.dps = 40
    rng = np.random.default_rng(5)
    for _ in range(300):
        gamma, delta = 10 ** rng.uniform(-3, 5, 2)
        c, t = 10 ** rng.uniform(-0.7, 0.5), int(10 ** rng.uniform(0, 3.3))
        before, after = (mpmath.mpf(x) ** mpmath.mpf(c) for x in (t - 1, t))
        s = [mpmath.beta(gamma, delta + x) / mpmath.beta(gamma, delta) for x in (before, after)]
        params = {"gamma": gamma, "delta": delta, "c": c}
        assert BdW.log_survival(t, **params) == pytest.approx(float(mpmath.log(s[1])), rel=1e-9, abs=1e-13)
        ended = BdW.log_likelihood(np.array([t]), np.array([1]), np.array([0]), **params).item()
        # A churn rate of 1e-6 is the difference of two logarithms that are known to 1e-15.
        assert ended == pytest.approx(float(mpmath.log(s[0] - s[1])), rel=1e-8)
    mpmath.mp.dps = 15


def test_what_is_seen_late_is_conditioned_after_customers_are_mixed():
    # Observed until n and from n on: together they are the whole, whatever the heterogeneity.
    rows = np.array([[9.0], [1.0], [0.0]])
    first, second = (np.array([[4.0], [0.0], [0.0]]), np.array([[9.0], [1.0], [4.0]]))
    params = {"gamma": 0.6, "delta": 2.1, "c": 1.3}
    whole = BdW.log_likelihood(*rows, **params)
    assert BdW.log_likelihood(*first, **params) + BdW.log_likelihood(*second, **params) == pytest.approx(whole)
    # The customers who are left after 4 renewals have thetas that are Beta(alpha, beta + 4).
    theta = stats.beta(0.668, 3.806 + 4)
    later = theta.expect(lambda p: (1 - p) ** 5)
    assert SBG.conditional_survival(5, 4, alpha=0.668, beta=3.806) == pytest.approx(later, rel=1e-8)
    # Retention as the paper prints it (equation 8).
    assert SBG.retention_rate(3, alpha=0.668, beta=3.806) == pytest.approx((3.806 + 2) / (0.668 + 3.806 + 2))


@pytest.mark.parametrize("model", [SBG, BdW, DiscreteWeibull, ShiftedGeometric])
def test_late_entry_is_not_ignored(model):
    truth = {"alpha": 0.668, "beta": 3.806, "gamma": 0.6, "delta": 2.1, "c": 1.3, "theta": 0.11}
    truth = {param.name: truth[param.name] for param in model.params}
    late = simulated_contracts(model, truth, seed=4, contracts=6000)
    fitted = quietly(model().fit, late)
    t = [1, 3, 6, 12]
    band = fitted.survival(t, interval=0.999)
    assert ((model.survival(t, **truth) > band["lower"]) & (model.survival(t, **truth) < band["upper"])).all()
    ignoring = clv.Durations(late.table.assign(entry_renewals=0), "month")
    naive = quietly(model().fit, ignoring).survival([6])["survival"].item()
    assert naive > model.survival(6, **truth) + 0.02  # who was seen late had stayed: survival looks too good


# Simulation and quantiles


@pytest.mark.parametrize(
    ("model", "params"),
    [
        (ShiftedGeometric, {"theta": 0.2}),
        (SBG, {"alpha": 0.668, "beta": 3.806}),
        (DiscreteWeibull, {"theta": 0.15, "c": 0.77}),
        (BdW, {"gamma": 0.6, "delta": 2.1, "c": 1.3}),
    ],
)
@pytest.mark.parametrize("tenure", [0, 5])
def test_simulated_renewals_have_the_probabilities_of_the_formula(model, params, tenure):
    draws = {name: np.full((200_000, 1), value) for name, value in params.items()}
    end = model.simulate(np.random.default_rng(3), np.array([tenure]), **draws)[:, 0]
    assert (end > tenure).all()
    assert (end == np.ceil(end)).all()
    last = np.minimum(end - tenure, 9).astype(int)
    survival = model.conditional_survival(np.arange(9), tenure, **params)
    expected = 200_000 * np.append(-np.diff(survival), survival[-1])
    assert stats.chisquare(np.bincount(last, minlength=10)[1:], expected).pvalue > 1e-3
    # Inversion, which every model has, agrees with the model's own simulation and with the quantiles.
    p = np.array([0.0, 0.1, 0.5, 0.9, 0.99])
    quantile = model.quantile(p, tenure, **params)
    assert (model.conditional_survival(quantile, tenure, **params) <= 1 - p + 1e-9).all()
    assert (model.conditional_survival(quantile - 1, tenure, **params) > 1 - p - 1e-9).all()


def test_quantiles_invert_survival_and_refuse_what_is_no_probability():
    assert ShiftedGeometric.quantile(0.5, theta=0.5) == 1  # half are gone at the first renewal
    assert ShiftedGeometric.quantile(0.75, 10, theta=0.5) == 2
    with pytest.raises(ValueError, match=r"p must be probabilities, 0 or more and less than 1; got 1\.0"):
        SBG.quantile(1.0, alpha=1, beta=1)
    # By bisection, to the last digits.
    t = np.array([0.3, 7.0, 123.4])
    found = SBG.inverse_log_survival(SBG.log_survival(t, alpha=0.7, beta=2.0), alpha=0.7, beta=2.0)
    np.testing.assert_allclose(found, t, rtol=1e-12)
    assert SBG.inverse_log_survival(-1e6, alpha=0.7, beta=2.0) == math.inf


def test_who_never_leaves_is_simulated_as_such():
    end = SBG.simulate(np.random.default_rng(0), np.array([0.0]), alpha=np.full((100, 1), 1e-9), beta=np.ones((100, 1)))
    assert (end > 1e100).mean() > 0.9
    assert not np.isnan(end).any()


@pytest.mark.slow
@pytest.mark.parametrize("model", [SBG, BdW])
def test_residual_renewals_are_predicted_as_they_come(model):
    # One customer of each of 300 simulated businesses, so that the transformed outcomes are independent.
    truth = {"alpha": 0.668, "beta": 3.806, "gamma": 0.6, "delta": 2.1, "c": 1.3}
    truth = {param.name: truth[param.name] for param in model.params}
    rng = np.random.default_rng(8)
    transformed = []
    for seed in range(300):
        data = simulated_contracts(model, truth, seed=seed, contracts=300)
        fitted = quietly(model().fit, data, method="laplace", seed=seed, draws=250)
        tenure = data.active.table["renewals"].to_numpy()[:1]
        left = model.simulate(rng, tenure, **truth).item() - tenure
        stays, before = (
            model.conditional_survival(t, tenure, **fitted.parameter_draws).mean() for t in (left, left - 1)
        )
        transformed.append(1 - rng.uniform(stays, before))
    assert stats.kstest(transformed, "uniform").pvalue > 0.01


# What a fit answers, and what is refused


def test_a_fit_gives_curves_with_intervals():
    fitted = fit(SBG, HIGH_END[:8], seed=1)
    curve = fitted.survival([0, 1, 12], interval=0.9)
    assert curve.index.tolist() == [0, 1, 12]
    assert curve.iloc[0].tolist() == [1, 1, 1]
    assert ((curve["lower"] <= curve["survival"]) & (curve["survival"] <= curve["upper"])).all()
    alpha, beta = fitted.parameters["estimate"]
    assert fitted.retention([3])["retention_rate"].item() == pytest.approx((beta + 2) / (alpha + beta + 2))
    assert fitted.hazard([3])["hazard"].item() == pytest.approx(alpha / (alpha + beta + 2))
    with pytest.raises(ValueError, match="t must be tenures, 1 or more; got 0"):
        fitted.retention([0])
    with pytest.raises(ValueError, match="t must be tenures, 0 or more; got -1"):
        fitted.survival(-1)
    with pytest.raises(ValueError, match="interval must lie strictly between 0 and 1"):
        fitted.survival(1, interval=90)


def contracts(**columns):
    frame = {"renewals": [1, 2, 5, 5, 3], "event": [1, 1, 0, 0, 1]} | columns
    return clv.Durations(pd.DataFrame(frame, index=range(5)), "month")


@pytest.mark.parametrize(
    ("model", "columns", "sentence"),
    [
        (SBG, {"event": 0}, "none of 5 contracts has ended: there is no churn to learn"),
        (SBG, {"renewals": 3, "event": 1}, "all 5 endings are at 3, and nobody is seen longer: they do not tell how"),
        (BdW, {"renewals": [2, 2, 2, 2, 1], "event": [0, 1, 1, 0, 0]}, "all 2 endings are at 2, and .* which BdW"),
        (SBG, {"renewals": 1, "event": [1, 0, 0, 0, 0], "weight": 40.0}, "all 40 endings are at 1"),
        (
            SBG,
            {"period": ["month", "month", "month", "year", "year"]},
            r"not the same after another period: month \(3\), year \(2\); fit each .*select\(period='month'\)",
        ),
    ],
)
def test_contracts_that_say_nothing_are_refused(model, columns, sentence):
    with pytest.raises(clv.DataError, match=sentence):
        model().fit(contracts(**columns))


def test_endings_at_one_time_say_something_where_others_are_seen_longer():
    # Nobody leaves later: churn falls with tenure. And with priors for both parameters nothing needs to be learnt.
    seen = contracts(renewals=[2, 2, 4, 5, 9], event=[1, 1, 0, 0, 0])
    fitted = quietly(DiscreteWeibull().fit, seen, method="map")
    rates = fitted.hazard([2, 9])["hazard"]
    assert rates[2] > rates[9]
    priors = {"alpha": stats.gamma(2), "beta": stats.gamma(4)}
    quietly(SBG(priors=priors).fit, contracts(renewals=1, event=[1, 0, 0, 0, 0]), method="laplace", seed=1)


def test_endings_of_running_periods_cannot_be_counted():
    frame = pd.DataFrame({"renewals": [1, 1], "event": [1, 0], "start": pd.Timestamp("2024-01-01"), "period": "year"})
    data = clv.Durations(frame, "month", observation_end="2024-06-30")
    with pytest.raises(
        clv.DataError, match="none of 1 ending can be counted in renewals: contracts end within periods"
    ):
        ShiftedGeometric().fit(data)


@pytest.mark.parametrize("model", [SBG, BdW])
def test_customers_who_may_be_alike_are_told(model):
    alike = simulated_contracts(ShiftedGeometric, {"theta": 0.05}, seed=2, contracts=3000)
    with pytest.warns(clv.AssumptionWarning, match="fits hardly better than one churn rate for all customers"):
        fitted = model().fit(alike, method="map", seed=1)
    gain = fitted.log_likelihood - quietly(ShiftedGeometric().fit, alike).log_likelihood
    with pytest.warns(clv.AssumptionWarning, match=f"log-likelihood {gain:+.1f} against".replace("+", r"\+")):
        model().fit(alike, method="map", seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(model, HIGH_END[:8])


def test_the_prior_of_sbg_does_not_mind_how_long_a_period_is():
    # The same lifetimes in periods of two lengths, both short against them.
    end = SBG.simulate(np.random.default_rng(4), np.zeros(400), alpha=1.0, beta=160.0)
    seen = {"event": (end <= 480).astype(int)}
    frames = [pd.DataFrame({"renewals": k * np.minimum(end, 480)} | seen) for k in (1, 50)]
    shapes = [SBG().fit(clv.Durations(frame, "day"), method="map").parameters["estimate"] for frame in frames]
    assert shapes[1]["alpha"] == pytest.approx(shapes[0]["alpha"], rel=0.05)
    assert shapes[1]["beta"] == pytest.approx(50 * shapes[0]["beta"], rel=0.05)


def test_one_parameter_can_be_learnt_from_one_renewal():
    assert fit(ShiftedGeometric, [100, 90]).parameters.loc["theta", "estimate"] == pytest.approx(0.1, rel=1e-6)


def test_a_model_refuses_the_clock_that_is_not_its_own():
    frame = pd.DataFrame({"duration": [3.5, 8.0], "event": [1, 0]})
    with pytest.raises(clv.DataError, match="SBG needs the column 'renewals', for it counts whole periods"):
        SBG().fit(clv.Durations(frame, "month"))
    fitted = quietly(SBG().fit, contracts())
    with pytest.raises(clv.DataError, match="SBG needs the column 'renewals'"):
        fitted.survival([1], data=clv.Durations(frame, "month"))


def test_customers_who_are_alike_leave_the_likelihood_flat():
    # A constant churn rate: alpha and beta grow together without end.
    with pytest.warns(clv.ConvergenceWarning, match="next to nothing about alpha and beta growing together"):
        fit(SBG, [10_000, 9000, 8100, 7290])


def test_survivors_in_percent_are_weights():
    whole, share = fit(SBG, HIGH_END[:8]), fit(SBG, [number / 10 for number in HIGH_END[:8]])
    np.testing.assert_allclose(share.parameters["estimate"], whole.parameters["estimate"], rtol=1e-6)
    np.testing.assert_allclose(share.parameters["se"], math.sqrt(10) * whole.parameters["se"], rtol=1e-4)
    assert share.log_likelihood == pytest.approx(whole.log_likelihood / 10)


def test_log_beta_ratio_is_the_beta_functions():
    from clvmodels.ops import log_beta_ratio

    a, b, z = np.random.default_rng(1).uniform(0.1, 30, (3, 200))
    expected = special.betaln(a, b + z) - special.betaln(a, b)
    np.testing.assert_allclose(log_beta_ratio(a, b, z), expected, rtol=1e-11, atol=1e-13)
    assert log_beta_ratio(2.0, 3.0, 0.0) == 0
