import dataclasses
import inspect
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import clvmodels as clv
from clvmodels import cli, console, workflow

COLUMNS = ("--customer", "id", "--date", "day", "--value", "amount")


@pytest.fixture(autouse=True)
def terminal_of_80_columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture(scope="module")
def lines():
    """60 customers with a purchase on a tenth of 200 days; the first two ids have leading zeros."""
    rng = np.random.default_rng(2)
    days = pd.date_range("2024-01-01", periods=200).strftime("%Y-%m-%d")
    customer, day = np.nonzero(rng.random((60, 200)) < rng.gamma(1, 0.1, (60, 1)))
    ids = [f"{number:03d}" for number in range(60)]
    return pd.DataFrame(
        {
            "id": np.take(ids, customer),
            "day": days[day],
            "amount": rng.gamma(3, 10, len(day)).round(2),
            "quantity": rng.integers(1, 9, len(day)),
            "price": 0.5,
        }
    )


@pytest.fixture
def folder(tmp_path, monkeypatch, lines):
    """The working directory, with the log in it."""
    monkeypatch.chdir(tmp_path)
    lines.to_csv("orders.csv", index=False)
    return tmp_path


def call(*arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return CliRunner().invoke(cli.app, [*map(str, arguments)])


def words(text):
    return " ".join(text.split())


def fits(text):
    return max(map(len, text.splitlines())) <= 80


def test_predict_writes_a_row_for_each_customer_and_shows_the_total(folder, lines):
    ran = call("predict", "orders.csv", *COLUMNS, "--horizon", "8 weeks", "--margin", "0.3", "--seed", "3")
    assert ran.exit_code == 0
    table = pd.read_parquet("clv.parquet").set_index("id")
    assert sorted(table.index) == sorted(lines["id"].unique())
    assert fits(ran.stdout)
    assert f"56 days after 2024-07-18, until 2024-09-12: {len(table)} customers together" in ran.stdout
    assert re.search(rf"transactions +{table['expected_transactions'].sum():,.0f} +[\d,]+ to [\d,]+", ran.stdout)
    assert "clv: 30% of the revenue, discounted at 0.0% a year" in ran.stdout
    assert "clv.parquet" in ran.stdout


def test_predict_without_end_shows_the_clv_alone(folder, lines):
    options = ("--horizon", "infinite", "--discount-rate", "1", "--method", "map", "--seed", "3")
    ran = call("predict", "orders.csv", *COLUMNS, *options)
    assert ran.exit_code == 0
    table = pd.read_parquet("clv.parquet").set_index("id")
    assert {"dert", "clv_beyond_data"} <= set(table.columns)
    assert fits(ran.stdout)
    assert f"All time after 2024-07-18: {len(table)} customers together" in ran.stdout
    assert re.search(rf"^ clv +{table['clv'].sum():,.0f} +[\d,]+ to [\d,]+", ran.stdout, re.MULTILINE)
    assert not re.search("^ (transactions|revenue) ", ran.stdout, re.MULTILINE)
    assert re.search(r"^Note: \d+% of the clv lies more than 199 days ahead", ran.stdout, re.MULTILINE)
    assert len(re.findall(r"^Note: \d+% of the clv lies more than 199 days ahead", ran.stderr, re.MULTILINE)) == 1


def test_a_horizon_longer_than_the_log_is_noted(folder, lines):
    ran = call("predict", "orders.csv", *COLUMNS, "--method", "map", "--horizon", "200 days")
    assert "Note: the horizon of 200 days is longer than the data, 199 days: only the model" in ran.stdout
    ran = call("predict", "orders.csv", *COLUMNS, "--method", "map", "--horizon", "199 days", "--overwrite")
    assert "is longer than the data" not in ran.stdout


def test_quantity_and_price_are_multiplied(folder, lines):
    columns = ("--customer", "id", "--date", "day", "--value", "quantity", "--value", "price")
    ran = call("audit", "orders.csv", *columns)
    assert ran.exit_code == 0
    ran = call("predict", "orders.csv", *columns, "--output", "clv.csv", "--method", "map")
    assert ran.exit_code == 0
    spent = pd.read_csv("clv.csv", dtype={"id": str}).set_index("id")["historic_revenue"]
    assert spent.to_dict() == (0.5 * lines.groupby("id")["quantity"].sum()).to_dict()


def test_by_shows_the_totals_of_the_segments(folder, lines):
    kind = "abcdefghijkl"
    more = lines.assign(kind=[kind[int(number) % 12] for number in lines["id"]], share="0.25")
    more.assign(kind=more["kind"].where(more["kind"] != "b")).to_csv("orders.csv", index=False)
    ran = call("predict", "orders.csv", *COLUMNS, "--by", "kind", "--margin", "share", "--method", "map", "--seed", "3")
    assert ran.exit_code == 0
    assert fits(ran.stdout)
    assert "…" not in ran.stdout
    table = pd.read_parquet("clv.parquet").set_index("id")
    assert list(table.columns[-2:]) == ["kind", "share"]
    assert (table["clv"] < 0.2501 * table["expected_revenue"]).all()
    sums = table.groupby(table["kind"].fillna("(missing)"))["clv"].sum().sort_values(ascending=False)
    assert "By kind, the 10 largest of 12\n" in ran.stdout
    shown = re.findall(r"^ (\S+) +[\d,]+ +[\d,]+ +([\d,]+) +[\d,]+ to [\d,]+ *$", ran.stdout, re.MULTILINE)
    assert shown == [(label, f"{value:,.0f}") for label, value in sums.iloc[:10].items()]
    assert f"2 smaller segments with {sums.iloc[10:].sum() / sums.sum():.1%} of the clv" in ran.stdout
    assert "clv: the share of the revenue in 'share', discounted at 0.0% a year" in ran.stdout


def test_few_segments_are_all_shown(folder, lines):
    lines.assign(kind=[int(number) % 2 for number in lines["id"]]).to_csv("orders.csv", index=False)
    ran = call("predict", "orders.csv", *COLUMNS, "--by", "kind", "--method", "map", "--seed", "3")
    assert ran.exit_code == 0
    assert "By kind\n" in ran.stdout
    assert "smaller" not in ran.stdout


def test_attributes_are_audited(folder, lines):
    lines.assign(kind=range(len(lines))).to_csv("orders.csv", index=False)
    ran = call("audit", "orders.csv", *COLUMNS, "--attribute", "kind")
    assert ran.exit_code == 0
    assert "conflicting kind" in ran.stdout


def test_audit_shows_its_table(folder):
    ran = call("audit", "orders.csv", *COLUMNS)
    assert ran.exit_code == 0
    assert fits(ran.stdout)
    expected = clv.Transactions("orders.csv", customer="id", date="day", value="amount").audit()
    assert ran.stdout == as_told(expected)
    assert "give --acquired or" in ran.stdout


def as_told(audit):
    """The audit as the command line shows it, with the options as it has them."""
    table = audit.table.assign(remark=audit.table["remark"].map(console.as_options))
    return f"{dataclasses.replace(audit, table=table)}\n"


@pytest.fixture
def export(folder, lines):
    """The log as a German shop writes it, with orders that were cancelled, guests, and other currencies."""
    made = lines.assign(
        amount=[f"{amount:,.2f}".translate(str.maketrans(",.", ".,")) for amount in 100 * lines["amount"]],
        Kunde=lines["id"].where(lines.index % 5 > 0, ""),
        email=lines["id"] + "@müller.de",
        status=np.resize(["bezahlt", "versandt", "bezahlt", "storniert"], len(lines)),
        currency=np.resize(["EUR", "EUR", "EUR", "EUR", "EUR", "CHF", ""], len(lines)),
    )
    made.drop(columns="id").to_csv("export.csv", sep=";", index=False, encoding="cp1252")
    return made


EXPORT = ["export.csv", "--customer", "Kunde", "--customer", "email", *COLUMNS[2:]]
FORM = ["--encoding", "cp1252", "--decimal", ",", "--thousands", "."]
CHOICE = ["--where", "status=bezahlt", "--where", "status=versandt", "--currency", "currency", "--currency", "EUR"]


def test_a_messy_export_is_audited_and_predicted(folder, export):
    ran = call("audit", *EXPORT, *FORM, *CHOICE)
    assert ran.exit_code == 0
    assert fits(ran.stdout)
    log = clv.Transactions(
        "export.csv",
        customer=["Kunde", "email"],
        date="day",
        value="amount",
        where={"status": ["bezahlt", "versandt"]},
        currency=("currency", "EUR"),
        decimal=",",
        thousands=".",
        encoding="cp1252",
    )
    assert ran.stdout == as_told(log.audit())
    ran = call("predict", *EXPORT, *FORM, *CHOICE, "--method", "map")
    assert ran.exit_code == 0
    assert "Note: currency is not EUR in " in ran.stderr
    kept = export[(export["status"] != "storniert") & (export["currency"] == "EUR")]
    guests = kept["Kunde"] == ""
    twice = len({*kept.loc[guests, "email"]} & {*kept.loc[~guests, "email"]})
    assert f"Note: {twice} of the ids that are taken from email stand beside another id" in ran.stderr
    amounts = kept["amount"].str.replace(".", "").str.replace(",", ".").astype(float)
    spent = amounts.groupby(kept["Kunde"].where(kept["Kunde"] != "", kept["email"])).sum()
    table = pd.read_parquet("clv.parquet").set_index("Kunde")
    assert table["historic_revenue"].round(2).to_dict() == spent.round(2).to_dict()
    assert "003@müller.de" in table.index


MESSY = {
    "encoding": (
        [],
        "export.csv is not written in utf-8, as line 2 shows; say in which encoding it is with --encoding (such as",
    ),
    "unknown encoding": (["--encoding", "ansi"], "unknown encoding 'ansi'; write it like 'utf-8', 'cp1252' or"),
    "decimal": (
        FORM[:2],
        "how numbers are written with --decimal ',' and --thousands '.', or leave them out with --bad",
    ),
    "thousands": ([*FORM[:4], *CHOICE], "say how numbers are written with --thousands '.', or leave"),
    "both alike": ([*FORM[:4], "--thousands", ","], "decimal and thousands are both ','; give --decimal '.', too"),
    "currencies": (
        FORM,
        "CHF in 223 lines, which cannot be added up; --currency 'currency' --currency 'EUR' picks one, and --where can",
    ),
    "currency": ([*FORM, *CHOICE[4:7], "EURO"], "no line has currency 'EURO'; currency holds 'EUR', 'CHF'"),
    "three currencies": (
        [*FORM, *CHOICE[4:], "--currency", "CHF"],
        "currency must be a column or a pair (column, code)",
    ),
    "state": (
        [*FORM, "--where", "status=bezalt"],
        "no line has status 'bezalt'; status holds 'bezahlt', 'versandt', 'st",
    ),
    "state without column": (
        [*FORM, "--where", "bezahlt"],
        "where must be written COLUMN=VALUE, such as status=paid; got",
    ),
}


@pytest.mark.parametrize(("options", "sentence"), MESSY.values(), ids=MESSY)
def test_a_messy_export_is_refused_in_one_sentence(folder, export, options, sentence):
    before = sorted(folder.iterdir())
    assert_refused(call("predict", *EXPORT, *options), sentence, folder, before)


def test_a_choice_may_be_of_what_is_missing_or_holds_the_sign(folder, lines):
    lines.assign(note=np.where(lines.index % 2, "a=b", "")).to_csv("orders.csv", index=False)
    for value, number in (("", (len(lines) + 1) // 2), ("a=b", len(lines) // 2)):
        ran = call("audit", "orders.csv", *COLUMNS, "--where", f"note={value}")
        assert ran.stdout.startswith(f"Audit of {number:,} lines")


def test_the_value_is_not_needed_for_an_audit(folder):
    assert call("audit", "orders.csv", "--customer", "id", "--date", "day").exit_code == 0


def test_demo_shows_the_comparison_the_total_and_what_comes_next(monkeypatch):
    index = pd.MultiIndex.from_product(
        [("transactions", "revenue"), (workflow.DEMO_BASELINE, workflow.DEMO_MODEL)], names=["outcome", "model"]
    )
    columns = ["actual", "predicted", "bias", "mae", "rmse", "spearman", "top_decile"]
    comparison = pd.DataFrame(
        [
            [19684.0, 48083.4, 1.443, 1.93, 2.62, np.nan, 0.1],
            [19684.0, 16877.1, -0.143, 0.82, 1.73, 0.44, 0.456],
            [776961.1, 1729642.3, 1.226, 76.38, 131.41, np.nan, 0.1],
            [776961.1, 642539.0, -0.173, 32.68, 92.94, 0.42, 0.516],
        ],
        index=index,
        columns=columns,
    )
    total = pd.DataFrame({"expected_transactions": [21354.1], "expected_revenue": [829643.9], "clv": [237800.2]})
    for name in ("transactions", "revenue", "clv"):
        total[[f"{name}_lower", f"{name}_upper"]] = 20869.0, 852040.2
    total.attrs = {"horizon_days": 365, "observation_end": "1998-06-30", "horizon_end": "1999-06-30"}
    total.attrs |= {"interval": 0.9, "margin": 0.3, "discount_rate": 0.1, "notes": ["a note"]}
    prediction = workflow.Prediction(pd.DataFrame(index=range(23570)), total, Path("clv.parquet"))
    made = workflow.Demo(comparison, prediction, Path("clv.csv"))
    monkeypatch.setattr(workflow, "demo", lambda folder, **options: made)
    ran = call("demo")
    assert ran.exit_code == 0
    assert fits(ran.stdout)
    assert "…" not in ran.stdout
    for line in (
        r"revenue: actual +776,961",
        r"  simple formula +1,729,642 +\+122\.6% +76\.38 +131\.41 +- +10\.0%",
        r"  BG/NBD \+ Gamma-Gamma +642,539 +-17\.3% +32\.68 +92\.94 +0\.42 +51\.6%",
        r"365 days after 1998-06-30, until 1999-06-30: 23,570 customers together",
        r"clv +237,800 +20,869 to 852,040",
        r"clv: 30% of the revenue, discounted at 10\.0% a year",
        r"Note: a note",
        r"\+123%, the model by -17%",
        r"clv\.parquet and clv\.csv",
        r"^Next, with your own orders: clvmodels audit --help, clvmodels predict --help$",
    ):
        assert re.search(line, ran.stdout, re.MULTILINE), line


def test_warnings_are_notes_of_one_line_said_once(folder, lines, monkeypatch):
    lines.assign(id=lines["id"].where(lines.index != 5)).to_csv("orders.csv", index=False)
    ran = call("predict", "orders.csv", *COLUMNS, "--method", "map")
    assert ran.exit_code == 0
    notes = ran.stderr.splitlines()
    assert all(note.startswith("Note: ") for note in notes)
    assert sum("id is missing in 1 of" in note for note in notes) == 1
    assert sum("BG/NBD assumes" in note for note in notes) == 1


ISO = ["2024-01-01", "2024-02-01", "2024-03-01"]


def log(ids, days, amounts=1.0):
    return pd.DataFrame({"id": ids, "day": days, "amount": amounts}).to_csv(index=False)


BAD_LOGS = {
    "missing column": (log(["a"], ISO[:1]).replace("amount", "amout"), "no column 'amount'; did you mean 'amout'?"),
    "ambiguous dates": (log([*"aab"], ["01/02/2024"] * 3), "3 of 3 lines: '01/02/2024' (customer a)"),
    "advice as options": (log([*"aab"], ["01/02/2024"] * 3), "--date-format (such as '%d/%m/%Y'), or leave them out"),
    "values that are no numbers": (log([*"aab"], ISO, ["1", "2", "inf"]), "amount is missing or not finite in 1 of 3"),
    "no rows": ("id,day,amount\n", "has columns but no rows"),
    "empty file": ("", "orders.csv is an empty file"),
    "one customer": (log([*"aaa"], ISO), "1 customer"),
    "nobody repeats": (log([*"abcdef"], ISO * 2), "frequency is 0 for all 6 customers"),
    "all dates equal": (log([*"abcdef"], ISO[:1] * 6), "T is 0 for all 6 customers"),
}

BAD_OPTIONS = {
    "missing file": (["missing.csv", *COLUMNS], "missing.csv"),
    "unknown kind of file": (["orders.xls", *COLUMNS], "orders.xls is neither CSV nor Parquet"),
    "unknown column": (["orders.csv", *COLUMNS, "--order", "ordr"], "there is no column 'ordr'"),
    "three values": (["orders.csv", *COLUMNS, *COLUMNS[4:], "--value", "price"], "value must be a column or a pair"),
    "unknown unit": (["orders.csv", *COLUMNS, "--unit", "weeks"], "unknown unit 'weeks'; use one of 'day', 'week'"),
    "unknown method": (["orders.csv", *COLUMNS, "--method", "best"], "method must be one of"),
    "unknown policy": (["orders.csv", *COLUMNS, "--refunds", "hide"], "unknown refunds 'hide'"),
    "zero horizon": (["orders.csv", *COLUMNS, "--horizon", "0 weeks"], "must be at least one day after"),
    "horizon without unit": (["orders.csv", *COLUMNS, "--horizon", "39"], "write it like '39 weeks'"),
    "end outside the data": (["orders.csv", *COLUMNS, "--until", "2001-01-01"], "is before the data, which run from"),
    "end not a date": (["orders.csv", *COLUMNS, "--until", "yesterday"], "until must be a date"),
    "interval of one": (["orders.csv", *COLUMNS, "--interval", "1"], "interval must lie strictly between"),
    "margin of zero": (["orders.csv", *COLUMNS, "--margin", "0"], "margin must be a share of revenue, above 0"),
    "margin that is no column": (["orders.csv", *COLUMNS, "--margin", "gain"], "there is no column 'gain'"),
    "margin with a sign": (
        ["orders.csv", *COLUMNS, "--margin", "30%"],
        "margin must be written as a share, such as 0.3",
    ),
    "margin column without margins": (
        ["orders.csv", *COLUMNS, "--margin", "quantity"],
        "margin column 'quantity' must",
    ),
    "segments that are no column": (["orders.csv", *COLUMNS, "--by", "country"], "there is no column 'country'"),
    "margin in percent": (["orders.csv", *COLUMNS, "--margin", "30"], "at most 1, such as 0.3; got 30"),
    "endless horizon": (["orders.csv", *COLUMNS, "--horizon", "100000 years"], "is longer than 200 years"),
    "infinite horizon without discounting": (
        ["orders.csv", *COLUMNS, "--horizon", "infinite"],
        "give a discount rate (--discount-rate 0.10) or a finite horizon (--horizon '1 year')",
    ),
    "the log as output": (["orders.csv", *COLUMNS, "--output", "orders.csv", "--overwrite"], "is the log itself"),
    "existing output": (["orders.csv", *COLUMNS, "--output", "old.csv"], "old.csv exists; replace it with --overwrite"),
    "missing folder": (["orders.csv", *COLUMNS, "--output", "no/clv.csv"], "there is no folder no"),
    "folder that is a file": (["orders.csv", *COLUMNS, "--output", "old.csv/a.csv"], "there is no folder old.csv"),
    "unknown ending": (["orders.csv", *COLUMNS, "--output", "clv.xlsx"], "use one of .parquet, .csv, .duckdb"),
}


def assert_refused(ran, sentence, folder, before):
    assert ran.exit_code == 2
    *notes, error = ran.stderr.splitlines()
    assert all(note.startswith("Note: ") for note in notes)
    assert error.startswith("Error: ")
    assert sentence in error
    assert "Traceback" not in ran.output
    assert ran.stdout == ""
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(("text", "sentence"), BAD_LOGS.values(), ids=BAD_LOGS)
def test_a_bad_log_is_refused_in_one_sentence(folder, text, sentence):
    Path("orders.csv").write_text(text)
    before = sorted(folder.iterdir())
    assert_refused(call("predict", "orders.csv", *COLUMNS), sentence, folder, before)


@pytest.mark.parametrize(("arguments", "sentence"), BAD_OPTIONS.values(), ids=BAD_OPTIONS)
def test_a_bad_option_is_refused_in_one_sentence(folder, arguments, sentence):
    Path("old.csv").touch()
    before = sorted(folder.iterdir())
    assert_refused(call("predict", *arguments), sentence, folder, before)


def test_demo_refuses_existing_files(folder):
    Path("clv.csv").touch()
    before = sorted(folder.iterdir())
    assert_refused(call("demo"), "clv.csv exists; replace it with --overwrite", folder, before)


def test_audit_refuses_what_is_no_log(folder):
    before = sorted(folder.iterdir())
    assert_refused(call("audit", "missing.csv", *COLUMNS), "missing.csv", folder, before)


def test_a_missing_option_is_named(folder):
    before = sorted(folder.iterdir())
    ran = call("predict", "orders.csv", "--customer", "id")
    assert_refused(ran, "--date and --value must be given: the columns of the log;", folder, before)


@pytest.fixture
def june(folder):
    """A saved fit of the orders."""
    ran = call("predict", "orders.csv", *COLUMNS, "--method", "map", "--seed", "3", "--save", "june.clv")
    assert ran.exit_code == 0
    assert fits(ran.stdout)
    assert ran.stdout.endswith("The fit, for --model: june.clv\n")
    Path("clv.parquet").rename("june.parquet")
    return folder


def test_the_nightly_job_needs_the_model_and_the_log_alone(june, lines):
    ran = call("predict", "--model", "june.clv", "orders.csv")
    assert ran.exit_code == 0
    assert ran.stderr == ""
    assert fits(ran.stdout)
    pd.testing.assert_frame_equal(pd.read_parquet("clv.parquet"), pd.read_parquet("june.parquet"))
    july = lines.assign(day=(pd.to_datetime(lines["day"]) + pd.Timedelta(days=30)).astype(str), price=2.0)
    july.drop(columns="amount").to_csv("july.csv", index=False)
    columns = ("--value", "quantity", "--value", "price")
    ran = call("predict", "--model", "june.clv", "july.csv", *columns, "--output", "july.csv.csv", "--margin", "0.4")
    assert ran.exit_code == 0
    assert "365 days after 2024-08-17" in ran.stdout
    assert "clv: 40% of the revenue" in ran.stdout


def test_old_orders_end_with_code_3_and_write_nothing(june, monkeypatch):
    monkeypatch.setattr(workflow, "today", lambda: pd.Timestamp("2024-07-22"))
    before = sorted(june.iterdir())
    ran = call("predict", "--model", "june.clv", "orders.csv", "--max-age", "3 days")
    assert ran.exit_code == 3
    assert ran.stderr == "Error: the newest order is of 2024-07-18, 4 days ago, older than --max-age '3 days'\n"
    assert ran.stdout == ""
    assert call("predict", "orders.csv", *COLUMNS, "--max-age", "3", "--output", "new.csv").exit_code == 3
    assert sorted(june.iterdir()) == before
    assert call("predict", "--model", "june.clv", "orders.csv", "--max-age", "4").exit_code == 0


def test_check_tells_by_its_code_whether_to_fit_again(folder, lines):
    assert call("predict", "orders.csv", *COLUMNS, "--until", "2024-05-31", "--save", "may.clv").exit_code == 0
    dear = lines.assign(amount=np.where(lines["day"] > "2024-05-31", 5, 1) * lines["amount"])
    dear.assign(half=np.where(lines["id"] < "030", "first", "second")).to_csv("dear.csv", index=False)
    before = sorted(folder.iterdir())
    for name, code in (("orders.csv", 0), ("dear.csv", 4)):
        ran = call("check", "may.clv", name, *(("--by", "half") if name == "dear.csv" else ()))
        assert ran.exit_code == code, ran.output
        found = clv.check(clv.load("may.clv"), clv.Transactions(name, **clv.load("may.clv").origin.log))
        assert found.refit == bool(code)
        printed = " ".join(ran.stdout.split())
        assert printed.startswith(found.verdict)
        number = found.table["customers"].max()
        assert f"After 2024-05-31, until 2024-07-18: {number} customers of the fit" in printed
        row = found.table.loc[("all", "revenue")]
        assert (
            f"revenue {row['actual']:,.0f} {row['expected']:,.0f} {row['lower']:,.0f} to {row['upper']:,.0f}" in printed
        )
        assert fits(ran.stdout)
    assert " first " in printed
    assert " second " in printed
    assert sorted(folder.iterdir()) == before


BAD_CHECKS = {
    "nothing since": (
        ["may.clv", "orders.csv", "--until", "2024-05-31"],
        "nothing has been observed since the fit: it ends",
    ),
    "later than the log": (["may.clv", "orders.csv", "--until", "2025-05-31"], "but the log ends on 2024-07-18"),
    "contracts": (
        ["may.clv", "orders.csv", "--contracts"],
        "a fit of NonContractualCLV, not one of contracts that can be",
    ),
    "no column": (["may.clv", "orders.csv", "--date", "dya"], "there is no column 'dya'; did you mean 'day'?"),
}


def test_what_cannot_be_checked_is_refused_in_one_sentence(folder):
    assert call("predict", "orders.csv", *COLUMNS, "--until", "2024-05-31", "--save", "may.clv").exit_code == 0
    before = sorted(folder.iterdir())
    for arguments, sentence in BAD_CHECKS.values():
        assert_refused(call("check", *arguments), sentence, folder, before)


BACKTEST = ("backtest", "orders.csv", *COLUMNS, "--cutoff", "2024-04-30", "--horizon", "8 weeks")


def test_backtest_writes_what_the_library_finds(folder, lines):
    chosen = ("--model", "simple", "--model", "zero", "--model", "bgnbd", "--baseline", "zero", "--seed", "1")
    ran = call(*BACKTEST, *chosen)
    assert ran.exit_code == 0, ran.output
    log = clv.Transactions("orders.csv", customer="id", date="day", value="amount")
    models = {name: workflow.SHOP_MODELS[name] for name in ("simple", "zero", "bgnbd")}
    expected = clv.backtest(models, log, "2024-04-30", "8 weeks", seed=1, progress=False)
    assert sorted(path.name for path in Path("backtest").iterdir()) == sorted(workflow.BACKTEST_FILES)
    table = pd.read_csv("backtest/table.csv", parse_dates=["cutoff"])
    pd.testing.assert_frame_equal(table, expected.table, check_dtype=False)
    predictions = pd.read_parquet("backtest/predictions.parquet")
    pd.testing.assert_frame_equal(predictions, expected.predictions, check_dtype=False)
    comparison = expected.compare("zero")
    assert Path("backtest/verdict.txt").read_text() == f"{comparison.verdict}\n"
    assert words(ran.stdout).startswith(words(comparison.verdict))
    sentences = [line for line in ran.stdout.splitlines() if "  " not in line]
    assert max(map(len, sentences)) <= 80
    pd.testing.assert_frame_equal(pd.read_csv("backtest/comparison.csv"), comparison.table, check_dtype=False)
    assert set(pd.read_csv("backtest/problems.csv")["kind"]) <= {"warning", "failure"}
    before = sorted(folder.iterdir())
    assert_refused(call(*BACKTEST, *chosen), "verdict.txt exists; replace it with --overwrite", folder, before)
    assert call(*BACKTEST, *chosen, "--overwrite", "--model", "own-rate").exit_code == 0
    assert set(pd.read_csv("backtest/table.csv")["model"]) == {"simple", "zero", "bgnbd", "own-rate"}


def test_a_log_without_values_is_scored_by_its_transactions(folder):
    ran = call("backtest", "orders.csv", "--customer", "id", "--date", "day", *BACKTEST[-4:], "--seed", "1")
    assert ran.exit_code == 0, ran.output
    table = pd.read_csv("backtest/table.csv")
    assert set(table["target"]) == {"transactions"}
    assert set(table["model"]) == {"own-rate", "bgnbd", "mbgnbd", "pareto-nbd"}


def test_a_baseline_that_was_fitted_nowhere_says_why(folder):
    before = sorted(folder.iterdir())
    pd.read_csv("orders.csv").query("id == id[0]").to_csv("orders.csv", index=False)
    asked = (*BACKTEST, "--model", "bgnbd", "--model", "simple")
    assert_refused(call(*asked), "nothing to compare with: bgnbd: DataError: 1 customer cannot carry", folder, before)
    alone = (*BACKTEST, "--model", "bgnbd", "--model", "mbgnbd")
    assert_refused(call(*alone), "; mbgnbd: DataError: 1 customer cannot carry", folder, before)


def test_several_cutoffs_are_shown_together_and_failures_are_told(folder):
    rolling = ("--cutoff", "3 every 2 weeks", "--horizon", "2 weeks", "--by", "acquisition month", "--unit", "day")
    some = ("--model", "own-rate", "--model", "regression", "--seed", "1")
    ran = call("backtest", "orders.csv", *COLUMNS, *rolling, *some)
    assert ran.exit_code == 0, ran.output
    assert re.search(r"own-rate +[+-]\d+% \([+-]\d+% to [+-]\d+%\)", ran.stdout)
    assert "Failed: regression at 2024-06-06: DataError: RegressionCLV learns from" in " ".join(ran.stdout.split())
    assert {"all", "2024-01"} <= set(pd.read_csv("backtest/table.csv")["segment"])
    problems = pd.read_csv("backtest/problems.csv")
    assert (problems["kind"] == "failure").sum() == 3
    assert set(problems["cutoff"]) == {"2024-06-06", "2024-06-20", "2024-07-04"}
    verdict = Path("backtest/verdict.txt").read_text()
    assert verdict.count("Failed: regression at 2024-06-") == 2


BAD_BACKTESTS = {
    "unknown model": (["--model", "arima"], "unknown model 'arima'; use one of 'simple', 'zero', 'repeat', 'own-rate'"),
    "foreign baseline": (
        ["--model", "zero", "--baseline", "simple"],
        "baseline 'simple' is not among the models: 'zero'",
    ),
    "no folder": (["--output", "missing/backtest"], "there is no folder missing"),
    "unknown horizon": (["--horizon", "soon"], "horizon 'soon'"),
    "too long": (["--horizon", "5 years"], "but the log ends on 2024-07-18"),
}


@pytest.mark.parametrize(("arguments", "sentence"), BAD_BACKTESTS.values(), ids=BAD_BACKTESTS)
def test_what_cannot_be_backtested_is_refused_in_one_sentence(folder, arguments, sentence):
    before = sorted(folder.iterdir())
    assert_refused(call(*BACKTEST, *arguments), sentence, folder, before)


BAD_WITH_MODEL = {
    "method": (["--method", "ml"], "--method cannot be given with --model, which is a fit already"),
    "unit": (["--unit", "week"], "--unit cannot be given with --model"),
    "save": (["--save", "new.clv"], "--save cannot be given with --model"),
    "missing model": (["--model", "july.clv"], "there is no file july.clv"),
    "no model": (["--model", "orders.csv"], "orders.csv cannot be loaded: it is not a file of clvmodels.save"),
    "age without sense": (["--max-age", "soon"], "write it like '3 days'"),
    "missing column": (["--date", "dya"], "there is no column 'dya'; did you mean 'day'?"),
}


@pytest.mark.parametrize(("arguments", "sentence"), BAD_WITH_MODEL.values(), ids=BAD_WITH_MODEL)
def test_what_does_not_go_with_a_model_is_refused_in_one_sentence(june, arguments, sentence):
    before = sorted(june.iterdir())
    assert_refused(call("predict", "orders.csv", "--model", "june.clv", *arguments), sentence, june, before)


def test_an_existing_model_is_not_replaced_unasked(june):
    before = sorted(june.iterdir())
    again = ("predict", "orders.csv", *COLUMNS, "--method", "ml", "--save", "june.clv")
    assert_refused(call(*again), "june.clv exists; replace it with --overwrite", june, before)
    assert call(*again, "--overwrite").exit_code == 0
    assert clv.load("june.clv").method == "ml"


def test_a_fit_that_cannot_be_used_is_refused_in_one_sentence(folder, monkeypatch):
    def predict(*args, **options):
        raise clv.FitError("the draws are not to be trusted; try method='map'")

    monkeypatch.setattr(workflow, "predict", predict)
    before = sorted(folder.iterdir())
    assert_refused(call("predict", "orders.csv", *COLUMNS), "try --method 'map'", folder, before)


def test_a_path_that_looks_like_an_option_is_left_alone():
    assert console.as_options("there is no file /logs/value=2/x.csv; give until=") == (
        "there is no file /logs/value=2/x.csv; give --until"
    )


def test_a_choice_of_lines_is_written_as_the_command_line_has_it():
    assert console.as_options("added up; where={'currency': ['EUR']} picks one") == (
        "added up; --where 'currency=EUR' picks one"
    )


@pytest.mark.parametrize("command", ["demo", "audit", "predict", "check", "backtest"])
def test_help_reads_well(command):
    ran = call(command, "--help")
    assert ran.exit_code == 0
    assert fits(ran.stdout)
    assert f"Example: clvmodels {command} " in ran.stdout
    arguments = {"source", "folder", *(["model"] if command == "check" else [])}
    for option in inspect.signature(getattr(cli, command)).parameters.keys() - arguments:
        assert f"--{option.replace('_', '-')} " in ran.stdout


@pytest.mark.parametrize("command", ["audit", "predict", "check", "backtest"])
def test_help_names_the_defaults_of_the_log(command):
    shown = " ".join(call(command, "--help").stdout.split())
    for name, parameter in inspect.signature(clv.Transactions).parameters.items():
        if name in workflow.LogOptions.__annotations__ and isinstance(parameter.default, str):
            assert re.search(rf"--{name.replace('_', '-')} [^\[]*\[default: \({parameter.default}\)\]", shown), name


def test_the_commands_are_listed_in_full():
    ran = call("--help")
    assert ran.exit_code == 0
    assert fits(ran.stdout)
    assert re.findall(r"^  (\w+) {2,}[A-Z].*\.$", ran.stdout, re.MULTILINE) == [
        "demo",
        "audit",
        "predict",
        "check",
        "backtest",
    ]
    assert "..." not in ran.stdout.partition("Commands:")[2]


def test_the_program_runs_as_a_module_and_tells_its_version():
    run = subprocess.run([sys.executable, "-m", "clvmodels", "--version"], capture_output=True, text=True, check=True)
    assert run.stdout == f"clvmodels {clv.__version__}\n"


def test_an_id_named_like_a_result_is_refused_before_the_fit(folder, lines):
    lines.rename(columns={"id": "clv"}).to_csv("orders.csv", index=False)
    before = sorted(folder.iterdir())
    ran = call("predict", "orders.csv", "--customer", "clv", *COLUMNS[2:])
    assert_refused(ran, "customer column 'clv' has the name of a predicted column; rename it", folder, before)
