"""A loaded fit says what the saved one said; the file holds no customer, and whatever is wrong with it is refused.

Run as a script, this file writes `schema_1.clv` anew. Do so only together with a new schema, under its own name:
the file is there to show that what this version wrote can still be read.
"""

import datetime
import io
import json
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import quietly, simulated_shop
from scipy import stats

import clvmodels as clv
from clvmodels import persistence, saved_values
from clvmodels.models.base import METHODS
from clvmodels.params import prior_name

FIXTURE = Path(__file__).with_name("schema_1.clv")
CUSTOMERS = clv.Summary(
    pd.DataFrame(
        {
            "frequency": [0, 1, 2, 40, 5000],
            "recency": [0.0, 39.0, 30.43, 38.0, 38.9],
            "T": [39.0, 39.0, 38.86, 39.0, 39.0],
            "monetary_value": [0.0, 35.0, 22.35, 71.0, 20.0],
        }
    ).rename_axis("customer"),
    "week",
)
ASKED = {"horizon": "39 weeks", "interval": 0.8}


def model(**priors):
    return clv.NonContractualCLV(clv.BGNBD(priors=priors), clv.GammaGamma(), margin=0.3, discount_rate=0.1)


@pytest.fixture(scope="module")
def shop():
    return simulated_shop(seed=4, customers=800)


@pytest.fixture(scope="module")
def fits(shop):
    """The shop fitted by every method, one of the priors by the user."""
    return {
        method: quietly(model(r=stats.gamma(2, scale=0.3)).fit, shop, method=method, seed=3, draws=200)
        for method in METHODS
    }


@pytest.fixture(scope="module")
def saved(fits, tmp_path_factory):
    """A file that nobody changes."""
    return clv.save(fits["map"], tmp_path_factory.mktemp("saved") / "june.clv")


@pytest.fixture
def again(tmp_path):
    """Save and load once more."""
    return lambda fit: clv.load(clv.save(fit, tmp_path / "again.clv", overwrite=True))


def same(found, expected):
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    assert found.attrs == expected.attrs


# What comes back


@pytest.mark.parametrize("method", METHODS)
def test_every_table_of_a_loaded_fit_is_the_one_of_the_fit(fits, shop, again, method):
    fit = fits[method]
    loaded = again(fit)
    assert type(loaded) is type(fit)
    for data in (shop, CUSTOMERS):
        for more in ({}, {"interval_of": "mean"}, {"margin": 0.5, "discount_rate": 0.0, "seed": 8}):
            same(loaded.predict(data, **ASKED, **more), fit.predict(data, **ASKED, **more))
            same(loaded.total(data, **ASKED, **more), fit.total(data, **ASKED, **more))
        for quantity in ("p_alive", "clv"):
            ours, theirs = (one.draws(quantity, data, horizon=39) for one in (loaded, fit))
            np.testing.assert_array_equal(ours, theirs)
    ours, theirs = (list(one.simulate_future(CUSTOMERS, horizon=39)) for one in (loaded, fit))
    pd.testing.assert_frame_equal(pd.concat(ours), pd.concat(theirs), check_exact=True)
    same(loaded.transactions.predict(shop, **ASKED), fit.transactions.predict(shop, **ASKED))
    same(loaded.spend.predict(shop), fit.spend.predict(shop))


@pytest.mark.parametrize("method", METHODS)
def test_a_loaded_fit_says_what_was_estimated(fits, again, method):
    fit = fits[method]
    loaded = again(fit)
    for ours, theirs in ((loaded, fit), (loaded.posterior, fit.posterior)):
        for name in ("method", "seed", "data_hash", "log_likelihood", "aic", "bic", "diagnostics", "origin"):
            assert getattr(ours, name) == getattr(theirs, name), name
        pd.testing.assert_frame_equal(ours.parameters, theirs.parameters, check_exact=True)
        pd.testing.assert_frame_equal(ours.summary(), theirs.summary(), check_exact=True)
        assert repr(ours) == repr(theirs)
    assert repr(fit.model) == (
        "NonContractualCLV(BGNBD(priors={'r': gamma(2, scale=0.3)}), GammaGamma(), margin=0.3, discount_rate=0.1)"
    )


def test_a_loaded_fit_can_be_saved_again(saved, tmp_path):
    again = clv.save(clv.load(saved), tmp_path / "again.clv")
    first, second = (described(path) for path in (saved, again))
    assert first.pop("created") <= second.pop("created")
    assert first == second


@pytest.fixture(scope="module")
def log():
    lines = clv.datasets.cdnow_sample().assign(id=lambda lines: "person-" + lines["customer_id"].astype(str))
    return clv.Transactions(lines, customer="id", date="date", value=("quantity", "amount"), refunds="keep")


def test_the_facts_of_the_log_are_kept(log, again):
    fit = clv.BGNBD().fit(log.summary(unit="month", until="1997-09-30"), seed=1)
    origin = again(fit).origin
    assert origin == fit.origin
    assert (origin.unit, origin.customers) == ("month", 2357)
    assert (f"{origin.observation_start}", f"{origin.observation_end:%Y-%m-%d}") == (
        "1997-01-01 00:00:00",
        "1997-09-30",
    )
    assert origin.covered == 272 / clv.time.unit_days("month")
    assert origin.log["value"] == ("quantity", "amount")
    lines = pd.DataFrame({"id": ["a", "a"], "date": ["2024-01-01", "2024-02-01"], "quantity": 1, "amount": [5.0, -3.0]})
    assert clv.Transactions(lines, **origin.log).summary().table["historic_revenue"].tolist() == [2.0]


def test_the_simple_formula_is_saved_too(log, again):
    summary = log.summary()
    for lifespan in (None, 2.5):
        fit = clv.SimpleCLV(lifespan).fit(summary)
        loaded = again(fit)
        assert loaded.model.lifespan == lifespan
        assert repr(loaded) == repr(fit)
        same(loaded.predict(summary, horizon="1 year"), fit.predict(summary, horizon="1 year"))
        same(loaded.total(summary, horizon="1 year", interval=0.9), fit.total(summary, horizon="1 year", interval=0.9))
        with pytest.raises(clv.DataError, match="a loaded fit has no customers of its own; give it some"):
            loaded.predict(horizon="1 year")


def test_without_customers_a_loaded_fit_says_what_it_needs(saved):
    loaded = clv.load(saved)
    sentence = r"^a loaded fit has no customers of its own; give it some, as in fit\.predict\(data, \.\.\.\)$"
    asked = {"horizon": "39 weeks"}
    for call in (
        lambda: loaded.predict(**asked),
        lambda: loaded.total(**asked),
        lambda: loaded.draws("clv", **asked),
        lambda: list(loaded.simulate_future(**asked)),
        lambda: loaded.transactions.predict(**asked),
        lambda: loaded.spend.predict(),
    ):
        with pytest.raises(clv.DataError, match=sentence):
            call()
    for kind in ("frequency", "spend"):
        with pytest.raises(clv.DataError, match="needs the customers that the model was fitted to; a loaded fit has n"):
            loaded.plot(kind)
    with pytest.raises(clv.DataError, match="the fit is in weeks and the data are in days; use unit='week'"):
        loaded.predict(clv.Summary(CUSTOMERS.table, "day"), **asked)


def test_a_fit_whose_draws_fail_is_saved_with_the_reason(shop, again, monkeypatch):
    def fail(*arguments):
        raise clv.FitError("the Laplace approximation is not good enough")

    fit = quietly(model().fit, shop, seed=1)
    expected = fit.predict(horizon=39)
    with monkeypatch.context() as patch:
        patch.setattr("clvmodels.inference.laplace.sample", fail)
        loaded = again(fit)
    pd.testing.assert_frame_equal(loaded.predict(shop, horizon=39), expected, check_exact=True)
    with pytest.raises(clv.FitError, match=r"^the Laplace approximation is not good enough$"):
        loaded.predict(shop, horizon=39, interval=0.9)
    same(again(loaded).predict(shop, horizon=39), expected)


def test_a_fit_that_is_not_determined_still_says_so(again):
    few = clv.Summary(simulated_shop(seed=2, customers=40).table, "week")
    fit = quietly(clv.BGNBD().fit, few, seed=1)
    assert fit.optimum.problems
    assert repr(again(fit)) == repr(fit)


PRIORS = [
    stats.gamma(2), stats.gamma(a=2, scale=3.0), stats.norm(loc=np.float64(1), scale=2), stats.uniform(0, 10),
    stats.truncnorm(0, 5, loc=1), stats.lognorm(s=1, scale=np.exp(0.5)), clv.Prior("Gamma", mu=2, sigma=1.5),
    clv.Prior("TruncatedNormal", mu=0, sigma=np.float64(1), lower=-np.inf, upper=3),
]  # fmt: skip


@pytest.mark.parametrize("prior", PRIORS, ids=prior_name)
def test_a_prior_comes_back(prior):
    restored = saved_values.decoded(json.loads(json.dumps(saved_values.encoded(prior))))
    x = np.linspace(0.01, 9, 50)
    np.testing.assert_array_equal(restored.logpdf(x), prior.logpdf(x))
    assert prior_name(restored) == prior_name(prior)


@pytest.mark.parametrize(
    "value",
    [
        None, True, 3, 0.1, "text", "", [1, [2.5, None]], (1, "a"), {}, {"kind": "prior"},
        {1: "a", 2.5: "b", False: ()}, {"channel": {"web": 0.3, ("a", 1): 0.4}}, datetime.date(2024, 2, 29),
        pd.Timestamp("2024-02-29 12:00:00.000000001"),
    ],
    ids=repr,
)  # fmt: skip
def test_an_argument_of_a_model_or_an_option_of_a_log_comes_back(value):
    restored = saved_values.decoded(json.loads(json.dumps(saved_values.encoded(value), allow_nan=False)))
    assert restored == value
    assert type(restored) is type(value)
    assert repr(restored) == repr(value)


def test_numbers_of_numpy_come_back_as_plain_ones():
    given = {
        np.int64(1): np.float64(0.3),
        "day": np.datetime64("2024-02-29"),
        "flag": np.bool_(True),
        "x": np.float32(0.5),
    }
    restored = saved_values.decoded(json.loads(json.dumps(saved_values.encoded(given))))
    assert repr(restored) == "{1: 0.3, 'day': Timestamp('2024-02-29 00:00:00'), 'flag': True, 'x': 0.5}"


class Own(type(stats.gamma)):
    """A user's own distribution under a known name."""

    def _logpdf(self, x, a):
        return -x


class Half:
    def logpdf(self, x):
        return -x


class Mine(clv.BGNBD):
    pass


@pytest.mark.parametrize(
    ("prior", "sentence"),
    [
        (Half(), "a Half cannot be saved; a prior can, if it is a clvmodels.Prior, or a distribution such as"),
        (Own(name="gamma")(2), "cannot be saved"),
        (Own(name="mine")(2), "'mine' is not a continuous distribution"),
        (stats.rv_histogram(np.histogram([1, 2, 3.0]))(), "is not a continuous distribution"),
        (stats.gaussian_kde([1, 2, 3.0]), "cannot be saved"),
    ],
)
def test_a_prior_that_no_file_can_bring_back_is_refused(shop, tmp_path, prior, sentence):
    fit = quietly(clv.BGNBD(priors={"r": prior}).fit, shop, seed=1)
    with pytest.raises(clv.DataError, match=f"^the fit cannot be saved: .*{sentence}"):
        clv.save(fit, tmp_path / "june.clv")
    assert not list(tmp_path.iterdir())


def test_only_what_is_a_fit_of_this_package_is_saved(shop, fits, tmp_path):
    for what, sentence in {
        "nothing": (None, "it is a NoneType, not a fit"),
        "model": (clv.BGNBD(), "it is a BGNBD, not a fit"),
        "table": (CUSTOMERS, "it is a Summary, not a fit"),
        "own model": (quietly(Mine().fit, shop, seed=1), "Mine is not a model of clvmodels, and would not be found"),
        "mixed": (
            clv.value.noncontractual.NonContractualCLVFit(fits["ml"].model, fits["ml"].transactions, other_spend(shop)),
            "its parts are not from one call",
        ),
    }.values():
        with pytest.raises(clv.DataError, match=f"^the fit cannot be saved: {sentence}"):
            clv.save(what, tmp_path / "june.clv")
    assert not list(tmp_path.iterdir())


def other_spend(shop):
    return quietly(clv.GammaGamma().fit, clv.Summary(shop.table.iloc[:300], "week"), seed=1)


# The file


def described(path):
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("model.json"))


def test_no_customer_is_in_the_file(log, tmp_path):
    data = log.summary(until="1997-09-30")
    content = clv.save(quietly(model().fit, data, seed=1), tmp_path / "june.clv").read_bytes()
    assert b"person-" not in content
    for name in ("recency", "T", "monetary_value"):
        for value in data.table[name].iloc[5:40]:
            if value != round(value, 1):
                assert np.float64(value).tobytes() not in content
                assert repr(float(value)).encode() not in content


def test_where_the_log_lies_is_not_in_the_file(tmp_path):
    lines = clv.datasets.cdnow_sample()
    lines.to_csv(tmp_path / "secret_place.csv", index=False)
    log = clv.Transactions(tmp_path / "secret_place.csv", customer="customer_id", date="date", value="amount")
    fit = quietly(clv.BGNBD().fit, log.summary(), seed=1)
    assert b"secret_place" not in clv.save(fit, tmp_path / "june.clv").read_bytes()


def test_the_description_can_be_read_by_anybody(saved, fits):
    found = described(saved)
    assert found["schema"] == 1
    assert found["versions"]["clvmodels"] == clv.__version__
    assert found["versions"].keys() == {"clvmodels", "python", "numpy", "scipy", "pandas"}
    assert abs(pd.Timestamp.now("UTC") - pd.Timestamp(found["created"])) < pd.Timedelta(minutes=30)
    assert found["data"] == {
        "unit": "week", "customers": 800, "observation_start": None, "observation_end": None, "covered": 39.0,
        "log": None,
    }  # fmt: skip
    assert found["parts"]["transactions"]["seed"] == 3
    hashes = [part["data_hash"] for part in found["parts"].values()]
    assert "-".join(hashes) == fits["map"].data_hash


def test_the_draws_can_be_read_by_xarray_and_arviz(saved, fits, tmp_path):
    import xarray

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of its coming version
        import arviz

    with zipfile.ZipFile(saved) as archive:
        archive.extract("posterior.nc", tmp_path)
    for name, fit in {"transactions": fits["map"].transactions, "spend": fits["map"].spend}.items():
        group = f"{name}/posterior"
        with xarray.open_dataset(tmp_path / "posterior.nc", group=group, engine="h5netcdf") as posterior:
            assert posterior["draw"].to_numpy().tolist() == list(range(200))
            assert list(posterior.data_vars) == [param.name for param in fit.model.params]
            for param, draws in fit.posterior.parameter_draws.items():
                assert posterior[param].dims == ("chain", "draw")
                np.testing.assert_array_equal(posterior[param].to_numpy()[0], draws[:, 0])
            table = arviz.summary(posterior.load(), round_to="none", kind="stats")
            np.testing.assert_allclose(table["mean"].astype(float), fit.posterior.parameters["estimate"], rtol=1e-12)


def test_a_file_is_replaced_only_when_asked_and_then_whole(fits, saved, tmp_path, monkeypatch):
    path = tmp_path / "june.clv"
    path.write_bytes(b"old")
    with pytest.raises(FileExistsError, match=r"june\.clv exists; replace it with overwrite=True$"):
        clv.save(fits["ml"], path)

    def fail(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", fail)
        with pytest.raises(OSError, match=r"june\.clv cannot be written: No space left on device$"):
            clv.save(fits["ml"], path, overwrite=True)
    assert path.read_bytes() == b"old"
    assert clv.save(fits["ml"], path, overwrite=True) == path
    assert clv.load(path).method == "ml"
    assert list(tmp_path.iterdir()) == [path]


def test_the_name_ends_in_clv(fits, tmp_path):
    with pytest.raises(ValueError, match=r"orders\.csv is no name of a saved fit, which ends in \.clv$"):
        clv.save(fits["ml"], tmp_path / "orders.csv", overwrite=True)


# What is wrong with a file


def refused(path, sentence):
    with pytest.raises(clv.DataError) as caught:
        clv.load(path)
    text = str(caught.value)
    assert text.startswith(f"{path} cannot be loaded: ")
    assert sentence in text
    assert "\n" not in text
    return text


def test_a_missing_file_is_named(tmp_path):
    for path in (tmp_path / "june.clv", tmp_path):
        with pytest.raises(clv.DataError, match=f"^there is no file {path}$"):
            clv.load(path)


def test_any_flipped_bit_is_seen(saved, tmp_path):
    content, path = saved.read_bytes(), tmp_path / "june.clv"
    rng = np.random.default_rng(0)
    ends = [*range(100), *range(len(content) - 300, len(content))]  # the headers of the zip, and its directory
    for place in [*ends, *rng.integers(len(content), size=400)]:
        damaged = bytearray(content)
        damaged[place] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        refused(path, "it is not a file of clvmodels.save" if place < 4 else "its hash is not that of its content")


def test_a_file_cut_short_or_made_of_noise_is_refused(saved, tmp_path):
    content, path = saved.read_bytes(), tmp_path / "june.clv"
    rng = np.random.default_rng(0)
    noise = rng.bytes(1000)
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("model.json", "{}")
    for bad in (
        b"", b"PK\x03\x04", noise, b"PK\x03\x04" + noise, content[:-1], content[: len(content) // 2], content[:70],
        content + b" ", b" " + content, content + content, b"PK\x03\x04" + bytes(10_000), other.getvalue(),
    ):  # fmt: skip
        path.write_bytes(bad)
        refused(path, "it is" if not bad.startswith(b"PK") else "its hash is not that of its content")


def changed(saved, path, change=lambda described: None, **members):
    """The file with something else in it, and with the hash that belongs to that."""
    with zipfile.ZipFile(saved) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    about = json.loads(parts["model.json"])
    change(about)
    parts["model.json"] = json.dumps(about).encode()
    parts |= {name.replace("_", "."): content for name, content in members.items()}
    path.write_bytes(persistence._sealed({name: content for name, content in parts.items() if content is not None}))
    return path


def test_what_is_sealed_again_unchanged_is_loaded(saved, tmp_path):
    assert clv.load(changed(saved, tmp_path / "june.clv")).seed == 3


def test_a_newer_schema_names_the_version_to_update_to(saved, tmp_path):
    def newer(about):
        about.clear()
        about |= {"schema": 2, "versions": {"clvmodels": "7.1"}, "something": "else"}

    path = changed(saved, tmp_path / "june.clv", newer, posterior_nc=None, draws_nc=b"")
    refused(
        path, "it was made by clvmodels 7.1 in schema 2, and clvmodels 0.1.0 reads up to schema 1; update clvmodels"
    )


def test_an_older_schema_is_migrated_step_by_step(saved, tmp_path, monkeypatch):
    def first(about):
        return about | {"words": [*about.pop("text"), "b"]}

    def second(about):
        assert about.pop("words") == ["a", "b"]
        return about

    monkeypatch.setattr(persistence, "SCHEMA", 3)
    monkeypatch.setattr(persistence, "MIGRATIONS", {1: first, 2: second})
    path = changed(saved, tmp_path / "june.clv", lambda about: about.update(text=["a"]))
    assert clv.load(path).seed == 3
    new = clv.save(clv.load(path), tmp_path / "new.clv")
    assert described(new)["schema"] == 3
    assert clv.load(new).seed == 3


def at(*place, value):
    """A change of one entry of model.json."""

    def change(about):
        for name in place[:-1]:
            about = about[name]
        if value is ...:
            del about[place[-1]]
        else:
            about[place[-1]] = value

    return change


PART = ("parts", "transactions")
OPTIMUM = (*PART, "estimate", "optimum")
ARGUMENTS = ("model", "arguments")
PRIOR = (*ARGUMENTS, "transactions", "arguments", "priors", "items", 0, 1)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (at("schema", value=...), "schema in model.json is missing or of the wrong kind"),
        (at("schema", value=0), "schema in model.json is 0, which cannot be"),
        (at("schema", value=True), "schema in model.json is missing"),
        (at("schema", value="1"), "schema in model.json is missing"),
        (at("parts", value=[]), "parts in model.json is missing or of the wrong kind"),
        (at("parts", "spend", value=...), "spend in model.json is missing"),
        (at(*PART, "seed", value=-1), "seed must be a whole number, 0 or more; got -1"),
        (at(*PART, "size", value=10**9), "posterior.nc is too small for 1,000,000,000 draws of r, alpha, a, b"),
        (at(*PART, "size", value=199), "not 199 draws of r, alpha, a, b"),
        (at(*PART, "scales", value={}), "time in model.json is missing"),
        (at(*PART, "scales", "time", value=-1.0), "time in model.json is -1.0, which cannot be"),
        (
            at(*PART, "estimate", "method", value="guess"),
            "method in model.json is 'guess', not one of ml, map, laplace",
        ),
        (at(*PART, "estimate", "log_likelihood", value=np.nan), "log_likelihood in model.json is nan"),
        (at(*PART, "posterior", value=None), "posterior in model.json is missing or of the wrong kind"),
        (at(*PART, "posterior", "sampling", value=None), "posterior in model.json is missing or of the wrong kind"),
        (at(*PART, "posterior", "sampling", "k_hat", value=np.inf), "k_hat in model.json is inf"),
        (at(*OPTIMUM, "u", 1, value=np.inf), "u in model.json is not finite"),
        (at(*OPTIMUM, "u", 1, value=1e300), "the parameter alpha is not finite, or not above its bound, in 1 draw"),
        (at(*OPTIMUM, "u", value=[0.0]), "u in model.json is not finite or not of the shape (4,)"),
        (at(*OPTIMUM, "covariance", 0, 0, value=np.nan), "covariance in model.json is not finite"),
        (at(*OPTIMUM, "covariance", 0, value=[1.0]), "cannot be loaded"),
        (at(*OPTIMUM, "weakest_sd", value="much"), "weakest_sd in model.json is missing or of the wrong kind"),
        (at("data", "unit", value="fortnight"), "unknown unit 'fortnight'"),
        (at("data", "customers", value=0), "customers in model.json is 0"),
        (at("data", "covered", value=np.nan), "covered in model.json is nan"),
        (at("data", "observation_end", value="soon"), "observation_end must be a date"),
        (
            at("model", "name", value="GGompertzNBD"),
            "clvmodels 0.1.0 has no model 'GGompertzNBD'; update it if the file",
        ),
        (at("model", "name", value="os.system"), "clvmodels 0.1.0 has no model 'os.system'"),
        (at("model", "name", value="GammaGamma"), "GammaGamma of clvmodels 0.1.0 has no "),
        (at("model", "kind", value="pickle"), "model.json holds an unknown kind of value, 'pickle'"),
        (at("model", value={"kind": "mapping", "items": []}), "model in model.json is none"),
        (at(*ARGUMENTS, "margin", value=30), "margin must be a share of revenue"),
        (at(*ARGUMENTS, "margin", value=np.nan), "model.json holds nan, which is not finite"),
        (at(*ARGUMENTS, "transactions", value=None), "transactions must be a model such as BGNBD()"),
        (at(*PRIOR, "name", value="rv_histogram"), "'rv_histogram' is not a continuous distribution of scipy.stats"),
        (at(*PRIOR, "name", value="poisson"), "'poisson' is not a continuous distribution of scipy.stats"),
        (at(*PRIOR, "args", value=[1, 2, 3, 4, 5, 6]), "cannot be loaded"),
        (at(*PRIOR, "args", value=[np.inf]), "model.json holds inf, which is not finite"),
        (at(*PRIOR, value={"kind": "prior by name", "name": "eval", "parameters": {}}), "there is no prior 'eval'"),
        (
            at(*PRIOR, value={"kind": "prior by name", "name": "Normal", "parameters": {"mu": [1], "sigma": 1}}),
            "mu of Normal must be a finite number",
        ),
    ],
)
def test_a_description_that_cannot_be_is_refused(saved, tmp_path, change, sentence):
    refused(changed(saved, tmp_path / "june.clv", change), sentence)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (at("figures", value=1.0), "figures in model.json is missing or of the wrong kind"),
        (at("figures", value={"kind": "mapping", "items": [[1, 2]]}), "model.json holds figures that are none"),
        (at("figures", "figures", "clv", value=np.inf), "clv in model.json is inf"),
        (at("figures", "figures", "lifespan", value=...), "lifespan in model.json is missing"),
        (at("transactions_per_year", value=np.nan), "model.json holds nan"),
        (at("notes", value="none"), "notes in model.json is missing or of the wrong kind"),
        (at(*ARGUMENTS, "lifespan", value=-1), "lifespan must be a positive number of years"),
    ],
)
def test_figures_that_cannot_be_are_refused(log, tmp_path, change, sentence):
    saved = clv.save(clv.SimpleCLV().fit(log.summary()), tmp_path / "simple.clv")
    refused(changed(saved, tmp_path / "june.clv", change), sentence)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"", "model.json is not JSON"), (b"{", "model.json is not JSON"), (b"\xff\xfe\x00", "model.json is not JSON"),
        (b"[]", "model.json is not an object"), (b"[" * 200_000, "cannot be loaded"), (b"{}", "schema in model.json"),
    ],
)  # fmt: skip
def test_a_description_that_is_none_is_refused(saved, tmp_path, text, sentence):
    refused(changed(saved, tmp_path / "june.clv", model_json=text), sentence)


def netcdf(fits, change=lambda draws: draws, **parts):
    """The draws of the fit, with something else in them."""
    known = {name: getattr(fits["map"], name).posterior.parameter_draws for name in ("transactions", "spend")}
    groups = known | {"transactions": change(known["transactions"])} | parts
    return saved_values.netcdf({f"{name}/posterior": in_one_chain(draws) for name, draws in groups.items()})


def in_one_chain(draws):
    return {name: values.reshape(1, -1) for name, values in draws.items()}


def with_value(value):
    def change(draws):
        r = draws["r"].copy()
        r[7] = value
        return draws | {"r": r}

    return change


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (with_value(np.nan), "the parameter r is not finite, or not above its bound, in 1 draw"),
        (with_value(np.inf), "the parameter r is not finite, or not above its bound, in 1 draw"),
        (with_value(-0.1), "the parameter r is not finite, or not above its bound, in 1 draw"),
        (lambda draws: {name: draws[name] for name in ("r", "alpha", "a")}, "not 200 draws of r, alpha, a, b"),
        (lambda draws: draws | {"s": draws["r"]}, "it holds chain, draw, r, alpha, a, b, s, not 200 draws of r, alpha"),
        (lambda draws: {name: values[:100] for name, values in draws.items()}, "not 200 draws of r, alpha, a, b"),
        (lambda draws: {name: values.astype("f4") for name, values in draws.items()}, "not 200 draws of r, alpha"),
        (lambda draws: {name: (values * 0).astype(int) for name, values in draws.items()}, "not 200 draws of r, alp"),
    ],
)
def test_draws_that_are_not_those_of_the_model_are_refused(fits, saved, tmp_path, change, sentence):
    refused(changed(saved, tmp_path / "june.clv", posterior_nc=netcdf(fits, change)), sentence)


def test_draws_of_another_model_or_none_are_refused(fits, saved, tmp_path):
    path, spend = tmp_path / "june.clv", fits["map"].spend.posterior.parameter_draws
    refused(
        changed(saved, path, posterior_nc=netcdf(fits, transactions=spend)), "it holds chain, draw, p, q, v, not 200"
    )
    only = saved_values.netcdf({"spend/posterior": in_one_chain(spend)}) + bytes(5000)
    refused(changed(saved, path, posterior_nc=only), "posterior.nc cannot be read: ")
    refused(changed(saved, path, posterior_nc=b""), "posterior.nc is too small for 200 draws of r, alpha, a, b")
    refused(changed(saved, path, posterior_nc=bytes(100_000)), "posterior.nc cannot be read: ")
    below = {name: values.copy() for name, values in spend.items()}
    below["q"][3] = 0.9
    refused(changed(saved, path, posterior_nc=netcdf(fits, spend=below)), "the parameter q is not finite, or not above")


def test_other_members_are_refused(saved, tmp_path):
    path = tmp_path / "june.clv"
    refused(changed(saved, path, posterior_nc=None), "its files are model.json, not model.json and posterior.nc")
    refused(changed(saved, path, extra_py=b"print()"), "its files are model.json, posterior.nc, extra.py, not")
    refused(changed(saved, path, model_json=None), "model.json is not JSON")


def sealed(path, write):
    """A zip that is written in another way, under the right hash."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.comment = bytes(64)
        write(archive)
    body = buffer.getvalue()[:-64]
    path.write_bytes(body + persistence.hashlib.sha256(body).hexdigest().encode())
    return path


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_bomb_or_a_second_description_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "june.clv"

    def bomb(archive):
        archive.writestr("model.json", bytes(10**8), zipfile.ZIP_DEFLATED)

    def twice(archive):
        archive.writestr("model.json", "{}")
        archive.writestr("model.json", "{}")

    refused(sealed(path, bomb), "it is compressed, which clvmodels.save never does")
    assert path.stat().st_size < 10**6
    refused(sealed(path, twice), "it holds two files of one name")


def test_a_posterior_that_would_unpack_to_more_than_the_file_is_refused(fits, saved, tmp_path):
    import h5netcdf

    buffer = io.BytesIO()
    with h5netcdf.File(buffer, "w") as file:
        group = file.create_group("transactions/posterior")
        group.dimensions = {"chain": 1, "draw": 10**8}
        for name in ("r", "alpha", "a", "b"):
            group.create_variable(name, ("chain", "draw"), float, compression="gzip", chunks=(1, 10**6), fillvalue=1.0)
    path = changed(saved, tmp_path / "june.clv", at(*PART, "size", value=10**8), posterior_nc=buffer.getvalue())
    refused(path, "posterior.nc is too small for 100,000,000 draws")


def test_a_file_larger_than_any_fit_is_not_read(saved, monkeypatch):
    monkeypatch.setattr(persistence, "LARGEST", 100)
    refused(saved, "it is larger than 100 bytes")


# What this version wrote


def test_a_file_of_schema_1_is_still_read():
    fit = clv.load(FIXTURE)
    table = fit.predict(CUSTOMERS, horizon="39 weeks", interval=0.8, interval_of="mean")
    expected = pd.DataFrame(EXPECTED, index=table.index)
    np.testing.assert_allclose(table[list(expected.columns)], expected, rtol=1e-9)
    assert fit.data_hash == "8bf348f2fa953889-5253f3ef42aa0c13"
    assert fit.origin.log["customer"] == "customer_id"


def written_by_this_version():
    log = clv.Transactions(clv.datasets.cdnow_sample(), customer="customer_id", date="date", value="amount")
    fitted = model(r=stats.gamma(2, scale=0.3)).fit(log.summary(until="1997-09-30"), method="map", seed=1, draws=100)
    clv.save(fitted, FIXTURE, overwrite=True)
    table = fitted.predict(CUSTOMERS, horizon="39 weeks", interval=0.8, interval_of="mean")
    print(
        fitted.data_hash, table[["p_alive", "expected_transactions", "clv", "clv_lower", "clv_upper"]].to_dict("list")
    )


EXPECTED = {
    "p_alive": [1.0, 0.7532299895705348, 0.7269871251349556, 0.953891967899187, 0.05946292928417037],
    "expected_transactions": [
        0.19498867502308917, 0.7197496239399063, 1.2272169966379955, 26.628419472957255, 204.3092191235738,
    ],
    "clv": [1.9887428589102254, 7.3187559901560935, 8.800994017802987, 545.9238153931511, 1186.7971717976109],
    "clv_lower": [1.8391861924467712, 7.018100459943468, 8.353522420847154, 495.73673902971353, 789.3541417194622],
    "clv_upper": [2.118185389605896, 7.5989596721170996, 9.335176670869314, 591.9350133074039, 1741.4498848285739],
}  # fmt: skip

if __name__ == "__main__":
    quietly(written_by_this_version)
