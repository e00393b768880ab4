import inspect
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

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


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
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


def test_audit_is_that_of_the_log():
    lines = clv.datasets.cdnow_sample()
    found = workflow.audit(lines, **LOG, value="amount", until="1997-09-30")
    log = clv.Transactions(lines, **LOG, value="amount")
    pd.testing.assert_frame_equal(found.table, log.audit(until="1997-09-30").table)


@pytest.mark.parametrize("name", ["demo", "audit", "predict"])
def test_each_option_of_a_command_is_one_of_its_function_and_the_reverse(name):
    function = inspect.signature(getattr(workflow, name)).parameters
    command = inspect.signature(getattr(cli, name)).parameters
    defaults = {key: parameter.default for key, parameter in function.items() if key not in ("progress", "log")}
    if "log" in function:
        log = inspect.signature(clv.Transactions).parameters
        defaults |= {key: log[key].default for key in workflow.LogOptions.__annotations__}
        defaults["timezone"] = None
    as_text = {key: str(default) for key, default in defaults.items()}
    assert {key: str(parameter.default) for key, parameter in command.items()} == as_text
