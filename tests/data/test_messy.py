"""Exports as shops make them: encodings, currencies, states of orders, guests, Buddhist years; each as a real file."""

import codecs
import gzip
import tempfile
import unicodedata
import warnings

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from conftest import shared
from hypothesis import given, settings
from hypothesis import strategies as st

from clvmodels import DataError, DataWarning, Transactions
from clvmodels.data.encoding import decoded
from clvmodels.data.numbers import as_double

COLUMNS = {"customer": "id", "date": "day", "value": "amount"}


def orders():
    """Eight orders of four customers, whose ids have leading zeros; the sixth line is the last day."""
    return pd.DataFrame(
        {
            "id": ["007", "08", "007", "9", "08", "007", "10", "9"],
            "day": [f"2024-{day}" for day in ("01-01", "01-03", "02-29", "01-10", "02-01", "04-30", "01-05", "03-03")],
            "amount": ["1234.56", "12.50", "0.99", "1000000.00", "7.00", "100.00", "20.00", "3.10"],
            "order": [f"00{number}" for number in range(8)],
        }
    )


def log_of(source, **options):
    return Transactions(source, **(COLUMNS | options))


def row_of(audit, check):
    return audit.table.set_index("check").loc[check]


def quietly(method, *arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        return method(*arguments, **options)


def sources(frame, folder):
    """The same log from everywhere, all as text or as typed as its source can be."""
    frame.to_csv(folder / "log.csv", index=False)
    frame.to_parquet(folder / "log.parquet")
    return {
        "pandas": frame,
        "polars": pl.from_pandas(frame),
        "arrow": pa.Table.from_pandas(frame),
        "csv": folder / "log.csv",
        "parquet": folder / "log.parquet",
        "relation": duckdb.connect().from_df(frame),
    }


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The folder for temporary files, which is to be empty in the end."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert not list(folder.iterdir())


# Encodings


VIETNAMESE = ["Nguyễn Thị Hằng", "Trần Văn Nội", "Lê Đức Thọ", "Vũ Thế Sỹ"]
THAI = ["สมชาย ใจดี", "สมหญิง รักไทย", "อนันต์ แซ่ลี้", "ก"]


def cp1258(text):
    """As Windows writes it, with the tone behind the letter: Python cannot encode a letter that has its tone."""
    written = b""
    for sign in text:
        try:
            written += sign.encode("cp1258")
        except UnicodeEncodeError:
            apart = unicodedata.normalize("NFD", sign)
            tone = next(mark for mark in apart if mark in "\u0300\u0301\u0303\u0309\u0323")
            written += (unicodedata.normalize("NFC", apart.replace(tone, "")) + tone).encode("cp1258")
    return written


def test_tones_of_a_vietnamese_file_belong_to_their_letters(tmp_path, temporary):
    names = {"id": "Mã khách", "day": "Ngày", "amount": "Số tiền", "order": "Đơn hàng"}
    frame = orders().rename(columns=names)
    frame["Tên khách hàng"] = [VIETNAMESE[number % 4] for number in range(8)]
    frame["Mã khách"] = [f"{VIETNAMESE[int(number) % 4]} {number}" for number in frame["Mã khách"]]
    text = frame.to_csv(index=False)
    (tmp_path / "đơn.csv").write_bytes(cp1258(text))
    (tmp_path / "đơn.csv.gz").write_bytes(gzip.compress(cp1258(text)))
    head, *lines = text.splitlines(keepends=True)
    for part in range(2):
        (tmp_path / f"part-{part}.csv").write_bytes(cp1258(head + "".join(lines[part::2])))
    options = {"customer": names["id"], "date": names["day"], "value": names["amount"], "order": names["order"]}
    options |= {"attributes": ["Tên khách hàng"]}
    expected = Transactions(frame, **options).summary().table
    assert "Trần Văn Nội 9" in expected.index
    for name in ("đơn.csv", "đơn.csv.gz", "part-*.csv"):
        log = Transactions(tmp_path / name, **options, encoding="cp1258")
        pd.testing.assert_frame_equal(log.summary().table, expected, check_dtype=False, obj=name)
        assert row_of(log.audit(), "orders")["count"] == 8
    chosen = Transactions(
        tmp_path / "đơn.csv", **options, encoding="windows-1258", where={"Tên khách hàng": "Trần Văn Nội"}
    )
    assert row_of(chosen.audit(), "lines")["count"] == 2


FILES = {
    "TIS-620": ("tis-620", ",", ""),
    "Thai Windows": ("cp874", ",", ""),
    "UTF-8": ("utf-8", ",", ""),
    "UTF-8 with a mark": ("utf-8", ",", "\ufeff"),
    "UTF-8 with a mark, said so": ("utf-8-sig", ",", ""),
    "UTF-16 with a mark": ("utf-16", "\t", ""),
    "big-endian UTF-16": ("utf-16-be", "\t", ""),
    "big-endian UTF-16 with a mark": ("utf-16-be", "\t", "\ufeff"),
    "UTF-32": ("utf-32", ";", ""),
}


@pytest.mark.parametrize("file", FILES)
def test_names_arrive_as_they_were_written(tmp_path, temporary, file):
    encoding, separator, mark = FILES[file]
    frame = orders().assign(ชื่อ=[THAI[number % 4] for number in range(8)])
    frame["id"] = THAI[3] + frame["id"]
    text = mark + frame.to_csv(index=False, sep=separator, lineterminator="\r\n")
    (tmp_path / "log.txt").write_bytes(text.encode(encoding))
    options = {"order": "order", "attributes": ["ชื่อ"]}
    table = log_of(tmp_path / "log.txt", encoding=encoding, **options).summary().table
    pd.testing.assert_frame_equal(table, log_of(frame, **options).summary().table, check_dtype=False)


@pytest.mark.parametrize("quote", ["", '"'])
def test_a_mark_is_no_part_of_the_first_name(tmp_path, quote):
    text = f"{quote}id{quote},day,amount\n007,2024-01-01,1\n"
    (tmp_path / "log.csv").write_bytes(codecs.BOM_UTF8 + text.encode())
    assert log_of(tmp_path / "log.csv").summary().table.index.tolist() == ["007"]


def written(folder, text, encoding, good_lines=3):
    """A file whose last line but one holds the text, as the name of a customer that no sentence may repeat."""
    path = folder / "log.csv"
    lines = [
        "id,day,amount,name",
        *["a,2024-01-01,1,x"] * good_lines,
        f"secret,2024-01-01,1,{text}",
        "b,2024-01-02,1,y",
    ]
    path.write_bytes("\n".join(lines).encode(encoding))
    return path


WRONG = {
    "latin-1": ("é", "latin-1", "utf-8"),
    "Thai": ("ก", "tis-620", "utf-8"),
    "UTF-8 is no ASCII": ("é", "utf-8", "ascii"),
    "what Windows does not know": ("\x81", "latin-1", "cp1252"),
}


@pytest.mark.parametrize("good_lines", [3, 70_000])
@pytest.mark.parametrize("case", WRONG)
def test_another_encoding_is_refused_with_the_line_and_what_to_try(tmp_path, temporary, case, good_lines):
    text, actual, given_encoding = WRONG[case]
    path = written(tmp_path, text, actual, good_lines)
    with pytest.raises(DataError) as caught:
        quietly(log_of(path, encoding=given_encoding, attributes=["name"]).summary)
    sentence = str(caught.value)
    assert sentence.startswith(f"{path} is not written in {given_encoding}, as line {good_lines + 2:,} shows; say in")
    assert "encoding= (such as" in sentence
    assert "cp1258" in sentence
    assert "secret" not in sentence


def test_the_file_at_fault_is_named_among_several(tmp_path, temporary):
    for number, encoding in enumerate(["utf-8", "utf-8", "cp1252"]):
        (tmp_path / f"{number}.csv").write_bytes("id,day,amount\né,2024-01-01,1\n".encode(encoding))
    for given_encoding in ("utf-8", "ascii"):
        with pytest.raises(DataError, match=rf"{'2' if given_encoding == 'utf-8' else '0'}.csv is not written in"):
            log_of(tmp_path / "*.csv", encoding=given_encoding)
    assert len(log_of(tmp_path / "[01].csv").summary()) == 1


@pytest.mark.parametrize(
    ("start", "name", "given_encoding"),
    [
        (codecs.BOM_UTF16_LE, "utf-16", "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16", "cp1252"),
        (codecs.BOM_UTF16_BE, "utf-16", "latin-1"),
        (codecs.BOM_UTF8, "utf-8", "cp1258"),
        (codecs.BOM_UTF8, "utf-8", "utf-16"),
    ],
)
def test_a_mark_tells_the_encoding(tmp_path, temporary, start, name, given_encoding):
    form = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be", codecs.BOM_UTF8: "utf-8"}[start]
    (tmp_path / "log.csv").write_bytes(start + orders().to_csv(index=False).encode(form))
    with pytest.raises(DataError, match=rf"log.csv begins with the mark of {name} .* say encoding='{name}'$"):
        log_of(tmp_path / "log.csv", encoding=given_encoding)


def test_utf_16_without_a_mark_is_recognised(tmp_path):
    (tmp_path / "log.csv").write_bytes(orders().to_csv(index=False).encode("utf-16-le"))
    with pytest.raises(DataError, match="is not written in UTF-8; if it is UTF-16, say so with encoding='utf-16'"):
        log_of(tmp_path / "log.csv")


def test_a_file_that_is_cut_off_is_refused(tmp_path, temporary):
    packed = gzip.compress(orders().to_csv(index=False).encode("cp1252"))
    (tmp_path / "log.csv.gz").write_bytes(packed[:-12])
    with pytest.raises(DataError, match=r"log.csv.gz cannot be read: Compressed file ended before"):
        log_of(tmp_path / "log.csv.gz", encoding="cp1252")
    (tmp_path / "log.csv").write_bytes(orders().to_csv(index=False).encode("utf-16")[:-1])
    with pytest.raises(DataError, match=r"log.csv is not written in utf-16, as line 9 shows"):
        log_of(tmp_path / "log.csv", encoding="utf-16")


def test_what_duckdb_says_of_a_copy_is_said_of_the_file(tmp_path, temporary):
    (tmp_path / "log.csv").write_text('id,day\n"a"b,2\n"x,3\n')
    with pytest.raises(DataError) as caught:
        Transactions(tmp_path / "log.csv", customer="id", date="day", encoding="cp1252")
    assert str(temporary) not in str(caught.value)
    assert str(tmp_path / "log.csv") in str(caught.value)


def test_an_encoding_is_one_of_a_csv_file(tmp_path):
    orders().to_parquet(tmp_path / "log.parquet")
    for source in (orders(), tmp_path / "log.parquet"):
        with pytest.raises(ValueError, match=r"encoding is for CSV files; .* has none"):
            log_of(source, encoding="cp1258")
        assert len(log_of(source, encoding="UTF8").summary()) == 4
    orders().to_csv(tmp_path / "log.csv")
    for unknown in ("cp9999", "hex", "", None, 1252):
        with pytest.raises(ValueError, match="unknown encoding"):
            log_of(tmp_path / "log.csv", encoding=unknown)
    with pytest.raises(DataError, match="No files found"):
        log_of(tmp_path / "none-*.csv", encoding="cp1252")


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.lists(st.text(st.sampled_from("aé\nก𝄞"), max_size=8), max_size=6),
    st.binary(max_size=2),
    st.sampled_from(["utf-8", "utf-16", "tis-620", "shift_jis", "gb18030"]),
    st.integers(1, 7),
)
def test_pieces_make_the_same_text_and_the_same_fault(tmp_path_factory, monkeypatch_chunk, texts, end, encoding, size):
    path = tmp_path_factory.mktemp("pieces") / "log.csv"
    content = "\n".join(texts).encode(encoding, errors="ignore") + end
    path.write_bytes(content)
    monkeypatch_chunk(size)
    try:
        expected = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].decode(encoding).count("\n") + 1
        with pytest.raises(DataError, match=f"as line {line} shows|begins with the mark"):
            list(decoded(str(path), encoding))
    else:
        if not content.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or encoding == "utf-16":
            assert "".join(decoded(str(path), encoding)) == expected


@pytest.fixture(scope="module")
def monkeypatch_chunk():
    with pytest.MonkeyPatch.context() as patch:
        yield lambda size: patch.setattr("clvmodels.data.encoding._CHUNK", size)


# Numbers as text


def german(number):
    return f"{float(number):,.2f}".translate(str.maketrans(",.", ".,"))


def test_a_german_export_is_read(tmp_path, temporary):
    expected = log_of(orders(), order="order").summary().table
    export = orders().assign(amount=orders()["amount"].map(german))
    export["day"] = pd.to_datetime(export["day"]).dt.strftime("%d.%m.%Y")
    assert export["amount"].tolist()[:4] == ["1.234,56", "12,50", "0,99", "1.000.000,00"]
    export.to_csv(tmp_path / "german.csv", index=False, sep=";", encoding="cp1252")
    options = {"decimal": ",", "thousands": ".", "date_format": "%d.%m.%Y", "order": "order"}
    log = log_of(tmp_path / "german.csv", encoding="cp1252", **options)
    pd.testing.assert_frame_equal(log.summary().table, expected, check_dtype=False)
    assert set(log.audit().table["level"]) <= {"ok", "note", "warning"}
    for name, source in sources(export, tmp_path).items():
        table = log_of(source, **options).summary().table
        pd.testing.assert_frame_equal(table, expected, check_dtype=False, obj=name)


def test_numbers_that_are_typed_are_not_touched(tmp_path):
    typed = orders().astype({"amount": float})
    expected = log_of(orders()).summary().table
    for name, source in sources(typed, tmp_path).items():
        if name != "csv":
            table = log_of(source, decimal=",", thousands=".").summary().table
            pd.testing.assert_frame_equal(table, expected, check_dtype=False, obj=name)


def test_quantity_and_price_are_read_in_the_same_form():
    frame = orders().assign(quantity="1.000", price="0,5")
    table = log_of(frame, value=("quantity", "price"), decimal=",", thousands=".").summary().table
    assert table["historic_revenue"].to_dict() == {"007": 1500, "08": 1000, "10": 500, "9": 1000}
    with pytest.raises(DataError, match=r"'1.000 x 0,5' .* say how numbers are written with decimal=',', or"):
        log_of(frame, value=("quantity", "price")).summary()


def read(texts, decimal, thousands):
    """What DuckDB makes of texts; NaN where it cannot read them."""
    number = as_double("text", decimal, thousands)
    found = duckdb.execute(f"SELECT {number} FROM (SELECT unnest($texts) AS text)", {"texts": texts}).fetchall()
    return [np.nan if value is None else value for (value,) in found]


SPACES, APOSTROPHES = " \u00a0\u202f\u2009", "'’"


def slowly(text, decimal, thousands):
    """The same, sign by sign."""
    text = text.strip(SPACES + "\t")
    negative = False
    if text[:1] == "(" and text[-1:] == ")":
        text, negative = text[1:-1], True
    elif text[:1] in ("-", "−", "+"):
        text, negative = text[1:], text[0] != "+"
    elif text[-1:] in ("-", "−"):
        text, negative = text[:-1], True
    text = text.strip(SPACES + "\t")
    power = 0
    for sign in "eE":
        if sign in text:
            text, _, last = text.partition(sign)
            if not digits(last[1:] if last[:1] in ("+", "-") else last):
                return np.nan
            power = int(last)
    whole, point, fraction = text.partition(decimal)
    if (point and not digits(fraction)) or not (whole or point):
        return np.nan
    for kind in (SPACES, APOSTROPHES):
        if thousands is not None and thousands in kind:
            for sign in kind:
                whole = whole.replace(sign, thousands)
    groups = whole.split(thousands) if thousands and whole else [whole]
    lengths = [len(group) for group in groups]
    by_three = 1 <= lengths[0] <= 3 and set(lengths[1:]) == {3}
    indian = thousands == "," and 1 <= lengths[0] <= 2 and lengths[-1] == 3 and set(lengths[1:-1]) == {2}
    if (whole and not all(map(digits, groups))) or (len(groups) > 1 and not (by_three or indian)):
        return np.nan
    return (-1 if negative else 1) * float(f"{''.join(groups) or 0}.{fraction or 0}e{power}")


def digits(text):
    return text != "" and all(sign in "0123456789" for sign in text)


FORMS = [(decimal, group) for group in [None, ",", ".", *SPACES, *APOSTROPHES] for decimal in ".," if decimal != group]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.sampled_from(FORMS),
    st.lists(st.decimals(-(10**12), 10**12, places=4), min_size=1, max_size=20),
    st.sampled_from(["-{}", "−{}", "- {}", "{}-", "({})", " {}- ", "\u00a0-{}"]),
)
def test_a_number_that_is_written_in_a_form_is_read_exactly(form, numbers, minus):
    decimal, thousands = form
    signs = str.maketrans({",": thousands or "", ".": decimal})
    texts = [f"{abs(number):,f}".translate(signs) for number in numbers]
    texts = [minus.format(text) if number < 0 else text for text, number in zip(texts, numbers, strict=True)]
    assert read(texts, decimal, thousands) == [float(number) for number in numbers]


anything = st.lists(st.sampled_from([*"0123456789.,'’ \u00a0\u202f\t-−+()eE€\n", "123", "000"]), max_size=8).map(
    "".join
)
almost = st.builds(
    lambda start, first, sign, groups, end: f"{start}{sign.join([first, *groups])}{end}",
    st.sampled_from(["", "-", "(", "+ ", "\u00a0−"]),
    st.sampled_from(["", "0", "1", "12", "123", "1234"]),
    st.sampled_from(",., '’\u202f"),
    st.lists(st.sampled_from(["123", "000", "12", "4567"]), max_size=3),
    st.sampled_from(["", ",5", ".50", "-", ")", "e3", ",1E-2 ", ",", " €"]),
)


@settings(max_examples=250, deadline=None, derandomize=True)
@given(st.sampled_from(FORMS), st.lists(anything | almost, min_size=10, max_size=40))
def test_texts_are_read_as_slowly_or_not_at_all(form, texts):
    for text, found in zip(texts, read(texts, *form), strict=True):
        expected = slowly(text, *form)
        # The usual form is read by DuckDB's own rules first, which also take "5." and "1_000".
        if form != (".", None) or not np.isnan(expected):
            assert found == pytest.approx(expected, rel=1e-15, nan_ok=True), text


UNREAD = {
    "decimal comma": (["12,50", "3"], {}, "say how numbers are written with decimal=','"),
    "German": (["1.234,56", "12,50"], {}, "say how numbers are written with decimal=',' and thousands='.'"),
    "many thousands": (["1.200.000"], {}, "say how numbers are written with decimal=',' and thousands='.'"),
    "comma of either kind": (["1,234"], {}, "say how numbers are written with decimal=',' or thousands=','"),
    "English": (["1,234.56", "12,345"], {}, "say how numbers are written with thousands=','"),
    "French": (["1\u202f234,56"], {}, "say how numbers are written with decimal=',' and thousands=' '"),
    "Swiss": (["1’234.50"], {}, 'say how numbers are written with thousands="\'"'),
    "euro": (["12,50 €"], {}, "remove the currency sign '€' and say how numbers are written with decimal=','"),
    "dollar": (["$12", "-$3.50"], {}, "remove the currency sign '$', or leave"),
    "code": (["EUR 3"], {}, "remove the currency sign or unit 'EUR', or leave"),
    "dong": (["1.200.000 ₫"], {"decimal": ",", "thousands": "."}, "remove the currency sign '₫', or leave"),
    "two currencies": (["€3", "$4"], {}, "convert them to one currency or unit ('$', '€') and leave out its sign"),
    "points in a German log": (["12.50"], {"decimal": ",", "thousands": "."}, "with decimal='.' and no thousands=, or"),
    "groups in a log without": (["1.234"], {"decimal": ","}, "written with decimal='.' or thousands='.', or leave"),
    "nothing": ([""], {}, "write numbers like 1234.56, or leave"),
    "nothing in a German log": (["?"], {"decimal": ",", "thousands": "."}, "write numbers like 1.234,56, or leave"),
}


@pytest.mark.parametrize("case", UNREAD)
def test_what_to_do_about_unread_values_is_said(case):
    texts, options, advice = UNREAD[case]
    frame = pd.DataFrame({"id": range(len(texts) + 4), "day": "2024-01-01", "amount": [*texts, "", "", "", "1"]})
    log = log_of(frame, **options)
    with pytest.raises(DataError) as caught:
        log.summary()
    assert advice in f"{caught.value}"
    row = row_of(log.audit(), "unreadable values")
    assert row["level"] == "error"
    assert row["remark"] == f"refused by summary(); {advice.partition(', or')[0].removeprefix('with ')}" or (
        row["remark"].endswith(advice.partition(", or")[0])
    )


def test_thousands_that_are_read_as_decimals_are_doubted():
    frame = orders().assign(amount=["120.000", "99", "1.500", "(35.000)", "7", "12", "20", "31"])
    row = row_of(log_of(frame).audit(), "three decimals")
    assert (row["level"], row["count"], row["examples"]) == ("warning", 3, ["'(35.000)'"])
    assert row["remark"] == (
        "amount has three digits behind each '.'; if it groups thousands, say thousands='.' and decimal=','"
    )
    for said in ({"thousands": ".", "decimal": ","}, {"thousands": ","}):
        assert "three decimals" not in set(log_of(frame, **said).audit().table["check"])
    weights = orders().assign(amount=["0.250", "1.500", *["1"] * 6])
    assert "three decimals" not in set(log_of(weights).audit().table["check"])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"decimal": ";"}, "decimal must be '.' or ','; got ';'"),
        ({"decimal": ""}, "decimal must be '.' or ','; got ''"),
        ({"thousands": "x"}, "thousands must be ',', '.', a space or an apostrophe; got 'x'"),
        ({"thousands": ""}, "thousands must be ',', '.', a space or an apostrophe; got ''"),
        ({"thousands": "."}, "decimal and thousands are both '.'; give decimal=',', too"),
    ],
)
def test_signs_that_make_no_sense_are_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence.replace(".", r"\.")):
        log_of(orders(), **options)


# Lines that count


def shop():
    """Orders in several states and currencies; one line has neither."""
    frame = orders().astype({"amount": float})
    return frame.assign(
        status=["paid", "shipped", "cancelled", "paid", "shipped", "paid", None, "pending"],
        currency=["EUR", "EUR", "EUR", "USD", "EUR", "EUR", "", "GBP"],
        paid=[True, True, False, True, True, True, False, False],
        store=[1, 2, 1, 2, 1, 2, 1, 2],
        rate=[0.5, 0.25, 0.5, 0.5, 0.25, 0.5, 0.5, 0.25],
        noted=["2024-01-01", "2024-01-02", "2024-01-01", "2024-01-01", None, "2024-01-01", "2024-01-02", " "],
    )


CHOICES = {
    "texts": ({"status": ["paid", "shipped"]}, [0, 1, 3, 4, 5]),
    "one text": ({"status": "paid"}, [0, 3, 5]),
    "nothing there": ({"status": None}, [6]),
    "text or nothing": ({"status": ["pending", np.nan, "pending"]}, [6, 7]),
    "blank is nothing": ({"noted": ""}, [4, 7]),
    "truth": ({"paid": True}, [0, 1, 3, 4, 5]),
    "untruth": ({"paid": False}, [2, 6, 7]),
    "truth as text": ({"paid": "true"}, [0, 1, 3, 4, 5]),
    "whole numbers": ({"store": 2}, [1, 3, 5, 7]),
    "whole number as text": ({"store": ["2"]}, [1, 3, 5, 7]),
    "whole number as float": ({"store": np.float64(2)}, [1, 3, 5, 7]),
    "NumPy's": ({"store": np.array([2])}, [1, 3, 5, 7]),
    "fraction": ({"rate": 0.25}, [1, 4, 7]),
    "date as text": ({"noted": "2024-01-01"}, [0, 2, 3, 5]),
    "two columns": ({"status": ["paid", "shipped"], "currency": {"EUR"}}, [0, 1, 4, 5]),
    "the customer": ({"id": "007"}, [0, 2, 5]),
}


@pytest.mark.parametrize("case", CHOICES)
def test_a_choice_is_as_if_the_log_held_no_other_lines(tmp_path, case):
    where, kept = CHOICES[case]
    # A column named by an option or left away: nothing is doubted.
    frame, options = shop(), {"currency": None} if "currency" in where else {"value": None}
    expected = log_of(frame.iloc[kept], **options).summary().table
    for name, source in sources(frame, tmp_path).items():
        if name == "csv" and case in ("truth", "untruth", "truth as text"):
            continue
        log = log_of(source, where=where, **options)
        table = log.summary().table
        pd.testing.assert_frame_equal(table, expected, check_dtype=False, check_index_type=False, obj=name)
        audit = log.audit()
        assert row_of(audit, "lines")["count"] == len(kept)
        assert row_of(audit, "not asked for")["count"] == 8 - len(kept)
        assert row_of(audit, "not asked for")["share"] == 1 - len(kept) / 8


def test_truth_in_a_csv_file_is_text(tmp_path):
    shop().to_csv(tmp_path / "log.csv", index=False)
    with pytest.raises(DataError, match="no line has paid 'true'; paid holds 'True', 'False'"):
        log_of(tmp_path / "log.csv", where={"paid": "true"})
    assert len(log_of(tmp_path / "log.csv", where={"paid": True}, value=None).summary()) == 3


def test_typed_dates_may_be_chosen():
    frame = shop().assign(noted=pd.to_datetime(shop()["noted"].where(shop()["noted"] != " ")))
    for day in ("2024-01-01", pd.Timestamp("2024-01-01")):
        log = log_of(frame, value=None, where={"noted": day})
        assert row_of(log.audit(), "lines")["count"] == 4


def test_what_is_not_asked_for_is_named_but_no_warning():
    log = log_of(shop(), where={"status": ["paid", "shipped"], "currency": "EUR"})
    log.summary()
    row = row_of(log.audit(), "not asked for")
    assert (row["level"], row["count"], row["examples"]) == ("note", 4, ["' / '", "'cancelled / EUR'", "'paid / USD'"])
    assert row["remark"] == "left out: status is not 'paid' or 'shipped' or currency is not 'EUR'"
    row = row_of(log_of(shop(), value=None, where={"status": None}).audit(), "not asked for")
    assert row["remark"] == "left out: status is not missing"


BAD_CHOICES = {
    "typing errors": (
        {"status": ["payed", "shiped"]},
        "no line has status 'payed' or 'shiped'; status holds 'paid', 'shipped', 'ca",
    ),
    "a column that is not there": ({"state": "paid"}, "there is no column 'state'; did you mean 'status' or"),
    "nothing missing": ({"store": None}, "no line has store missing; store holds '1', '2'"),
    "a number that would be rounded": ({"store": 1.6}, "no line has store '1.6'; store holds '1', '2'"),
    "a text for a number": ({"rate": "cheap"}, "no line has rate 'cheap'; rate holds '0.5', '0.25'"),
    "never together": (
        {"status": "pending", "currency": "EUR"},
        "no line has all that where= asks for, of status and currency",
    ),
    "no value": ({"status": []}, "where names no value for 'status'"),
    "no mapping": (["status"], "where must be a mapping such as {'status': ['paid', 'shipped']}; got ['status']"),
    "SQL": ({"status": "' OR 1=1 --"}, 'no line has status "\' OR 1=1 --"; status holds'),
}


@pytest.mark.parametrize("case", BAD_CHOICES)
def test_a_choice_of_what_is_not_there_is_refused(case):
    where, sentence = BAD_CHOICES[case]
    with pytest.raises((DataError, ValueError)) as caught:
        log_of(shop(), where=where)
    assert sentence in str(caught.value)


def test_a_value_that_no_line_holds_beside_one_that_some_do_is_told():
    # The log of a quiet night may hold no shipped order, and must be scored all the same.
    with pytest.warns(DataWarning, match="no line has status 'shiped'; status holds 'paid', 'shipped'"):
        log = log_of(shop(), where={"status": ["paid", "shiped"]})
    expected = log_of(shop(), where={"status": "paid"}).audit().table
    assert log.audit().table["count"].tolist() == expected["count"].tolist()


# Currencies


def test_several_currencies_are_not_added_up():
    log = log_of(shop(), currency="currency")
    sentence = (
        "currency holds EUR in 5 lines, GBP in 1 line, USD in 1 line, no currency in 1 line, which cannot be added up; "
        "currency=('currency', 'EUR') picks one"
    )
    for ask in (log.summary, lambda: log.split("2024-02-01", "89 days")):
        with pytest.raises(DataError) as caught:
            ask()
        assert str(caught.value) == sentence
    # What comes later is of no concern.
    with pytest.raises(DataError, match="currency holds EUR in 3 lines, USD in 1 line, no currency in 1 line, which"):
        log.split("2024-02-01", "10 days")
    row = row_of(log.audit(), "several currencies")
    assert (row["level"], row["count"]) == ("error", 8)
    assert row["remark"].startswith("refused by summary(): currency holds EUR in 5 lines, GBP in 1 line, USD in 1 line")


def test_one_currency_can_be_picked(tmp_path):
    expected = log_of(shop()[shop()["currency"] == "EUR"]).summary().table
    told = (
        "currency is not EUR in 3 of 8 lines, which are left out: GBP in 1 line, USD in 1 line, no currency in 1 line"
    )
    for name, source in sources(shop(), tmp_path).items():
        log = log_of(source, currency=("currency", "EUR"))
        with pytest.warns(DataWarning) as caught:
            table = log.summary().table
        assert [str(warning.message) for warning in caught] == [told]
        assert caught[0].filename == __file__
        pd.testing.assert_frame_equal(table, expected, check_dtype=False, check_index_type=False, obj=name)
        row = row_of(log.audit(), "other currencies")
        assert (row["level"], row["count"], row["share"]) == ("warning", 3, 3 / 8)
        assert row["remark"] == "left out: GBP in 1 line, USD in 1 line, no currency in 1 line"


def test_only_lines_that_are_used_must_be_of_one_currency():
    log_of(shop(), currency="currency", where={"status": ["paid", "cancelled"], "store": 1}).summary()
    log_of(shop(), currency="currency").summary(until="2024-01-04")
    log_of(shop().assign(amount=[1.0, 1, 1, 0, 1, 1, 0, 0]), currency="currency").summary()
    log_of(shop(), currency="currency", value=None).summary()
    undated = shop()["day"].where(shop()["currency"].isin(["EUR", "USD"]), "?")
    with pytest.raises(DataError, match="currency holds EUR in 5 lines, USD in 1 line, which"):
        log_of(shop().assign(day=undated), currency="currency", bad_rows="drop").summary()
    audit = log_of(shop().assign(currency="EUR"), currency=("currency", "EUR")).audit()
    assert row_of(audit, "other currencies")["level"] == "ok"
    with pytest.raises(DataError, match="currency holds EUR in 4 lines, USD in 1 line"):
        log_of(shop(), currency="currency", where={"status": ["paid", "shipped"]}).summary()


@pytest.mark.parametrize("name", ["currency", "Currency", "order_currency", "Currency Code", "currencyCode"])
def test_a_column_that_nobody_named_is_not_added_up_either(name):
    log = log_of(shop().rename(columns={"currency": name}))
    with pytest.raises(DataError) as caught:
        log.summary()
    assert str(caught.value) == (
        f"{name}, which no option names, holds EUR in 5 lines, GBP in 1 line, USD in 1 line, which cannot be added up; "
        f"currency=({name!r}, 'EUR') picks one, and where= can name those that may be added up all the same"
    )
    assert row_of(log.audit(), "several currencies")["level"] == "error"


def test_a_column_of_one_currency_is_not_doubted():
    log_of(shop().assign(currency=["EUR", "", *["EUR"] * 6])).summary()
    log_of(shop().assign(currency=None)).summary()
    log_of(shop(), value=None).summary()
    log_of(shop(), attributes=["currency"]).summary()
    log_of(shop(), where={"currency": ["EUR", "USD", "GBP", None]}).summary()
    log_of(shop().assign(settled="EUR"), currency="settled").summary()
    assert not {"several currencies", "other currencies"} & set(log_of(orders()).audit().table["check"])


@pytest.mark.parametrize(
    ("currency", "sentence"),
    [
        (("currency", "EURO"), "no line has currency 'EURO'; currency holds 'EUR', 'GBP', 'USD'"),
        ("money", "there is no column 'money'"),
        (("currency", "EUR", "USD"), "currency must be a column or a pair (column, code)"),
        ((), "currency must be a column or a pair (column, code); got ()"),
        (5, "currency must be a column or a pair (column, code); got 5"),
        ("", "there is no column ''"),
    ],
)
def test_a_currency_that_is_not_there_is_refused(currency, sentence):
    with pytest.raises((DataError, ValueError)) as caught:
        log_of(shop(), currency=currency)
    assert sentence in str(caught.value)


# Several columns with the id


def guests():
    return shop().assign(
        customer=["007", None, "007", " ", "", "007", None, "9"],
        email=["7@x.de", "8@x.de", "7@x.de", "9@x.de", "8@x.de", None, " ", "9@x.de"],
    )


def test_the_first_id_that_is_not_missing_counts(tmp_path):
    twice = "1 of the ids that are taken from email stand beside another id on other lines"
    for name, source in sources(guests(), tmp_path).items():
        log = Transactions(source, customer=["customer", "email"], date="day", order="order")
        with pytest.warns(DataWarning) as caught:
            table = log.summary().table
        assert [str(warning.message) for warning in caught] == [
            f"{twice}, so their customers are counted twice; fill in customer",
            "customer or email is missing in 1 of 8 lines, which are left out",
        ]
        assert {warning.filename for warning in caught} == {__file__}
        assert table.index.name == "customer"
        assert table["n_transactions"].to_dict() == {"007": 3, "8@x.de": 2, "9": 1, "9@x.de": 1}, name
        audit = log.audit()
        row = row_of(audit, "id from email")
        assert (row["level"], row["count"], row["share"]) == ("note", 3, 3 / 8)
        assert row["remark"] == "taken where customer is missing"
        row = row_of(audit, "two ids by email")
        assert (row["level"], row["count"]) == ("warning", 1)
        assert repr(log).endswith(": customer 'customer' or 'email', date 'day', order 'order'")


def test_an_id_of_three_columns():
    frame = guests().assign(phone=[None, "+49 1", None, None, "+49 1", None, "0171", None])
    for source in (frame, duckdb.connect().from_df(frame)):
        log = Transactions(source, customer=("customer", "email", "phone"), date="day")
        assert "0171" in quietly(log.summary).table.index
        table = log.audit().table.set_index("check")
        assert table.loc[["id from email", "id from phone"], "count"].tolist() == [3, 1]
        assert table.loc[["two ids by email", "two ids by phone"], "level"].tolist() == ["warning", "ok"]


def test_ids_of_different_types_become_text():
    emails = ["a@x.de", None, None, None, "c@x.de", None, None, None]
    whole = orders().assign(id=[7, 8, 7, 9, None, 7, 10, 9], email=emails)
    assert whole["id"].dtype == float
    for frame in (whole, pl.from_pandas(whole), whole.astype({"id": "Int64"}), whole.astype({"email": "category"})):
        table = log_of(frame, customer=["id", "email"]).summary().table
        assert table.index.tolist() == ["10", "7", "8", "9", "c@x.de"]
    large = whole.assign(id=pd.array([2**53 + 1, None, 2**53 + 2, *[1] * 5], dtype="Int64"), email="x")
    assert set(quietly(log_of(large, customer=["id", "email"]).summary).table.index) == {
        "1", "x", str(2**53 + 1), str(2**53 + 2)
    }  # fmt: skip
    halves = whole.assign(id=[1.5, *[np.nan] * 7], email="x")
    assert quietly(log_of(halves, customer=["id", "email"]).summary).table.index.tolist() == ["1.5", "x"]


def test_ids_of_one_type_keep_it():
    frame = orders().assign(id=[7, 8, 7, 9, 7, 7, 10, 9], old=range(8))
    assert log_of(frame, customer=["id", "old"]).summary().table.index.tolist() == [7, 8, 9, 10]
    categories = guests().astype({"customer": "category", "email": "category"})
    assert "007" in quietly(log_of(categories, customer=["customer", "email"], value=None).summary).table.index


def test_an_old_id_that_equals_the_new_one_is_no_second():
    frame = orders().assign(old=orders()["id"], id=[None, *orders()["id"][1:]])
    log = log_of(frame, customer=["id", "old"])
    assert log.summary().table.index.tolist() == ["007", "08", "10", "9"]
    assert row_of(log.audit(), "two ids by old")["level"] == "ok"


@pytest.mark.parametrize(
    ("customer", "sentence"),
    [
        ([], "customer must be a column or a list of columns; got []"),
        (["id", 5], "customer must be a column or a list of columns; got ['id', 5]"),
        (["id", "id"], "column 'id' is named twice"),
        (["id", "mail"], "there is no column 'mail'"),
    ],
)
def test_ids_that_are_not_there_are_refused(customer, sentence):
    with pytest.raises((DataError, ValueError)) as caught:
        log_of(orders(), customer=customer)
    assert sentence in str(caught.value)


# Buddhist years


def thai(form):
    dates = pd.to_datetime(orders()["day"])
    return orders().assign(day=[date.strftime(form.replace("%Y", str(date.year + 543))) for date in dates])


AHEAD = "look Buddhist (2567 is 2024: subtract 543 first)"


def test_a_thai_export_is_told(tmp_path, temporary):
    # 2567-02-29 is no day of this calendar.
    path = tmp_path / "thai.csv"
    thai("%d/%m/%Y").assign(ชื่อ=THAI * 2).to_csv(path, index=False, encoding="tis-620")
    log = log_of(path, encoding="tis-620")
    with pytest.raises(DataError, match=r"in 8 of 8 lines") as caught:
        log.summary()
    assert f"; the years {AHEAD}, and the order of day and month is never guessed, so say how" in str(caught.value)
    remark = f"refused by summary(): day is not written YYYY-MM-DD; the years {AHEAD}; say how with date_format="
    assert row_of(log.audit(), "unreadable dates")["remark"] == remark

    log = log_of(path, encoding="tis-620", date_format="%d/%m/%Y")
    fault = "day does not follow date_format='%d/%m/%Y'"
    with pytest.raises(DataError) as caught:
        log.summary()
    assert str(caught.value) == (
        f"{fault} in 1 of 8 lines: '29/02/2567' (customer 007); the years {AHEAD}, or leave them out with "
        "bad_rows='drop'"
    )
    audit = log.audit()
    assert row_of(audit, "unreadable dates")["remark"] == f"refused by summary(): {fault}; the years {AHEAD}"
    row = row_of(audit, "Buddhist years")
    assert (row["level"], row["count"], row["share"], row["remark"]) == ("warning", 7, 7 / 8, f"their years {AHEAD}")


def test_buddhist_years_in_the_usual_form_are_told():
    frame = thai("%Y-%m-%d")
    with pytest.raises(DataError, match=r"YYYY-MM-DD in 1 of 8 lines: '2567-02-29' .customer 007.; the years look"):
        log_of(frame).summary()
    log = log_of(frame.drop(index=2))
    told = f"day is after today in 7 of 7 lines, 7 with years that {AHEAD}; the last is 2567-04-30"
    with pytest.warns(DataWarning) as caught:
        table = log.summary().table
    assert str(caught[0].message).startswith(told)
    assert table["first_date"].dt.year.tolist() == [2567] * 4  # nothing is converted
    for ask in (
        lambda: log.summary(until="2024-12-31"),
        lambda: quietly(log.split, "2024-02-01", 10),
    ):
        with pytest.raises(DataError, match="2567-01-01 to 2567-04-30, years that look Buddhist"):
            ask()


@pytest.mark.parametrize("day", ["9999-12-31", "2942-01-29", "2400-01-01", "2099-01-01"])
def test_other_dates_in_the_future_are_not_buddhist(day):
    frame = orders().assign(day=[day, *orders()["day"][1:]])
    assert "Buddhist years" not in set(log_of(frame).audit().table["check"])
    with pytest.warns(DataWarning, match="day is after today in 1 of 8 lines; the last is"):
        log_of(frame).summary()


def test_typed_dates_with_buddhist_years_are_told(tmp_path):
    frame = orders().assign(day=[pd.Timestamp(day) + pd.DateOffset(years=543) for day in orders()["day"]])
    for source in sources(frame, tmp_path).values():
        assert row_of(log_of(source).audit(), "Buddhist years")["count"] == 8


# All at once


def test_options_go_together(tmp_path, temporary):
    frame = guests().assign(amount=[german(number) for number in guests()["amount"]], day=shop()["day"])
    frame.to_csv(tmp_path / "log.csv", index=False, sep=";", encoding="utf-16")
    options = {
        "customer": ["customer", "email"],
        "date": "day",
        "value": "amount",
        "order": "order",
        "attributes": ["status"],
        "where": {"status": ["paid", "shipped"]},
        "currency": ("currency", "EUR"),
        "decimal": ",",
        "thousands": ".",
        "encoding": "utf-16",
    }
    log = Transactions(tmp_path / "log.csv", **options)
    table = quietly(log.summary).table
    assert table["historic_revenue"].to_dict() == {"007": 1334.56, "8@x.de": 19.5}
    assert table["status"].to_dict() == {"007": "paid", "8@x.de": "shipped"}
    split = quietly(log.split, "2024-02-15", "30 days")
    assert split.holdout["transactions"].tolist() == [0, 0]
    assert repr(log).endswith("value 'amount', order 'order', status 'paid' or 'shipped', currency 'currency' 'EUR'")
    text = repr(log.audit())
    assert max(map(len, text.splitlines())) <= 80
    known = quietly(log.summary, until="2024-02-15").table
    pd.testing.assert_frame_equal(known, split.calibration.table)


def test_exports_that_overlap_count_each_day_once():
    lines = [
        ("a", "2024-01-30", 1.0, "january"),
        ("a", "2024-01-31", 2.0, "january"),
        ("b", "2024-01-31", 4.0, "january"),
        ("a", "2024-01-31", 2.0, "february"),  # cut off: the first days of an export may not be whole
        ("b", "2024-02-01", 8.0, "february"),
        ("b", "2024-02-02", 16.0, "february"),
        ("b", "2024-02-02", 16.0, "march"),  # of equals the last
        ("c", "2024-02-03", 32.0, None),
    ]
    frame = pd.DataFrame(lines, columns=["id", "date", "value", "file"])
    log = Transactions(frame, customer="id", date="date", value="value", part="file")
    table = log.summary().table
    assert table["historic_revenue"].to_dict() == {"a": 3.0, "b": 28.0, "c": 32.0}
    row = log.audit().table.set_index("check").loc["overlapping exports"]
    assert (row["count"], row["share"]) == (2, 2 / 8)
    twice = Transactions(frame, customer="id", date="date", value="value").summary().table
    assert twice["historic_revenue"].sum() == 81.0
    with pytest.raises(DataError, match="there is no column 'sheet'"):
        Transactions(frame, customer="id", date="date", value="value", part="sheet")


def test_guests_of_online_retail_are_told_as_published():
    # Both sheets hold the first nine days of December 2010.
    path = shared("online_retail_ii/lines.parquet")
    columns = {"customer": "customer_id", "date": "invoice_date", "value": ("quantity", "price"), "order": "invoice"}
    table = Transactions(path, **columns, part="sheet").audit().table.set_index("check")
    guests = table.loc["no customer id"]
    assert guests["share"] == pytest.approx(0.225, abs=0.0005)
    assert guests["remark"] == "left out, with 13.6% of the net revenue"
    assert table.loc["overlapping exports", "count"] == 22_523


def test_a_column_with_the_name_of_a_parameter_is_only_a_column():
    frame = shop().rename(columns={"status": "$timezone"})
    with pytest.raises(DataError, match=r"no line has \$timezone 'lost'; \$timezone holds 'paid'"):
        log_of(frame, where={"$timezone": "lost"})
    log = log_of(frame, where={"$timezone": "paid"}, currency=("currency", "EUR"))
    same = log_of(shop(), where={"status": "paid"}, currency=("currency", "EUR"))
    assert quietly(log.summary).table.equals(quietly(same.summary).table)
