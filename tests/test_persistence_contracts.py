"""Saved fits of contracts: they predict to the last digit what they did, and hold neither customers nor code."""

import json
import zipfile

import numpy as np
import pandas as pd
import pytest
from conftest import quietly
from scipy import stats

import clvmodels as clv
from clvmodels import SBG, BdW, ContractualCLV, Cox, KaplanMeier, SimpleCLV, Weibull, persistence, saved_values

END = "2023-12-31"
FORMULA = "price + C(channel) + log(age / 2) + price:C(channel)"


def contracts(seed=3, number=400):
    rng = np.random.default_rng(seed)
    start = pd.Timestamp("2020-06-01") + pd.to_timedelta(rng.integers(0, 1200, number), unit="D")
    tenure = (pd.Timestamp(END) - start).days / 30.4375
    stays = 25 * rng.weibull(0.8, number)
    event = stays < tenure
    table = pd.DataFrame(
        {
            "duration": np.where(event, stays, tenure), "event": event.astype(int), "start": start,
            "renewals": np.ceil(np.where(event, stays, tenure)) - ~event, "period": "month",
            "value": rng.choice([9.9, 19.9], number), "channel": rng.choice(["app", "web", "shop"], number),
            "price": rng.normal(0, 1, number), "age": rng.uniform(20, 80, number), "year": rng.choice([1, 2], number),
        },
        index=pd.Index([f"person-{i}" for i in range(number)], name="id"),
    )  # fmt: skip
    table = table[(table["renewals"] >= 0) & ~(event & (table["renewals"] == 0))]
    return clv.Durations(table, "month", observation_end=END, attributes=["channel", "price", "age", "year"])


@pytest.fixture(scope="module")
def data():
    return contracts()


MODELS = {
    "sbg": (SBG(priors={"alpha": stats.gamma(2)}), "map"),
    "bdw": (BdW(), "laplace"),
    "weibull": (Weibull(), "ml"),
    "formula": (Weibull(FORMULA), "ml"),
    "columns": (Weibull(["price", "channel"], priors={"price": stats.norm(0, 1)}), "laplace"),
    "kaplan-meier": (KaplanMeier(), "ml"),
    "renewals": (KaplanMeier(clock="renewals"), "ml"),
    "cox": (Cox(FORMULA), "ml"),
    "strata": (Cox(["price", "age"], strata="year"), "ml"),
}


@pytest.fixture(scope="module")
def fits(data):
    return {
        name: quietly(ContractualCLV(model, 0.7, 0.1).fit, data, method=method, seed=5, draws=200)
        for name, (model, method) in MODELS.items()
    }


@pytest.fixture
def again(tmp_path):
    return lambda fit: clv.load(clv.save(fit, tmp_path / "again.clv", overwrite=True))


def same(found, expected):
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    assert json.dumps(found.attrs, default=str) == json.dumps(expected.attrs, default=str)


every_model = pytest.mark.parametrize("name", MODELS)


@every_model
def test_a_loaded_fit_predicts_to_the_last_digit(fits, data, again, name):
    fit = fits[name]
    loaded = again(fit)
    assert type(loaded) is type(fit)
    assert type(loaded.survival) is type(fit.survival)
    assert repr(loaded.model) == repr(fit.model)
    assert loaded.origin == fit.origin
    assert repr(loaded) == repr(fit)
    others = contracts(seed=9, number=60)
    for some in (data, others):
        for more in ({}, {"interval_of": "mean"}, {"margin": 0.5, "discount_rate": 0.0, "seed": 8}):
            asked = {"horizon": "6 months", "interval": 0.8, **more}
            same(quietly(loaded.predict, some, **asked), quietly(fit.predict, some, **asked))
            same(quietly(loaded.total, some, by="channel", **asked), quietly(fit.total, some, by="channel", **asked))
    known = {"channel": "web", "price": 0.5, "age": 40.0, "year": 1}
    asked = {"value": 10, "horizon": "6 months", "interval": 0.8, "attributes": known}
    same(quietly(loaded.new_customer, **asked), quietly(fit.new_customer, **asked))
    same(quietly(loaded.survival.predict, others, horizon=3), quietly(fit.survival.predict, others, horizon=3))
    alone = again(fit.survival)
    same(quietly(alone.predict, others, horizon=3), quietly(fit.survival.predict, others, horizon=3))
    with pytest.raises(clv.DataError, match="a loaded fit has no customers of its own; give it some"):
        loaded.predict(horizon="6 months")


@every_model
def test_a_loaded_fit_says_what_was_estimated(fits, again, name):
    fit = fits[name]
    loaded = again(fit)
    for attribute in ("method", "seed", "data_hash"):
        assert getattr(loaded, attribute) == getattr(fit, attribute)
    if not isinstance(fit.model.survival, KaplanMeier):
        pd.testing.assert_frame_equal(loaded.parameters, fit.parameters, check_exact=True)
        pd.testing.assert_frame_equal(loaded.summary(), fit.summary(), check_exact=True)
        assert loaded.log_likelihood == fit.log_likelihood
    t = [0.0, 1.0, 5.0]
    if name != "strata":
        survival = [quietly(one.survival.survival, t, interval=0.9) for one in (loaded, fit)]
        pd.testing.assert_frame_equal(*survival, check_exact=True)


@every_model
def test_a_loaded_fit_can_be_saved_again(fits, tmp_path, name):
    first = clv.save(fits[name], tmp_path / "first.clv")
    second = clv.save(clv.load(first), tmp_path / "second.clv")
    one, other = (described(path) for path in (first, second))
    assert one.pop("created") <= other.pop("created")
    assert one == other


def test_the_simple_formula_is_saved_too(data, again):
    for by in (None, "channel"):
        fit = SimpleCLV(by=by).fit(data)
        loaded = again(fit)
        assert repr(loaded) == repr(fit)
        same(loaded.predict(data, horizon="1 year"), fit.predict(data, horizon="1 year"))
        same(loaded.total(data, horizon=None, by="channel"), fit.total(data, horizon=None, by="channel"))


def test_a_fit_of_contracts_by_another_period_is_still_refused(fits, data, again):
    yearly = clv.Durations(data.table.assign(period="year"), "month", observation_end=END, attributes=["channel"])
    with pytest.raises(
        clv.DataError, match="the fit counts renewals of contracts by the month, and these are by the year"
    ):
        again(fits["sbg"]).predict(yearly, horizon="1 year")


def test_a_fit_of_one_cause_still_says_so(data, again):
    causes = np.where(data.table["event"] == 1, np.resize(["left", "died"], len(data)), None)
    some = clv.Durations(data.table.assign(cause=causes), "month", observation_end=END)
    fit = quietly(Weibull().fit, some.for_cause("left"), seed=1)
    loaded = again(fit)
    assert loaded.origin == fit.origin
    found, expected = (quietly(one.predict, some, horizon="1 year") for one in (loaded, fit))
    same(found, expected)
    assert any("fitted to the endings by left" in note for note in found.attrs["notes"])


def test_no_customer_is_in_the_file(fits, data, tmp_path):
    for name, fit in fits.items():
        content = clv.save(fit, tmp_path / f"{name}.clv").read_bytes()
        assert b"person-" not in content
        ages = data.table["age"].to_numpy()
        assert not any(age.tobytes() in content or repr(float(age)).encode() in content for age in ages[:50])


# What is wrong with a file


def described(path):
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("model.json"))


def changed(fit, path, change=lambda told: None, posterior=None):
    """The file of a fit with something else in it, under a right hash."""
    clv.save(fit, path, overwrite=True)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    told = json.loads(members["model.json"])
    change(told)
    members["model.json"] = json.dumps(told).encode()
    if posterior is not None:
        members["posterior.nc"] = posterior
    path.write_bytes(persistence._sealed(members))
    return path


def refused(path, sentence):
    with pytest.raises(clv.DataError) as caught:
        clv.load(path)
    text = str(caught.value)
    assert text.startswith(f"{path} cannot be loaded: ")
    assert sentence in text, text
    assert "\n" not in text


def into(*path, value):
    """A change of one entry of the description."""

    def change(told):
        for key in path[:-1]:
            told = told[key]
        told[path[-1]] = value

    return change


CODE = "__import__('os').system('touch owned')"


@pytest.mark.parametrize("code", [CODE, f"price + C({CODE})", "eval('1')", "Q('price')", "lambda: 1"])
@pytest.mark.parametrize("name", ["formula", "cox"])
def test_formulas_with_code_are_refused_before_anything_is_run(fits, tmp_path, name, code, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ("model", "arguments", "survival", "arguments", "covariates")
    refused(changed(fits[name], tmp_path / "june.clv", into(*arguments, value=code)), "")
    assert not (tmp_path / "owned").exists()


PART = ("parts", "survival")
OPTIMUM = (*PART, "estimate", "optimum")


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        (
            "formula",
            into(*PART, "design", "means", value=[0.0]),
            "means in model.json is not finite or not of the shape",
        ),
        ("formula", into(*PART, "design", "means", value=[None] * 6), "means in model.json"),
        ("formula", into(*PART, "design", "sds", value=[0.0] * 6), "sds in model.json are not positive"),
        ("formula", into(*PART, "design", "names", value=[]), "design in model.json is none"),
        ("formula", into(*PART, "design", "levels", value={"kind": "mapping", "items": [["a", 1]]}), "design in model"),
        ("formula", into(*PART, "design", value=None), "design in model.json is missing"),
        ("formula", into(*PART, "estimate", "optimum", "u", value=[0.0]), "u in model.json is not finite or not of"),
        ("columns", into("model", "arguments", "survival", "arguments", "covariates", value=3), "covariates must be"),
        ("sbg", into("data", "period", value="fortnight"), "period 'fortnight' is not understood"),
        ("sbg", into("data", "period", value=7), "period 7 is not understood"),
        ("sbg", into("model", "arguments", "timing", value="never"), "timing must be 'start' or 'end'"),
        ("sbg", into("model", "arguments", "survival", value=1), "survival must be a model such as SBG()"),
        ("kaplan-meier", into(*PART, "clock", value="sundial"), "clock in model.json is 'sundial'"),
        ("kaplan-meier", into(*PART, "last", value=[]), "model.json names no curve"),
        ("kaplan-meier", into(*PART, "last", value=[float("nan")]), "last in model.json is nan"),
        ("kaplan-meier", into(*PART, "last", value=[0.5]), "is not one of finite numbers at rising times"),
        ("kaplan-meier", into(*PART, "size", value=0), "size in model.json is 0, which cannot be"),
        ("cox", into(*PART, "covariance", value=np.zeros((6, 6)).tolist()), "covariance in model.json is none: a var"),
        ("cox", into(*PART, "covariance", value=(np.eye(6) - 0.5).tolist()), "it is not positive definite"),
        ("weibull", into(*OPTIMUM, "covariance", value=[[-1.0, 0.0], [0.0, 1.0]]), "a variance is not positive"),
        ("weibull", into(*OPTIMUM, "covariance", value=[[1.0, 2.0], [2.0, 1.0]]), "it is not positive definite"),
        ("weibull", into(*OPTIMUM, "covariance", value=[[1.0, 0.5], [0.4, 1.0]]), "it is not symmetric"),
        (
            "cox",
            into(*PART, "coefficients", value=[1.0]),
            "coefficients in model.json is not finite or not of the shape",
        ),
        ("cox", into(*PART, "last", value=[50.0, 50.0]), "strata in model.json are not those of its curves"),
        ("strata", into(*PART, "strata", value=[]), "strata in model.json are not those of its curves"),
        ("strata", into(*PART, value=None), "survival in model.json is missing or of the wrong kind"),
    ],
)
def test_what_no_fit_can_hold_is_refused(fits, tmp_path, name, change, sentence):
    refused(changed(fits[name], tmp_path / "june.clv", change), sentence)


LOG = {"customer": "id", "start": "from", "end": None, "attributes": [], "returns": "new", "where": None}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"returns": "x"}, "unknown returns 'x'; use one of 'new', 'first', 'error'"),
        ({"returns": None}, "unknown returns None"),
        ({"bad_rows": ["drop"]}, "unknown bad_rows ['drop']"),
        ({"refunds": "net"}, "Subscriptions of clvmodels"),
        ({"source": "/etc/passwd"}, "has no source="),
        ({"customer": None}, "customer of the log in model.json is none"),
        ({"customer": 7}, "customer of the log in model.json is none"),
        ({"end": ["a"]}, "end of the log in model.json is none"),
        ({"attributes": [1]}, "attributes of the log in model.json is none"),
        ({"where": "x"}, "where of the log in model.json is none"),
        ({"decimal": ";"}, "decimal must be '.' or ','; got ';'"),
        ({"date": "day", "start": ...}, "Transactions of clvmodels"),
        ({"start": ...}, "has no end="),
    ],
)
def test_options_that_could_read_no_records_are_refused(fits, tmp_path, change, sentence):
    log = {name: given for name, given in (LOG | change).items() if given is not ...}
    clv.load(changed(fits["weibull"], tmp_path / "right.clv", into("data", "log", value=LOG)))
    refused(changed(fits["weibull"], tmp_path / "june.clv", into("data", "log", value=log)), sentence)


def test_a_file_of_nested_lists_is_no_fit(fits, tmp_path):
    path = changed(fits["weibull"], tmp_path / "june.clv")
    with zipfile.ZipFile(path) as archive:
        posterior = archive.read("posterior.nc")
    for text in ("[" * 100_000 + "]" * 100_000, '{"model": ' * 100_000 + "1" + "}" * 100_000):
        path.write_bytes(persistence._sealed({"model.json": text.encode(), "posterior.nc": posterior}))
        refused(path, "it is nested more deeply than a fit is")


CURVE = {"time": np.array([1.0, 2.0]), "at_risk": np.array([9.0, 5.0]), "events": np.array([3.0, 1.0])}


@pytest.mark.parametrize(
    ("curve", "sentence"),
    [
        (CURVE | {"time": np.array([2.0, 1.0])}, "is not one of finite numbers at rising times"),
        (CURVE | {"time": np.array([1.0, np.nan])}, "is not one of finite numbers at rising times"),
        (CURVE | {"at_risk": np.array([9.0, np.inf])}, "is not one of finite numbers at rising times"),
        (CURVE | {"at_risk": np.array([9.0, 0.0])}, "nobody left, or could, at a step of the curve 0"),
        (CURVE | {"events": np.array([9.5, 1.0])}, "more customers left in posterior.nc than could"),
        (CURVE | {"events": np.array([1, 1])}, "posterior.nc cannot be read: it holds time, at_risk, events, not"),
        ({"time": CURVE["time"]}, "posterior.nc cannot be read: it holds time, not time, at_risk, events"),
    ],
)
def test_curves_that_are_none_are_refused(fits, tmp_path, curve, sentence):
    posterior = saved_values.netcdf({"survival/curve_0": curve})
    refused(changed(fits["kaplan-meier"], tmp_path / "june.clv", posterior=posterior), sentence)


def test_a_curve_that_claims_to_be_larger_than_the_file_is_refused(fits, tmp_path):
    import io

    import h5netcdf

    buffer = io.BytesIO()
    with h5netcdf.File(buffer, "w") as file:
        group = file.create_group("survival/curve_0")
        group.dimensions = {"step": 10**9}
        for name in CURVE:
            group.create_variable(name, ("step",), dtype=float, chunks=(1000,))
    path = changed(fits["kaplan-meier"], tmp_path / "june.clv", posterior=buffer.getvalue())
    refused(path, "it is too small for 1,000,000,000 steps")
