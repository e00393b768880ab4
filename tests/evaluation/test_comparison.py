"""The verdict: it can say yes, no, and that nothing is to be told."""

import numpy as np
import pandas as pd
import pytest

import clvmodels as clv
from clvmodels.data import datasets
from clvmodels.evaluation.comparison import SAME, compared
from clvmodels.evaluation.scored import Scored

LOG = {"customer": "customer_id", "date": "date"}


def simulated_log(seed, customers=1500, weeks=78):
    """Purchases of a shop whose customers come in its first quarter and behave as BG/NBD says."""
    rng = np.random.default_rng(seed)
    first = np.floor(rng.uniform(0, 84, customers))
    params = {"r": 0.8, "alpha": 6.0, "a": 0.6, "b": 2.5}
    none = np.zeros(customers)
    one_draw = {name: np.array([[value]]) for name, value in params.items()}
    counts, times = clv.BGNBD.simulate_future(rng, float(weeks), none, none, none, **one_draw)
    customer = np.repeat(np.arange(customers), counts.ravel())
    days = np.concatenate([first, first[customer] + np.ceil(times * 7)])
    frame = pd.DataFrame({"customer_id": np.concatenate([np.arange(customers), customer]), "day": days})
    frame = frame[frame["day"] < weeks * 7]
    return frame.assign(date=pd.Timestamp("2022-01-01") + pd.to_timedelta(frame["day"], unit="D"))


def scores_of(model, y, p, cutoffs=1, days=28):
    """Scores of a model that said p of customers who did y, the same at each cutoff."""
    made = []
    for number in range(cutoffs):
        frame = pd.DataFrame({"segment": "all", "actual": y, "mean": p}, index=pd.RangeIndex(len(y)))
        totals = pd.DataFrame({"actual": y.sum(), "predicted": p.sum()}, index=["all"])
        cutoff = pd.Timestamp("2024-01-01") + pd.Timedelta(days=28 * number)
        made.append(Scored(model, cutoff, "4 weeks", days, "known", "transactions", 0.9, frame, totals))
    return made


def test_two_copies_of_a_model_are_not_distinguishable():
    log = clv.Transactions(datasets.cdnow_sample(), value="amount", **LOG)
    models = {name: clv.NonContractualCLV(clv.BGNBD(), clv.GammaGamma()) for name in ("one", "other")}
    found = clv.backtest(models, log, "1997-09-30", "39 weeks", method="laplace", seed=1).compare("one")
    assert (found.table["verdict"] == SAME).all()
    assert (found.table["difference"] == 0).all()
    assert sum(line.startswith("other") and line.endswith(SAME) for line in found.verdict.splitlines()) == 2


def test_copies_with_other_draws_are_not_distinguishable():
    class Seeded:
        def __init__(self, add):
            self.add = add

        def fit(self, data, method="ml", seed=0):
            return clv.BGNBD().fit(data, method, seed + self.add)

    log = clv.Transactions(datasets.cdnow_sample(), **LOG)
    models = {f"seed {add}": Seeded(add) for add in range(4)}
    found = clv.backtest(models, log, "1997-09-30", "39 weeks", method="laplace", seed=1).compare()
    assert (found.table["difference"] != 0).all()
    assert (found.table["verdict"] == SAME).all()


def test_the_right_model_beats_the_others_on_a_simulated_shop():
    log = clv.Transactions(simulated_log(1), **LOG)
    models = [clv.PredictZero(), clv.BGNBD(), clv.OwnRate()]
    result = clv.backtest(models, log, "2022-09-30", "39 weeks", seed=1)
    against_zero = result.compare("PredictZero").table.query("model == 'BGNBD'").set_index("metric")["verdict"]
    assert against_zero.to_dict() == {"rmse": "better", "poisson_deviance": "better", "gini": "better"}
    against_rate = result.compare("BGNBD").table.query("model == 'OwnRate'").set_index("metric")
    assert against_rate.loc["rmse", "verdict"] == "worse"
    assert against_rate.loc["poisson_deviance", "difference"] == np.inf  # it says 0 of some who bought


def test_the_interval_is_that_of_a_paired_difference():
    rng = np.random.default_rng(1)
    y = rng.poisson(2.0, 3000).astype(float)
    good, bad = np.full(3000, 2.0), np.full(3000, 2.3)
    found = compared([*scores_of("good", y, good), *scores_of("bad", y, bad)], "good", 0.9, seed=1).table
    row = found.set_index("metric").loc["poisson_deviance"]
    each = 2 * (0.3 - y * np.log(2.3 / 2.0))  # the difference of the two deviances
    assert row["difference"] == pytest.approx(each.mean())
    # Root and deviance move together, so both at once reach little further than one: 1.645 standard errors.
    error = each.std() / np.sqrt(3000)
    assert row["lower"] == pytest.approx(each.mean() - 1.75 * error, abs=0.2 * error)
    assert row["upper"] == pytest.approx(each.mean() + 1.75 * error, abs=0.2 * error)


def test_customers_keep_all_their_cutoffs():
    """Four cutoffs of the same customers tell no more than one, where they do the same at each."""
    rng = np.random.default_rng(1)
    y = rng.poisson(2.0, 500).astype(float)
    widths = []
    for cutoffs in (1, 4):
        both = [*scores_of("a", y, np.full(500, 2.0), cutoffs), *scores_of("b", y, np.full(500, 2.3), cutoffs)]
        row = compared(both, "a", 0.9, seed=1).table.set_index("metric").loc["rmse"]
        widths.append(row["upper"] - row["lower"])
    assert widths[0] == pytest.approx(widths[1])


def test_a_difference_by_chance_is_not_told_as_one():
    """Six models that are wrong by equal noise: in 30 shops any is called better or worse in three, give or take."""
    called = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        y = rng.poisson(2.0, 300).astype(float)
        models = [scores_of(f"m{i}", y, np.exp(rng.normal(np.log(2.0), 0.4, 300)))[0] for i in range(6)]
        called += (compared(models, "m0", 0.9, seed=seed).table["verdict"] != SAME).any()
    assert called <= 7  # P(more | 30 x 0.1) is 1 %


def test_the_level_has_a_range_and_only_of_eight_windows_an_interval():
    y, p = np.full(100, 2.0), np.full(100, 3.0)
    few = compared(scores_of("a", y, p, cutoffs=7), "a", 0.9, seed=1)
    assert few.level.loc[0, ["bias", "lowest", "highest", "cutoffs", "apart"]].tolist() == [0.5, 0.5, 0.5, 7, 7]
    assert np.isnan(few.level.loc[0, "lower"])
    assert "has no interval where fewer than 8 windows do not overlap\n(here 7)" in few.verdict
    many = scores_of("a", y, p, cutoffs=8)
    for number, score in enumerate(many):
        score.frame["mean"] *= 1 + 0.1 * (number % 2)
    found = compared(many, "a", 0.9, seed=1)
    # Four totals 50 % and four 65 % too high, 57.5 % in all: standard deviation 8.02 %, t of 7 degrees 1.8946.
    assert found.level.loc[0, ["lower", "upper"]].tolist() == pytest.approx([0.575 - 0.0537, 0.575 + 0.0537], abs=1e-4)
    assert "has no interval" not in found.verdict


def test_an_unknown_baseline_is_said():
    log = clv.Transactions(datasets.cdnow_sample(), **LOG)
    result = clv.backtest([clv.PredictZero()], log, "1997-09-30", "39 weeks")
    with pytest.raises(ValueError, match="there is no model 'SimpleCLV'; choose one of 'PredictZero'"):
        result.compare("SimpleCLV")


def test_the_interval_of_the_level_is_that_of_the_total():
    """Eight small windows far too high and a large one that is right: the interval holds what stands beside it."""
    scores = []
    for number, size in enumerate([10] * 8 + [1000]):
        y = np.full(size, 1.0)
        scores += scores_of("a", y, y * (1.5 if size == 10 else 1.0), cutoffs=number + 1)[-1:]
    level = compared(scores, "a", 0.9, seed=1).level.loc[0]
    assert level["bias"] == pytest.approx(40 / 1080)
    assert level["lower"] < level["bias"] < level["upper"]
    assert level["upper"] - level["bias"] == pytest.approx(level["bias"] - level["lower"])


def test_who_predicts_less_is_marked_and_compared_there():
    rng = np.random.default_rng(1)
    y = rng.poisson(2.0, 200).astype(float)
    base, some = scores_of("base", y, np.full(200, 2.0), cutoffs=3), scores_of("some", y, np.full(200, 2.5), cutoffs=3)
    some[0].frame.loc[:49, "mean"] = np.nan
    found = compared([*base, *some[:2]], "base", 0.9, seed=1, models=["base", "some", "none"])
    assert "* some: 2 of 3 cutoffs, 350 of 600 predictions; there base has rmse" in found.verdict
    assert "none failed at every cutoff." in found.verdict
    row = found.table.set_index("metric").loc["rmse"]
    there = np.concatenate([y[50:], y])
    assert row["baseline_value"] == pytest.approx(np.sqrt(((there - 2.0) ** 2).mean()))


def test_a_metric_that_is_not_defined_leaves_the_others():
    y = np.array([1.0, 2.0, -1.0, 3.0] * 20)
    scores = [*scores_of("a", y, np.full(80, 1.0)), *scores_of("b", y, np.full(80, 1.5))]
    found = compared(scores, "a", 0.9, seed=1)
    assert set(found.table["metric"]) == {"rmse", "gini"}
    assert "b: poisson_deviance needs outcomes of 0 or more" in found.verdict


def test_contracts_that_were_lost_sight_of_do_not_reward_a_pessimist():
    """Leavers are seen to leave, stayers may be lost before the end: complete cases look worse than the truth."""
    rng = np.random.default_rng(1)
    number, stays = 4000, rng.choice([0.5, 0.7, 0.9], 4000)
    left_at = rng.exponential(-1 / np.log(stays))
    lost_at = rng.uniform(0, 1.5, number)
    gone, known = left_at < np.minimum(lost_at, 1.0), (left_at < lost_at) | (lost_at >= 1.0)
    frame = {
        "segment": "all",
        "actual": np.where(known, ~gone, np.nan),
        "time": np.minimum(left_at, lost_at).clip(0, 1),
    }
    scores = []
    for name, p in (("truth", stays), ("pessimist", stays**1.6)):
        table = pd.DataFrame(frame | {"event": gone.astype(float), "mean": p, "probability": p})
        totals = pd.DataFrame({"actual": 0.0, "predicted": 0.0}, index=["all"])
        scores.append(Scored(name, pd.Timestamp("2024-01-01"), "1 year", 365, "known", "retained", 0.9, table, totals))
    found = compared(scores, "truth", 0.9, seed=1)
    verdict = found.table.set_index("metric")["verdict"]
    assert verdict["brier"] == verdict["log_loss"] == "worse"
    assert found.level.set_index("model").loc["truth", "bias"] == pytest.approx(0, abs=0.04)
    assert "of 4,000 customers of 2024-01-01 did is not known" in found.verdict


def test_two_customers_tell_nothing():
    y = np.array([0.0, 3.0])
    found = compared(
        [*scores_of("a", y, np.array([2.0, 1.0])), *scores_of("b", y, np.array([1.0, 2.0]))], "a", 0.9, seed=1
    )
    gini = found.table.set_index("metric").loc["gini"]
    assert gini["difference"] == 2
    assert gini["verdict"] == SAME  # half of the resamples hold one customer twice, and no order
