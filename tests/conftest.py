"""What several test files use: the data sets, the published fits, and the reference files where they are present."""

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import clvmodels as clv

SHARED = Path(__file__).parents[2] / "shared" / "data"


def shared(name):
    """Path of a reference file, which only developers and the continuous integration have."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"the reference file {name} is not part of the project")
    return path


def r_package(case):
    """What an R package computed: one case of the reference file."""
    return json.loads(shared("reference_r_packages.json").read_text())["cases"][case]


@pytest.fixture(scope="session")
def cdnow_split():
    """The CDNOW sample as published: calibrated until 1997-09-30, held out for 39 weeks."""
    log = clv.Transactions(clv.datasets.cdnow_sample(), customer="customer_id", date="date", value="amount")
    return log.split("1997-09-30", "39 weeks")


@pytest.fixture(scope="session")
def cdnow(cdnow_split):
    """Calibration summary of the CDNOW sample."""
    return cdnow_split.calibration


@pytest.fixture(scope="session")
def cdnow_fit(cdnow):
    """Maximum likelihood of BG/NBD on it."""
    return clv.BGNBD().fit(cdnow, seed=1)


class Density:
    """A prior of the user's own making: its density, up to a constant, without quantiles or draws."""

    def __init__(self, logpdf):
        self.logpdf = logpdf


def in_units(data, *, unit, money=1.0):
    """The same customers, of a shop or with contracts, with another unit of time and money."""
    factor = clv.time.unit_days(data.unit) / clv.time.unit_days(unit)
    table = data.table.copy()
    times = table.columns.intersection(["recency", "T", "duration", "entry"])
    table[times] *= factor
    values = table.columns.intersection(["monetary_value", "historic_revenue", "first_value", "value"])
    table[values] *= money
    return type(data)(table, unit, data.observation_start, data.observation_end)


def simulated_shop(seed, customers=300, weeks=39, params=None, spend=None, model=clv.BGNBD):
    """A summary in weeks of a simulated shop, all customers acquired within its first 12 weeks."""
    rng = np.random.default_rng(seed)
    T = weeks - np.floor(rng.uniform(0, 84, customers)) / 7
    params = params or {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}
    x, t_x = model.simulate(rng, T, **params)
    spend = spend or {"p": 6.25, "q": 3.74, "v": 15.44}
    m_x = clv.GammaGamma.simulate(rng, x, **spend)
    frame = pd.DataFrame({"frequency": x, "recency": t_x, "T": T, "monetary_value": m_x})
    return clv.Summary(frame.rename_axis("customer"), "week")


def simulated_contracts(model, params, seed, contracts=300):
    """Durations in months of contracts that a model makes, a third seen late and all observed for at most two years."""
    rng = np.random.default_rng(seed)
    clock, size = model.clock, 20 * contracts
    entry = np.floor(rng.uniform(-16, 8, size)).clip(0)
    observed = entry + np.floor(rng.uniform(1, 24, size))
    end = model.simulate(rng, np.zeros(size), **params)
    seen = np.flatnonzero(end > entry)[:contracts]
    event = end[seen] <= observed[seen]
    tenure = np.where(event, end[seen], observed[seen])
    frame = {
        clock: tenure,
        "event": event.astype(int),
        "entry" if clock == "duration" else "entry_renewals": entry[seen],
    }
    return clv.Durations(pd.DataFrame(frame).rename_axis("customer"), "month")


def quietly(function, *args, **kwargs):
    """Call a function whose package warnings are not what the test is about."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return function(*args, **kwargs)
