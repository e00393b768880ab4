"""Do the intervals hold what they imply? On simulated shops, and on CDNOW's holdout; the README's table of it.

What a model implies of the coverage, of the PIT and of a total is simulated: if it is right, what happened is one more
of the worlds that it draws, in which customers share the parameters of a draw. So the sampling error is that of the
worlds. Run as a script, this file prints the README's table.
"""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import quietly
from scipy import stats

import clvmodels as clv
from clvmodels import BGNBD, GammaGamma, NonContractualCLV
from clvmodels.draws import summarise
from clvmodels.evaluation.groups import deciles
from clvmodels.evaluation.metrics import Coverage, ks_from_uniform, pit

LEVELS = (0.5, 0.8, 0.9)
TARGETS = ("transactions", "revenue")
SHOPS = 12
WORLDS = 400  # in which a PIT is looked at
HORIZON = 39.0
README = Path(__file__).parents[2] / "README.md"


def worlds(fit, data, seed):
    """Draws (S, N) by outcome."""
    blocks = [outcomes for _, outcomes in fit.outcome_draws(data, horizon=HORIZON, seed=seed)]
    return {name: np.concatenate([block[name] for block in blocks], axis=1) for name in TARGETS}


def coverage(fit, data, actual, drawn, others):
    """Coverage of intervals by target, group and level; that of other worlds, on average and how much they differ."""
    rows, table = {}, fit.predict(data, horizon=HORIZON)
    for name in TARGETS:
        top = deciles(table[f"expected_{name}"].to_numpy()) == 10
        for level in LEVELS:
            ends = summarise(drawn[name], level)
            covered, held = (Coverage().score(outcome, *ends) for outcome in (actual[name], others[name]))
            for group, chosen in (("all", np.full(len(top), True)), ("top decile", top)):
                implied = held[:, chosen].mean(axis=1)
                row = {"actual": covered[chosen].mean(), "implied": implied.mean(), "sd": implied.std()}
                rows[name, group, level] = row
    return pd.DataFrame.from_dict(rows, orient="index")


def distances(actual, drawn, others, rng, times=1):
    """Kolmogorov's distance of the PIT from uniform: of what happened, and of each of some other worlds.

    The PIT of a count is drawn within its jump: the mean distance of so many times.
    """
    outcomes = np.vstack([actual, others[:WORLDS]])
    below, upto = (
        np.stack([np.searchsorted(x, y, side) for x, y in zip(np.sort(drawn.T), outcomes.T, strict=True)], axis=1)
        for side in ("left", "right")
    )
    found = np.zeros(len(outcomes))
    for _ in range(times):
        found += [ks_from_uniform(places) / times for places in pit(below / len(drawn), upto / len(drawn), rng)]
    return found[0], found[1:]


# Simulated shops: customers by the story of the papers, step by step, before and after the cutoff.

PRIORS = {
    "r": stats.lognorm(0.3, scale=0.4),
    "alpha": stats.lognorm(0.3, scale=5.0),
    "a": stats.lognorm(0.3, scale=0.8),
    "b": stats.lognorm(0.3, scale=2.5),
}
SPEND_PRIORS = {
    "p": stats.lognorm(0.3, scale=6.0),
    "q": stats.lognorm(0.2, scale=4.0),
    "v": stats.lognorm(0.3, scale=15.0),
}


def shop(rng, customers=600, faster=1.0):
    """A shop whose parameters come from the priors: its summary at the cutoff, and what followed.

    After the cutoff customers buy `faster` than before.
    """
    truth = {name: prior.rvs(random_state=rng) for name, prior in (PRIORS | SPEND_PRIORS).items()}
    rate = rng.gamma(truth["r"], 1 / truth["alpha"], customers)
    leaves = rng.beta(truth["a"], truth["b"], customers)
    taste = rng.gamma(truth["q"], 1 / truth["v"], customers)
    T = rng.uniform(27, 39, customers)
    x, t_x, spent, transactions, revenue, now = (np.zeros(customers) for _ in range(6))
    there = np.full(customers, True)
    while there.any():
        then = now + rng.exponential(1 / rate)
        late = np.maximum(now, T)
        now = np.where(then > T, late + (then - late) / faster, then)
        there &= now <= T + HORIZON
        value = rng.gamma(truth["p"], 1 / taste)
        before, after = there & (now <= T), there & (now > T)
        x, t_x, spent = x + before, np.where(before, now, t_x), spent + before * value
        transactions, revenue = transactions + after, revenue + after * value
        there &= rng.random(customers) > leaves
    mean = np.divide(spent, x, out=np.zeros(customers), where=x > 0)
    frame = pd.DataFrame({"frequency": x, "recency": t_x, "T": T, "monetary_value": mean})
    return clv.Summary(frame.rename_axis("customer"), "week"), {"transactions": transactions, "revenue": revenue}


def shops(number, **market):
    """Coverage of some shops together, and by target the p-values of their PITs together."""
    tables, found = [], {name: [] for name in TARGETS}
    for seed in range(number):
        rng = np.random.default_rng([6, seed])
        data, actual = shop(rng, **market)
        model = NonContractualCLV(BGNBD(priors=PRIORS), GammaGamma(priors=SPEND_PRIORS))
        fit = quietly(model.fit, data, method="laplace", seed=seed)
        drawn, others = worlds(fit, data, seed=1000 + seed), worlds(fit, data, seed=2000 + seed)
        tables.append(coverage(fit, data, actual, drawn, others))
        for name in TARGETS:
            found[name].append(distances(actual[name], drawn[name], others[name], rng))
    together = (
        pd.concat(tables)
        .groupby(level=[0, 1, 2])
        .agg({"actual": "mean", "implied": "mean", "sd": lambda sds: np.sqrt((sds**2).sum()) / number})
    )
    # One world of each shop makes a world of shops.
    p_values = {}
    for name, pairs in found.items():
        happened, implied = sum(pair[0] for pair in pairs), sum(pair[1] for pair in pairs)
        p_values[name] = (1 + (implied >= happened).sum()) / (1 + WORLDS)
    return together, p_values


# One in a hundred right models is called wrong by one of the twelve comparisons of a table.
ALLOWED = stats.norm.ppf(1 - 0.01 / 2 / (len(LEVELS) * len(TARGETS) * 2))


@pytest.fixture(scope="module")
def steady():
    return shops(SHOPS)


@pytest.fixture(scope="module")
def rising():
    return shops(4, faster=1.5)


@pytest.mark.slow
def test_intervals_of_simulated_shops_hold_what_they_imply(steady):
    # Of 120 other shops all twelve differences together are within 0.9 of their errors, and their p-values uniform.
    found, _ = steady
    assert (np.abs(found["actual"] - found["implied"]) < ALLOWED * found["sd"]).all()
    # Of counts that is more than was asked for.
    level = found.index.get_level_values(2)
    assert (found["implied"] > level - 0.005).all()


@pytest.mark.slow
def test_the_pit_of_simulated_shops_is_uniform(steady):
    _, p_values = steady
    assert min(p_values.values()) > 0.01


def test_a_market_that_changes_after_the_cutoff_shows_in_both(rising):
    found, p_values = rising
    short = (found["implied"] - found["actual"]) / found["sd"]
    assert short.min() > 0
    assert (short[:, :, 0.8] > ALLOWED).all()
    assert max(p_values.values()) < 0.01


# CDNOW's holdout


def sample_coverage(split):
    """Fit, other worlds, and the coverage of the sample's holdout."""
    data = split.calibration
    fit = quietly(NonContractualCLV(BGNBD(), GammaGamma()).fit, data, method="laplace", seed=1)
    actual = {name: split.holdout[name].to_numpy() for name in TARGETS}
    drawn, others = worlds(fit, data, seed=1), worlds(fit, data, seed=2)
    return fit, actual, drawn, others, coverage(fit, data, actual, drawn, others)


@pytest.fixture(scope="module")
def sample(cdnow_split):
    return sample_coverage(cdnow_split)


def table(*named):
    """The README's table."""
    head = " | ".join(f"{level:.0%}" for level in LEVELS)
    lines = [f"| intervals of | {head} |", "| --- |" + " ---: |" * len(LEVELS)]
    for title, found in named:
        lines.append(f"| **{title}** |" + " |" * len(LEVELS))
        for name in TARGETS:
            for group in ("all", "top decile"):
                cells = [found.loc[(name, group, level)] for level in LEVELS]
                shown = " | ".join(f"{c.actual:.1%} ({c.implied:.1%} ± {2 * c.sd:.1%})" for c in cells)
                lines.append(f"| {name}, {group if group != 'all' else 'all customers'} | {shown} |")
    return "\n".join(lines)


def readme_table(sample, steady):
    return table(("CDNOW sample, 39 weeks", sample[-1]), (f"{SHOPS} simulated shops, 39 weeks", steady[0]))


@pytest.mark.slow
def test_the_table_is_what_comes_out(sample, steady):
    text = README.read_text(encoding="utf-8")
    shown = re.search(r"<!-- coverage -->\n(.*?)\n<!-- /coverage -->", text, re.DOTALL).group(1)
    assert shown == readme_table(sample, steady)


def test_on_cdnow_the_best_customers_are_covered_and_all_together_a_little_less_than_implied(sample):
    found = sample[-1]
    error = (found["actual"] - found["implied"]) / found["sd"]
    assert (np.abs(error[:, "top decile"]) < 2).all()
    assert (np.abs(error["transactions"]) < ALLOWED).all()
    assert error["revenue", "all", 0.9] < -ALLOWED
    assert found.loc[("revenue", "all", 0.9), "actual"] > 0.92


def test_on_cdnow_the_pit_is_uniform_at_1_percent(sample):
    _, actual, drawn, others, _ = sample
    for name in TARGETS:
        happened, implied = distances(actual[name], drawn[name], others[name], np.random.default_rng(3), times=5)
        assert (implied >= happened).mean() > 0.01


if __name__ == "__main__":
    log = clv.Transactions(clv.datasets.cdnow_sample(), customer="customer_id", date="date", value="amount")
    print(readme_table(sample_coverage(log.split("1997-09-30", "39 weeks")), shops(SHOPS)))
