"""29,317 life insurance contracts: what the models say after a cutoff, against what happened; the README's section.

Milhaud & Dutang (2018), in R's CASdatasets (GPL, so the data are not part of the project). Run as a script, this file
prints the README's table.
"""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import quietly, shared

import clvmodels as clv

COVARIATES = ["premium_frequency", "risk_state", "underwriting_age", "gender", "living_place", "acc_death_rider"]
OBSERVED_UNTIL = "2010-05-31"
CUTOFFS = ["1998-12-31", "2000-12-31", "2003-12-31"]
SIMPLE = "simple formula, by the year"
MODELS = {
    SIMPLE: (clv.SimpleCLV(), None),
    "constant churn (Exponential)": (clv.Exponential(), None),
    "Weibull": (clv.Weibull(), None),
    "Weibull, seven covariates": (clv.Weibull([*COVARIATES, "value"]), None),
    "log-logistic": (clv.LogLogistic(), None),
    "log-normal": (clv.LogNormal(), None),
    "sBG, by the year": (clv.SBG(), None),
    "BdW, by the year": (clv.BdW(), None),
    "constant churn, last two years only": (clv.Exponential(), 2),
    "Weibull, last two years only": (clv.Weibull(), 2),
}
README = Path(__file__).parents[2] / "README.md"

pytestmark = pytest.mark.slow


def records():
    """One line per contract: the end is 91.3125 days x duration after the issue, the premium no longer standardised."""
    frame = pd.read_parquet(shared("us_lapse_agent/uslapseagent.parquet")).rename_axis("contract_id").reset_index()
    ended = frame["allcause"] == 1
    start = pd.to_datetime(frame["issue_date"]).dt.normalize()
    end = start + pd.to_timedelta((91.3125 * frame["duration"]).round(), "D")
    # Two decimals of the standardised premium are steps of 5 dollars: 641 premiums come out at -3.
    premium = (560.88 + 526.58 * frame["annual_premium"]).round().clip(lower=0)
    table = frame[["contract_id"]].assign(start=start, end=end.where(ended), premium=premium)
    table[COVARIATES] = frame[COVARIATES].astype(str)
    return table.assign(cause=frame["termination_cause"].astype(object).where(ended, None))


@pytest.fixture(scope="module")
def contracts():
    return read()


def read():
    return clv.Subscriptions(
        records(),
        customer="contract_id",
        start="start",
        end="end",
        value="premium",
        value_per="year",
        period="year",
        cause="cause",
        attributes=COVARIATES,
    )


def split(contracts, cutoff, horizon="5 years", years=None):
    """Calibration and holdout; with `years`, endings count only from so many years before the cutoff."""
    since = None
    if years is not None:
        since = pd.Timestamp(cutoff) - pd.DateOffset(years=years) + pd.Timedelta(days=1)
    return quietly(contracts.split, cutoff, horizon, unit="year", until=OBSERVED_UNTIL, since=since)


def fitted(model, data):
    if isinstance(model, clv.SimpleCLV):
        return model.fit(data)
    return quietly(clv.ContractualCLV(model).fit, data, seed=1, draws=200)


def scores(contracts):
    """For each model and cutoff: predicted over actual - 1 of contracts and income, and whether intervals hold them."""
    found = {}
    for cutoff in CUTOFFS:
        for name, (model, years) in MODELS.items():
            cut = split(contracts, cutoff, years=years)
            total = quietly(fitted(model, cut.calibration).total, horizon="5 years", interval=0.9).loc["all"]
            actual = cut.holdout[["retained", "revenue"]].sum()
            for column, predicted in (("retained", "retained"), ("revenue", "expected_revenue")):
                # The simple formula has no intervals.
                inside = name != SIMPLE and total[f"{column}_lower"] <= actual[column] <= total[f"{column}_upper"]
                found[name, column, cutoff] = total[predicted] / actual[column] - 1, bool(inside)
    return found


def table(found):
    """The README's table."""
    years = [cutoff[:4] for cutoff in CUTOFFS]
    head = " | ".join([*(f"in force, {year}" for year in years), *(f"income, {year}" for year in years)])
    lines = [f"| five years after the end of | {head} |", "| --- |" + " ---: |" * 6]
    for name in MODELS:
        cells = [found[name, column, cutoff] for column in ("retained", "revenue") for cutoff in CUTOFFS]
        shown = " | ".join(f"{error:+.1%}{' *' if inside else ''}" for error, inside in cells)
        lines.append(f"| {name} | {shown} |")
    return "\n".join(lines)


@pytest.fixture(scope="module")
def found(contracts):
    return scores(contracts)


def test_the_records_are_those_that_were_published(contracts):
    durations = quietly(contracts.durations, unit="year", until=OBSERVED_UNTIL)
    assert len(durations) == 29317
    # 121 endings lie after the last day on which contracts in force were seen; they are not known then.
    assert durations.table["event"].sum() == 14753
    assert (durations.table["cause"] == "surrender").sum() == 11036
    assert durations.only_cause is None
    shares = durations.cumulative_incidence().iloc[-1]
    assert shares.idxmax() == "surrender"


def test_the_table_is_what_comes_out(found):
    text = README.read_text(encoding="utf-8")
    shown = re.search(r"<!-- us_lapse_agent -->\n(.*?)\n<!-- /us_lapse_agent -->", text, re.DOTALL).group(1)
    assert shown == table(found)


def test_no_model_is_the_best_at_every_cutoff(found):
    best = {min(MODELS, key=lambda name: abs(found[name, "retained", cutoff][0])) for cutoff in CUTOFFS}
    assert len(best) == 3


def test_a_fit_to_the_last_two_years_is_nearer_than_one_to_all(found):
    for column in ("retained", "revenue"):
        for cutoff in CUTOFFS:
            near = found["constant churn, last two years only", column, cutoff][0]
            assert abs(near) < abs(found["constant churn (Exponential)", column, cutoff][0])


def test_the_intervals_allow_for_chance_and_not_for_the_model(found):
    inside = [held for (name, _, _), (_, held) in found.items() if name != SIMPLE]
    assert len(inside) == 54
    assert sum(inside) == 11  # 49 were meant


def test_the_likelihood_does_not_tell_which_model_will_be_near(contracts, found):
    near = {name: abs(found[name, "retained", "1998-12-31"][0]) for name in MODELS}
    assert min(near, key=near.get) == "log-normal"
    data = split(contracts, "1998-12-31").calibration
    fit = {name: fitted(MODELS[name][0], data).log_likelihood for name in ("Weibull", "log-logistic", "log-normal")}
    assert fit["log-normal"] < min(fit["Weibull"], fit["log-logistic"]) - 70


def test_endings_of_the_running_year_alone_would_be_too_much_churn(contracts):
    cut = split(contracts, "1998-12-31")
    blind = clv.Durations(cut.calibration.table, "year")  # without its dates nobody knows which year is running
    fit = quietly(clv.SBG().fit, blind, seed=1)
    retained = quietly(fit.predict, cut.calibration, horizon="5 years")["p_retained"].sum()
    assert round(retained / cut.holdout["retained"].sum() - 1, 2) == -0.32


def test_what_changed_is_the_calendar_not_the_tenure(contracts):
    """Rates of leaving in the second and third year of a contract, by the year in which they were spent."""
    table = quietly(contracts.durations, unit="year", until=OBSERVED_UNTIL).table
    rates = {}
    for year in (1997, 2000, 2004, 2009):
        first, last = (pd.Timestamp(day) for day in (f"{year}-01-01", f"{year}-12-31"))
        begin = np.maximum((first - table["start"]).dt.days / 365.25, 1)
        end = np.minimum(np.minimum((last - table["start"]).dt.days / 365.25, 3), table["duration"])
        left = (table["event"] == 1) & (table["duration"] > begin) & (table["duration"] <= end)
        rates[year] = left.sum() / (end - begin).clip(lower=0).sum()
    assert {year: round(100 * rate) for year, rate in rates.items()} == {1997: 10, 2000: 6, 2004: 6, 2009: 14}


def test_who_stays_can_hardly_be_told(contracts):
    cut = split(contracts, "2003-12-31")
    retained = cut.holdout["retained"].to_numpy()
    miss = {}
    for name in ("Weibull", "Weibull, seven covariates"):
        frame = quietly(fitted(MODELS[name][0], cut.calibration).predict, horizon="5 years")
        miss[name] = (frame["p_retained"].to_numpy() - retained) ** 2
    better = miss["Weibull"] - miss["Weibull, seven covariates"]
    error = better.std() / np.sqrt(len(better))
    assert [round(each.mean(), 4) for each in miss.values()] == [0.1809, 0.1788]
    assert better.mean() > 6 * error
    assert round(retained.var(), 4) == 0.1808  # the actual share for everybody


def test_kaplan_meier_and_cox_speak_of_those_within_the_data(contracts):
    cut = split(contracts, "2003-12-31", "1 year")
    for model in (clv.KaplanMeier(clock="duration"), clv.Cox([*COVARIATES, "value"])):
        with pytest.warns(clv.AssumptionWarning, match="for 2,959 of 17,584 customers the horizon reaches beyond"):
            frame = fitted(model, cut.calibration).predict(horizon="1 year")
        known = frame["p_retained"].notna()
        assert known.sum() == 14625
        error = frame.loc[known, "p_retained"].sum() / cut.holdout.loc[known, "retained"].sum() - 1
        assert abs(error) < 0.0025
        # Over five years they are left with a third of the customers.
        with pytest.warns(clv.AssumptionWarning, match="for 11,860 of 17,584 customers"):
            fitted(model, cut.calibration).predict(horizon="5 years")


def test_one_cause_alone_is_not_who_is_left(contracts):
    durations = quietly(contracts.durations, unit="year", until=OBSERVED_UNTIL)
    alone = quietly(clv.KaplanMeier(clock="duration").fit, durations.for_cause("surrender"), seed=1)
    whole = clv.KaplanMeier(clock="duration").fit(durations, seed=1)
    assert alone.survival([10])["survival"].item() == pytest.approx(0.619, abs=0.002)  # NUMERICS: at 40 quarters
    assert whole.survival([10])["survival"].item() == pytest.approx(0.523, abs=0.002)


if __name__ == "__main__":
    print(table(scores(read())))
