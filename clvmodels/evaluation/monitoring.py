"""Monitoring: what happened since a fit, held against what it expected then, and whether to fit again."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from clvmodels import time
from clvmodels.data.subscriptions import ContractSplit, Subscriptions
from clvmodels.data.transactions import Day, Split, Transactions
from clvmodels.draws import check_interval, summarise
from clvmodels.errors import DataError, counted, recorded
from clvmodels.models.base import Model
from clvmodels.models.forecast import SEGMENT_CELLS, memberships
from clvmodels.models.survival.contracts import ContractFit
from clvmodels.models.transactions.base import TransactionFit
from clvmodels.value.contractual import ContractualCLVFit
from clvmodels.value.noncontractual import NonContractualCLVFit

MonitoredFit = NonContractualCLVFit | TransactionFit | ContractualCLVFit | ContractFit

# A right model is called wrong by chance in so many checks, over all its targets.
FALSE_ALARM = 0.01
# A deviation smaller than this share of what was expected should show, or it is too early to tell.
TELLING = 0.5
# New customers with more than this share of the revenue: the fit speaks of a minority.
MOSTLY_NEW = 0.5

# Whether a customer bought at all: what `p_purchase` is about.
BUYERS = "buyers"
# The outcomes in the order of the table; those whose totals are judged; those of which a customer's interval says much.
TARGETS = ("transactions", BUYERS, "retained", "revenue")
JUDGED = ("transactions", "retained", "revenue")
OWN_INTERVAL = ("transactions", "revenue")


@dataclass(frozen=True, eq=False)
class Check:
    """What happened since a fit, against what it expected then.

    Attributes
    ----------
    refit : bool
        Whether to fit again.
    verdict : str
        Why, in words.
    table : DataFrame
        One row per segment and target, the last ones for all customers of the fit: `customers`, the `actual` total, its
        mean as `expected` then, the ends `lower` and `upper` of its central interval, `tail`, the probability of a
        total at least as far out on either side, `outside`, the share of the customers outside their own intervals, and
        `outside_expected`, the share that the fit expects there, which is below 1 - `interval` where outcomes are
        counts. Targets are "transactions", "buyers" (customers with at least one) and "revenue", of contracts
        "retained" and "revenue".
    new_customers : int
        Customers first seen since, of whom the fit knew nothing; they are not in the table.
    new_share : float
        Their share of the revenue since; without revenue, of the transactions, or of contracts of the customers.
    notes : tuple of str
        What else is to be known: a past that has changed, customers that cannot be judged.
    start, end : Timestamp
        The time looked at is (start, end].
    interval : float
        Coverage of the intervals.
    """

    refit: bool
    verdict: str
    table: pd.DataFrame
    new_customers: int
    new_share: float
    notes: tuple[str, ...]
    start: pd.Timestamp
    end: pd.Timestamp
    interval: float

    def __repr__(self) -> str:
        shown = dict.fromkeys(("customers", "actual", "expected", "lower", "upper"), "{:,.0f}".format)
        shown |= {"tail": "{:.3f}".format, "outside": "{:.1%}".format, "outside_expected": "{:.1%}".format}
        table = self.table.to_string(formatters=shown, na_rep="")
        length = counted((self.end - self.start).days, "day")
        title = f"{length} after {self.start:%Y-%m-%d}, until {self.end:%Y-%m-%d}; {self.interval:.0%} intervals"
        return "\n".join([self.verdict, *self.notes, "", title, table])


def check(
    fit: MonitoredFit,
    new_data: Transactions | Subscriptions,
    *,
    until: Day | None = None,
    interval: float = 0.9,
    by: str | None = None,
    seed: int | None = None,
) -> Check:
    """Whether what happened since a fit is what it expected.

    The customers whom the fit could know are looked at from its end of observation until the end of the new data. Their
    outcomes are simulated as the fit predicts them, and their actual totals are held against these draws.

    Fit again where the actual total of transactions or revenue (of contracts: of customers retained or revenue) lies
    outside a central interval of 99 %, divided among these targets (Bonferroni): a right model is then called wrong in
    one of a hundred checks, which is once in eight years of monthly ones, where 90 % would call it every year. Fit
    again, too, where customers first seen since made more than half of the revenue, whatever the others did: what the
    fit says then concerns mostly customers of whom it saw none.

    An interval allows for chance and for parameters that the data leave open, not for a shock of the market, a season,
    or a model that is off. Of very many customers every small error of a model shows, and to fit again does not cure
    it; `clvmodels.backtest` tells.

    Parameters
    ----------
    fit : a fit of a CLV model, or of a model of transactions or contracts
        Loaded ones, too.
    new_data : Transactions or Subscriptions
        A newer log that holds the old lines, too, read as that of the fit was.
    until : date, optional
        Last day observed; default: the last date in the log, of contracts the last start or end.
    interval : float
        Coverage of the intervals shown, in (0, 1). What decides is always 99 %.
    by : str, optional
        An attribute of the new data: its values have rows of their own. They decide nothing: of many segments one or
        the other is always far out.
    seed : int, optional
        Of the simulated outcomes; the fit's own if not given.

    Returns
    -------
    Check

    Raises
    ------
    DataError
        If nothing has been observed since, the fit does not know its end of observation, or the data are of another
        kind, or lack what the fit needs.
    ValueError
        If an option is not understood.

    Examples
    --------
    >>> import clvmodels as clv
    >>> log = clv.Transactions(clv.datasets.cdnow_sample(), customer="customer_id", date="date", value="amount")
    >>> fit = clv.BGNBD().fit(log.summary(until="1997-09-30"), seed=1)
    >>> clv.check(fit, log, until="1997-12-31").refit
    False
    """
    check_interval(interval)
    split = _split(fit, new_data, until)
    customers = split.calibration if isinstance(split, Split) else split.calibration.active
    actual = split.holdout
    if "transactions" in actual:
        actual = actual.assign(**{BUYERS: actual["transactions"] > 0})
    index, members = memberships(customers, by)
    found = _simulated(fit, split, actual, members, interval, seed)
    table, judged = found.table(index, interval), [name for name in JUDGED if name in found.sums]
    level = FALSE_ALARM / len(judged)
    if (draws := found.sums[judged[0]].shape[1]) + 1 < 2 / level:
        raise DataError(
            f"the fit has {draws:,} draws, too few to tell what {1 - FALSE_ALARM:.0%} of them hold; fit with draws=1000"
        )
    new, share, of = _new_customers(split, actual)
    totals = table.loc["all"].loc[judged].assign(reach=[_reach(found.sums[name][-1], level) for name in judged])
    refit, verdict = _verdict(totals, level, share, of, split)
    notes = [found.left_out, _past(fit, split, new_data), _newcomers(new, share, of)]
    return Check(
        refit=refit,
        verdict=verdict,
        table=table,
        new_customers=new,
        new_share=share,
        notes=tuple(filter(None, notes)),
        start=split.cutoff,
        end=split.holdout_end,
        interval=interval,
    )


def _split(fit: MonitoredFit, new_data: Transactions | Subscriptions, until: Day | None) -> Split | ContractSplit:
    """The new data, cut where the fit ended; refuses what cannot be held against it."""
    if not isinstance(fit, MonitoredFit):
        if hasattr(fit, "fit"):
            raise DataError(f"a {type(fit).__name__} is a model that is not fitted: check what its fit() returns")
        raise DataError(f"a {type(fit).__name__} has no predictive distribution that anything could be held against")
    origin, contracts = fit.origin, isinstance(fit, ContractualCLVFit | ContractFit)
    wanted = Subscriptions if contracts else Transactions
    if not isinstance(new_data, wanted):
        raise DataError(f"the fit needs newer {wanted.__name__}(...) to be checked; got a {type(new_data).__name__}")
    if origin.observation_end is None:
        raise DataError(
            "the fit does not know its end of observation, because it was made from a ready frame; fit to "
            f"{wanted.__name__}(...).{'durations' if contracts else 'summary'}()"
        )
    if origin.only_cause is not None:
        raise DataError(
            f"the fit knows the endings by {origin.only_cause} alone, and what became of contracts depends on every "
            "cause; check a fit of all endings"
        )
    cutoff = origin.observation_end
    end = new_data.end if until is None else time.day(until, "until")
    if (days := (end - cutoff).days) <= 0:
        raise DataError(
            f"nothing has been observed since the fit: it ends on {cutoff:%Y-%m-%d}, and the new data on {end:%Y-%m-%d}"
        )
    asked: dict[str, Any] = {"cutoff": cutoff, "horizon": f"{days} days", "unit": origin.unit}
    if isinstance(new_data, Transactions):
        return new_data.split(**asked)
    split = new_data.split(**asked, until=until, since=origin.observation_start)
    if origin.period is None or split.calibration.periods == [origin.period]:
        return split
    mine = (split.calibration.active.table["period"] == origin.period).to_numpy()
    return replace(split, calibration=split.calibration.select(period=origin.period), holdout=split.holdout[mine])


@dataclass(frozen=True)
class _Simulated:
    """Simulated and actual outcomes.

    Parameters
    ----------
    sums : dict of ndarray, each (G, S)
        Draws of the totals of the segments, the last of all customers.
    actual : DataFrame, (N,)
        The outcomes that came, 0 of who cannot be judged.
    members : csc_array, (G, N)
        Which customers who can be judged are in which segment.
    outside, expected_outside : dict of ndarray, each (N,)
        Whether an outcome lies outside the customer's own interval, and how probable that was.
    left_out : str
        What is to be told of customers who cannot be judged.
    """

    sums: dict[str, NDArray[np.float64]]
    actual: pd.DataFrame
    members: sparse.csc_array
    outside: dict[str, NDArray[np.float64]]
    expected_outside: dict[str, NDArray[np.float64]]
    left_out: str

    def table(self, index: pd.Index, interval: float) -> pd.DataFrame:
        """As `Check.table`."""
        number = self.members.sum(axis=1)
        parts = {}
        for name, draws in self.sums.items():
            totals = self.members @ self.actual[name].to_numpy(float)
            lower, upper = summarise(draws.T, interval)
            columns = {
                "customers": number.astype(int),
                "actual": totals,
                "expected": draws.mean(axis=1),
                "lower": lower,
                "upper": upper,
                "tail": [_tail(*pair) for pair in zip(draws, totals, strict=True)],
            }
            for column, shares in (("outside", self.outside), ("outside_expected", self.expected_outside)):
                columns[column] = self.members @ shares[name] / np.maximum(number, 1) if name in shares else np.nan
            parts[name] = pd.DataFrame(columns, index=index)
        table = pd.concat(parts, names=["target"]).swaplevel()
        return table.loc[[(segment, target) for segment in index for target in parts]]


def _simulated(
    fit: Any,
    split: Split | ContractSplit,
    actual: pd.DataFrame,
    members: sparse.csc_array,
    interval: float,
    seed: int | None,
) -> _Simulated:
    """What the fit expects of the customers, block by block."""
    sums: dict[str, NDArray] = {}
    outside: dict[str, NDArray] = {}
    expected_outside: dict[str, NDArray] = {}
    known = actual.notna().all(axis=1).to_numpy(copy=True)
    for part, draws_of in fit.outcome_draws(split.calibration, horizon=f"{split.horizon_days} days", seed=seed):
        if "transactions" in draws_of:
            draws_of = {"transactions": draws_of["transactions"], BUYERS: draws_of["transactions"] > 0, **draws_of}
        # Of who outlives what a curve speaks of nothing is known.
        known[part] &= np.all([~np.isnan(draws).any(axis=0) for draws in draws_of.values()], axis=0)
        for name in (name for name in draws_of if name in TARGETS and name in actual):
            draws = np.where(known[part], draws_of[name], 0.0)
            if name not in sums and members.shape[0] * len(draws) > SEGMENT_CELLS:
                raise DataError(
                    f"there are too many segments, {members.shape[0] - 1:,}; choose a column with fewer values"
                )
            sums[name] = sums.get(name, 0.0) + members[:, part] @ draws.T
            if name in OWN_INTERVAL:
                lower, upper = summarise(draws, interval)
                came = actual[name].to_numpy(float)[part]
                for shares, beyond in (
                    (outside, (came < lower) | (came > upper)),
                    (expected_outside, ((draws < lower) | (draws > upper)).mean(axis=0)),
                ):
                    shares.setdefault(name, np.zeros(len(actual)))[part] = np.where(known[part], beyond, 0.0)
    told = ""
    if lost := int((~known).sum()):
        why = "what became of them is not known, or lies at tenures of which the fit says nothing"
        told = f"{counted(lost, 'customer')} cannot be judged, and are left out: {why}."
        if not known.any():
            raise DataError(f"none of {counted(lost, 'customer')} can be judged: {why}")
    some = sparse.csc_array(members.multiply(known))
    return _Simulated(sums, actual.fillna(0.0), some, outside, expected_outside, told)


def _tail(draws: NDArray, actual: float) -> float:
    """Probability under the draws of a total at least as far out as the actual, on either side; never 0.

    The actual is counted among the draws, as in a Monte Carlo test (Davison & Hinkley 1997, section 4.2).

    >>> _tail(np.arange(1.0, 100.0), 99.5), _tail(np.arange(1.0, 100.0), 50.0)
    (0.02, 1.0)
    """
    rounding = 1e-9 * max(abs(actual), 1.0)  # equal sums in another order
    below, above = (draws <= actual + rounding).sum(), (draws >= actual - rounding).sum()
    return float(min(1.0, 2 * (1 + min(below, above)) / (len(draws) + 1)))


def _reach(draws: NDArray, level: float) -> float:
    """The largest relative deviation of a total from its mean that is no surprise at a level."""
    mean = draws.mean()
    lower, upper = summarise(draws[:, None], 1 - level)
    return float(max(mean - lower[0], upper[0] - mean) / mean) if mean > 0 else math.inf


def _new_customers(split: Split | ContractSplit, actual: pd.DataFrame) -> tuple[int, float, str]:
    """How many customers came since, their share, and of what it is."""
    new = split.new_customers
    of = next((name for name in ("revenue", "transactions") if name in new), "")
    if not of:
        return len(new), len(new) / (len(new) + len(actual)), "customers"
    theirs, others = new[of].sum(), actual[of].sum()
    return len(new), float(theirs / (theirs + others)) if theirs else 0.0, of


def _newcomers(number: int, share: float, of: str) -> str:
    if not number:
        return ""
    return f"{counted(number, 'customer')} first seen since, with {share:.1%} of the {of}, are not among them."


def _verdict(totals: pd.DataFrame, level: float, share: float, of: str, split: Any) -> tuple[bool, str]:
    """Whether to fit again, and why."""
    when = f"in the {counted(split.horizon_days, 'day')} after {split.cutoff:%Y-%m-%d}"
    told = {}
    for name, row in totals.iterrows():
        off = f" ({row['actual'] / row['expected'] - 1:+.1%})" if row["expected"] > 0 else ""
        told[name] = f"{name} {_rounded(row['actual'])}, {_rounded(row['expected'])} expected{off}"
    far = totals.index[totals["tail"] < level]
    reasons = []
    if len(far):
        reasons.append(
            f"{when} {' and '.join(told[name] for name in far)}. A right model is so far off in at "
            f"most {totals.loc[far, 'tail'].min():.1%} of such times, and what is rarer than {level:.1%} is taken for "
            "more than chance. If customers have changed, a new fit learns it; a shock or a season it would take for "
            "lasting, and a model that is off will miss again: a backtest shows how far it was off before."
        )
    if share > MOSTLY_NEW:
        reasons.append(f"customers first seen since made {share:.0%} of the {of}, and of such the fit saw none.")
    if reasons:
        return True, f"Fit again: {' Besides, '.join(reasons)}"
    if not totals["reach"].any():
        return False, f"Too early to tell: {when} nothing could happen that the fit does not expect for certain."
    reach = " and ".join(f"{row['reach']:.0%} for {name}" for name, row in totals.iterrows())
    if totals["reach"].min() > TELLING:
        return False, f"Too early to tell: {when} {' and '.join(told.values())}; only more than {reach} would show."
    return False, (
        f"No need to fit again: {when} {' and '.join(told.values())}, which may be chance. Less than {reach} would not "
        "have shown."
    )


def _rounded(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


def _past(fit: MonitoredFit, split: Split | ContractSplit, new_data: Transactions | Subscriptions) -> str:
    """What is to be told if the time until the fit's end is not what was fitted."""
    parts = [fit.transactions, fit.spend] if isinstance(fit, NonContractualCLVFit) else [fit]
    parts = [fit.survival] if isinstance(fit, ContractualCLVFit) else parts
    if all(_hash(part, split.calibration) == part.data_hash for part in parts):
        return ""
    then, now, log = fit.origin.customers, split.calibration.number, fit.origin.log or {}
    now_read = {name: option for name, option in new_data.options.items() if name != "attributes"}
    other = [f"{name}=" for name, option in now_read.items() if log.get(name, option) != option]
    how = f"; {' and '.join(other)} is not as it was" if other else ""
    return (
        f"The time until {split.cutoff:%Y-%m-%d} is not what was fitted ({counted(now, 'customer')} now, {then:,} "
        f"then{how}): lines came late or were corrected, or the fit was made from a part. What it expects is computed "
        "from how the past looks now."
    )


def _hash(part: Any, data: Any) -> str:
    """The hash that a fit of the data would have; empty where they cannot be fitted any more."""
    with recorded(), contextlib.suppress(DataError):
        if isinstance(part.model, Model):
            return part.model.fit_rows(data).hash(data.unit)
        return str(part.model.fit(data, seed=part.seed).data_hash)  # a curve is quickly made
    return ""
