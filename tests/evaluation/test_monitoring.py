"""What happened since a fit against what it expected: the same draws as its totals, and a verdict that can say no."""

import re

import numpy as np
import pandas as pd
import pytest
from conftest import quietly

import clvmodels as clv
from clvmodels import BGNBD, GammaGamma, NonContractualCLV
from clvmodels.contract_workflow import demo_records
from clvmodels.evaluation.monitoring import FALSE_ALARM

LOG = {"customer": "customer_id", "date": "date", "value": "amount"}
CUTOFF = "1997-09-30"
CONTRACTS = {"customer": "customer_id", "start": "start", "end": "end", "value": "price"}
CONTRACTS |= {"period": "year", "value_per": "year"}


@pytest.fixture(scope="module")
def lines():
    lines = clv.datasets.cdnow_sample()
    return lines.assign(cohort=lines.groupby("customer_id")["date"].transform("min").dt.strftime("%Y-%m"))


@pytest.fixture(scope="module")
def log(lines):
    return clv.Transactions(lines, **LOG, attributes=["cohort"])


@pytest.fixture(scope="module")
def fit(log):
    return NonContractualCLV(BGNBD(), GammaGamma()).fit(log.summary(until=CUTOFF), seed=1)


@pytest.fixture(scope="module")
def check(fit, log):
    return clv.check(fit, log, by="cohort")


@pytest.fixture(scope="module")
def contracts():
    return clv.Subscriptions(demo_records(), **CONTRACTS)


def test_intervals_are_those_of_the_totals_of_the_fit(fit, check):
    total = quietly(fit.total, horizon="273 days", by="cohort", interval=0.9)
    for target, mean in {"transactions": "expected_transactions", "revenue": "expected_revenue"}.items():
        rows = check.table.xs(target, level="target")
        for end in ("lower", "upper"):
            np.testing.assert_array_equal(rows[end], total[f"{target}_{end}"])
        # The mean of 1,000 draws against that at the optimum, which allows for no uncertainty.
        np.testing.assert_allclose(rows["expected"], total[mean], rtol=0.03)
    assert list(check.table.index.unique("cohort")) == ["1997-01", "1997-02", "1997-03", "all"]


def test_actuals_are_those_of_the_holdout(check, cdnow_split):
    held = cdnow_split.holdout
    rows = check.table.loc["all"]
    assert rows.loc["transactions", "actual"] == 1882  # Fader & Hardie's sample
    assert rows.loc["buyers", "actual"] == (held["transactions"] > 0).sum()
    assert rows.loc["revenue", "actual"] == pytest.approx(held["revenue"].sum())
    assert (rows["customers"] == 2357).all()
    sums = check.table.drop("all").groupby(level="target")[["customers", "actual", "expected"]].sum()
    pd.testing.assert_frame_equal(sums.loc[rows.index], rows[sums.columns], check_dtype=False)


def test_tails_and_shares_are_those_of_all_draws_at_once(fit, log, check):
    split = log.split(CUTOFF, "273 days")
    draws = np.concatenate([b["revenue"] for _, b in fit.outcome_draws(split.calibration, horizon="273 days")], axis=1)
    row, actual = check.table.loc[("all", "revenue")], split.holdout["revenue"].to_numpy()
    above = (draws.sum(axis=1) >= actual.sum()).sum()
    assert row["tail"] == 2 * (1 + above) / 1001
    lower, upper = np.sort(draws, axis=0)[[49, 949]]
    assert row["outside"] == pytest.approx(((actual < lower) | (actual > upper)).mean())
    assert row["outside_expected"] == pytest.approx(((draws < lower) | (draws > upper)).mean())


def test_p_purchase_is_what_buyers_are_held_against(fit, log, check):
    table = quietly(fit.predict, log.summary(until=CUTOFF), horizon="273 days")
    row = check.table.loc[("all", "buyers")]
    # 4 standard errors of the mean of 1,000 draws, and what the uncertainty of the parameters moves it by.
    assert row["expected"] == pytest.approx(table["p_purchase"].sum(), rel=0.01)


def test_a_saved_fit_says_the_same(fit, log, check, tmp_path):
    loaded = clv.load(clv.save(fit, tmp_path / "june.clv"))
    again = clv.check(loaded, log, by="cohort")
    pd.testing.assert_frame_equal(again.table, check.table)
    assert (again.verdict, again.notes, again.refit) == (check.verdict, check.notes, check.refit)


def shop_log(seed, weeks=78, customers=250, growth=1.0):
    """A log of a BG/NBD shop, all customers of its first 12 weeks; after week 39 they buy `growth` times as often."""
    rng = np.random.default_rng([seed, 17])
    rate, dropout = rng.gamma(0.243, 1 / 4.414, customers), rng.beta(0.793, 2.426, customers)
    born = rng.integers(0, 84, customers)
    days, who = [born], [np.arange(customers)]
    at, alive = born.astype(float), np.arange(customers)
    while len(alive):
        gap = 7 * rng.exponential(1 / rate[alive])
        cut, over = 39 * 7, at[alive] + gap
        late = over > cut  # from the cut on time runs faster
        from_cut = np.maximum(at[alive], cut)
        over = np.where(late, from_cut + (over - from_cut) / growth, over)
        at[alive] = over
        alive = alive[over < weeks * 7]
        days.append(np.floor(at[alive]).astype(int))
        who.append(alive)
        alive = alive[rng.random(len(alive)) > dropout[alive]]
    frame = pd.DataFrame({"customer_id": np.concatenate(who), "day": np.concatenate(days)})
    dates = pd.Timestamp("2020-01-01") + pd.to_timedelta(frame["day"], unit="D")
    last = pd.DataFrame({"customer_id": [0], "date": [pd.Timestamp("2020-01-01") + pd.Timedelta(days=weeks * 7 - 1)]})
    lines = pd.concat([frame.assign(date=dates)[["customer_id", "date"]], last])
    return clv.Transactions(lines, customer="customer_id", date="date")


def checked_shop(seed, growth):
    log = shop_log(seed, growth=growth)
    fit = quietly(BGNBD().fit, log.summary(until="2020-09-29"), seed=seed)
    return quietly(clv.check, fit, log)


def test_a_right_model_is_not_called_wrong():
    found = [checked_shop(seed, growth=1.0) for seed in range(40)]
    # At 1 % more than 2 of 40 false alarms have a probability of 0.7 %.
    assert sum(one.refit for one in found) <= 2
    tails = np.array([one.table.loc[("all", "transactions"), "tail"] for one in found])
    assert 0.3 < np.mean(tails < 0.5) < 0.7  # a binomial share of 40: 2.5 standard errors


def test_a_shop_that_changes_is_noticed():
    assert all(checked_shop(seed, growth=5.0).refit for seed in range(3))


def test_two_days_are_too_few_to_tell(fit, log):
    early = clv.check(fit, log, until="1997-10-02")
    assert not early.refit
    assert early.verdict.startswith("Too early to tell: in the 2 days after 1997-09-30 transactions 14, ")
    assert (early.start, early.end) == (pd.Timestamp(CUTOFF), pd.Timestamp("1997-10-02"))


def test_a_breach_says_what_it_may_mean(lines, log):
    fit = NonContractualCLV(BGNBD(), GammaGamma()).fit(log.summary(until=CUTOFF), seed=1)
    after = lines["date"] > CUTOFF
    dearer = clv.Transactions(lines.assign(amount=lines["amount"] * np.where(after, 3, 1)), **LOG)
    found = clv.check(fit, dearer)
    assert found.refit
    assert "revenue 212,929" in found.verdict
    assert "transactions" not in found.verdict.split(". A right model")[0]
    for meaning in ("If customers have changed", "a shock or a season", "a model that is off"):
        assert meaning in found.verdict
    assert found.table.loc[("all", "revenue"), "tail"] == 2 / 1001 < FALSE_ALARM / 2
    assert found.notes == ()
    assert repr(found).startswith("Fit again: in the 273 days after 1997-09-30 revenue 212,929")


def test_a_past_that_changed_is_told_and_no_error(fit, lines, check):
    assert check.notes == ()
    corrected, late = lines.copy(), lines.copy()
    repeats = lines["date"] > lines.groupby("customer_id")["date"].transform("min")
    corrected.loc[(repeats & (lines["date"] <= CUTOFF)).idxmax(), "amount"] += 1
    late.loc[len(late)] = {"customer_id": 99999, "date": pd.Timestamp("1997-03-05"), "amount": 5.0, "cohort": "1997-03"}
    for changed, number in ((corrected, 2357), (late, 2358)):
        (note,) = clv.check(fit, clv.Transactions(changed, **LOG)).notes
        assert f"until 1997-09-30 is not what was fitted ({number:,} customers now, 2,357 then)" in note
    (note,) = clv.check(fit, clv.Transactions(corrected, **LOG, refunds="drop")).notes
    assert "2,357 then; refunds= is not as it was)" in note


def test_new_customers_are_counted_apart_and_may_be_too_many(lines):
    early = clv.Transactions(lines, **LOG)
    first = lines.groupby("customer_id")["date"].min()
    held = lines[(lines["date"] > "1997-01-31") & (lines["date"] <= "1997-04-30")]
    new = held["customer_id"].map(first) > "1997-01-31"
    share = held.loc[new, "amount"].sum() / held["amount"].sum()
    fit = quietly(NonContractualCLV(BGNBD(), GammaGamma()).fit, early.summary(until="1997-01-31"), seed=1)
    found = clv.check(fit, early, until="1997-04-30")
    assert found.new_customers == held.loc[new, "customer_id"].nunique()
    assert found.new_share == pytest.approx(share)
    assert share > 0.5
    assert found.refit
    assert f"customers first seen since made {share:.0%} of the revenue, and of such the fit saw none" in found.verdict
    assert found.table["customers"].max() == (first <= "1997-01-31").sum()


def test_contracts_are_held_against_their_totals(contracts):
    data = contracts.durations(unit="year", until="2017-01-01")
    right, wrong = (clv.ContractualCLV(model).fit(data, seed=1) for model in (clv.SBG(), clv.ShiftedGeometric()))
    good, bad = (clv.check(fit, contracts, until="2022-01-01") for fit in (right, wrong))
    assert (good.refit, bad.refit) == (False, True)
    total = quietly(right.total, horizon="1826 days", interval=0.9)
    for target in ("retained", "revenue"):
        row = good.table.loc[("all", target)]
        assert [row["lower"], row["upper"]] == [total[f"{target}_{end}"].item() for end in ("lower", "upper")]
    assert good.table.loc[("all", "retained"), "actual"] == 394  # of 491, the published table
    assert np.isnan(good.table.loc[("all", "retained"), "outside"])
    alone = clv.check(clv.SBG().fit(data, seed=1), contracts, until="2022-01-01")
    assert list(alone.table.loc["all"].index) == ["retained"]


def test_nothing_that_could_happen_is_too_early(contracts):
    fit = clv.SBG().fit(contracts.durations(unit="year", until="2017-01-01"), seed=1)
    found = clv.check(fit, contracts, until="2017-06-01")
    assert "nothing could happen" in found.verdict
    assert not found.refit


def test_customers_of_whom_nothing_is_known_are_left_out():
    records = demo_records().assign(paid=pd.NaT)
    there = records["end"].isna()
    records.loc[records.index[there][:7], "paid"] = pd.Timestamp("2018-01-01")
    contracts = clv.Subscriptions(records, **CONTRACTS, renews="paid")
    fit = clv.SBG().fit(contracts.durations(unit="year", until="2017-01-01"), seed=1)
    with pytest.warns(clv.DataWarning, match="whether they are customers then is not known"):
        found = clv.check(fit, contracts, until="2022-01-01")
    assert found.table.loc[("all", "retained"), ["customers", "actual"]].tolist() == [491 - 7, 394 - 7]
    assert "7 customers cannot be judged, and are left out" in found.notes[0]


def test_a_curve_is_checked_as_far_as_it_reaches(contracts):
    fit = clv.KaplanMeier().fit(contracts.durations(unit="year", until="2017-01-01"), seed=1)
    with pytest.raises(clv.DataError, match=r"none of 491 customers can be judged: .* of which the fit says nothing"):
        clv.check(fit, contracts, until="2022-01-01")


def test_contracts_of_the_period_that_was_fitted_are_checked():
    records = demo_records()
    records["period"] = np.where(records["customer_id"] % 3 == 0, "month", "year")
    contracts = clv.Subscriptions(records, **CONTRACTS | {"period": "period"})
    data = contracts.durations(unit="year", until="2017-01-01")
    fit = clv.SBG().fit(data.select(period="year"), seed=1)
    found = clv.check(fit, contracts, until="2022-01-01")
    assert found.table["customers"].item() == len(data.select(period="year").active)
    assert found.notes == ()


def test_what_cannot_be_checked_is_refused_in_a_sentence(fit, log, lines, contracts):
    summary = log.summary(until=CUTOFF)
    ready = BGNBD().fit(clv.Summary(summary.table, "week"), seed=1)
    few = BGNBD().fit(summary, seed=1, draws=100)
    no_value = clv.Transactions(lines, customer="customer_id", date="date")
    refused = [
        (clv.BGNBD(), log, {}, "a BGNBD is a model that is not fitted: check what its fit"),
        (clv.SimpleCLV().fit(summary), log, {}, "a SimpleCLVFit has no predictive distribution"),
        (fit, contracts, {}, "the fit needs newer Transactions(...) to be checked; got a Subscriptions"),
        (fit, summary, {}, "got a Summary"),
        (ready, log, {}, "the fit does not know its end of observation"),
        (fit, log, {"until": CUTOFF}, "nothing has been observed since the fit: it ends on 1997-09-30, and the new"),
        (fit, log, {"until": "1997-06-30"}, "and the new data on 1997-06-30"),
        (fit, log, {"until": "1999-06-30"}, "but the log ends on 1998-06-30"),
        (fit, no_value, {}, "GammaGamma needs the column 'monetary_value'"),
        (fit, log, {"by": "channel"}, "the summary has no attribute 'channel', it has 'cohort'"),
        (few, log, {}, "the fit has 100 draws, too few to tell what 99% of them hold; fit with draws=1000"),
    ]
    for what, data, options, sentence in refused:
        with pytest.raises(clv.DataError, match=re.escape(sentence)):
            clv.check(what, data, **options)
    with pytest.raises(ValueError, match="interval must lie strictly between 0 and 1"):
        clv.check(fit, log, interval=90)
