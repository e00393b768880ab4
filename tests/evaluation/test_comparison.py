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
    # Four metrics at 90 % together are 97.5 % each: 2.241 standard errors; the ends are quantiles of 1,000 resamples.
    error = each.std() / np.sqrt(3000)
    assert row["lower"] == pytest.approx(each.mean() - 2.241 * error, abs=0.4 * error)
    assert row["upper"] == pytest.approx(each.mean() + 2.241 * error, abs=0.4 * error)


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
    """Predictions that are wrong by equal noise: of 40 comparisons at 97.5 % one may be called, give or take."""
    called = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        y = rng.poisson(2.0, 400).astype(float)
        one, other = (np.exp(rng.normal(np.log(2.0), 0.4, 400)) for _ in range(2))
        table = compared([*scores_of("a", y, one), *scores_of("b", y, other)], "a", 0.9, seed=seed).table
        called += table.set_index("metric").loc["poisson_deviance", "verdict"] != SAME
    assert called <= 4  # P(more | 40 x 0.025) is 0.4 %


def test_the_level_has_a_range_and_only_of_eight_windows_an_interval():
    y, p = np.full(100, 2.0), np.full(100, 3.0)
    few = compared(scores_of("a", y, p, cutoffs=7), "a", 0.9, seed=1)
    assert few.level.loc[0, ["bias", "lowest", "highest", "cutoffs", "apart"]].tolist() == [0.5, 0.5, 0.5, 7, 7]
    assert np.isnan(few.level.loc[0, "lower"])
    assert "has no interval: 7 windows without overlap" in few.verdict
    many = scores_of("a", y, p, cutoffs=8)
    for number, score in enumerate(many):
        score.totals["predicted"] *= 1 + 0.1 * (number % 2)
    found = compared(many, "a", 0.9, seed=1)
    # Biases of 0.5 and 0.65, four of each: mean 0.575, standard deviation 0.0802, t of 7 degrees 1.8946.
    assert found.level.loc[0, ["lower", "upper"]].tolist() == pytest.approx([0.575 - 0.0537, 0.575 + 0.0537], abs=1e-4)
    assert "has no interval" not in found.verdict


def test_an_unknown_baseline_is_said():
    log = clv.Transactions(datasets.cdnow_sample(), **LOG)
    result = clv.backtest([clv.PredictZero()], log, "1997-09-30", "39 weeks")
    with pytest.raises(ValueError, match="there is no model 'SimpleCLV'; choose one of 'PredictZero'"):
        result.compare("SimpleCLV")
