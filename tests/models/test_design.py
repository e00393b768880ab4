"""Covariates: what they become, what they may not contain, and what is said of columns that cannot be used."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

import clvmodels as clv
from clvmodels.models.survival.design import Design, checked


@pytest.fixture
def table():
    frame = pd.DataFrame(
        {
            "price": [10.0, 20, 30, 11, 17, 23, 5, 8],
            "channel": ["shop", "web", "web", "mail", "shop", "mail", "web", "shop"],
            "age": [20, 30, 45, 28, 33, 51, 62, 19],
            "days since visit": [1, 2, 2, 3, 9, 4, 1, 7.0],
            "ph.ecog": [1, 0, 0, 2, 1, 2, 1, 0],
            "insured": [True, False, True, True, False, False, True, False],
            "duration": 3.0,
        },
        index=list("abcdefgh"),
    )
    return frame


def test_names_of_columns_and_a_formula_make_the_same_columns(table):
    named, written = Design.of(["price", "channel"], table), Design.of("price + channel", table)
    assert named.names == written.names == ("price", "channel[T.shop]", "channel[T.web]")
    expected = np.column_stack([table["price"], table["channel"] == "shop", table["channel"] == "web"]).astype(float)
    np.testing.assert_allclose(named.matrix(table) + named.means, expected, rtol=1e-12)
    np.testing.assert_allclose(named.matrix(table), written.matrix(table))
    np.testing.assert_allclose(named.means, expected.mean(axis=0))
    np.testing.assert_allclose(named.sds, expected.std(axis=0))


@pytest.mark.parametrize(
    ("formula", "column"),
    [
        ("log(age)", lambda t: np.log(t["age"])),
        ("np.log(age)", lambda t: np.log(t["age"])),
        ("log1p(`days since visit`)", lambda t: np.log1p(t["days since visit"])),
        ("sqrt(price / age) ", lambda t: np.sqrt(t["price"] / t["age"])),
        ("exp(-0.1 * price + `ph.ecog`)", lambda t: np.exp(-0.1 * t["price"] + t["ph.ecog"])),
        ("I(age ** 2 - 1)", lambda t: t["age"] ** 2 - 1),
        ("ph.ecog", lambda t: t["ph.ecog"]),
        ("insured", lambda t: t["insured"]),
        ("price:age", lambda t: t["price"] * t["age"]),
        ("price*age - price - age", lambda t: t["price"] * t["age"]),
        ("(price + age)**2 - age - price", lambda t: t["price"] * t["age"]),
        ("price*age - age:price - price", lambda t: t["age"]),
    ],
)
def test_what_a_formula_says_is_computed(formula, column, table):
    design = Design.of(formula, table)
    np.testing.assert_allclose(design.matrix(table)[:, 0] + design.means[0], column(table).astype(float), rtol=1e-12)


def test_interactions_and_powers_expand(table):
    assert Design.of("(price + age)**2", table).names == ("price", "age", "price:age")
    assert Design.of("insured*age", table).names == ("insured", "age", "insured:age")
    assert Design.of("C(insured):age", table).names == ("C(insured)[False]:age", "C(insured)[True]:age")


def test_categories_are_those_of_the_training_data_in_their_own_order(table):
    table["size"] = pd.Categorical(["s", "m", "l", "s", "m", "l", "s", "m"], categories=["s", "m", "l", "xl"])
    design = Design.of(["size"], table)
    assert design.levels == {"size": ("s", "m", "l")}
    assert design.names == ("size[T.m]", "size[T.l]")
    one = pd.DataFrame({"size": ["l"]})  # text, and only one of them
    np.testing.assert_allclose(design.matrix(one) + design.means, [[0, 1]])
    assert Design.of("C(age)", table).names[0] == "C(age)[T.20]"


def test_an_average_customer_has_zeros_and_weights_are_rows(table):
    weights = np.array([1, 2, 3, 1, 1, 2, 1, 1])
    weighted = Design.of("price*insured", table, weights)
    repeated = Design.of("price*insured", table.loc[table.index.repeat(weights)])
    np.testing.assert_allclose(weighted.means, repeated.means, rtol=1e-12)
    np.testing.assert_allclose(weighted.sds, repeated.sds, rtol=1e-12)
    np.testing.assert_allclose(weights @ weighted.matrix(table), 0, atol=1e-12)


def test_a_design_goes_through_json(table):
    for covariates in (["price", "channel"], "C(insured) + log(age):channel"):
        design = Design.of(covariates, table)
        again = Design(**json.loads(json.dumps(dataclasses.asdict(design))))
        assert again == design
        np.testing.assert_array_equal(again.matrix(table), design.matrix(table))


def test_rows_do_not_depend_on_their_neighbours(table):
    design = Design.of("price*channel - price:channel + C(insured)", table)
    alone = np.concatenate([design.matrix(table.iloc[[i]]) for i in range(len(table))])
    np.testing.assert_array_equal(alone, design.matrix(table))


@pytest.mark.parametrize(
    "formula",
    [
        "__import__('os').system('touch owned')",
        "log(__import__('os').system('touch owned'))",
        "{__import__('os').system('touch owned')}",
        "I(price.__class__)",
        "log(price.values)",
        "(lambda: 1)()",
        "I((lambda: price)())",
        "{lambda: price}",
        "exec('1')",
        "open('/etc/passwd')",
        "np.load(price)",
        "np.log.__self__(price)",
        "os.log(price)",
        "log(price, out=price)",
        "log(price, price)",
        "log(*price)",
        "log(**price)",
        "C(price, contr.treatment('x'))",
        "C(log(price))",
        "log(C(price))",
        "bs(price)",
        "I(price[0])",
        "I([1, 2])",
        "I(price if age else 1)",
        "I(price := 1)",
        "I(price < 1)",
        "I('text')",
        "I(f'{price}')",
        "I(True)",
        "I(1j)",
        "I(1e400)",
        "I([x for x in (1,)])",
        "log(`price`.__class__)",
        "log(`price)",
        "log(``)",
        "log(`price`__import__('os'))",
        "`price` `age`",
        "log(price\x00)",
        "price ~ age",
        "price | age",
        "price / age",
        "price %in% age",
        "price ^ 2",
        "[price ~ age]",
        ".",
        "0 + price",
        "price - 1",
        "2:price",
        "(price + age)**99999999",
        "'price'",
        "log(price",
        "I(" + "(" * 400 + "price" + ")" * 400 + ")",
        "I(" + "-" * 900 + "price)",
        "I(" + "-" * 40 + "price)",
        "price + " * 200 + "age",
        "",
        "price - price",
        "price - channel",
        "price - age + age",
        "-age + price",
        "price + (age - price)**2",
        "lambda: 1",
    ],
)
def test_what_a_formula_may_not_contain_is_refused_before_anything_is_computed(formula):
    with pytest.raises(ValueError, match=r"covariates|formula"):
        checked(formula)


def test_what_stands_in_backticks_is_the_name_of_a_column_and_no_more(table):
    for formula in ("`__import__('os').system('x')`", "log(`__import__('os').system('x')`)"):
        with pytest.raises(clv.DataError, match='have no covariate "__import__'):
            Design.of(formula, table)
    table["1 + 1"] = table["price"]
    assert Design.of("`1 + 1`", table).means == Design.of("price", table).means


def test_a_design_from_a_file_is_looked_at_again():
    with pytest.raises(ValueError, match="is not allowed"):
        Design("I(__import__('os').getcwd())", {}, (), (), ())


@pytest.mark.parametrize(
    ("covariates", "change", "sentence"),
    [
        ("wage", {}, r"have no covariate 'wage'; they have 'price', 'channel', .*'insured'$"),
        ("price", {"price": [1, 2, np.nan, 4, 5, np.nan, 7, 8]}, "'price' is missing for 2 customers: c, f$"),
        ("channel", {"channel": ["a", None, "b", "a", "b", "a", "b", "a"]}, "'channel' is missing for 1 customer: b$"),
        ("log(price)", {"price": [0.0, -1, 2, 3, 4, 5, 6, 7]}, r"'log\(price\)' is not a finite .* 2 customers: a, b"),
        ("I(9**9**9 * price)", {}, "is not a finite number for 8 customers"),
        ("price", {"price": 7.0}, "'price' is 7 for every customer"),
        ("channel", {"channel": "web"}, "'channel' has the one value 'web'"),
        ("price + channel + euros", {"euros": np.arange(8) * 2.0, "price": np.arange(8.0)},
         "'(price|euros)' is a combination of '(price|euros)', so"),
        ("log(channel)", {}, r"'channel' is text such as 'shop', where log\(channel\) needs numbers$"),
        ("log(price)", {"price": pd.Timestamp("2024-01-01")}, "'price' holds datetime64 values, not numbers;"),
        ("price", {"price": pd.Timestamp("2024-01-01")}, "'price' holds datetime64 values, not numbers or text"),
        ("duration", {}, "'duration' is what happened to the customer"),
        ("log(duration)", {}, "'duration' is what happened to the customer"),
        ("channel*C(age)", {}, "8 customers cannot carry 23 covariates"),
    ],
)  # fmt: skip
def test_columns_that_cannot_be_used_are_told(covariates, change, sentence, table):
    with pytest.raises(clv.DataError, match=sentence):
        Design.of(covariates, table.assign(**change))


def test_customers_with_something_new_are_told(table):
    design = Design.of("price + channel", table)
    with pytest.raises(
        clv.DataError, match=r"2 values that the training data did not have \('tv', 'fax'\), for 3 cust.*: b, "
    ):
        design.matrix(table.assign(channel=["shop", "tv", "tv", "fax"] * 1 + ["web"] * 4))
    with pytest.raises(clv.DataError, match="'channel' is missing for 8 customers"):
        design.matrix(table.assign(channel=None))
    with pytest.raises(clv.DataError, match="have no covariate 'price'"):
        design.matrix(table.drop(columns="price"))
    with pytest.raises(clv.DataError, match="'price' is text such as 'high', where price needs numbers"):
        design.matrix(table.assign(price="high"))


@pytest.mark.parametrize("covariates", [["age"], "age", "price + age", "age:price", "log(age)", "I(age * 2)"])
def test_numbers_that_are_written_as_text_become_no_categories(covariates, table):
    way_out = "turn it into numbers (the attributes of a CSV file are text; those of a frame stay what they are)"
    by_name = "(" not in covariates
    way_out += ", or write the formula 'C(age)' for categories" if by_name else ""
    written = table["age"].astype(str)
    for text in (written, written.astype("string"), " " + written + ",50", written.where(table["age"] > 30, "1")):
        with pytest.raises(clv.DataError) as told:
            Design.of(covariates, table.assign(age=text))
        assert str(told.value) == f"covariate 'age' is text whose values are all numbers; {way_out}"
    with pytest.raises(clv.DataError, match=r"are all numbers \(blank for 2 customers: b, d\); turn it"):
        Design.of(covariates, table.assign(age=["20", " ", "4", "", "9", "51", "62", "19"]))
    expected = Design.of("C(age)", table).matrix(table)
    np.testing.assert_array_equal(
        Design.of("C(age)", table.assign(age=written)).matrix(table.assign(age=written)), expected
    )
    assert Design.of(["age"], table.assign(age=pd.Categorical(written))).names[0] == "age[T.20]"
    assert Design.of(["age"], table.assign(age=["1", "2", "3+", "1", "2", "1", "1", "2"])).names[0] == "age[T.2]"
    fit = Design.of("age", table)  # asked about customers of a CSV file
    with pytest.raises(clv.DataError, match="'age' is text whose values are all numbers"):
        fit.matrix(table.assign(age=written))


def test_many_categories_are_refused():
    table = pd.DataFrame({"id": [f"c{i}" for i in range(1500)]})
    with pytest.raises(clv.DataError, match="'id' has 1,500 categories, more than 1,000; group them"):
        Design.of(["id"], table)


@pytest.mark.parametrize(
    ("covariates", "sentence"),
    [
        (7, "a formula or a list of columns; got 7"),
        ([1], "a formula or a list of columns"),
        (["price", "price"], "named twice"),
        ([], "name no column"),
        ("price - channel", "channel cannot be taken away: it is not there before; write a .* I\\(a - b\\) for"),
        ("price + age - price:age", "price:age cannot be taken away"),
        ("price + (age - price)**2", "- may not stand within parentheses"),
        ("lambda: 1", '"lambda" is not allowed; use names of columns'),
        ("'price'", "\"'price'\" is not allowed; use names of columns"),
        ("2:price", "the number 2 may only be a power"),
    ],
)
def test_covariates_that_are_none_are_refused(covariates, sentence):
    with pytest.raises(ValueError, match=sentence):
        checked(covariates)
