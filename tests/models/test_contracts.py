"""Predictions of contracts: against closed forms, sums over Python's own calendar, mpmath, and their own simulation."""

import dataclasses
import datetime

import mpmath
import numpy as np
import pandas as pd
import pytest
from conftest import quietly
from scipy import stats

import clvmodels as clv
from clvmodels import SBG, ShiftedGeometric
from clvmodels.models.survival.base import SurvivalModel
from clvmodels.models.survival.forecast import Payments
from clvmodels.models.survival.renewals import Renewals, renewals_before
from clvmodels.ops import log
from clvmodels.params import Param

SURVIVORS = [1000, 869, 743, 653, 593, 551, 517, 491]
YEAR = 365.25


class Hazard(SurvivalModel):
    """A Weibull model of the tests' own: S(t) = exp(-(t / scale)^shape)."""

    clock = "duration"
    params = (Param("scale", "scale", carries="time"), Param("shape", "shape"))

    @staticmethod
    def log_survival(t, *, scale, shape):
        return -((t / scale) ** shape)

    @staticmethod
    def log_hazard(t, *, scale, shape):
        return log(shape / scale) + (shape - 1) * log(t / scale)


def fixed(model, data, size=1, **params):
    """A fit with these parameters, in so many equal draws."""
    fit = quietly(model().fit, data, seed=1)
    draws = {name: np.full((size, 1), float(value)) for name, value in params.items()}
    sampling = {"k_hat": 0.0} if size > 1 else None
    return dataclasses.replace(fit, parameter_draws=draws, sampling=sampling, method="laplace" if size > 1 else "ml")


def contracts(start, end="2023-12-31", period="month", unit="month", value=10.0, gone=3, **columns):
    """Active contracts that began on these days, and some that have ended."""
    start = pd.to_datetime(pd.Series([*np.atleast_1d(start)]))
    end = pd.Timestamp(end)
    renewals = clv.time.renewals_until(
        start.to_numpy("datetime64[D]"), clv.time.period(period), np.datetime64(end, "D")
    )
    days = (end - start).dt.days
    active = pd.DataFrame(
        {
            "start": start, "duration": days / clv.time.unit_days(unit), "renewals": np.maximum(renewals, 0),
            "event": 0, "period": period, "value": value, **columns,
        }
    )  # fmt: skip
    left = active.iloc[[0] * gone].assign(
        event=1, renewals=[1, 2, 5][:gone], duration=[1.5, 2.5, 5.5][:gone], start=end - pd.DateOffset(years=8)
    )
    table = pd.concat([active, left], ignore_index=True)
    table["value"] = table["value"].where(table["event"] == 0, 99.0)
    return clv.Durations(table.rename_axis("customer"), unit, observation_end=end, attributes=[*columns])


def due_days(start, months, end, until):
    """Renewal days after `end`, up to and with `until`, by pandas' own calendar."""
    days, k = [], 1
    while (day := start + pd.DateOffset(months=k * months)) <= until:
        if day > end:
            days.append(day)
        k += 1
    return days


# When contracts renew

STARTS = [
    "2023-12-31",
    "2023-12-30",
    "2023-01-31",
    "2020-02-29",
    "2023-11-30",
    "2022-08-15",
    "2023-12-01",
    "2019-12-31",
]


@pytest.mark.parametrize("months", [1, 3, 12])
@pytest.mark.parametrize("clock", ["duration", "renewals"])
def test_renewals_follow_the_calendar_of_each_contract(months, clock):
    end = pd.Timestamp("2023-12-31")
    data = contracts(STARTS, period=f"{months} months", unit="day", gone=0)
    renewals = Renewals.of(data, data.table[clock].to_numpy(float), clock, evenly=False)
    for horizon in (1, 29, 31, 60, 366, 1500):
        times = renewals.times(float(horizon), renewals.columns)
        for i, start in enumerate(pd.to_datetime(STARTS)):
            expected = due_days(start, months, end, end + pd.Timedelta(days=horizon))
            found = times[1:, i]
            assert found[found <= horizon].tolist() == [(day - end).days for day in expected], (start, horizon)


def test_renewals_without_a_start_are_counted_from_the_tenure():
    # Time: the start lies the tenure back. Renewals: no day within a period is known, so the next is a whole one ahead.
    data = contracts(STARTS, unit="day", gone=0)
    bare = clv.Durations(data.table.drop(columns="start"), "day", observation_end=data.observation_end)
    tenure = data.table["duration"].to_numpy()
    for given in (data, bare):
        renewals = Renewals.of(given, tenure, "duration", evenly=False)
        np.testing.assert_array_equal(renewals.times(400, renewals.columns)[1], [31, 30, 31, 29, 30, 15, 1, 31])
    renewals = Renewals.of(bare, data.table["renewals"].to_numpy(float), "renewals", evenly=False)
    np.testing.assert_array_equal(renewals.times(400, renewals.columns)[[1, 2, 12], 0], [31, 60, 366])


def test_renewals_without_a_calendar_come_evenly():
    frame = pd.DataFrame({"duration": [0.0, 1.0, 2.5, 12.0, 0.3], "event": 0, "period": "3 months"})
    data = clv.Durations(frame, "month")
    renewals = Renewals.of(data, frame["duration"].to_numpy(), "duration", evenly=False)
    np.testing.assert_allclose(renewals.time(1, renewals.columns), [3, 2, 0.5, 3, 2.7])  # none falls on today
    np.testing.assert_allclose(renewals.time(3, renewals.columns), [9, 8, 6.5, 9, 8.7])
    for unit in ("day", "week", "year"):
        days = clv.time.unit_days("month") / clv.time.unit_days(unit)
        other = clv.Durations(frame.assign(duration=frame["duration"] * days), unit)
        again = Renewals.of(other, other.table["duration"].to_numpy(), "duration", evenly=False)
        np.testing.assert_allclose(again.time(1, again.columns) / days, renewals.time(1, renewals.columns))


def test_after_the_next_renewal_an_infinite_horizon_is_even():
    data = contracts(["2023-01-31"], gone=0)
    renewals = Renewals.of(data, data.table["duration"].to_numpy(), "duration", evenly=True)
    times = [renewals.time(number, renewals.columns).item() for number in (1, 2, 3)]
    np.testing.assert_allclose(times, [31 / 30.4375, 31 / 30.4375 + 1, 31 / 30.4375 + 2])


def test_renewals_before_an_end_are_counted_exactly():
    data = contracts(STARTS, unit="day", gone=0)
    renewals = Renewals.of(data, data.table["duration"].to_numpy(), "duration", evenly=False)
    times = renewals.times(800.0, renewals.columns)
    due = (times[1:] <= 800).sum(axis=0)
    rng = np.random.default_rng(1)
    left = np.concatenate([rng.uniform(0, 900, (300, len(STARTS))), times[1:], np.full((1, len(STARTS)), np.inf)])
    expected = np.minimum((times[1:, None] < left).sum(axis=0), due)
    np.testing.assert_array_equal(renewals_before(left, times, due), expected)
    assert (renewals_before(left, times[:1], np.zeros(len(STARTS), int)) == 0).all()


# Means of a model of renewals


def test_predictions_are_sums_over_the_days_of_each_contract():
    theta, end, horizon = 0.07, pd.Timestamp("2023-12-31"), pd.Timestamp("2024-12-31")
    data = contracts(STARTS)
    fit = fixed(ShiftedGeometric, data, theta=theta)
    table = fit.predict(horizon="1 year")
    assert table.index.tolist() == list(range(len(STARTS)))
    for i, start in enumerate(pd.to_datetime(STARTS)):
        days = [(day - end).days for day in due_days(start, 1, end, horizon)]
        stay = (1 - theta) ** np.arange(len(days) + 1)
        stretches = np.diff([0, *days, 366])
        assert table["p_retained"][i] == pytest.approx(stay[-1], rel=1e-12)
        assert table["expected_lifetime"][i] == pytest.approx((stay * stretches).sum() / 30.4375, rel=1e-12)


def test_of_yearly_survivors_the_prediction_is_the_papers_conditional_survival():
    data = clv.Durations.from_survivors(SURVIVORS)
    fit = quietly(SBG().fit, data, seed=1)
    params = fit.parameter_draws
    table = fit.predict(horizon="5 years")
    assert len(table) == 1
    expected = SBG.conditional_survival(np.arange(1, 6), 7, **params)[0]
    assert table["p_retained"].item() == pytest.approx(expected[4], rel=1e-12)
    assert table["expected_lifetime"].item() == pytest.approx(1 + expected[:4].sum(), rel=1e-12)
    same = SBG.expected_residual_lifetime(7, 5.0, **params)
    assert table["expected_lifetime"].item() == pytest.approx(same.item(), rel=1e-12)
    total = fit.total(horizon="5 years")
    assert (total["customers"].item(), total["retained"].item()) == (491, pytest.approx(491 * expected[4]))


@pytest.mark.parametrize("model", [SBG, Hazard])
def test_a_horizon_is_the_next_year_and_the_one_after_it_of_those_who_stay(model):
    params = {"alpha": 0.7, "beta": 8.0} if model is SBG else {"scale": 40.0, "shape": 0.6}
    first, later = contracts(STARTS, gone=3), contracts(STARTS, end="2024-12-31", gone=3)
    fits = [fixed(model, data, **params) for data in (first, later)]
    both, year, next_year = (
        fits[0].predict(horizon="2024-12-31"), fits[0].predict(horizon="2025-12-31"), fits[1].predict(horizon="1 year")
    )  # fmt: skip
    np.testing.assert_allclose(year["p_retained"], both["p_retained"] * next_year["p_retained"], rtol=1e-12)
    sums = both["expected_lifetime"] + both["p_retained"] * next_year["expected_lifetime"]
    np.testing.assert_allclose(year["expected_lifetime"], sums, rtol=1e-8)


# Means of a model of time


@pytest.mark.parametrize("shape", [0.1, 0.5, 1.0, 2.5, 30.0])
@pytest.mark.parametrize("scale", [1e-3, 0.3, 12.0, 5e3, 1e7])
def test_the_mean_lifetime_is_the_integral_of_survival(scale, shape):
    tenure = np.array([0.0, 1e-4 * scale, scale, 3.0 * scale])
    frame = pd.DataFrame({"duration": [*tenure, scale, 2 * scale, 3 * scale], "event": [0, 0, 0, 0, 1, 1, 1]})
    fit = fixed(Hazard, clv.Durations(frame, "month"), scale=scale, shape=shape)
    found = quietly(fit.predict, horizon=12)
    for i, at in enumerate(tenure):
        with mpmath.workdps(30):
            a, b, h, tau = (mpmath.mpf(float(v)) for v in (scale, shape, 12.0, at))
            start, stop = (tau / a) ** b, ((tau + h) / a) ** b
            # The integral of exp(-((u / a)^b)): an incomplete gamma function.
            integral = a / b * mpmath.gammainc(1 / b, start, stop) * mpmath.exp(start)
            stays = mpmath.exp(start - stop)
        # A lifetime is the difference of two tenures, which are known to 16 digits.
        assert found["expected_lifetime"][i] == pytest.approx(float(integral), rel=1e-8, abs=4e-15 * (at + 12))
        assert found["p_retained"][i] == pytest.approx(float(stays), rel=1e-9, abs=1e-300)


def test_an_infinite_horizon_is_the_whole_lifetime():
    data = contracts(STARTS)
    exponential = fixed(Hazard, data, scale=20.0, shape=1.0).predict(horizon=None)
    assert list(exponential.columns) == ["expected_lifetime"]
    np.testing.assert_allclose(exponential["expected_lifetime"], 20.0, rtol=1e-9)
    geometric = fixed(ShiftedGeometric, data, theta=0.05).predict(horizon=None)
    next_one = np.array([31, 30, 31, 29, 30, 15, 1, 31]) / 30.4375
    np.testing.assert_allclose(geometric["expected_lifetime"], next_one + 0.95 / 0.05, rtol=1e-12)


def test_an_infinite_mean_is_refused_with_the_way_out():
    data = contracts(STARTS)
    sentence = "without discounting SBG expects an infinite lifetime under the estimated parameters; give a finite"
    with pytest.raises(ValueError, match=sentence):
        fixed(SBG, data, alpha=0.9, beta=8.0).predict(horizon=None)
    with pytest.raises(ValueError, match=r"under 5 of 5 draws of the parameters; give a finite horizon"):
        fixed(SBG, data, size=5, alpha=0.9, beta=8.0).predict(horizon=None)


# Outcomes


@pytest.mark.parametrize("timing", ["start", "end"])
@pytest.mark.parametrize("first", [None, True, False])
@pytest.mark.parametrize("t", [12.0, 0.2, np.inf])
@pytest.mark.parametrize("model", [SBG, Hazard])
def test_simulated_outcomes_have_the_means_of_the_formulas(model, t, first, timing):
    params = {"alpha": 2.5, "beta": 8.0} if model is SBG else {"scale": 4.0, "shape": 0.7}
    data = contracts(STARTS)
    fit = fixed(model, data, size=20_000, **params)
    forecast = fit.forecast(data, t, Payments(0.05, timing, first))
    means = fixed(model, data, **params).forecast(data, t, Payments(0.05, timing, first)).means(forecast.columns)
    drawn = forecast.outcomes(forecast.columns, slice(None), np.random.default_rng(3))
    pairs = {"p_retained": "retained", "expected_lifetime": "lifetime", "payments": "payments"}
    for mean, outcome in {**pairs, "discounted": "discounted"}.items() if t < np.inf else [("derl", "discounted")]:
        draws = drawn[outcome]
        error = draws.std(axis=0) / np.sqrt(len(draws))
        assert (np.abs(draws.mean(axis=0) - means[mean][0]) <= 4.5 * error + 1e-9).all(), (mean, draws.mean(axis=0))


@pytest.mark.parametrize("timing", ["start", "end"])
@pytest.mark.parametrize("clock", ["duration", "renewals"])
def test_simulated_outcomes_of_a_curve_that_ends_have_the_means_of_the_formulas(clock, timing):
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"renewals": rng.integers(1, 20, 300), "event": rng.integers(0, 2, 300)})
    frame["duration"] = frame["renewals"] + rng.uniform(0, 0.9, 300) * (frame["event"] == 0)
    fit = clv.KaplanMeier(clock=clock).fit(clv.Durations(frame, "month"), seed=1, draws=4000)
    some = clv.Durations(
        pd.DataFrame({"renewals": [0, 5, 12, 17, 19, 25], "duration": [0.0, 5.5, 12.0, 17.2, 19.3, 25.0], "event": 0}),
        "month",
    )
    forecast = fit.posterior.forecast(some, 9.0, Payments(0.05, timing))
    means = forecast.means(forecast.columns)
    drawn = forecast.outcomes(forecast.columns, slice(None), np.random.default_rng(3))
    known = np.isfinite(means["p_retained"]).all(axis=0)
    assert known.tolist() == [True, True, False, False, False, False]
    for mean, outcome in (("p_retained", "retained"), *zip(("expected_lifetime", "payments", "discounted"),
                          ("lifetime", "payments", "discounted"), strict=True)):  # fmt: skip
        here = known if mean == "p_retained" else slice(None)
        draws, expected = drawn[outcome][:, here], means[mean].mean(axis=0)[here]
        error = draws.std(axis=0) / np.sqrt(len(draws))
        assert (np.abs(draws.mean(axis=0) - expected) <= 4.5 * error + 1e-9).all(), (mean, draws.mean(axis=0), expected)
    # Whoever is older than the curve: nothing is known, and nothing is counted but what is owed already.
    np.testing.assert_array_equal(means["payments"][:, -1], float(timing == "end"))
    np.testing.assert_array_equal(means["expected_lifetime"][:, -1], float(clock == "renewals"))


def test_simulated_lifetimes_have_the_mean_of_the_formula_without_end():
    data = contracts(STARTS)
    for model, params in ((ShiftedGeometric, {"theta": 0.1}), (Hazard, {"scale": 4.0, "shape": 0.7})):
        fit = fixed(model, data, size=20_000, **params)
        forecast = fit.forecast(data, np.inf)
        draws = forecast.outcomes(forecast.columns, slice(None), np.random.default_rng(4))["lifetime"]
        mean = fixed(model, data, **params).predict(horizon=None)["expected_lifetime"]
        assert (np.abs(draws.mean(axis=0) - mean) < 4.5 * draws.std(axis=0) / np.sqrt(len(draws))).all()


def test_intervals_of_a_customer_are_quantiles_of_the_distribution():
    # A geometric number of months: the 5 % and 95 % points in closed form.
    theta, data = 0.1, contracts(["2023-12-31"] * 3)
    fit = fixed(ShiftedGeometric, data, size=10_000, theta=theta)
    table = fit.predict(horizon="5 years", interval=0.9)
    days = [(day - pd.Timestamp("2023-12-31")).days for day in pd.date_range("2024-01-31", periods=60, freq="ME")]
    for end, p in (("lower", 0.05), ("upper", 0.95)):
        exact = stats.geom.ppf(p, theta)
        found = table[f"lifetime_{end}"].to_numpy() * 30.4375
        place = [np.argmin(np.abs(np.array(days) - one)) + 1 for one in found]
        assert np.abs(np.array(place) - exact).max() <= 1  # 10,000 draws: one step beside where a step ends there
    mean = fit.predict(horizon="5 years", interval=0.9, interval_of="mean")
    np.testing.assert_allclose(mean["lifetime_lower"], mean["expected_lifetime"], rtol=1e-12)
    assert not [name for name in table.columns if name.startswith("retained")]


# Totals


def test_the_interval_of_the_total_is_that_of_independent_customers():
    theta, customers = 0.04, 400
    data = contracts(["2023-12-31"] * customers)
    fit = fixed(ShiftedGeometric, data, size=4000, theta=theta)
    total = fit.total(horizon="1 year", interval=0.9)
    stays = (1 - theta) ** 12
    exact = stats.binom.ppf([0.05, 0.95], customers, stays)
    ends = total[["retained_lower", "retained_upper"]].to_numpy()[0]
    # 4,000 draws: four standard errors of a 5 % quantile.
    allowed = 4 * np.sqrt(customers * stays * (1 - stays)) * np.sqrt(0.05 * 0.95 / 4000) / 0.103 + 1
    assert np.abs(ends - exact).max() <= allowed
    assert total["retained"].item() == pytest.approx(customers * stays)


def test_weights_count_as_customers():
    grouped = clv.Durations.from_survivors(SURVIVORS)
    each = grouped.table.loc[np.repeat(grouped.table.index, grouped.table["weight"].astype(int)), ["renewals", "event"]]
    alone = clv.Durations(each.reset_index(drop=True), "year")
    fits = [quietly(SBG().fit, data, seed=1) for data in (grouped, alone)]
    ours, theirs = (fit.total(horizon=3, interval=0.9) for fit in fits)
    pd.testing.assert_frame_equal(ours, theirs, rtol=1e-7)
    assert ours["customers"].item() == 491
    few = clv.Durations(grouped.table.assign(weight=grouped.table["weight"] + 0.5), "year")
    with pytest.raises(clv.DataError, match="weights must be whole numbers for outcomes to be simulated"):
        fits[0].total(few, horizon=3, interval=0.9)
    assert fits[0].total(few, horizon=3, interval=0.9, interval_of="mean")["retained"].item() > 0


def test_totals_are_sums_and_segments_add_up():
    data = contracts(STARTS, channel=["a", "b"] * 4)
    fit = quietly(SBG().fit, data, seed=1)
    table, total = fit.predict(horizon="1 year"), fit.total(horizon="1 year", by="channel", interval=0.9)
    assert total.index.tolist() == ["a", "b", "all"]
    for name, column in (("retained", "p_retained"), ("expected_lifetime", "expected_lifetime")):
        assert total.loc["all", name] == pytest.approx(table[column].sum())
        assert total.loc["a", name] == pytest.approx(table.loc[table["channel"] == "a", column].sum())
    assert total["customers"].tolist() == [4, 4, 8]
    assert {"retained_lower", "lifetime_upper"} < {*total.columns}


def test_predictions_do_not_depend_on_the_unit():
    for model, params in ((SBG, {"alpha": 0.7, "beta": 8.0}), (Hazard, {"scale": 600.0, "shape": 0.6})):
        tables = []
        for unit in ("day", "month", "year"):
            days = clv.time.unit_days(unit)
            scaled = params if model is SBG else params | {"scale": params["scale"] / days}
            fit = fixed(model, contracts(STARTS, unit=unit), size=300, **scaled)
            table = fit.predict(horizon="1 year", interval=0.9)
            times = [name for name in table.columns if "lifetime" in name]
            tables.append(table.assign(**{name: table[name] * days for name in times}))
        for other in tables[1:]:
            pd.testing.assert_frame_equal(tables[0], other, rtol=1e-9)


# What is said


def test_attrs_say_who_was_left_out_and_how_far_the_horizon_reaches():
    fit = quietly(SBG().fit, contracts(STARTS), seed=1)
    notes = fit.predict(horizon="1 year").attrs["notes"]
    assert notes == [
        "3 of 11 contracts have ended: they are left out",
        "for 2 of 8 customers the horizon reaches tenures longer than the longest ever observed, 48 months",
    ]
    draws = fit.draws("p_retained", horizon="1 year")
    assert draws.shape == (1000, 8)
    with pytest.raises(
        ValueError, match="draws of 'clv' are not known; choose one of 'p_retained', 'expected_lifetime'"
    ):
        fit.draws("clv", horizon="1 year")


def test_a_new_customer_of_a_fit_with_covariates_must_be_described():
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"duration": rng.exponential(9, 200), "event": 1, "seats": rng.integers(1, 9, 200)})
    frame["plan"] = rng.choice(["a", "b"], 200)
    data = clv.Durations(frame, "month")
    for model in (clv.Weibull("log(seats) + C(plan)"), clv.Cox(["seats"], strata="plan")):
        fit = quietly(model.fit, data, seed=1, draws=100)
        with pytest.raises(ValueError, match=r"of the new customer: attributes=\{'seats': \.\.\., 'plan': \.\.\.\}$"):
            fit.new_customer(horizon=2)
        with pytest.raises(ValueError, match=r"of the new customer: attributes=\{'plan': \.\.\.\}$"):
            clv.ContractualCLV(model).fit(data, seed=1).new_customer(value=1, horizon=2, attributes={"seats": 3})
        assert len(quietly(fit.new_customer, horizon=2, attributes={"seats": 3, "plan": "a"})) == 1


def test_a_new_customer_is_one_whose_contract_begins_today():
    data = contracts(STARTS)
    fit = fixed(ShiftedGeometric, data, theta=0.1)
    row = fit.new_customer(horizon="1 year")
    assert row["p_retained"].item() == pytest.approx(0.9**12)
    assert row.index.tolist() == ["new customer"]
    alone = clv.Durations.from_survivors(SURVIVORS)
    fit = fixed(ShiftedGeometric, alone, theta=0.1)
    assert fit.new_customer(horizon="3 years")["p_retained"].item() == pytest.approx(0.9**3)
    assert fit.new_customer(horizon=None)["expected_lifetime"].item() == pytest.approx(10)


def test_bad_questions_are_refused_in_one_sentence():
    data = contracts(STARTS)
    fit = fixed(SBG, data, alpha=0.7, beta=8.0)
    with pytest.raises(clv.DataError, match="no contract is active: there is nobody to predict"):
        fit.predict(data.select(event=1), horizon="1 year")
    with pytest.raises(clv.DataError, match="Durations are needed, not a DataFrame"):
        fit.predict(data.table, horizon="1 year")
    sentence = "the fit counts renewals of contracts by the month, and these are by the year: predict those of its own"
    with pytest.raises(clv.DataError, match=sentence):
        fit.predict(contracts(STARTS, period="year"), horizon="1 year")
    mixed = clv.Durations(pd.concat([data.table, data.table.assign(period="year")], ignore_index=True), "month")
    with pytest.raises(clv.DataError, match="and these are by the month and the year: predict"):
        fit.predict(mixed, horizon="1 year")
    with pytest.raises(clv.DataError, match="the fit is in months and the data are in days; use unit='month'"):
        fit.predict(contracts(STARTS, unit="day"), horizon="1 year")
    with pytest.raises(ValueError, match="an end date as horizon needs data whose end of observation is known"):
        fit.predict(clv.Durations(data.table, "month"), horizon="2025-01-01")
    with pytest.raises(ValueError, match="horizon ends on 2020-01-01, which is not after the end of observation"):
        fit.predict(horizon=datetime.date(2020, 1, 1))


def test_one_customer_and_tenure_zero():
    data = contracts(["2023-12-31"])
    fit = fixed(SBG, data, alpha=0.7, beta=8.0)
    table = fit.predict(horizon="1 month")
    assert len(table) == 1
    assert 0 < table["p_retained"].item() < 1
    # Until its first renewal, on the horizon's last day, everybody stays.
    assert table["expected_lifetime"].item() == pytest.approx(31 / 30.4375)
    assert fit.predict(horizon="30 days")["p_retained"].item() == 1.0
