"""From survival to money: against published values, sums over the calendar, and its own simulation."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from conftest import quietly, shared
from scipy import stats

import clvmodels as clv
from clvmodels import SBG, BdW, ContractualCLV, KaplanMeier, ShiftedGeometric, Weibull
from clvmodels.models.base import METHODS
from clvmodels.schema import CONTRACT_INFINITE_HORIZON, CONTRACT_PREDICTIONS, CONTRACT_RESTRICTED

REGULAR = [1000, 631, 468, 382, 326]
HIGH_END = [1000, 869, 743, 653, 593]
END = pd.Timestamp("2023-12-31")
STARTS = ["2023-12-31", "2023-01-31", "2020-02-29", "2023-11-30", "2022-08-15", "2019-12-31"]


def fixed(fit, size=1, **params):
    """The fit with these parameters, in so many equal draws."""
    draws = {name: np.full((size, 1), float(value)) for name, value in params.items()}
    sampling, method = ({"k_hat": 0.0}, "laplace") if size > 1 else (None, "ml")
    survival = dataclasses.replace(fit.survival, parameter_draws=draws, sampling=sampling, method=method)
    return dataclasses.replace(fit, survival=survival)


def contracts(starts=STARTS, period="month", unit="month", calendar=True, **columns):
    """Active contracts at the end of 2023, and three that have ended."""
    start = pd.Series(pd.to_datetime([*starts]))
    renewals = clv.time.renewals_until(
        start.to_numpy("datetime64[D]"), clv.time.period(period), np.datetime64(END, "D")
    )
    number = len(start)
    active = pd.DataFrame(
        {"renewals": renewals, "duration": (END - start).dt.days / clv.time.unit_days(unit), "event": 0,
         "value": 10.0 + np.arange(number), "period": period, "historic_revenue": 5.0 * np.arange(number)}
        | ({"start": start} if calendar else {}) | columns
    )  # fmt: skip
    months = np.array([1.5, 2.5, 5.5]) * clv.time.unit_days("month") / clv.time.unit_days(unit)
    ended = active.iloc[[0, 0, 0]].assign(event=1, renewals=[1, 2, 5], duration=months, value=np.nan)
    if calendar:
        ended["start"] = END - pd.DateOffset(years=8)
    table = pd.concat([active, ended], ignore_index=True).rename_axis("customer")
    return clv.Durations(
        table, unit, observation_end=END if calendar else None, attributes=[*columns.keys() - {"value"}]
    )


def fitted(model, data, margin=0.7, discount_rate=0.1, timing="start", seed=1, **options):
    return quietly(ContractualCLV(model, margin, discount_rate, timing).fit, data, seed=seed, **options)


@pytest.fixture(scope="module")
def shop():
    """A thousand monthly contracts: churn that differs between customers, three years of calendar."""
    rng = np.random.default_rng(8)
    start = pd.Timestamp("2021-01-01") + pd.to_timedelta(rng.integers(0, 1000, 1000), unit="D")
    renewals = clv.time.renewals_until(
        start.to_numpy("datetime64[D]"), clv.time.period("month"), np.datetime64(END, "D")
    )
    stays = rng.geometric(rng.beta(1.5, 15, 1000))
    event = stays <= renewals
    table = pd.DataFrame(
        {
            "renewals": np.where(event, stays, renewals),
            "event": event.astype(int),
            "value": rng.choice([9.9, 19.9], 1000),
            "start": start,
            "period": "month",
            "historic_revenue": 1.0,
            "channel": rng.choice(["app", "web"], 1000),
        }
    )
    return clv.Durations(table.rename_axis("id"), "month", observation_end=END, attributes=["channel"])


@pytest.fixture(scope="module")
def fits(shop):
    return {method: fitted(SBG(), shop, method=method) for method in METHODS}


@pytest.mark.parametrize("period", ["month", "year"])
@pytest.mark.parametrize("timing", ["start", "end"])
def test_what_is_predicted_is_what_the_holdout_counts(timing, period):
    # Churn is known, so that only chance parts them: four standard errors of the sum of the differences.
    rng, number, churn = np.random.default_rng(5), 4000, 0.2
    start = np.datetime64("2017-01-01") + rng.integers(0, 2000, number)
    end = clv.time.renewal_days(start, clv.time.period(period), rng.geometric(churn, number))
    prices = rng.choice([10.0, 30.0], number)
    frame = pd.DataFrame({"id": np.arange(number), "start": start, "end": end, "price": prices})
    read = {"customer": "id", "start": "start", "end": "end", "value": "price"}
    made = clv.Subscriptions(frame, **read, period=period, value_per=period, timing=timing)
    split = made.split("2021-06-30", "2 years", until="2023-06-30")
    fit = fixed(fitted(ShiftedGeometric(), split.calibration, timing=timing), theta=churn)
    differs = split.holdout["revenue"] - fit.predict(horizon="2 years")["expected_revenue"]
    assert abs(differs.sum()) < 4 * np.sqrt(np.sum(differs**2))
    # What was paid until then and what was paid after it is what was paid in all: nothing twice, nothing lost.
    before, after = (made.durations(until=day).table["historic_revenue"] for day in ("2021-06-30", "2023-06-30"))
    held = split.holdout["revenue"]
    np.testing.assert_allclose(before[held.index] + held, after[held.index], rtol=1e-12)
    simple = clv.SimpleCLV().fit(split.calibration).predict(horizon="2 years")["expected_revenue"].sum()
    assert simple == pytest.approx(held.sum(), rel=0.1)


def test_contracts_read_with_another_timing_are_refused():
    frame = pd.DataFrame({"id": range(9), "start": "2023-01-01", "end": ["2023-04-01"] * 3 + [None] * 6, "price": 1.0})
    read = {"customer": "id", "start": "start", "end": "end", "value": "price"}
    start, end = (
        clv.Subscriptions(frame, **read, timing=timing).durations(until="2023-06-30") for timing in ("start", "end")
    )
    refused = "counts payments at the end of a period, and these contracts were read with timing='start'"
    fit = fitted(ShiftedGeometric(), end, timing="end")
    with pytest.raises(clv.DataError, match=refused):
        fitted(ShiftedGeometric(), start, timing="end")
    for question in (fit.predict, fit.total, lambda data, horizon: fit.draws("clv", data, horizon=horizon)):
        with pytest.raises(clv.DataError, match=refused):
            question(start, horizon="1 year")
    # A ready frame does not say when it was paid.
    assert len(quietly(fit.predict, dataclasses.replace(start, source=None), horizon="1 year")) == 6


@pytest.mark.parametrize("model", [ShiftedGeometric(), Weibull(), clv.SimpleCLV()])
def test_who_is_known_only_until_a_renewal_is_left_out(model):
    # Ten contracts of whom nothing is known since July, in records and in a ready frame.
    begin = pd.Timestamp("2023-01-01")
    frame = pd.DataFrame({"id": [f"{i:03d}" for i in range(200)], "start": begin, "price": 10.0})
    frame["end"] = [begin + pd.DateOffset(months=1 + i % 9) for i in range(90)] + [pd.NaT] * 110
    frame["renews"] = [pd.NaT] * 90 + [pd.Timestamp("2023-07-01")] * 10 + [pd.Timestamp("2024-07-01")] * 100
    read = clv.Subscriptions(frame, customer="id", start="start", end="end", renews="renews", value="price")
    made = quietly(read.durations, until="2024-06-30")
    ready = dataclasses.replace(made, source=None)
    told = "for 10 contracts nothing is known since their renewal day: they are left out; say what happened to them"
    for data in (made, ready):
        fit = quietly((model if isinstance(model, clv.SimpleCLV) else ContractualCLV(model)).fit, data)
        table, total = (quietly(question, horizon="6 months") for question in (fit.predict, fit.total))
        assert len(table) == total["customers"].item() == 100
        assert "095" not in table.index
        notes = " ".join(table.attrs["notes"])
        assert told in notes
        assert "90 of 200 contracts have ended" in notes
    # Whole months of the mean length, a few days short of the calendar, are no gap.
    months = ready.table.loc[["150"]].assign(duration=7.0, renewals=7, start=pd.Timestamp("2023-12-01"))
    assert clv.Durations(months, "month", observation_end="2024-07-03").is_active.all()
    lost = made.table.loc[["095"]]
    with pytest.raises(clv.DataError, match=r"no contract is active.* for 1 contract nothing is known"):
        dataclasses.replace(made, table=lost).active  # noqa: B018


def test_customers_in_percent_are_not_rounded():
    data = clv.Durations.from_survivors([200.5, 160.0, 120.5])
    data = dataclasses.replace(data, table=data.table.assign(value=1.0))
    for fit in (fitted(ShiftedGeometric(), data), clv.SimpleCLV().fit(data)):
        assert quietly(fit.total, horizon="1 year")["customers"].item() == 120.5
    whole = dataclasses.replace(data, table=data.table.assign(weight=[40.0, 40.0, 120.0]))
    assert quietly(fit.total, whole, horizon="1 year")["customers"].dtype.kind == "i"


# The table


def test_the_table_is_the_one_of_the_schema(fits):
    table = fits["laplace"].predict(horizon="1 year", interval=0.9)
    assert list(table.columns) == [*CONTRACT_PREDICTIONS, "channel"]
    assert np.isfinite(table.drop(columns="channel").to_numpy()).all()
    assert table["historic_revenue"].eq(1).all()
    for name in ("lifetime", "revenue", "clv"):
        assert (table[f"{name}_lower"] <= table[f"{name}_upper"]).all()
    endless = quietly(fits["laplace"].predict, horizon=None, interval=0.9)
    assert list(endless.columns) == [
        *CONTRACT_INFINITE_HORIZON, "historic_revenue", "clv", "clv_beyond_data", "clv_lower", "clv_upper", "channel"
    ]  # fmt: skip


def test_attrs_say_how_a_table_was_made(fits):
    table = fits["ml"].predict(horizon="1 year", interval=0.8, margin=1.0)
    expected = {
        "model": "ContractualCLV(SBG(), margin=0.7, discount_rate=0.1)", "method": "ml", "unit": "month",
        "horizon": "1 year", "horizon_days": 366, "observation_end": "2023-12-31", "horizon_end": "2024-12-31",
        "margin": 1.0, "discount_rate": 0.1, "timing": "start", "interval": 0.8, "interval_of": "outcome", "seed": 1,
    }  # fmt: skip
    assert expected.items() <= table.attrs.items()
    notes = table.attrs["notes"]
    assert notes[:2] == [
        "the price of each contract stays what it is",
        "margin 1: clv is discounted revenue, not profit",
    ]
    assert "of 1,000 contracts have ended: they are left out" in notes[2]
    assert "intervals: draws of the parameters from the Laplace approximation" in notes
    assert "of the clv is paid at a tenure longer than the longest ever observed, 35 months" in notes[-1]


# Published values


def published(name):
    rows = json.loads(shared("reference_results.json").read_text())
    return next(row for row in rows if row["id"] == name)["value"]


def valued(survivors, **columns):
    """A cohort, and one customer with so many renewals to be valued at 1 a year."""
    data = clv.Durations.from_survivors(survivors)
    return data, lambda renewals: clv.Durations(
        pd.DataFrame({"renewals": np.atleast_1d(renewals), "event": 0, "value": 1.0, **columns}), "year"
    )


@pytest.mark.parametrize(
    ("model", "row"), [(SBG, "drl.sbg"), (BdW, "drl.bdw")], ids=["drl.sbg", "drl.bdw"]
)  # fmt: skip
def test_published_residual_lifetimes(model, row):
    # Sums over t >= 5 of S(t) / S(4) / 1.1^(t - 5), as of the payment itself: a year after a customer's fourth renewal.
    for survivors, value in zip((REGULAR, HIGH_END), published(row), strict=True):
        data, customer = valued(survivors)
        table = quietly(fitted(model(), data, margin=1.0).predict, customer(4), horizon=None)
        assert table["derl"].item() == table["clv"].item()
        assert 1.1 * table["clv"].item() == pytest.approx(value, abs=0.01)


def test_published_lifetimes_of_new_customers():
    for survivors, value in zip((REGULAR, HIGH_END), published("del.sbg"), strict=True):
        fit = fitted(SBG(), valued(survivors)[0], margin=1.0)
        assert quietly(fit.new_customer, value=1, horizon=None)["clv"].item() == pytest.approx(value, abs=0.01)


def test_published_values_of_customers_by_tenure():
    data, customer = valued(REGULAR)
    fit = fixed(fitted(SBG(), data, margin=1.0), alpha=3.80, beta=15.20)
    table = quietly(fit.predict, customer([4, 3, 2, 1, 0]), horizon=None)
    np.testing.assert_allclose(1.1 * table["clv"], published("derl.perils.1"), atol=0.006)


def test_published_values_of_two_segments():
    # 100 a year; a third of the customers stay with 90 %, the others with 50 %; who has renewed twice is valued.
    first, second, mean, share = published("ed.twoseg")
    data, customer = valued(REGULAR)
    fits = [fixed(fitted(ShiftedGeometric(), data, margin=1.0), theta=theta) for theta in (0.1, 0.5)]
    values = [1.1 * 100 * quietly(fit.predict, customer(2), horizon=None)["clv"].item() for fit in fits]
    assert values == pytest.approx([first, second], rel=0.002)
    stayed = [weight * fit.survival.survival(2)["survival"].item() for weight, fit in zip((1, 2), fits, strict=True)]
    chance = stayed[0] / sum(stayed)
    assert chance == pytest.approx(share, rel=0.002)
    assert chance * values[0] + (1 - chance) * values[1] == pytest.approx(mean, rel=0.002)


# Exact sums


@pytest.mark.parametrize("timing", ["start", "end"])
@pytest.mark.parametrize("months", [1, 3, 12])
def test_revenue_and_clv_are_sums_over_the_days_of_payment(timing, months):
    theta, until = 0.07, pd.Timestamp("2025-12-31")
    data = contracts(period=f"{months} months")
    fit = fixed(fitted(ShiftedGeometric(), data, timing=timing), theta=theta)
    table = quietly(fit.predict, horizon="2 years")
    for i, start in enumerate(pd.to_datetime(STARTS)):
        days = [start + pd.DateOffset(months=months * k) for k in range(1, 100)]
        days = [day for day in days if END < day <= until]
        number = np.arange(1, len(days) + 1)
        # At the end of a period pays who was a customer at its start; the running one is owed for certain.
        pays = (1 - theta) ** (number - (timing == "end"))
        worth = 1.1 ** -np.array([(day - END).days / 365.25 for day in days])
        price = 10.0 + i
        assert table["expected_revenue"][i] == pytest.approx(price * pays.sum(), rel=1e-12)
        assert table["clv"][i] == pytest.approx(0.7 * price * (pays * worth).sum(), rel=1e-12)
        renewals = data.table["renewals"][i] + number
        beyond = (pays * worth)[renewals * months > 48.0].sum() / (pays * worth).sum()
        assert table["clv_beyond_data"][i] == pytest.approx(beyond, abs=1e-12)


def test_a_payment_on_the_last_day_belongs_to_the_horizon():
    data = contracts(["2023-01-31"])
    fit = fixed(fitted(ShiftedGeometric(), data, margin=1.0, discount_rate=0.0), theta=0.1)
    for horizon, payments in (("30 days", 0), ("31 days", 1), ("59 days", 1), ("60 days", 2), ("2024-02-29", 2)):
        expected = 10 * (0.9 ** np.arange(1, payments + 1)).sum()
        assert quietly(fit.predict, horizon=horizon)["expected_revenue"].item() == pytest.approx(expected, abs=1e-12), (
            horizon
        )


@pytest.mark.parametrize("timing", ["start", "end"])
def test_without_a_calendar_a_year_holds_twelve_months(timing):
    data = contracts(calendar=False)
    fit = fixed(fitted(ShiftedGeometric(), data, margin=1.0, timing=timing), theta=0.1)
    number = np.arange(1, 13)
    pays, worth = 0.9 ** (number - (timing == "end")), 1.1 ** (-number / 12)
    for horizon in ("1 year", "12 months", 12):
        table = quietly(fit.predict, horizon=horizon)
        np.testing.assert_allclose(table["expected_revenue"], (10.0 + np.arange(6)) * pays.sum(), rtol=1e-12)
        np.testing.assert_allclose(table["clv"], (10.0 + np.arange(6)) * (pays * worth).sum(), rtol=1e-12)
    ten = quietly(fit.predict, horizon="10 years", discount_rate=0.0)["clv"][0]
    assert ten == pytest.approx(10 * (0.9 ** (np.arange(1, 121) - (timing == "end"))).sum(), rel=1e-12)


@pytest.mark.parametrize("timing", ["start", "end"])
def test_models_of_time_pay_while_they_last(timing):
    scale, shape, until = 30.0, 0.7, pd.Timestamp("2025-12-31")
    data = contracts(period="quarter")
    fit = fixed(fitted(Weibull(), data, timing=timing), scale=scale, shape=shape)
    table = quietly(fit.predict, horizon="2 years")
    for i, start in enumerate(pd.to_datetime(STARTS)):
        days = [start + pd.DateOffset(months=3 * k) for k in range(1, 30)]
        after = np.array([(day - END).days for day in days if END < day <= until]) / 30.4375
        begun = after if timing == "start" else np.append(0.0, after[:-1])
        tenure = (END - start).days / 30.4375
        pays = np.exp((tenure / scale) ** shape - ((tenure + begun) / scale) ** shape)
        worth = 1.1 ** (-after / 12)
        assert table["expected_revenue"][i] == pytest.approx((10 + i) * pays.sum(), rel=1e-10)
        assert table["clv"][i] == pytest.approx(0.7 * (10 + i) * (pays * worth).sum(), rel=1e-10)


@pytest.mark.parametrize("timing", ["start", "end"])
@pytest.mark.parametrize("first", [True, False])
def test_value_at_acquisition_of_a_constant_churn(timing, first):
    # Sums of geometric series, per period of a month: the first payment at once, or at the end of the first month.
    data, stay, discount = contracts(calendar=False), 0.9, 1.1 ** (-1 / 12)
    fit = fixed(fitted(ShiftedGeometric(), data, margin=0.5, timing=timing), theta=1 - stay)
    row = quietly(fit.new_customer, value=20, horizon=None, include_first_payment=first)
    later = stay * discount / (1 - stay * discount)
    expected = later + first if timing == "start" else (later + first) * discount
    assert row["clv"].item() == pytest.approx(0.5 * 20 * expected, rel=1e-10)
    assert row["derl"].item() == pytest.approx(expected, rel=1e-10)
    year = quietly(fit.new_customer, value=20, horizon="1 year", include_first_payment=first, discount_rate=0.0)
    # Twelve periods begin within a year, whenever they are paid; the renewal on its last day begins another.
    payments = (stay ** np.arange(12)).sum() - (not first)
    assert year["expected_revenue"].item() == pytest.approx(20 * payments, rel=1e-12)
    asked = {"value": 20, "horizon": "1 year", "include_first_payment": first, "interval": 0.9}
    ends = quietly(fixed(fit, size=1000, theta=1 - stay).new_customer, **asked)
    assert ends["revenue_upper"].item() == 20 * (12 - (not first))  # 31 % stay for all of them


@pytest.mark.parametrize("rate", [0.001, 0.1, 1.0])
@pytest.mark.parametrize("timing", ["start", "end"])
@pytest.mark.parametrize("model", [SBG(), Weibull()])
def test_an_infinite_horizon_is_the_limit_of_long_ones(model, timing, rate):
    params = {"alpha": 0.8, "beta": 9.0} if isinstance(model, SBG) else {"scale": 15.0, "shape": 0.8}
    data = contracts(calendar=False)
    fit = fixed(fitted(model, data, timing=timing, discount_rate=rate), **params)
    endless = quietly(fit.predict, horizon=None)
    long = quietly(fit.predict, horizon="190 years")
    # What is left after 190 years is discounted by (1 + rate)^-190, and at 0.1 % hardly at all.
    left = 1.001**-190 if rate == 0.001 and isinstance(model, SBG) else 0.0
    if not left:
        np.testing.assert_allclose(endless["clv"], long["clv"], rtol=1e-7)
        np.testing.assert_allclose(endless["clv_beyond_data"], long["clv_beyond_data"], rtol=1e-7)
    assert (endless["clv"] >= long["clv"] * (1 - 1e-9)).all()


def test_a_horizon_is_the_next_year_and_the_one_after_it_of_those_who_stay(shop):
    now = fixed(fitted(SBG(), contracts()), alpha=0.8, beta=9.0)
    both, year = (quietly(now.predict, horizon=horizon) for horizon in ("2025-12-31", "2024-12-31"))
    moved = contracts().table
    moved = moved.assign(renewals=moved["renewals"] + 12 * (moved["event"] == 0), duration=moved["duration"] + 12)
    later = clv.Durations(moved, "month", observation_end="2024-12-31")
    after = quietly(now.predict, later, horizon="1 year")
    days = (1.1) ** (-366 / 365.25)
    np.testing.assert_allclose(both["clv"], year["clv"] + days * year["p_retained"] * after["clv"], rtol=1e-12)
    revenue = year["expected_revenue"] + year["p_retained"] * after["expected_revenue"]
    np.testing.assert_allclose(both["expected_revenue"], revenue, rtol=1e-12)


def test_a_table_is_exported_and_the_picture_is_that_of_the_survival_model(fits, shop, tmp_path):
    import matplotlib

    matplotlib.use("Agg")
    table = fits["ml"].predict(horizon="1 year", interval=0.9, margin={"channel": {"app": 0.3, "web": 0.4}})
    written = clv.export(table, tmp_path / "contracts.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(written).set_index("id"), table)
    assert fits["ml"].plot("survival").get_title()
    assert quietly(ContractualCLV(KaplanMeier()).fit, shop, seed=1).plot().get_title()


def test_margin_scales_and_prices_scale(fits, shop):
    fit = fits["laplace"]
    base = fit.predict(horizon="1 year", interval=0.9)
    halved = fit.predict(horizon="1 year", interval=0.9, margin=0.35)
    for name in ("clv", "clv_lower", "clv_upper"):
        np.testing.assert_allclose(halved[name], base[name] / 2, rtol=1e-12)
    dear = clv.Durations(shop.table.assign(value=3 * shop.table["value"]), "month", observation_end=END)
    tripled = fit.predict(dear, horizon="1 year", interval=0.9)
    for name in ("expected_revenue", "clv", "revenue_lower", "revenue_upper", "clv_upper"):
        np.testing.assert_allclose(tripled[name], 3 * base[name], rtol=1e-12)
    by_channel = fit.predict(horizon="1 year", margin={"channel": {"app": 0.35, "web": 0.7}})
    np.testing.assert_allclose(by_channel["clv"], base["clv"] * np.where(base["channel"] == "app", 0.5, 1.0))


def test_results_do_not_depend_on_the_unit():
    tables = []
    for unit in ("day", "month", "year"):
        fit = fixed(fitted(SBG(), contracts(unit=unit)), size=200, alpha=0.8, beta=9.0)
        money = ["p_retained", "expected_revenue", "clv", "clv_beyond_data", "revenue_lower", "clv_lower", "clv_upper"]
        tables.append(quietly(fit.predict, horizon="18 months", interval=0.9)[money])
    for other in tables[1:]:
        pd.testing.assert_frame_equal(tables[0], other, rtol=1e-9)


def test_one_path_for_every_method(fits):
    tables = {method: fit.predict(horizon="1 year") for method, fit in fits.items()}
    draws = fits["laplace"].draws("clv", horizon="1 year")
    assert draws.shape == (1000, len(tables["ml"]))
    np.testing.assert_allclose(draws.mean(axis=0), tables["laplace"]["clv"], rtol=1e-9)
    point = fixed(fits["laplace"], size=7, **fits["ml"].survival.parameters["estimate"])
    pd.testing.assert_frame_equal(point.predict(horizon="1 year"), tables["ml"], rtol=1e-9)
    # The Laplace mean is near the optimum: 1,000 contracts leave little open.
    np.testing.assert_allclose(tables["laplace"]["clv"], tables["ml"]["clv"], rtol=0.02)


# Totals and outcomes


def test_total_is_the_sum_of_the_customers(fits):
    for fit in fits.values():
        table, total = fit.predict(horizon="1 year"), fit.total(horizon="1 year", by="channel")
        for name in ("expected_lifetime", "expected_revenue", "clv"):
            assert total.loc["all", name] == pytest.approx(table[name].sum(), rel=1e-10)
            web = table.loc[table["channel"] == "web", name].sum()
            assert total.loc["web", name] == pytest.approx(web, rel=1e-10)
        assert total.loc["all", "retained"] == pytest.approx(table["p_retained"].sum(), rel=1e-10)
        share = (table["clv_beyond_data"] * table["clv"]).sum() / table["clv"].sum()
        assert total.loc["all", "clv_beyond_data"] == pytest.approx(share, rel=1e-10)


@pytest.mark.parametrize("horizon", ["1 year", None])
def test_the_interval_of_the_total_is_that_of_simulated_years(horizon):
    # Customers with known churn, followed month by month by other means.
    theta, number, months = 0.06, 300, 12 if horizon else 1000
    data = contracts(["2023-12-31"] * number, calendar=False, value=10.0)
    fit = fixed(fitted(ShiftedGeometric(), data, margin=1.0), size=4000, theta=theta)
    total = quietly(fit.total, horizon=horizon, interval=0.9)
    paid = np.minimum(np.random.default_rng(5).geometric(theta, (4000, number)) - 1, months)
    worth = np.append(0.0, np.cumsum(1.1 ** (-np.arange(1, months + 1) / 12)))
    sums = {"clv": 10 * worth[paid].sum(axis=1)}
    if horizon:
        sums["revenue"] = 10.0 * paid.sum(axis=1)
    for name, draws in sums.items():
        ends = np.quantile(draws, [0.05, 0.95])
        # Two simulations of 4,000 draws: each end within four standard errors of a 5 % quantile.
        allowed = 4 * np.sqrt(2) * draws.std() * np.sqrt(0.05 * 0.95 / 4000) / 0.103
        assert np.abs(total[[f"{name}_lower", f"{name}_upper"]].to_numpy()[0] - ends).max() < allowed
    table = quietly(fit.predict, horizon=horizon, interval=0.9)
    exact = 10 * worth[np.minimum(stats.geom.ppf([0.05, 0.95], theta) - 1, months).astype(int)]
    np.testing.assert_allclose(table[["clv_lower", "clv_upper"]].median(), exact, rtol=0.05)


def test_intervals_of_the_total_hold_what_happens_to_contracts_that_are_fitted():
    # 120 bases of 400 contracts with hidden churn probabilities, a year seen, the next year predicted.
    rng, held, bases = np.random.default_rng(12), 0, 120
    for base in range(bases):
        stays = rng.geometric(rng.beta(1.2, 9.0, 400))
        entry = rng.integers(3, 13, 400)
        event = stays <= entry
        table = pd.DataFrame({"renewals": np.where(event, stays, entry), "event": event.astype(int), "value": 10.0})
        fit = fitted(SBG(), clv.Durations(table, "month"), seed=base, method="laplace", draws=300)
        total = quietly(fit.total, horizon=12, interval=0.9)
        paid = np.minimum(stays - 1 - entry, 12)[~event]
        held += total["revenue_lower"].item() <= 10.0 * paid.sum() <= total["revenue_upper"].item()
    # Binomial: 0.9 within three standard errors.
    assert abs(held / bases - 0.9) < 3 * np.sqrt(0.09 / bases)


def test_the_holdout_of_contract_records_is_what_is_predicted():
    # 8,000 monthly contracts that end on renewal days, predicted from one day for the year after it.
    rng = np.random.default_rng(4)
    start = np.datetime64("2020-01-01") + rng.integers(0, 1000, 8000)
    end = clv.time.renewal_days(start, clv.time.period("month"), rng.geometric(rng.beta(1.2, 14.0, 8000)))
    lines = pd.DataFrame({"id": np.arange(8000), "start": start, "end": pd.to_datetime(end), "price": 10.0})
    lines["end"] = lines["end"].where(lines["end"] <= pd.Timestamp("2024-06-30"))
    records = clv.Subscriptions(lines, customer="id", start="start", end="end", value="price", period="month")
    split = quietly(records.split, "2023-06-30", "1 year", until="2024-06-30")
    fit = fitted(SBG(), split.calibration, margin=1.0, discount_rate=0.0)
    table, total = fit.predict(horizon="1 year"), fit.total(horizon="1 year", interval=0.99)
    assert table.index.equals(split.holdout.index)
    for actual, outcome in (("retained", "retained"), ("lifetime", "lifetime"), ("revenue", "revenue")):
        seen = split.holdout[actual].sum()
        assert total[f"{outcome}_lower"].item() <= seen <= total[f"{outcome}_upper"].item(), (outcome, seen, total.T)
    np.testing.assert_allclose(table["clv"], table["expected_revenue"], rtol=1e-12)


# What is refused, and what is said


def test_values_that_are_missing_are_named():
    data = contracts()
    fit = fitted(SBG(), data)  # those who have left may have none
    some = clv.Durations(data.table.assign(value=[np.nan, 11, np.nan, *[12.0] * 6]), "month", observation_end=END)
    with pytest.raises(clv.DataError, match="value, the price of one period, is missing for active 2 customers: 0, 2"):
        fit.predict(some, horizon="1 year")
    none = clv.Durations(data.table.drop(columns="value"), "month", observation_end=END)
    with pytest.raises(clv.DataError, match="the value of contracts needs the column 'value', the price of one period"):
        fit.predict(none, horizon="1 year")
    assert len(fit.survival.predict(none, horizon="1 year")) == 6


def test_wrong_arguments_are_refused():
    for wrong in (clv.BGNBD(), "SBG", SBG, None):
        with pytest.raises(ValueError, match=r"survival must be a model such as SBG\(\) or Weibull\(\)"):
            ContractualCLV(wrong)
    with pytest.raises(ValueError, match="timing must be 'start' or 'end' of the period that is paid; got 'middle'"):
        ContractualCLV(SBG(), timing="middle")
    with pytest.raises(ValueError, match="margin must be a share of revenue"):
        ContractualCLV(SBG(), margin=1.5)
    with pytest.raises(ValueError, match="discount_rate must be an annual effective rate"):
        ContractualCLV(SBG(), discount_rate=-0.1)
    fit = fitted(SBG(), contracts())
    for value in (-1, np.nan, "10", None):
        with pytest.raises(ValueError, match="value must be the price of one period, finite and not negative"):
            fit.new_customer(value=value, horizon="1 year")
    with pytest.raises(
        clv.DataError, match="the fit counts renewals of contracts by the month, and these are by the year"
    ):
        fit.new_customer(value=10, horizon="1 year", period="year")
    with pytest.raises(ValueError, match=r"the margin depends on 'channel', which nobody knows of a new customer"):
        fit.new_customer(value=10, horizon="1 year", margin={"channel": {"a": 0.5}})
    known = {"value": 10, "horizon": "1 year", "attributes": {"channel": "a"}}
    assert len(fit.new_customer(**known, margin={"channel": {"a": 0.5}})) == 1
    with pytest.raises(AttributeError, match=r"ContractualCLV is a specification and holds no results: use fit = mod"):
        ContractualCLV(SBG()).predict  # noqa: B018
    assert repr(ContractualCLV(SBG(), 0.5, 0.1, "end")) == (
        "ContractualCLV(SBG(), margin=0.5, discount_rate=0.1, timing='end')"
    )


def test_a_new_customer_of_several_periods_has_one_of_them():
    table = contracts().table.assign(period=["month", "year", "year"] * 3)
    fit = fitted(Weibull(), clv.Durations(table, "month", observation_end=END))
    assert len(quietly(fit.predict, horizon="1 year")) == 6
    with pytest.raises(ValueError, match="contracts of several periods were fitted; say which the new one has"):
        fit.new_customer(value=10, horizon="1 year")
    assert len(quietly(fit.new_customer, value=10, horizon="1 year", period="quarter")) == 1


def test_an_infinite_mean_without_discounting_is_refused_with_the_way_out():
    fit = fixed(fitted(SBG(), contracts()), alpha=0.9, beta=9.0)
    sentence = r"give a discount rate \(discount_rate=0\.10\) or a finite horizon"
    with pytest.raises(ValueError, match=sentence):
        fit.predict(horizon=None, discount_rate=0.0)
    finite = fixed(fitted(SBG(), contracts(calendar=False)), alpha=3.0, beta=9.0)
    table = quietly(finite.predict, horizon=None, discount_rate=0.0, margin=1.0)
    renewals = np.array(contracts().table["renewals"][:6])
    # (alpha + beta + n - 1) / (alpha - 1) periods, of which the running one is paid.
    np.testing.assert_allclose(table["derl"], (3 + 9 + renewals - 1) / 2 - 1, rtol=1e-9)
    outcome = quietly(
        fixed(finite, size=500, alpha=3.0, beta=9.0).predict, horizon=None, discount_rate=0.0, interval=0.9
    )
    assert np.isfinite(outcome[["clv_lower", "clv_upper"]].to_numpy()).all()


def test_most_of_the_value_beyond_the_data_is_warned_of():
    fit = fixed(fitted(SBG(), contracts()), alpha=0.9, beta=9.0)
    sentence = "of the clv is paid at a tenure longer than the longest ever observed, 48 months: only the model says it"
    with pytest.warns(clv.AssumptionWarning, match=f"{sentence}; a finite horizon shows how much is nearer"):
        fit.predict(horizon=None)
    with pytest.warns(clv.AssumptionWarning, match=f"{sentence}; a shorter horizon shows how much is nearer"):
        fit.total(horizon="50 years")


def test_kaplan_meier_counts_up_to_where_it_ends():
    data = contracts(channel=list("ababab"))
    fit = quietly(ContractualCLV(KaplanMeier(), discount_rate=0.1).fit, data, seed=1)
    sentence = (
        "for 2 of 6 customers the horizon reaches beyond a tenure of 48 months, the longest that KaplanMeier speaks"
    )
    with pytest.warns(clv.AssumptionWarning, match=sentence):
        table = fit.predict(horizon="1 year", interval=0.9)
    assert table["p_retained"].isna().tolist() == [False, False, True, False, False, True]
    assert table["restricted"].tolist() == [False, False, True, False, False, True]
    assert list(table.columns) == [*CONTRACT_PREDICTIONS, *CONTRACT_RESTRICTED, "channel"]
    assert np.isfinite(table.drop(columns=["p_retained", "channel"]).to_numpy(float)).all()
    total = quietly(fit.total, horizon="1 year", by="channel")
    by_channel = table.groupby("channel")["restricted"].sum()
    assert total["restricted"].drop("all").to_dict() == by_channel.to_dict()
    assert total.loc["all", ["customers", "restricted"]].tolist() == [6, 2]
    assert "restricted" not in quietly(ContractualCLV(SBG()).fit(data, seed=1).predict, horizon="1 year")
    assert not quietly(fit.predict, horizon=0.5)["restricted"][:2].any()
    # The oldest contract is as old as the curve: nothing can be said of it.
    assert table.loc[5, ["expected_lifetime", "expected_revenue", "clv", "clv_upper"]].eq(0).all()
    # After the last ending the curve is flat: 46 months and 2 days, then 60 days that are known, with two payments.
    left = data.table["duration"][5] - data.table["duration"][2]
    assert table["expected_lifetime"][2] == pytest.approx(left)
    assert table["expected_revenue"][2] == pytest.approx(12.0 * 2)
    with pytest.raises(ValueError, match="KaplanMeier says nothing of tenures beyond 48 months, nor of an infinite"):
        fit.predict(horizon=None)


def test_kaplan_meier_of_renewals_agrees_with_the_curve_it_is():
    # Survivors at 0, 1, ... 4: of those with n renewals the share that stays until each later one.
    survivors = [1000, 600, 480, 400, 360]
    data = clv.Durations.from_survivors(survivors)
    fit = quietly(ContractualCLV(KaplanMeier()).fit, data, seed=1)
    some = clv.Durations(pd.DataFrame({"renewals": [0, 1, 3, 4], "event": 0, "value": 1.0}), "year")
    table = quietly(fit.predict, some, horizon=2)
    np.testing.assert_allclose(table["p_retained"], [0.48, 400 / 600, np.nan, np.nan])
    # Who has three is followed for one more renewal, and through the year that follows it; who has four for this year.
    np.testing.assert_allclose(table["expected_revenue"], [0.6 + 0.48, 0.8 + 400 / 600, 0.9, 0.0])
    np.testing.assert_allclose(table["expected_lifetime"], [1 + 0.6, 1 + 0.8, 1 + 0.9, 1.0])
    drawn = quietly(fit.predict, some, horizon=2, interval=0.9)
    assert drawn["lifetime_upper"].tolist() == [2, 2, 2, 1]


def test_a_price_of_zero_and_a_tenure_of_zero():
    data = contracts(["2023-12-31", "2023-12-31"], value=[0.0, 10.0])
    fit = fixed(fitted(SBG(), data), alpha=0.8, beta=9.0)
    table = quietly(fit.predict, horizon="1 year")
    assert table.loc[0, ["expected_revenue", "clv"]].tolist() == [0.0, 0.0]
    assert table["clv"][1] > 0
    one = quietly(fit.predict, contracts(["2023-12-31"]), horizon="1 year")
    assert one["clv"].item() == pytest.approx(table["clv"][1])
