import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from clvmodels import datasets

SHARED = Path(__file__).parents[3] / "shared" / "data"
COLUMNS = ["customer_id", "date", "quantity", "amount"]


def test_cdnow_is_whole():
    # 23,570 customers, 69,659 lines: Fader & Hardie (2001); the dates are those of the data's description.
    frame = datasets.cdnow()
    assert list(frame) == COLUMNS
    assert len(frame) == 69659
    assert frame["customer_id"].nunique() == 23570
    assert (frame["date"].min(), frame["date"].max()) == (pd.Timestamp("1997-01-01"), pd.Timestamp("1998-06-30"))
    assert frame.isna().sum().sum() == 0


def test_the_sample_is_numbered_from_1_to_2357():
    frame = datasets.cdnow_sample()
    assert list(frame) == COLUMNS
    assert len(frame) == 6919
    assert sorted(frame["customer_id"].unique()) == list(range(1, 2358))


@pytest.mark.parametrize("dataset", [datasets.cdnow, datasets.cdnow_sample])
def test_columns_have_their_types(dataset):
    kinds = {name: dtype.kind for name, dtype in dataset().dtypes.items()}
    assert kinds == {"customer_id": "i", "date": "M", "quantity": "i", "amount": "f"}


def test_cdnow_equals_the_published_file():
    path = SHARED / "cdnow_master" / "cdnow_master.parquet"
    if not path.exists():
        pytest.skip("the published file is not here")
    published = pd.read_parquet(path).rename(columns={"n_cds": "quantity"})
    pd.testing.assert_frame_equal(datasets.cdnow(), published, check_dtype=False)


def test_the_sample_equals_the_published_file():
    path = SHARED / "cdnow_sample" / "cdnow_sample.csv.gz"
    if not path.exists():
        pytest.skip("the published file is not here")
    published = pd.read_csv(path, parse_dates=["date"]).rename(
        columns={"sample_id": "customer_id", "n_cds": "quantity"}
    )
    pd.testing.assert_frame_equal(datasets.cdnow_sample(), published[COLUMNS], check_dtype=False)


def test_without_lifetimes_the_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="pip install lifetimes"):
        datasets.cdnow()


def test_lifetimes_is_not_imported():
    code = "import sys; from clvmodels import datasets; datasets.cdnow_sample(); assert 'lifetimes' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])  # noqa: S603


@pytest.mark.parametrize("segment", ["regular", "high-end"])
def test_retention_equals_the_published_table(segment):
    survivors = datasets.retention(segment)
    assert (survivors.index.name, survivors.index.tolist()) == ("year", list(range(13)))
    path = SHARED / "fader_hardie_retention" / "regular_highend_survival.csv"
    if not path.exists():
        pytest.skip("the published table is not here")
    published = pd.read_csv(path)[f"n_active_{segment.replace('-', '')}"]
    assert survivors.tolist() == published.tolist()


def test_an_unknown_segment_is_named():
    with pytest.raises(ValueError, match="unknown segment 'gold'; use one of 'regular', 'high-end'"):
        datasets.retention("gold")
