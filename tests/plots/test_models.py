"""Pictures of fits: what is drawn is what was computed."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from conftest import quietly
from scipy import stats

mpl.use("Agg")
from matplotlib import pyplot

import clvmodels as clv


@pytest.fixture(autouse=True)
def closed():
    yield
    pyplot.close("all")


@pytest.fixture(scope="module")
def fit(cdnow):
    return clv.NonContractualCLV(clv.BGNBD(), clv.GammaGamma()).fit(cdnow, seed=1, draws=200)


def test_frequency_shows_the_papers_figure(fit):
    ax = fit.plot("frequency")
    # Fader, Hardie & Lee (2005), figure 2: the data, and BG/NBD's expectation (from its own formula here).
    assert [bar.get_height() for bar in ax.patches] == [1411, 439, 214, 100, 62, 38, 29, 64]
    T = fit.data.table["T"].to_numpy()
    params = fit.transactions.parameters["estimate"]
    expected = np.array([clv.BGNBD.pmf(n, T, **params).sum() for n in range(7)])
    shown = ax.containers[1].lines[0].get_ydata()
    # 200 data sets: chance in their mean, and in the parameters, which move the first class by some 30 beside it.
    assert (np.abs(shown[:7] - expected) < 4 * (np.sqrt(expected) + 0.02 * expected) / np.sqrt(200)).all()
    assert [text.get_text() for text in ax.get_xticklabels()][-1] == "7+"


def test_spend_shows_every_repeater_once(fit):
    ax = fit.plot("spend")
    assert sum(bar.get_height() for bar in ax.patches) == 946
    shown = ax.containers[1].lines[0].get_ydata()
    assert shown.sum() == pytest.approx(946)


def test_it_draws_where_it_is_told_and_refuses_other_kinds(fit):
    _, axes = pyplot.subplots(1, 2)
    assert fit.transactions.plot(ax=axes[0]) is axes[0]
    assert fit.spend.plot(ax=axes[1]) is axes[1]
    with pytest.raises(ValueError, match="no plot of kind 'pie'; choose 'frequency' or 'recency' or 'tr"):
        fit.plot("pie")


@pytest.mark.parametrize("of", ["posterior", "prior"])
@pytest.mark.parametrize("kind", ["frequency", "recency", "spend"])
def test_bars_and_points_are_the_numbers_of_the_check(fit, kind, of):
    ax, table = fit.plot(kind, of=of), fit.predictive_check(kind, of=of)
    assert [bar.get_height() for bar in ax.patches] == table["observed"].tolist()
    points = ax.containers[1]
    np.testing.assert_allclose(points.lines[0].get_ydata(), table["mean"])
    ends = np.array([segment[:, 1] for segment in points.lines[2][0].get_segments()])
    np.testing.assert_allclose(ends, table[["lower", "upper"]])
    assert [text.get_text() for text in ax.get_xticklabels()] == table.index.tolist()
    whose = {"prior": "the priors of {} beside the data", "posterior": "{} against the data it was fitted to"}[of]
    assert ax.get_title().endswith(whose.format("GammaGamma" if kind == "spend" else "BGNBD"))


def test_weeks_are_the_numbers_of_the_check(fit):
    ax, table = fit.plot("tracking"), fit.predictive_check("tracking")
    mean, actual = ax.lines
    np.testing.assert_allclose(mean.get_ydata(), table["mean"])
    np.testing.assert_array_equal(actual.get_ydata(), table["observed"])
    assert ax.get_yscale() == "linear"
    assert fit.plot("tracking", of="prior").get_yscale() == "linear"


def test_weeks_of_wild_priors_do_not_hide_the_data(cdnow):
    fit = quietly(clv.BGNBD(priors={"alpha": stats.lognorm(s=15)}).fit, cdnow, method="map", seed=1, draws=200)
    assert quietly(fit.plot, "tracking", of="prior").get_yscale() == "symlog"


def test_the_survival_of_priors_is_a_curve_of_its_own():
    data = clv.Durations.from_survivors(clv.datasets.retention("high-end"))
    fit = clv.ContractualCLV(clv.SBG()).fit(data, seed=1, draws=200)
    shown = {of: fit.plot(of=of) for of in ("posterior", "prior")}
    draws = fit.survival.coordinates.prior_draws(np.random.default_rng(5), 20_000)
    line = shown["prior"].lines[0]
    expected = clv.SBG.survival(line.get_xdata(), **draws).mean(axis=0)
    assert np.abs(line.get_ydata() - expected).max() < 4 * 0.5 / np.sqrt(200)
    labels = {of: [text.get_text() for text in ax.get_legend().get_texts()] for of, ax in shown.items()}
    assert labels["posterior"] == ["data of the model, 90% band", "model, 90% band", "model", "Kaplan-Meier"]
    assert labels["prior"] == ["priors, 90% band", "priors", "Kaplan-Meier"]
    wide = shown["posterior"].collections[0].get_datalim(shown["posterior"].transData)
    check = fit.predictive_check("survival")
    assert (wide.ymin, wide.ymax) == pytest.approx((check["lower"].min(), check["upper"].max()))


@pytest.mark.parametrize(("model", "column"), [(clv.SBG, "renewals"), (clv.Weibull, "duration")])
def test_survival_against_the_steps_of_the_data(model, column):
    frame = pd.DataFrame({column: [1, 1, 2, 3, 5, 6, 6, 6], "event": [1, 1, 1, 1, 1, 0, 0, 0]})
    fit = quietly(model().fit, clv.Durations(frame, "month"), method="map", seed=1)
    ax = fit.plot()
    line, steps, end = ax.lines
    assert line.get_xdata()[-1] == 9  # half as far again as the data
    np.testing.assert_allclose(line.get_ydata(), fit.survival(line.get_xdata())["survival"])
    assert steps.get_xdata().tolist() == [0, 1, 2, 3, 5, 6]
    np.testing.assert_allclose(steps.get_ydata(), [1, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 3 / 8])
    assert set(end.get_xdata()) == {6}
    _, other = pyplot.subplots()
    assert fit.plot(ax=other) is other
    with pytest.raises(ValueError, match="there is no plot of kind 'frequency'; choose 'survival'"):
        fit.plot("frequency")
