"""Any model: what it may say, and what is told of one that says what cannot be."""

import warnings

import numpy as np
import pandas as pd
import pytest

import clvmodels as clv
from clvmodels.data import datasets
from clvmodels.evaluation import metrics
from clvmodels.evaluation.said import blocks_of, places

CUTOFF, HORIZON = "1997-09-30", "13 weeks"
IDS = pd.Index(["a", "b", "c", "d"])


def small_log(spans=(30, 45, 60, 75, 90), customers=60):
    """Customers c00, c01, ... first seen on the same day, who buy every so many days, and all of 100 days."""
    first = pd.Timestamp("2024-01-01")
    rows = [
        (f"c{number:02}", first + pd.Timedelta(days=day), 10.0 + number)
        for number in range(customers)
        for day in range(0, 200, spans[number % len(spans)])
    ]
    return clv.Transactions(
        pd.DataFrame(rows, columns=["id", "date", "amount"]), customer="id", date="date", value="amount"
    )


def backtested(models, log=None, cutoff="2024-04-09", horizon="8 weeks", **options):
    return clv.backtest(models, log or small_log(), cutoff, horizon, seed=1, progress=False, **options)


def failure(model):
    """Why a model is refused, while another goes on; its number on the way does not matter."""
    result = backtested({"mine": model, "zero": clv.PredictZero()})
    assert set(result.predictions["model"]) == {"zero"}
    assert result.failures["model"].tolist() == ["mine"]
    return result.failures["reason"].item()


def values(result, model, target="transactions"):
    table = result.table.query("model == @model and target == @target and segment == 'all' and customers == 'known'")
    return table.set_index("metric")["value"]


class Says:
    """Predicts what it was given, and draws what it was given, if any."""

    def __init__(self, table=None, **columns):
        self.table, self.columns = table, columns

    def fit(self, data):
        return self

    def predict(self, data, *, horizon):
        if self.table is not None:
            return self.table(data)
        return pd.DataFrame({"expected_transactions": 1.0} | self.columns, index=data.table.index)


class Draws(Says):
    """Yields the blocks that a function gives for a number of customers."""

    def __init__(self, blocks, **columns):
        super().__init__(**columns)
        self.blocks = blocks

    def outcome_draws(self, data, *, horizon, seed=None):
        return self.blocks(len(data))


def somewhere(value, *places, otherwise=1.0, number=60):
    """A column with a value at some places."""
    column = np.full(number, otherwise)
    column[list(places)] = value
    return column


# The table


ENDS = "transactions_lower and transactions_upper"


@pytest.mark.parametrize(
    ("returned", "kind"),
    [
        (lambda data: None, "NoneType"),
        (lambda data: np.ones(len(data)), "numpy.ndarray"),
        (lambda data: pd.Series(1.0, data.table.index), "pandas.Series"),
        (lambda data: {"expected_transactions": 1.0}, "dict"),
    ],
)
def test_only_a_dataframe_is_a_table(returned, kind):
    said = failure(Says(returned))
    assert said == f"DataError: predict() of mine must return a pandas DataFrame, one row per customer; it is a {kind}"


def test_a_fit_that_returns_nothing_is_told():
    class Forgetful(Says):
        def fit(self, data):
            pass

    assert failure(Forgetful()) == "DataError: fit() of mine must return what has predict(); it is a NoneType"


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        (
            {"expected_transactions": somewhere(-1.0, 3, 4)},
            "expected_transactions must be 0 or more; 2 customers break this: c03, c04",
        ),
        (
            {"expected_revenue": somewhere(-0.5, 59)},
            "expected_revenue must be 0 or more; 1 customer breaks this: c59",
        ),
        (
            {"expected_transactions": somewhere(np.inf, 0)},
            "expected_transactions must be finite, or missing for who is not predicted; 1 customer breaks this: c00",
        ),
        ({"expected_transactions": "2"}, "expected_transactions must be numbers; its dtype is object"),
        ({"expected_transactions": True}, "expected_transactions must be numbers; its dtype is bool"),
        (
            {"p_purchase": 1.7},
            "p_purchase must be a probability, from 0 to 1; 60 customers break this: c00, c01, c02, ...",
        ),
        ({"transactions_lower": 0.0}, "transactions_lower needs transactions_upper beside it"),
        ({"revenue_upper": 0.0, "expected_revenue": 1.0}, "revenue_upper needs revenue_lower beside it"),
        (
            {"transactions_lower": somewhere(3.0, 7), "transactions_upper": 2.0},
            "transactions_lower must not exceed transactions_upper; 1 customer breaks this: c07",
        ),
        (
            {"transactions_lower": somewhere(np.nan, 7), "transactions_upper": 2.0},
            f"{ENDS} must be there both, or be missing both; 1 customer breaks this: c07",
        ),
        ({"transactions_median": "1"}, "transactions_median must be numbers; its dtype is object"),
        ({"expected_revenue": 1.0, "restricted": "no"}, "restricted must be bool; its dtype is object"),
    ],
)
def test_what_cannot_be_is_refused_with_model_column_and_customers(columns, sentence):
    said = failure(Says(**columns))
    assert said.replace("dtype is str", "dtype is object") == f"DataError: mine: {sentence}"


def test_the_others_are_compared_where_one_is_refused():
    models = {"mine": Says(expected_transactions=somewhere(-1.0, 1)), "zero": clv.PredictZero(), "rate": clv.OwnRate()}
    compared = backtested(models).compare("zero")
    assert set(compared.table["model"]) == {"rate"}


def test_a_customer_is_predicted_once_and_none_is_forgotten():
    twice = failure(Says(lambda data: Says().predict(data, horizon=None).iloc[[0, 0, *range(1, 60)]]))
    assert twice == "DataError: mine must predict each customer of data once; it has several rows for 1 customer: c00"
    few = failure(Says(lambda data: Says().predict(data, horizon=None).iloc[2:]))
    assert few == "DataError: mine does not predict 2 customers: c00, c01"
    numbered = failure(Says(lambda data: Says().predict(data, horizon=None).reset_index()))
    assert numbered == (
        "DataError: mine does not predict 60 customers: c00, c01, c02, ...; the index of its table must be their ids, "
        "and is 0, 1, 2, ..."
    )
    both = failure(Says(lambda data: pd.concat([Says().predict(data, horizon=None)] * 2, axis=1)))
    assert both == "DataError: the table of mine has columns of the same name: expected_transactions"


def test_rows_of_ids_that_occur_twice_are_told_by_their_order():
    ids = pd.Index(["a", "b", "a"])
    table = pd.DataFrame({"p_retained": 0.5}, index=ids)
    assert places("mine", table, ids, "data.active").tolist() == [0, 1, 2]
    sentence = "mine must predict the customers of data.active in their order, because some have several rows: a"
    with pytest.raises(clv.DataError, match=sentence):
        places("mine", table.iloc[[1, 0, 2]], ids, "data.active")
    with pytest.raises(clv.DataError, match=r"mine must predict each customer of data.active once; .* 1 customer: a"):
        places("mine", table, pd.Index(["a", "b"]), "data.active")


def test_order_and_more_rows_than_asked_for_change_nothing():
    plain = Says(expected_transactions=np.linspace(0, 3, 60))

    def shuffled(data):
        table = plain.predict(data, horizon=None).astype("Float64").sample(frac=1, random_state=1)
        return pd.concat([table, pd.DataFrame({"expected_transactions": -9.0}, index=["nobody"])])

    result = backtested({"plain": plain, "shuffled": Says(shuffled)})
    assert result.failures.empty
    pd.testing.assert_series_equal(values(result, "plain"), values(result, "shuffled"))


def test_a_missing_prediction_is_told_and_left_out():
    missing = somewhere(np.nan, 0, 1)
    result = backtested({"mine": Says(expected_transactions=missing, transactions_median=missing)})
    assert result.warnings["warning"].tolist() == [
        "transactions is not known or not predicted for 2 customers: c00, c01; they are left out of its metrics"
    ]
    assert values(result, "mine")["predicted_total"] == 58
    assert "mae_median" in values(result, "mine").index


def test_money_may_be_below_0_where_refunds_were_kept():
    lines = datasets.cdnow_sample()
    lines.loc[lines.index[::9], "amount"] *= -1
    for refunds, failed in (("keep", False), ("drop", True)):
        log = clv.Transactions(lines, customer="customer_id", date="date", value="amount", refunds=refunds)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", clv.errors.DataWarning)
            models = {"mine": Says(expected_revenue=-1.0), "last": clv.RepeatLastPeriod()}
            result = backtested(models, log, CUTOFF, HORIZON)
        assert (result.failures["model"].tolist() == ["mine"]) is failed
        assert len(result.failures) == failed


def test_the_horizon_is_a_timedelta_and_contracts_are_asked_for_the_active():
    seen = []

    class Curious(Says):
        def predict(self, data, *, horizon):
            seen.append((type(data).__name__, horizon))
            rows = data.active if hasattr(data, "active") else data
            return pd.DataFrame({"expected_transactions": 1.0, "p_retained": 0.5}, index=rows.table.index)

    backtested([Curious()])
    # b left and came back: two contracts, one of them active.
    records = pd.DataFrame(
        {
            "id": ["a", "b", "b", "c"],
            "begin": pd.to_datetime(["2023-01-01", "2023-01-01", "2023-09-01", "2023-02-01"]),
            "end": pd.to_datetime([None, "2023-04-01", None, "2024-02-01"]),
        }
    )
    log = clv.Subscriptions(records, customer="id", start="begin", end="end", period="month")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", clv.errors.DataWarning)
        models = {"curious": Curious(), "all": Says(p_retained=0.5)}
        result = backtested(models, log, "2023-12-31", "3 months", until="2024-06-30")
    assert seen == [("Summary", pd.Timedelta(days=56)), ("Durations", pd.Timedelta(days=91))]
    assert result.predictions["customer"].tolist() == ["a", "b", "c"]
    assert result.failures["reason"].tolist() == [
        "DataError: all must predict each customer of data.active once; it has several rows for 1 customer: b"
    ]
    said = backtested({"sure": Says(lambda data: Curious().predict(data, horizon=None) * 3), "curious": Curious()}, log,
                      "2023-12-31", "3 months", until="2024-06-30").failures["reason"]  # fmt: skip
    assert said.item() == (
        "DataError: sure: p_retained must be a probability, from 0 to 1; 3 customers break this: a, b, c"
    )


# The draws


def whole(number, size=100):
    return np.random.default_rng(1).poisson(1.0, (size, number))


def test_blocks_may_be_slices_or_positions_in_any_order():
    draws = whole(60)
    order = np.random.default_rng(2).permutation(60)
    whole_table = Draws(lambda number: one(draws))
    parts = Draws(lambda number: ((list(rows), {"transactions": draws[:, rows]}) for rows in np.split(order, 4)))
    longer = Draws(lambda number: [(slice(0, 1000), {"transactions": draws.astype(float)})])
    result = backtested({"one": whole_table, "parts": parts, "longer": longer})
    assert result.failures.empty
    pd.testing.assert_series_equal(values(result, "one"), values(result, "parts"))
    pd.testing.assert_series_equal(values(result, "one"), values(result, "longer"))
    lower, upper = np.quantile(draws.sum(axis=1), [0.05, 0.95], method="inverted_cdf")
    assert (values(result, "one")["predicted_total_lower"], values(result, "one")["predicted_total_upper"]) == (
        lower,
        upper,
    )


def put(draws, value, row=5, column=3):
    changed = draws.astype(float)
    changed[row, column] = value
    return changed


BLOCK = ' must yield blocks (rows of the table of predict(), {"transactions": array of draws x rows, ...}); '
SHAPE = (
    ": the draws of transactions must have two rows or more, the draws, and a column for each of the block's 60 "
    "customers; their shape is "
)
ALIKE = " must yield the same outcomes and as many draws in each block: draw s is one world"
ONCE = " must speak of each customer once; "
KNOWN = "choose of transactions, retained, lifetime, revenue, clv"
COUNTS = ": transactions must be whole numbers, 0 or more; "
FIRST = "1 customer of a block breaks this: c03"


def one(draws, rows=slice(60)):
    return [(rows, {"transactions": draws})]


@pytest.mark.parametrize(
    ("blocks", "sentence"),
    [
        (whole(60), f"{BLOCK}it is a ndarray"),
        (None, f"{BLOCK}it is a NoneType"),
        (list(whole(60)), f"{BLOCK}it yields a ndarray"),
        ([(slice(60), whole(60))], f"{BLOCK}it yields a tuple"),
        (one(whole(60), slice(0.0, 1.0)), f"{BLOCK}the rows are slice(0.0, 1.0, None)"),
        (one(whole(60), np.ones(60, bool)), f"{BLOCK}rows are a slice or whole numbers, not a ndarray"),
        (one(whole(60), np.arange(60) - 1), ": rows must lie between 0 and 59; they are -1 to 58"),
        ([(slice(60), {"transaction": whole(60)})], f" names transaction; {KNOWN}"),
        ([(slice(60), {})], f" names no outcome; {KNOWN}"),
        (one(whole(60).T), f"{SHAPE}(60, 100)"),
        (one(whole(60, 1)), f"{SHAPE}(1, 60)"),
        (one(whole(60)[0]), f"{SHAPE}(60,)"),
        (one(whole(60).astype("U1")), ": the draws of transactions must be numbers; their dtype is <U1"),
        (one(whole(30), slice(30)) + one(whole(30, 200), slice(30, 60)), ALIKE),
        ([*one(whole(30), slice(30)), (slice(30, 60), {"revenue": whole(30)})], ALIKE),
        (one(whole(30), slice(30)), f"{ONCE}it does not of 30 customers: c30, c31, c32, ..."),
        ([], f"{ONCE}it does not of 60 customers: c00, c01, c02, ..."),
        (one(whole(31), slice(31)) + one(whole(30), slice(30, 60)), f"{ONCE}some come twice (c30)"),
        (one(whole(60), [0] * 60), f"{ONCE}some come twice"),
        (one(put(whole(60), np.nan)), f": transactions must be finite; {FIRST}"),
        (one(put(whole(60), -np.inf)), f": transactions must be finite; {FIRST}"),
        (one(put(whole(60), 0.5)), COUNTS + FIRST),
        (one(put(whole(60), -1)), COUNTS + FIRST),
        (one(-whole(60) - 1), f"{COUNTS}60 customers of a block break this: c00, c01, c02, ..."),
    ],
)
def test_draws_that_cannot_be_are_refused(blocks, sentence):
    assert failure(Draws(lambda number: blocks)) == f"DataError: outcome_draws() of mine{sentence}"


def test_draws_of_staying_are_0_or_1():
    records = pd.DataFrame({"id": range(5), "begin": pd.Timestamp("2023-01-01"), "end": pd.NaT})
    log = clv.Subscriptions(records, customer="id", start="begin", end="end", period="month")

    class Stays(Draws):
        def outcome_draws(self, data, *, horizon):
            return self.blocks(len(data.active))

    models = {
        name: Stays(lambda number, drawn=drawn: [(slice(number), {"retained": drawn((100, number))})], p_retained=0.5)
        for name, drawn in {
            "half": lambda shape: np.full(shape, 0.5),
            "bool": lambda shape: np.ones(shape, bool),
        }.items()
    }
    result = backtested(models, log, "2023-12-31", "3 months", until="2024-06-30")
    assert result.failures["reason"].tolist() == [
        "DataError: outcome_draws() of half: retained must be 0 or 1; 5 customers of a block break this: 0, 1, 2, ..."
    ]
    assert values(result, "bool", "retained")["predicted_total_lower"] == 5


def test_of_whom_nothing_is_said_the_draws_are_not_read():
    draws = put(whole(60), np.nan, slice(None), [0, 1])
    result = backtested({"mine": Draws(lambda number: one(draws), expected_transactions=somewhere(np.nan, 0, 1))})
    assert result.failures.empty
    rows = result.predictions
    assert rows.loc[:1, ["crps", "upto", "pit", "implied", "lower"]].isna().all(axis=None)
    assert values(result, "mine")["implied_coverage"] == pytest.approx(rows["implied"].iloc[2:].mean())
    assert values(result, "mine")["crps"] == pytest.approx(rows["crps"].iloc[2:].mean())
    assert "predicted_total_lower" not in values(result, "mine").index


def test_blocks_are_looked_at_as_they_come():
    """Nothing is kept of a block, and a fault ends the drawing."""
    blocks = iter([(slice(2), {"transactions": whole(2)}), (slice(1, 3), {"transactions": whole(2)}), "never seen"])
    found = blocks_of("mine", blocks, IDS)
    rows, draws = next(found)
    assert rows.tolist() == [0, 1]
    assert draws["transactions"].shape == (100, 2)
    with pytest.raises(clv.DataError, match=r"some come twice \(b\)"):
        next(found)
    assert next(blocks) == "never seen"


# The metrics


def test_pit_distance_by_hand():
    """All draws are 0 to 3, each in a quarter of the cases, and everybody did 0: the PIT is uniform below 0.25."""
    first = pd.Timestamp("2024-01-01")
    rows = [(f"c{number}", first) for number in range(400)] + [("later", first + pd.Timedelta(days=300))]
    log = clv.Transactions(pd.DataFrame(rows, columns=["id", "date"]), customer="id", date="date")
    quarter = np.repeat([0, 1, 2, 3], 25)[:, None]
    mine = Draws(lambda number: [(slice(number), {"transactions": np.broadcast_to(quarter, (100, number))})])
    result = backtested({"mine": mine}, log, "2024-02-01", "4 weeks")
    drawn = result.predictions["pit"].to_numpy()
    assert 0 < drawn.min() < drawn.max() < 0.25
    # Its curve is 1 from the largest on, where that of the uniform is below 0.25.
    assert values(result, "mine")["pit_distance"] == pytest.approx(1 - drawn.max(), abs=1e-12)
    assert values(result, "mine")["pit_distance"] == pytest.approx(0.75, abs=0.005)
    np.testing.assert_array_equal(drawn, result.pit()["mine"])


def test_pit_distance_of_a_true_distribution_is_small():
    """The largest gap of 400 uniform numbers is above 1.36 / sqrt(400) in one of twenty cases."""
    counts = np.random.default_rng(3).poisson(1.5, 400)
    days = [(f"c{number:03}", day) for number in range(400) for day in [0, *range(61, 61 + counts[number])]]
    rows = pd.DataFrame([*days, ("later", 300)], columns=["id", "day"])
    rows["date"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(rows["day"], unit="D")
    log = clv.Transactions(rows, customer="id", date="date")
    draws = {mean: np.random.default_rng(4).poisson(mean, (1000, 400)) for mean in (1.5, 2.5)}
    models = {str(mean): Draws(lambda number, drawn=drawn: one(drawn, slice(400))) for mean, drawn in draws.items()}
    result = backtested(models, log, "2024-02-01", "12 weeks")
    true, wrong = (values(result, model)["pit_distance"] for model in models)
    assert true < 1.36 / np.sqrt(400) < 0.2 < wrong


def test_the_standard_error_of_a_constant_is_0():
    table = backtested({"mine": Says(expected_transactions=0.1, transactions_lower=0.1, transactions_upper=0.4)}).table
    errors = table.set_index("metric")["se"]
    assert errors[["width", "gini", "top_10", "top_20"]].tolist() == [0.0] * 4
    assert errors["rmse"] > 1e-3
    assert not errors.between(0, 1e-12, inclusive="neither").any()


def test_what_a_metric_refuses_is_told_when_it_is_scored_and_the_table_is_silent():
    lines = datasets.cdnow_sample()
    lines.loc[lines.index[::9], "amount"] *= -1
    log = clv.Transactions(lines, customer="customer_id", date="date", value="amount", refunds="keep")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", clv.errors.DataWarning)
        result = backtested([clv.SimpleCLV()], log, CUTOFF, HORIZON, by="acquisition month")
    assert result.warnings["model"].tolist() == ["SimpleCLV"]
    (said,) = result.warnings["warning"]
    assert said.startswith("revenue: tweedie_deviance needs outcomes of 0 or more, as it is not defined below; ")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "tweedie_deviance" not in set(result.table["metric"])


@pytest.mark.parametrize("customers", [1, 2, 3])
@pytest.mark.parametrize("horizon", ["1 day", "8 weeks"])
def test_few_customers_and_no_outcome_raise_no_warning_of_numbers(customers, horizon):
    drawn = Draws(lambda number: [(slice(number), {"transactions": whole(number)})], p_purchase=0.5)
    models = {"drawn": drawn, "zero": clv.PredictZero(), "last": clv.RepeatLastPeriod()}
    result = backtested(models, small_log(customers=customers), "2024-04-09", horizon)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not result.table.empty
    assert result.warnings.empty
    assert result.failures.empty


def test_an_error_too_large_to_be_squared_is_infinite():
    result = backtested({"large": Says(expected_transactions=1e300)})
    assert values(result, "large")["rmse"] == np.inf
    assert result.warnings.empty


def test_a_resample_of_equal_outcomes_has_no_gini():
    assert np.isnan(metrics.Gini().value(np.array([[2.0, 0.0]]), np.array([0.0, 1.0]), np.array([1.0, 2.0]))).all()


# Customers acquired within the horizon


class Welcomes(Says):
    """Says something of customers who are yet to come, by a function of the horizon."""

    def __init__(self, new):
        super().__init__()
        self.new = new

    def new_customer(self, *, horizon):
        return self.new(horizon)


def growing_log():
    """Sixty customers of the first day, and ten who come one by one after the cutoff."""
    lines = [(f"c{number:02}", pd.Timestamp("2024-01-01"), 5.0) for number in range(60)]
    lines += [(f"n{number}", pd.Timestamp("2024-04-15") + pd.Timedelta(days=3 * number), 5.0) for number in range(10)]
    lines += [("c00", pd.Timestamp("2024-09-01"), 5.0)]
    return clv.Transactions(
        pd.DataFrame(lines, columns=["id", "date", "amount"]), customer="id", date="date", value="amount"
    )


def test_new_customers_of_any_model_are_scored():
    welcomes = Welcomes(lambda horizon: pd.DataFrame({"expected_transactions": [1 + horizon.days / 100]}))
    result = backtested({"mine": welcomes}, growing_log())
    rows = result.predictions.query("customers == 'new'")
    left = 56 - 6 - 3 * np.arange(10)  # the horizon ends on 2024-06-04; they come from 2024-04-15 on
    np.testing.assert_allclose(rows["mean"], 1 + left / 100)
    assert (rows["actual"] == 1).all()


@pytest.mark.parametrize(
    ("new", "said"),
    [
        (lambda horizon: pd.DataFrame({"a": []})["nothing"], "KeyError: 'nothing'"),
        (lambda horizon: None, "AttributeError: 'NoneType' object has no attribute 'iloc'"),
        (lambda horizon: 1 / 0, "ZeroDivisionError: division by zero"),
        (
            lambda horizon: pd.DataFrame({"expected_transactions": [-1.0]}),
            "DataError: mine: expected_transactions must be 0 or more; 10 customers break this: new 23 days before",
        ),
    ],
)
def test_whatever_goes_wrong_with_new_customers_those_known_are_scored(new, said):
    result = backtested({"mine": Welcomes(new)}, growing_log())
    assert result.failures.empty
    assert set(result.predictions["customers"]) == {"known"}
    (told,) = result.warnings["warning"]
    assert told.startswith(f"customers acquired within the horizon are not predicted: {said}")
