"""Contracts from records to a table, as functions and on the command line."""

import inspect
import re
import warnings

import numpy as np
import pandas as pd
import pytest
from conftest import quietly, simulated_shop
from typer.testing import CliRunner

import clvmodels as clv
from clvmodels import cli, contract_cli, contract_workflow, schema

COLUMNS = {"customer": "id", "start": "from", "end": "to", "value": "price"}
OPTIONS = [text for name, column in COLUMNS.items() for text in (f"--{name}", column)]
UNTIL = "2024-06-30"


@pytest.fixture(autouse=True)
def terminal_of_80_columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture(scope="module")
def records():
    """Monthly contracts of 300 customers, of whom each leaves with a chance of his own; ids with leading zeros."""
    rng = np.random.default_rng(3)
    start = np.datetime64("2022-01-01") + rng.integers(0, 700, 300).astype("m8[D]")
    months = rng.geometric(rng.beta(1, 6, 300))
    end = clv.time.renewal_days(start, clv.time.period("month"), months)
    return pd.DataFrame(
        {
            "id": [f"{number:03d}" for number in range(300)],
            "from": start.astype(str),
            "to": pd.Series(end.astype(str)).where(end <= np.datetime64(UNTIL)),
            "price": rng.integers(5, 30, 300),
            "plan": np.array(["basic", "plus"])[rng.integers(0, 2, 300)],
            "term": np.array(["month", "year"])[rng.integers(0, 2, 300)],
            "why": "moved",
        }
    )


@pytest.fixture
def folder(tmp_path, monkeypatch, records):
    monkeypatch.chdir(tmp_path)
    records.to_csv("contracts.csv", index=False)
    return tmp_path


def call(*arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return CliRunner().invoke(cli.app, [*map(str, arguments)])


def fits(text):
    return max(map(len, text.splitlines())) <= 80


@pytest.fixture(scope="module")
def demo_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def demo(demo_folder):
    return quietly(contract_workflow.demo, demo_folder)


def test_the_records_of_the_demo_are_the_published_table():
    records = contract_workflow.demo_records()
    contracts = clv.Subscriptions(records, customer="customer_id", start="start", end="end", period="year")
    triangle = contracts.cohorts("year", until=contract_workflow.DEMO_END)
    assert triangle["started"].tolist() == [1000]
    np.testing.assert_allclose(1000 * triangle.drop(columns="started").iloc[0], clv.datasets.retention("high-end"))


def test_the_demo_compares_with_what_was_published(demo):
    table = demo.comparison
    survivors = clv.datasets.retention("high-end")
    assert table.index.tolist() == ["actual", "simple formula", "shifted geometric", "sBG", "BdW"]
    assert table.loc["actual", "retained"] == survivors[12] == 394
    assert table.loc["actual", "revenue"] == 100 * survivors[8:].sum()
    # Shifted geometric at its closed form: 509 left in as many renewals as were survived and not.
    churn = 509 / (509 + survivors[1:8].sum())
    assert table.loc["shifted geometric", "retained"] == pytest.approx(491 * (1 - churn) ** 5, rel=1e-6)
    np.testing.assert_allclose(table.loc["simple formula"], table.loc["shifted geometric"], rtol=1e-6)
    # sBG at the published parameters .668 and 3.806: r(t) = (beta + t - 1) / (alpha + beta + t - 1).
    years = np.arange(8, 13)
    retention = (3.806 + years - 1) / (0.668 + 3.806 + years - 1)
    assert table.loc["sBG", "retained"] == pytest.approx(491 * retention.prod(), rel=1e-3)
    assert table.loc["sBG", "revenue"] == pytest.approx(100 * 491 * retention.cumprod().sum(), rel=1e-3)
    assert abs(table.loc["BdW", "retained_bias"]) < abs(table.loc["sBG", "retained_bias"]) < 0.05
    assert table.loc["shifted geometric", "retained_bias"] < -0.25


def test_the_demo_writes_a_row_for_each_customer_who_is_left(demo, demo_folder):
    table = pd.read_parquet(demo_folder / "clv.parquet")
    pd.testing.assert_frame_equal(table, pd.read_csv(demo_folder / "clv.csv"))
    assert len(table) == 394
    assert (
        {"p_retained", "clv", "clv_lower", "clv_upper"} <= set(table) <= {"customer_id", *schema.CONTRACT_PREDICTIONS}
    )
    assert demo.audit.enough
    total = demo.prediction.total.iloc[-1]
    assert total["expected_revenue"] == pytest.approx(table["expected_revenue"].sum())
    assert total["expected_revenue"] == pytest.approx(100 * total["retained"])


def test_the_demo_on_the_command_line_says_what_it_is(demo, monkeypatch):
    monkeypatch.setattr(contract_workflow, "demo", lambda folder, **options: demo)
    ran = call("demo", "--contracts")
    assert ran.exit_code == 0
    assert fits(ran.stdout)
    said = " ".join(ran.stdout.split())
    assert "the first day, 2010-01-01, and the price, 100 a year, are invented" in said
    assert "it is no evidence for other data" in said
    assert re.search(r"^ sBG +380 +-3\.7% +209,237 +-2\.4%", ran.stdout, re.MULTILINE)
    assert re.search(r"^ retained +\d+ +\d+ to \d+", ran.stdout, re.MULTILINE)


def test_predict_writes_a_row_for_each_active_customer(folder, records):
    ran = call("predict", "--contracts", "contracts.csv", *OPTIONS, "--until", UNTIL, "--seed", 1, "--by", "plan")
    assert ran.exit_code == 0, ran.output
    table = pd.read_parquet("clv.parquet").set_index("id")
    assert sorted(table.index) == sorted(records.loc[records["to"].isna(), "id"])
    assert fits(ran.stdout)
    assert f"365 days after {UNTIL}, until 2025-06-30: {len(table)} customers together" in ran.stdout
    assert re.search(rf"revenue +{table['expected_revenue'].sum():,.0f} +[\d,]+ to [\d,]+", ran.stdout)
    assert "By plan" in ran.stdout
    assert "Model: ContractualCLV(SBG()" in ran.stdout


def test_the_function_does_what_the_parts_do(records, tmp_path):
    options = {"until": UNTIL, "horizon": "1 year", "seed": 4}
    by_renewals = "100% of 220 endings are on a renewal day"  # which is not what this is about
    with pytest.warns(clv.AssumptionWarning, match=by_renewals):
        made = contract_workflow.predict(
            records, **COLUMNS, **options, survival="weibull", margin=0.5, discount_rate=0.1, attribute="plan",
            output=tmp_path / "clv.csv",
        )  # fmt: skip
    durations = clv.Subscriptions(records, **COLUMNS, attributes=["plan"]).durations(until=UNTIL)
    model = clv.ContractualCLV(clv.Weibull(), margin=0.5, discount_rate=0.1)
    with pytest.warns(clv.AssumptionWarning, match=by_renewals):
        fit = model.fit(durations, method="laplace", seed=4)
    pd.testing.assert_frame_equal(made.table, fit.predict(horizon="1 year", interval=0.9))
    pd.testing.assert_frame_equal(made.total, fit.total(horizon="1 year", interval=0.9))


def test_a_saved_fit_predicts_later_records(folder, records):
    saving = (*OPTIONS, "--until", "2024-03-31", "--margin", 0.5, "--discount-rate", 0.1, "--timing", "end")
    ran = call("predict", "--contracts", "contracts.csv", *saving, "--save", "march.clv", "--seed", 1)
    assert ran.exit_code == 0, ran.output
    assert "The fit, for --model: march.clv" in ran.stdout
    later = ("contracts.csv", "--until", UNTIL, "--seed", 2, "--output", "june.csv", "--by", "plan")
    ran = call("predict", "--contracts", "--model", "march.clv", *later)
    assert ran.exit_code == 0, ran.output
    read = clv.Subscriptions(records, **COLUMNS, attributes=["plan"], timing="end")
    durations = read.durations(until=UNTIL)
    expected = clv.load("march.clv").predict(durations, horizon="1 year", interval=0.9, seed=2)
    written = pd.read_csv("june.csv", dtype={"id": str}).set_index("id")
    pd.testing.assert_frame_equal(written, expected, check_exact=False, check_index_type=False, check_dtype=False)
    ran = call(
        "predict", "--contracts", "--model", "march.clv", *later, "--survival", "sbg", "--unit", "day", "--overwrite"
    )
    assert "--unit and --survival cannot be given with --model, which is a fit already" in " ".join(ran.stderr.split())


def test_check_holds_later_records_against_a_saved_fit(folder, records):
    saving = (*OPTIONS, "--until", "2024-03-31", "--timing", "end", "--save", "march.clv")
    assert call("predict", "--contracts", "contracts.csv", *saving).exit_code == 0
    ran = call("check", "--contracts", "march.clv", "contracts.csv", "--until", UNTIL, "--by", "plan")
    read = clv.Subscriptions(records, **COLUMNS, attributes=["plan"], timing="end")
    found = clv.check(clv.load("march.clv"), read, until=UNTIL, by="plan")
    assert ran.exit_code == 4 * found.refit
    printed = " ".join(ran.stdout.split())
    assert printed.startswith(found.verdict)
    row = found.table.loc[("plus", "retained")]
    assert f"retained {row['actual']:,.0f} {row['expected']:,.0f} {row['lower']:,.0f} to" in printed
    assert fits(ran.stdout)
    clv.save(clv.BGNBD().fit(simulated_shop(seed=1), seed=1), "shop.clv")
    ran = call("check", "--contracts", "shop.clv", "contracts.csv")
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "shop.clv holds a fit of BGNBD, not one of contracts that can be checked" in ran.stderr


def test_backtest_writes_what_the_library_finds(folder, records):
    asked = ("--cutoff", "2023-12-31", "--horizon", "6 months", "--until", UNTIL, "--timing", "end", "--by", "plan")
    ran = call(
        "backtest", "--contracts", "contracts.csv", *OPTIONS, *asked, "--model", "simple", "--model", "sbg", "--seed", 1
    )
    assert ran.exit_code == 0, ran.output
    read = clv.Subscriptions("contracts.csv", **COLUMNS, attributes=["plan"], timing="end")
    models = {"simple": clv.SimpleCLV(), "sbg": clv.ContractualCLV(clv.SBG(), timing="end")}
    expected = clv.backtest(models, read, "2023-12-31", "6 months", by="plan", until=UNTIL, seed=1, progress=False)
    written = pd.read_csv("backtest/table.csv", parse_dates=["cutoff"])
    pd.testing.assert_frame_equal(written, expected.table, check_dtype=False)
    assert (folder / "backtest" / "verdict.txt").read_text() == f"{expected.compare().verdict}\n"
    assert " ".join(ran.stdout.split()).startswith(" ".join(expected.compare().verdict.split()))


def test_contracts_without_a_price_are_scored_by_who_stays(folder):
    named = list(OPTIONS)
    at = named.index("--value")
    asked = ("--cutoff", "2023-12-31", "--horizon", "6 months", "--until", UNTIL, "--model", "sbg", "--model", "bdw")
    ran = call("backtest", "--contracts", "contracts.csv", *named[:at], *named[at + 2 :], *asked, "--seed", 1)
    assert ran.exit_code == 0, ran.output
    assert set(pd.read_csv("backtest/table.csv")["target"]) == {"retained"}


def test_a_fit_of_a_shop_is_refused(folder):
    lines = clv.datasets.cdnow_sample()
    log = clv.Transactions(lines, customer="customer_id", date="date", value="amount")
    clv.save(clv.SimpleCLV().fit(log.summary()), "shop.clv")
    ran = call("predict", "--contracts", "--model", "shop.clv", "contracts.csv")
    assert ran.exit_code == 2
    assert "shop.clv holds a fit of SimpleCLV, not one of ContractualCLV" in ran.stderr


def test_contracts_of_several_periods_are_measured_by_time(records, tmp_path):
    made = quietly(
        contract_workflow.predict, records, **COLUMNS, period="term", until=UNTIL, method="map",
        output=tmp_path / "clv.csv",
    )  # fmt: skip
    assert made.table.attrs["model"].startswith("ContractualCLV(Weibull()")
    with pytest.raises(clv.DataError, match="period"):
        contract_workflow.predict(
            records, **COLUMNS, period="term", until=UNTIL, survival="sbg", output=tmp_path / "other.csv"
        )
    assert not (tmp_path / "other.csv").exists()


def test_audit_is_that_of_the_records(folder, records):
    found = contract_workflow.audit(records, **COLUMNS, cause="why", attribute="plan", until=UNTIL)
    contracts = clv.Subscriptions(records, **COLUMNS, cause="why", attributes=["plan"])
    pd.testing.assert_frame_equal(found.table, contracts.audit(UNTIL).table)
    found = contract_workflow.audit(records, **COLUMNS, until=UNTIL, since="2023-06-01")
    pd.testing.assert_frame_equal(found.table, clv.Subscriptions(records, **COLUMNS).audit(UNTIL, "2023-06-01").table)
    ran = call("audit", "contracts.csv", "--contracts", *OPTIONS, "--since", "2023-06-01")
    assert "ended before 2023-06-01" in ran.stdout
    ran = call("audit", "contracts.csv", "--contracts", *OPTIONS, "--cause", "why")
    assert ran.exit_code == 0
    assert "Audit of 300 records" in ran.stdout
    assert fits(ran.stdout)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--survival", "magic"], "unknown survival 'magic'; use one of 'sbg', 'bdw'"),
        (["--period", "monthly"], "period 'monthly' is neither a period nor a column"),
        (["--since", "2030-01-01"], "since 2030-01-01 is after the end of observation, 2024-06-30"),
        (["--margin", "30%"], "margin must be written as a share"),
        (["--timing", "never"], "timing must be 'start' or 'end'"),
        (["--horizon", "soon"], "horizon 'soon' is not understood"),
        (["--returns", "maybe"], "unknown returns 'maybe'"),
        (["--output", "clv.txt"], "clv.txt"),
        (["--max-age", "1 day"], "the last start or end is of 2024-06-"),
    ],
)
def test_bad_input_is_one_sentence(folder, options, sentence):
    ran = call("predict", "--contracts", "contracts.csv", *OPTIONS, "--until", UNTIL, *options)
    assert ran.exit_code == (3 if "--max-age" in options else 2)
    assert sentence in " ".join(ran.stderr.split())
    assert "Traceback" not in ran.output
    assert not list(folder.glob("clv.*"))


def test_columns_must_be_named(folder):
    ran = call("predict", "--contracts", "contracts.csv", "--customer", "id")
    assert "--start and --value must be given: the columns of the records (--value is that of the price)" in " ".join(
        ran.stderr.split()
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["predict", "contracts.csv", "--start", "from"],
            "--start needs --contracts: see clvmodels predict --contracts ",
        ),
        (
            ["audit", "contracts.csv", "--since=2024-01-01"],
            "--since needs --contracts: see clvmodels audit --contracts ",
        ),
        (
            ["predict", "--contracts", "contracts.csv", "--refunds", "net"],
            "--refunds is for logs of purchases, without --contracts: see clvmodels predict --help",
        ),
        (["predict", "--contracts", "contracts.csv", "--cause", "why"], "No such option: --cause"),
    ],
)
def test_options_of_the_other_kind_of_data_are_told_apart(folder, arguments, sentence):
    ran = call(*arguments)
    assert ran.exit_code == 2
    assert sentence in " ".join(ran.stderr.replace("│", " ").split())


@pytest.mark.parametrize("name", ["demo", "audit", "predict", "check", "backtest"])
def test_each_option_of_a_command_is_one_of_its_function_and_the_reverse(name):
    function = inspect.signature(getattr(contract_workflow, name)).parameters
    command = inspect.signature(getattr(contract_cli, name)).parameters
    defaults = {key: parameter.default for key, parameter in function.items() if key not in ("progress", "records")}
    known = contract_workflow.RecordOptions.__annotations__
    if "records" in function:
        assert known.keys() <= inspect.signature(clv.Subscriptions).parameters.keys()
        defaults |= dict.fromkeys(known)
    if name == "audit":
        assert "cause" in function  # predictions take every ending for the same
        defaults |= dict.fromkeys(("customer", "start"), inspect.Parameter.empty)
    as_text = {key: str(default) for key, default in defaults.items()}
    assert {key: str(parameter.default) for key, parameter in command.items()} == as_text


@pytest.mark.parametrize("command", ["demo", "audit", "predict", "check", "backtest"])
def test_help_reads_well(command):
    ran = call(command, "--contracts", "--help")
    assert ran.exit_code == 0
    assert fits(ran.stdout)
    assert f"Usage: root {command} --contracts" in ran.stdout
    assert f"Example: clvmodels {command} --contracts " in ran.stdout
    arguments = {"source", "folder", *(["model"] if command == "check" else [])}
    for option in inspect.signature(getattr(contract_cli, command)).parameters.keys() - arguments:
        assert f"--{option.replace('_', '-')} " in ran.stdout
    assert "--contracts" in call(command, "--help").stdout


@pytest.mark.parametrize("command", ["audit", "predict", "check", "backtest"])
def test_help_names_the_defaults_of_the_records(command):
    shown = " ".join(call(command, "--contracts", "--help").stdout.split())
    for name, parameter in inspect.signature(clv.Subscriptions).parameters.items():
        if name in contract_workflow.RecordOptions.__annotations__ and isinstance(parameter.default, str):
            assert re.search(rf"--{name.replace('_', '-')} [^\[]*\[default: \({parameter.default}\)\]", shown), name


def test_ends_on_the_command_line_may_be_the_last_day_with_access(folder, records):
    ends = pd.to_datetime(records["to"]) - pd.Timedelta(days=1)
    records.assign(to=ends.dt.strftime("%Y-%m-%d")).to_csv("last.csv", index=False)
    told = " ".join(call("audit", "--contracts", "last.csv", *OPTIONS, "--until", UNTIL).stdout.split())
    assert "inclusive ends" in told.split("Nothing found")[0]
    assert "--inclusive-ends" in told
    shown = call("audit", "--contracts", "last.csv", *OPTIONS, "--until", UNTIL, "--inclusive-ends")
    assert shown.stdout == call("audit", "--contracts", "contracts.csv", *OPTIONS, "--until", UNTIL).stdout
