"""Pictures of fits: what is drawn is what was computed."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from conftest import quietly

mpl.use("Agg")
from matplotlib import pyplot

import clvmodels as clv


@pytest.fixture(autouse=True)
def closed():
    yield
    pyplot.close("all")


@pytest.fixture(scope="module")
def fit(cdnow):
    return clv.NonContractualCLV(clv.BGNBD(), clv.GammaGamma()).fit(cdnow, seed=1)


def test_frequency_shows_the_papers_figure(fit):
    ax = fit.plot("frequency")
    # Fader, Hardie & Lee (2005), figure 2: the data, and BG/NBD's expectation (from its own formula here).
    assert [bar.get_height() for bar in ax.patches] == [1411, 439, 214, 100, 62, 38, 29, 64]
    T = fit.data.table["T"].to_numpy()
    params = fit.transactions.parameters["estimate"]
    expected = np.array([clv.BGNBD.pmf(n, T, **params).sum() for n in range(7)])
    shown = ax.containers[1].lines[0].get_ydata()
    # 100 simulated data sets: the error of their mean is a tenth of that of one.
    assert (np.abs(shown[:7] - expected) < 4 * np.sqrt(expected) / 10).all()
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
    with pytest.raises(ValueError, match="there is no plot of kind 'pie'; choose 'frequency' or 'spend'"):
        fit.plot("pie")


def test_draws_of_the_parameters_widen_the_band(cdnow):
    fit = clv.BGNBD().fit(cdnow, method="laplace", seed=1)
    assert len(fit.simulated_data(np.full(10, 39.0))) == 100
    assert fit.plot().get_ylabel() == "customers"


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
