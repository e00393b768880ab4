"""Why contracts end: shares of competing causes, and what one cause alone would mean."""

import numpy as np
import pandas as pd
import pytest

import clvmodels as clv


@pytest.fixture(scope="module")
def data():
    """600 simulated contracts that end by price, by death or for a reason that is not known."""
    rng = np.random.default_rng(1)
    duration, until = rng.exponential(12, 600), rng.uniform(3, 30, 600)
    event = duration <= until
    frame = pd.DataFrame({"duration": np.minimum(duration, until), "event": event.astype(int)})
    frame["renewals"] = np.floor(frame["duration"]).astype(int) + event
    cause = rng.choice(["price", "death", None], 600, p=[0.6, 0.3, 0.1])
    return clv.Durations(frame.assign(cause=np.where(event, cause, None)).rename_axis("contract_id"), "month")


@pytest.mark.parametrize("clock", ["duration", "renewals"])
def test_the_causes_add_up_to_all_who_left(data, clock):
    incidence = data.cumulative_incidence(clock)
    assert list(incidence.columns) == ["death", "price", "(missing)"]
    assert incidence.index.name == clock
    curve = clv.KaplanMeier(clock=clock).fit(data, seed=1).table["survival"]
    assert np.array_equal(incidence.index, curve.index)
    assert np.allclose(incidence.sum(axis=1), 1 - curve, rtol=0, atol=1e-12)


def test_the_clock_is_duration_unless_asked(data):
    assert data.cumulative_incidence().index.name == "duration"
    renewals = clv.Durations(data.table.drop(columns=["duration", "entry"]), "month")
    assert renewals.cumulative_incidence().equals(data.cumulative_incidence("renewals"))
    with pytest.raises(clv.DataError, match="cumulative incidence needs the column 'duration'"):
        renewals.cumulative_incidence("duration")
    with pytest.raises(ValueError, match="clock must be 'duration' or 'renewals'"):
        data.cumulative_incidence("days")


def test_one_cause_alone_says_what_it_assumes(data):
    price = data.for_cause("price")
    assert price.only_cause == "price"
    assert data.only_cause is None
    others = int((data.table["event"] - price.table["event"]).sum())
    told = (
        rf"fitted to the endings by price; the {others} by other causes count as not seen: it assumes that causes are "
    )
    for model in (clv.KaplanMeier(), clv.ShiftedGeometric()):
        with pytest.warns(clv.AssumptionWarning, match=told + "independent.*if the others were abolished"):
            model.fit(price, seed=1)


def test_a_world_without_the_other_causes_loses_more_to_this_one(data):
    with pytest.warns(clv.AssumptionWarning, match="abolished"):
        alone = clv.KaplanMeier().fit(data.for_cause("price"), seed=1)
    at = [5, 10, 20]
    share = data.cumulative_incidence()["price"]
    competing = np.array([share[share.index <= t].iloc[-1] for t in at])
    assert (1 - alone.survival(at)["survival"].to_numpy() > competing).all()


def test_whose_contract_ended_otherwise_is_not_active(data):
    active = data.active.table.index
    assert data.for_cause("price").active.table.index.equals(active)
    assert data.for_cause("price").ended_otherwise.sum() > 0


def test_durations_without_causes_say_so():
    plain = clv.Durations(pd.DataFrame({"duration": [1.0, 2], "event": [1, 0]}), "month")
    with pytest.raises(clv.DataError, match=r"no causes; name their column in Subscriptions\(cause=\)"):
        plain.cumulative_incidence()


def test_predictions_of_one_cause_say_so(data):
    with pytest.warns(clv.AssumptionWarning, match="abolished"):
        fit = clv.Exponential().fit(data.for_cause("price"), seed=1)
    told = "fitted to the endings by price: what would be if the other causes were abolished"
    assert any(told in note for note in fit.predict(horizon=3).attrs["notes"])
    whole = clv.Exponential().fit(data, seed=1).predict(horizon=3)
    assert not any("abolished" in note for note in whole.attrs["notes"])


def test_a_cause_of_who_is_still_there_is_refused():
    frame = pd.DataFrame({"duration": [1.0, 2, 3], "event": [1, 0, 0], "cause": ["price", "active", None]})
    with pytest.raises(
        clv.DataError, match="a contract that has not ended has no cause; leave it empty for 1 customer: b"
    ):
        clv.Durations(frame.set_axis(["a", "b", "c"]), "month")
