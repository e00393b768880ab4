"""Pictures of evaluations: what is drawn is what was computed."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from scipy import stats

mpl.use("Agg")
from matplotlib import pyplot
from matplotlib.colors import to_hex

import clvmodels as clv
from clvmodels.evaluation.backtest import backtest
from clvmodels.plots import evaluation


@pytest.fixture(autouse=True)
def closed():
    yield
    pyplot.close("all")


def line(ax, label):
    return next(drawn for drawn in ax.lines if drawn.get_label() == label)


def labels(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


@pytest.fixture
def weeks():
    frame = pd.DataFrame(
        {
            "date": pd.date_range("1997-09-16", periods=4, freq="7D"),
            "period": ["calibration", "calibration", "calibration", "holdout"],
            "actual": [5, 3, 4, 2],
            "expected": [4.0, 4.0, 3.0, 3.0],
            "lower": [2.0, 2.0, 1.0, 1.0],
            "upper": [6.0, 6.0, 5.0, 5.0],
        }
    )
    for name in ("actual", "expected", "lower", "upper"):
        frame[f"{name}_sum"] = frame[name].cumsum()
    return frame


def test_tracking_draws_the_weeks_their_band_and_the_cutoff(weeks):
    ax = evaluation.tracking(weeks, interval=0.8)
    assert line(ax, "actual").get_ydata().tolist() == [5, 3, 4, 2]
    assert line(ax, "model").get_ydata().tolist() == [4, 4, 3, 3]
    corners = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert (corners.min(), corners.max()) == (1, 6)
    cutoff = next(drawn for drawn in ax.lines if len(set(drawn.get_xdata())) == 1)
    assert set(cutoff.get_xdata()) == {pd.Timestamp("1997-09-30")}
    assert [text.get_text() for text in ax.texts] == ["fitted to", "not seen"]
    assert labels(ax) == ["actual", "model", "80% band"]
    assert ax.get_xlabel() == "September 1997 to October 1997"
    assert ax.get_ylim()[0] == 0


def test_cumulative_tracking_draws_the_sums_and_only_what_a_model_says(weeks):
    naive = weeks.assign(model="naive", expected_sum=[np.nan, np.nan, np.nan, 14.0])
    naive[["lower_sum", "upper_sum"]] = np.nan
    ax = evaluation.tracking_cumulative(pd.concat([weeks.assign(model="BGNBD"), naive]))
    assert line(ax, "actual").get_ydata().tolist() == [5, 8, 12, 14]
    assert line(ax, "BGNBD").get_ydata().tolist() == [4, 8, 11, 14]
    assert np.isnan(line(ax, "naive").get_ydata()).tolist() == [True, True, True, False]
    assert labels(ax) == ["actual", "BGNBD", "naive", "predictive band"]
    plain = evaluation.tracking(weeks.drop(columns=["lower", "upper"]))
    assert labels(plain) == ["actual", "model"]


@pytest.fixture
def groups():
    frame = pd.DataFrame(
        {
            "model": ["BGNBD"] * 4 + ["Simple"] * 2,
            "cutoff": ["a", "a", "b", "b", "a", "b"],
            "horizon": "39 weeks",
            "target": "transactions",
            "group": ["0", "1", "0", "1", "0", "0"],
            "customers": [30, 10, 10, 10, 40, 20],
            "predicted": [0.2, 1.0, 0.6, 3.0, 1.0, 1.0],
            "actual": [0.1, 2.0, 0.5, 1.0, 0.6, 0.9],
        }
    )
    return frame


def test_calibration_draws_each_group_over_all_cutoffs(groups):
    ax = evaluation.calibration(groups)
    # (30 x 0.2 + 10 x 0.6) / 40 = 0.3 against (30 x 0.1 + 10 x 0.5) / 40 = 0.2; the second group 2 against 1.5.
    np.testing.assert_allclose(line(ax, "BGNBD").get_xydata(), [[0.3, 0.2], [2.0, 1.5]])
    np.testing.assert_allclose(line(ax, "Simple").get_xydata(), [[1.0, 0.7]])
    diagonal = line(ax, "as predicted").get_xydata()
    assert (diagonal[:, 0] == diagonal[:, 1]).all()
    assert ax.get_xlim() == ax.get_ylim() == (0, pytest.approx(2.1))
    assert ax.get_ylabel() == "actual transactions per customer"
    ticks = ax.get_xticks()
    assert sorted(ticks) == pytest.approx([0, 0.05, 0.2, 0.5, 1, 2])
    ax.figure.canvas.draw()
    assert [text.get_text() for text in ax.get_xticklabels()] == [f"{tick:.4g}" for tick in ticks]


def test_calibration_of_nothing_predicted_and_nothing_come_is_a_picture(groups):
    ax = evaluation.calibration(groups.assign(predicted=0.0, actual=0.0))
    assert ax.get_xlim() == (0, 1)
    ax.figure.canvas.draw()


def test_calibration_of_shares_shows_where_they_are(groups):
    ax = evaluation.calibration(groups.assign(predicted=[0.8, 0.9] * 3, actual=0.85, target="retained"))
    assert ax.get_xlim() == ax.get_ylim() == (pytest.approx(0.792), pytest.approx(0.908))
    ax.figure.canvas.draw()
    assert "80.0%" in [text.get_text() for text in ax.get_yticklabels()]


def test_calibration_hides_no_loss(groups):
    # More refunds than purchases: below 0 there are no roots.
    ax = evaluation.calibration(groups.assign(actual=-1.0, target="revenue"))
    assert ax.get_ylim()[0] < -1


@pytest.mark.parametrize("picture", [evaluation.calibration, evaluation.by_frequency])
@pytest.mark.parametrize("column", ["target", "horizon"])
def test_targets_and_horizons_are_not_mixed(groups, picture, column):
    mixed = pd.concat([groups, groups.assign(**{column: "other"})])
    with pytest.raises(
        ValueError, match=f"^a picture shows one {column}; choose one of '{groups[column].iloc[0]}', 'oth"
    ):
        picture(mixed)


def test_frequency_draws_the_data_as_bars_and_each_model_as_a_line(groups):
    ax = evaluation.by_frequency(groups)
    np.testing.assert_allclose([bar.get_height() for bar in ax.patches], [0.2, 1.5])
    np.testing.assert_allclose(line(ax, "BGNBD").get_ydata(), [0.3, 2.0])
    np.testing.assert_allclose(line(ax, "Simple").get_ydata(), [1.0, np.nan])
    assert [text.get_text() for text in ax.get_xticklabels()] == ["0\n40", "1\n20"]


def test_pit_draws_densities_and_a_band_that_holds_uniform_samples():
    rng = np.random.default_rng(1)
    values = {"right": rng.uniform(size=2000), "narrow": rng.beta(0.5, 0.5, 2000)}
    ax = evaluation.pit(values)
    band = next(patch for patch in ax.patches if patch.get_label() == "flat, 95% band")
    low, high = band.get_y(), band.get_y() + band.get_height()
    right, narrow = (patch for patch in ax.patches if patch.get_label() in values)
    assert right.get_data().values.mean() == pytest.approx(1)
    np.testing.assert_allclose(narrow.get_data().values * 100, np.histogram(values["narrow"], 20, (0, 1))[0])
    assert narrow.get_data().values[0] > high
    # All 20 bars lie within the band in about 95 of 100 uniform samples; not fewer by more than 4 standard errors.
    samples = rng.multinomial(2000, np.full(20, 0.05), 4000) / 100
    inside = ((samples >= low) & (samples <= high)).all(axis=1).mean()
    assert 0.95 - 4 * np.sqrt(0.95 * 0.05 / 4000) < inside < 0.99
    with pytest.raises(ValueError, match="there is no model with a predictive distribution here"):
        evaluation.pit({})


def test_the_band_of_a_smaller_sample_is_wider():
    heights = []
    for size in (400, 4000):
        places = stats.uniform.ppf((np.arange(size) + 0.5) / size)
        ax = evaluation.pit({"model": places})
        heights.append(next(p for p in ax.patches if p.get_label().startswith("flat")).get_height())
    assert heights[0] > 2 * heights[1]


def test_lift_draws_the_curves_between_the_random_and_the_perfect():
    frame = pd.DataFrame(
        {
            "model": ["BGNBD"] * 3 + ["perfect"] * 3 + ["random"] * 2,
            "share_of_customers": [0, 0.5, 1, 0, 0.25, 1, 0, 1],
            "share_of_outcome": [0, 0.8, 1, 0, 1, 1, 0, 1],
        }
    )
    ax = evaluation.lift(frame)
    assert line(ax, "BGNBD").get_ydata().tolist() == [0, 0.8, 1]
    assert line(ax, "perfect order").get_ydata().tolist() == [0, 1, 1]
    assert labels(ax) == ["perfect order", "BGNBD", "random order"]
    assert labels(evaluation.lift(frame.iloc[:3])) == ["BGNBD", "random order"]


@pytest.fixture
def pairs():
    return pd.DataFrame(
        {
            "target": ["transactions", "transactions", "revenue", "transactions", "transactions"],
            "model": ["BGNBD", "BGNBD", "BGNBD", "Own", "Own"],
            "metric": ["rmse", "gini", "rmse", "rmse", "poisson_deviance"],
            "better": ["lower", "higher", "lower", "lower", "lower"],
            "baseline_value": [2.0, 0.0, 100.0, 2.0, 3.0],
            "difference": [-0.5, 0.3, 10.0, 0.1, np.inf],
            "lower": [-0.6, 0.2, -5.0, -0.1, np.nan],
            "upper": [-0.4, 0.4, 25.0, 0.3, np.nan],
            "verdict": ["better", "better", "not distinguishable", "not distinguishable", "worse"],
        }
    )


def test_differences_point_to_the_right_where_the_model_is_better(pairs):
    ax = evaluation.differences(pairs, baseline="SimpleCLV")
    assert [text.get_text() for text in ax.get_yticklabels()] == [
        "transactions: RMSE",
        "transactions: Gini",
        "transactions: Poisson deviance",
        "revenue: RMSE",
    ]
    points = {}
    for drawn in ax.lines:
        if drawn.get_linestyle() == "None":
            hollow = to_hex(drawn.get_markerfacecolor()) == "#ffffff"
            points |= {(round(y), drawn.get_color(), round(x, 9)): hollow for x, y in drawn.get_xydata()}
    first, second = evaluation.COLOURS[:2]
    # In per cent of the baseline's 2 and 100; the Gini in hundredths. Hollow where not distinguishable.
    assert points == {(0, first, 25): False, (1, first, 30): False, (3, first, -10): True, (0, second, -5): True}
    ends = [segment[:, 0].round(9).tolist() for drawn in ax.collections for segment in drawn.get_segments()]
    assert sorted(ends) == [[-25, 5], [-15, 5], [20, 30], [20, 40]]
    assert [text.get_text() for text in ax.texts] == ["infinitely worse", "← worse", "better →"]
    assert ax.get_title() == "Is it better than SimpleCLV?"


def test_several_horizons_have_rows_of_their_own(pairs):
    both = pd.concat([pairs.assign(horizon="13 weeks"), pairs.assign(horizon="39 weeks")])
    ax = evaluation.differences(both)
    assert [text.get_text() for text in ax.get_yticklabels()][::4] == [
        "13 weeks: transactions: RMSE",
        "39 weeks: transactions: RMSE",
    ]


def test_pictures_are_drawn_where_they_are_told(weeks, groups, pairs):
    lifted = pd.DataFrame({"model": "one", "share_of_customers": [0, 1], "share_of_outcome": [0, 1]})
    for picture, data in (
        (evaluation.tracking, weeks),
        (evaluation.tracking_cumulative, weeks),
        (evaluation.calibration, groups),
        (evaluation.by_frequency, groups),
        (evaluation.pit, {"one": np.linspace(0, 1, 50)}),
        (evaluation.lift, lifted),
        (evaluation.differences, pairs),
    ):
        _, ax = pyplot.subplots()
        assert picture(data, ax=ax) is ax
        assert ax.get_title().endswith("?")
        assert ax.get_xlabel()


def test_more_models_than_colours_are_told_apart_by_their_lines():
    frame = pd.DataFrame(
        {"model": [f"model {i}" for i in range(10)] * 2, "share_of_customers": [0] * 10 + [1] * 10}
    ).assign(share_of_outcome=lambda frame: frame["share_of_customers"])
    ax = evaluation.lift(frame)
    styles = {(drawn.get_color(), drawn.get_linestyle()) for drawn in ax.lines if "model" in drawn.get_label()}
    assert len(styles) == 10


def test_a_model_has_its_colour_in_every_picture(groups):
    ax = evaluation.lift(
        pd.DataFrame({"model": "Simple", "share_of_customers": [0, 1], "share_of_outcome": [0, 1]}),
        models=["BGNBD", "Simple"],
    )
    assert line(ax, "Simple").get_color() == line(evaluation.calibration(groups), "Simple").get_color()
    assert line(ax, "Simple").get_color() == evaluation.COLOURS[1]


def test_a_backtest_draws_all_its_models_in_their_colours():
    log = clv.Transactions(clv.datasets.cdnow_sample(), customer="customer_id", date="date", value="amount")
    models = {"simple": clv.SimpleCLV(), "BG/NBD": clv.BGNBD()}
    result = backtest(models, log, cutoffs="1997-09-30", horizon="39 weeks", interval=0.8, seed=1, progress=False)
    drawn = {kind: result.plot(kind) for kind in ("tracking", "cumulative", "calibration", "frequency", "lift")}
    for ax in drawn.values():
        assert [line(ax, name).get_color() for name in models] == [*evaluation.COLOURS[:2]]
    assert "80% band" in labels(drawn["tracking"])
    # CLVTools: 1653.409 transactions expected within the last 39 weeks.
    expected = line(drawn["tracking"], "BG/NBD").get_ydata()
    assert expected[-39:].sum() == pytest.approx(1653.409, abs=0.05)
    # Fader, Hardie & Lee's customers by repeat transactions before the cutoff.
    assert drawn["frequency"].get_xticklabels()[0].get_text() == "0\n1,411"
    assert [patch.get_label() for patch in result.plot("pit").patches][1:] == ["BG/NBD"]
    ax = result.plot("differences")
    assert ax.get_title() == "Is it better than simple?"
    assert labels(ax) == ["BG/NBD"]
