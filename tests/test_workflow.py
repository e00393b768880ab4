import inspect
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import quietly, simulated_shop

import clvmodels as clv
from clvmodels import cli, schema, workflow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def steps():
    return []


@pytest.fixture(scope="module")
def demo(folder, steps):
    with pytest.warns(clv.DataWarning, match="leaves 1 customer out"):
        return workflow.demo(folder, progress=steps.append)


def test_the_demo_writes_a_finite_row_for_each_customer_of_cdnow(demo, folder):
    parquet = pd.read_parquet(folder / "clv.parquet")
    csv = pd.read_csv(folder / "clv.csv")
    pd.testing.assert_frame_equal(parquet, csv)
    table = parquet.set_index("customer_id")
    assert sorted(table.index) == list(range(1, 23571))
    assert list(table.columns) == list(schema.PREDICTIONS)
    assert np.isfinite(table).all(axis=None)
    pd.testing.assert_frame_equal(table, demo.prediction.table)


def test_the_demo_shows_how_much_better_the_model_is(demo):
    assert demo.comparison["actual"].groupby("outcome").first().to_dict() == pytest.approx(
        {"transactions": 19684, "revenue": 776961.13}
    )
    for outcome in ("transactions", "revenue"):
        simple, model = (demo.comparison.loc[(outcome, name)] for name in demo.comparison.index.unique("model"))
        assert abs(model["bias"]) < 0.2 < 1 < simple["bias"]
        assert model["mae"] < simple["mae"] / 2
        assert model["rmse"] < simple["rmse"]
        assert np.isnan(simple["spearman"])
        assert model["spearman"] > 0.4
        assert simple["top_decile"] == pytest.approx(0.1)
        assert model["top_decile"] > 0.4


def test_the_readme_shows_what_the_demo_finds(demo):
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    for (_, model), row in demo.comparison.iterrows():
        bias = re.escape(f"{row['bias']:+.1%}")
        shown = rf"{re.escape(model)} +{row['predicted']:,.0f} +{bias} +{row['mae']:,.2f} +{row['rmse']:,.2f} "
        assert re.search(shown, readme), shown


def test_the_total_of_the_demo_is_the_sum_of_its_table_within_its_interval(demo):
    table, total = demo.prediction.table, demo.prediction.total.loc["all"]
    for outcome, mean in {"transactions": "expected_transactions", "revenue": "expected_revenue", "clv": "clv"}.items():
        assert total[mean] == pytest.approx(table[mean].sum())
        assert total[f"{outcome}_lower"] < total[mean] < total[f"{outcome}_upper"]
    assert total["clv"] == pytest.approx(0.3 * total["expected_revenue"] / 1.1**0.5, rel=0.02)


def test_the_demo_says_what_it_does(demo, steps):
    assert steps == [
        "Read the CDNOW log",
        "Fit until 1997-09-30 and predict the 39 weeks after",
        "Read the log",
        "Fit 23,570 customers",
        "Predict each customer",
        "Predict all customers together",
    ]


def test_the_demo_refuses_existing_files_before_it_works(demo, folder):
    steps = []
    with pytest.raises(FileExistsError, match=r"clv\.parquet exists"):
        workflow.demo(folder, progress=steps.append)
    assert not steps


LOG = {"customer": "customer_id", "date": "date"}


def test_predict_is_what_the_library_gives_in_as_many_lines(tmp_path):
    lines = clv.datasets.cdnow_sample()
    made = workflow.predict(
        lines,
        **LOG,
        value="amount",
        until="1997-09-30",
        horizon="39 weeks",
        interval=0.8,
        margin=0.3,
        discount_rate=0.1,
        method="map",
        output=tmp_path / "clv.duckdb",
        seed=4,
    )
    summary = clv.Transactions(lines, **LOG, value="amount").summary(until="1997-09-30")
    model = clv.NonContractualCLV(clv.BGNBD(), clv.GammaGamma(), margin=0.3, discount_rate=0.1)
    fit = model.fit(summary, method="map", seed=4)
    pd.testing.assert_frame_equal(made.table, fit.predict(horizon="39 weeks", interval=0.8))
    pd.testing.assert_frame_equal(made.total, fit.total(horizon="39 weeks", interval=0.8))
    assert made.file == tmp_path / "clv.duckdb"
    assert made.file.exists()


def cohorts():
    """The CDNOW sample with each customer's month of the first purchase and a margin, as text."""
    lines = clv.datasets.cdnow_sample()
    first = lines.groupby("customer_id")["date"].transform("min")
    return lines.assign(cohort=first.dt.month_name(), share=first.dt.month.map({1: "0.3", 2: "0.25", 3: "0.2"}))


@pytest.mark.parametrize("margin", ["share", {"cohort": {"January": 0.3, "February": 0.25, "March": 0.2}}])
def test_segments_are_those_of_the_library(tmp_path, margin):
    options = {"horizon": "39 weeks", "interval": 0.9}
    made = workflow.predict(
        cohorts(), **LOG, **options, value="amount", by="cohort", margin=margin, output=tmp_path / "clv.csv", seed=4
    )
    log = clv.Transactions(cohorts(), **LOG, value="amount", attributes=["cohort", "share"])
    fit = clv.NonContractualCLV(clv.BGNBD(), clv.GammaGamma()).fit(log.summary(), method="laplace", seed=4)
    pd.testing.assert_frame_equal(made.total, fit.total(**options, by="cohort", margin=margin))
    assert made.total.index.tolist() == ["February", "January", "March", "all"]
    carried = ["cohort", "share"] if margin == "share" else ["cohort"]
    assert list(made.table.columns[-len(carried) :]) == carried
    pd.testing.assert_frame_equal(made.table, fit.predict(**options, margin=margin)[made.table.columns])
    assert pd.read_csv(made.file)["cohort"].tolist() == made.table["cohort"].tolist()


def test_an_attribute_is_carried_once_however_often_it_is_named(tmp_path):
    made = workflow.predict(
        cohorts(), **LOG, value="amount", attribute=["share", "cohort"], by="cohort", method="ml",
        output=tmp_path / "clv.csv", seed=4,
    )  # fmt: skip
    assert list(made.table.columns[-2:]) == ["share", "cohort"]
    found = workflow.audit(cohorts(), **LOG, value="amount", attribute="cohort").table
    log = clv.Transactions(cohorts(), **LOG, value="amount", attributes=["cohort"])
    pd.testing.assert_frame_equal(found, log.audit().table)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"by": "channel"}, "there is no column 'channel'"),
        ({"by": "clv"}, "attribute 'clv' has the name of a predicted column; rename it"),
        ({"margin": "quantity"}, "margin column 'quantity' must hold a share of revenue"),
        ({"margin": "date"}, "column 'date' is named twice"),
        ({"margin": {"quantity": {1: 0.3}}}, "margin says nothing of quantity 2, 3, 4, ...; it is missing for"),
        ({"horizon": 0}, "horizon 0 must be at least one day"),
        ({"horizon": None}, "an infinite horizon has no interval of the outcome without discounting"),
        ({"interval": 1.0}, "interval must lie strictly between 0 and 1"),
        ({"margin": 0.0}, "margin must be"),
        ({"discount_rate": -0.1}, "discount_rate must be"),
        ({"unit": "fortnight"}, "unknown unit 'fortnight'"),
        ({"output": "clv.xlsx"}, "unknown ending"),
        ({"until": "1990-01-01"}, "until 1990-01-01 is before the data"),
    ],
)
def test_options_are_checked_before_the_fit(tmp_path, monkeypatch, options, sentence):
    monkeypatch.chdir(tmp_path)
    steps = []
    with pytest.raises(ValueError, match=sentence):
        workflow.predict(clv.datasets.cdnow_sample(), **LOG, value="amount", progress=steps.append, **options)
    assert not any(step.startswith("Fit") for step in steps)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def today(monkeypatch):
    """The day is 1998-07-03, three days after the last order of CDNOW."""
    monkeypatch.setattr(workflow, "today", lambda: pd.Timestamp("1998-07-03"))


@pytest.fixture(scope="module")
def june(tmp_path_factory):
    """A fit until 1997-09-30, saved by the function that uses it later, and the prediction that it made."""
    folder = tmp_path_factory.mktemp("june")
    lines = clv.datasets.cdnow_sample()
    lines[lines["date"] <= "1997-09-30"].to_csv(folder / "june.csv", index=False)
    return workflow.predict(
        folder / "june.csv",
        customer="customer_id",
        date="date",
        value=("quantity", "amount"),
        refunds="keep",
        margin=0.3,
        method="map",
        seed=4,
        save=folder / "june.clv",
        output=folder / "clv.parquet",
    )


def test_a_saved_fit_predicts_as_the_new_one_did_and_knows_the_columns(june, tmp_path):
    log = june.saved.with_suffix(".csv")
    made = workflow.predict(log, model=june.saved, output=tmp_path / "clv.parquet")
    assert made.saved is None
    for ours, theirs in ((made.table, june.table), (made.total, june.total)):
        pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
        assert ours.attrs == theirs.attrs


def test_a_saved_fit_scores_later_customers_as_the_library_does(june, tmp_path):
    lines = clv.datasets.cdnow_sample()
    asked = {"horizon": "4 weeks", "interval": 0.8, "margin": 0.5, "discount_rate": 0.1, "seed": 9}
    made = workflow.predict(lines, value="amount", model=june.saved, output=tmp_path / "clv.csv", **asked)
    summary = clv.Transactions(lines, **LOG, value="amount", refunds="keep").summary()
    expected = clv.load(june.saved).predict(summary, **asked)
    pd.testing.assert_frame_equal(made.table, expected, check_exact=True)
    assert made.table.attrs["observation_end"] == "1998-06-30"
    assert made.table.attrs["seed"] == 9


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"method": "ml"}, "^method= cannot be given with model=, which is a fit already$"),
        ({"unit": "week", "save": "july.clv"}, "^unit= and save= cannot be given with model="),
        ({"model": "july.clv"}, "^there is no file july.clv$"),
        ({"margin": 30}, "margin must be"),
        ({"date": "day"}, "there is no column 'day'"),
        ({"model": None}, "^customer= and date= and value= must be given: the columns of the log; only a saved fit"),
        ({"model": None, **LOG}, "^value= must be given"),
        ({"model": None, "save": "july.csv"}, r"july\.csv is no name of a saved fit, which ends in \.clv$"),
        ({"max_age": "soon"}, "max_age 'soon' is not understood; write it like '3 days'"),
    ],
)
def test_what_does_not_go_with_a_saved_fit_is_refused_before_anything_is_written(
    june, tmp_path, monkeypatch, options, sentence
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=sentence):
        workflow.predict(clv.datasets.cdnow_sample(), **({"model": june.saved} | options))
    assert not list(tmp_path.iterdir())


def test_only_a_fit_with_money_predicts(cdnow_fit, cdnow, tmp_path):
    for fit, name in ((cdnow_fit, "BGNBD"), (clv.SimpleCLV().fit(cdnow), "SimpleCLV")):
        path = clv.save(fit, tmp_path / f"{name}.clv")
        with pytest.raises(
            clv.DataError, match=rf"{name}\.clv holds a fit of {name} alone, not one of NonContractualCLV"
        ):
            workflow.predict(clv.datasets.cdnow_sample(), model=path, output=tmp_path / "clv.csv")


def test_a_fit_that_knows_no_log_needs_the_columns(tmp_path):
    model = clv.NonContractualCLV(clv.BGNBD(), clv.GammaGamma())
    path = clv.save(quietly(model.fit, simulated_shop(seed=1), seed=1), tmp_path / "june.clv")
    with pytest.raises(ValueError, match=r"^customer= and date= and value= must be given"):
        workflow.predict(clv.datasets.cdnow_sample(), model=path, output=tmp_path / "clv.csv")


def test_old_orders_are_refused_and_nothing_is_written(june, today, tmp_path):
    options = {"model": june.saved, "value": "amount", "output": tmp_path / "clv.csv", "horizon": "1 week"}
    lines = clv.datasets.cdnow_sample()
    for options_of_the_log in ({"until": None}, {"until": "1998-07-01"}):
        sentence = r"^the newest order is of 1998-06-30, 3 days ago, older than max_age='2 days'$"
        with pytest.raises(clv.StaleDataError, match=sentence):
            workflow.predict(lines, max_age="2 days", **options, **options_of_the_log)
    with pytest.raises(clv.StaleDataError, match="of 1998-05-31, 33 days ago, older than max_age='1 month'"):
        workflow.predict(lines, max_age="1 month", until="1998-05-31", **options)
    steps = []
    new = {**LOG, "value": "amount", "progress": steps.append, "output": tmp_path / "clv.csv"}
    with pytest.raises(clv.StaleDataError, match="older than max_age='1 week'"):
        workflow.predict(lines, until="1998-06-01", max_age="1 week", **new)
    assert steps == ["Read the log"]
    assert not list(tmp_path.iterdir())
    assert workflow.predict(lines, max_age=3, **options).file.exists()


def test_a_slip_in_the_dates_does_not_hide_old_orders(june, today, tmp_path):
    lines = clv.datasets.cdnow_sample()
    slip = pd.concat([lines, lines.tail(1).assign(date=pd.Timestamp("2098-06-30"))])
    with pytest.raises(clv.StaleDataError, match="the newest order is of 1998-06-30"):
        quietly(workflow.predict, slip, model=june.saved, max_age=2, output=tmp_path / "clv.csv")


def test_audit_is_that_of_the_log():
    lines = clv.datasets.cdnow_sample()
    found = workflow.audit(lines, **LOG, value="amount", until="1997-09-30")
    log = clv.Transactions(lines, **LOG, value="amount")
    pd.testing.assert_frame_equal(found.table, log.audit(until="1997-09-30").table)


@pytest.mark.parametrize("name", ["demo", "audit", "predict", "check", "backtest"])
def test_each_option_of_a_command_is_one_of_its_function_and_the_reverse(name):
    function = inspect.signature(getattr(workflow, name)).parameters
    command = inspect.signature(getattr(cli, name)).parameters
    defaults = {key: parameter.default for key, parameter in function.items() if key not in ("progress", "log")}
    if "log" in function:
        # None is what was not said: `Transactions` has the default, or the saved fit knows it.
        assert workflow.LogOptions.__annotations__.keys() <= inspect.signature(clv.Transactions).parameters.keys()
        defaults |= dict.fromkeys(workflow.LogOptions.__annotations__)
    if name == "audit":
        defaults |= dict.fromkeys(("customer", "date"), inspect.Parameter.empty)
    as_text = {key: str(default) for key, default in defaults.items()}
    assert {key: str(parameter.default) for key, parameter in command.items()} == as_text
