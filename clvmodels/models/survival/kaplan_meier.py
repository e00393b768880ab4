"""Kaplan and Meier's curve: what was seen of the survival of contracts, and no further.

References
----------
Kaplan & Meier (1958), Nonparametric Estimation from Incomplete Observations, JASA 53(282), 457-481.
"""

from __future__ import annotations

import functools
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from clvmodels.data.durations import ENTRY, Clock, Durations, checked_durations
from clvmodels.draws import check_interval, generator, summarise
from clvmodels.errors import DataWarning, counted, examples
from clvmodels.inference.bayes import Sampling
from clvmodels.models.base import Method, Specification, check_kind
from clvmodels.models.fit import CONFIDENCE, Origin
from clvmodels.models.rows import Rows
from clvmodels.models.survival.base import check_endings, warn_of_cause
from clvmodels.models.survival.steps import StepFit, Steps, check_how, tenures
from clvmodels.product_limit import RiskTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class KaplanMeierFit(StepFit):
    """A fitted `KaplanMeier`.

    Attributes
    ----------
    risk : RiskTable
        Exits and numbers at risk.

    See Also
    --------
    StepFit : the other attributes.
    """

    risk: RiskTable

    @property
    def support(self) -> float:
        """The longest tenure that was observed: the curve ends there."""
        return self.risk.last

    @property
    def table(self) -> pd.DataFrame:
        """One row for each time at which customers left: who was at risk, who left, survival and its 95 % limits.

        The limits are pointwise, by Greenwood's variance, on the scale of log(-log S); NaN once nobody is left.
        """
        risk = self.risk
        lower, upper = risk.limits(CONFIDENCE)
        return pd.DataFrame(
            {
                "at_risk": risk.at_risk,
                "events": risk.events,
                "survival": np.exp(risk.log_survival),
                "lower": lower,
                "upper": upper,
            },
            index=pd.Index(risk.time, name="time"),
        )

    def summary(self) -> pd.DataFrame:
        """The curve, as `table`: it is all that was estimated."""
        return self.table

    @functools.cached_property
    def steps(self) -> Steps:
        """The curve, or its draws."""
        risk = self.risk
        if not self.drawn:
            hazard = np.diff(-risk.log_survival, prepend=0.0)
            return Steps.drawn(risk.time, risk.last, 1, lambda part: hazard[None, part])
        rng = generator(self.seed, "curve")
        return Steps.drawn(risk.time, risk.last, self.size, lambda part: -risk.drawn_steps(rng, self.size, part))

    def log_survival_at(self, t: ArrayLike, columns: tuple[NDArray, ...], draws: slice = slice(None)) -> Array:
        """As `StepFit`: the same for all customers."""
        return -self.steps.at(np.asarray(t, float), draws)

    def lifetimes(self, rng: np.random.Generator, columns: tuple[NDArray, ...], draws: slice = slice(None)) -> Array:
        """As `StepFit`."""
        start = self.steps.at(columns[0], draws)
        return self.steps.reached(start + rng.standard_exponential(start.shape), draws)

    def mean_residual_lifetime(self, t: float, columns: tuple[NDArray, ...]) -> Array:
        """As `StepFit`: the area under the curve."""
        return self.steps.area(columns[0], columns[0] + t)

    def survival(self, t: ArrayLike, *, data: Durations | None = None, interval: float | None = None) -> pd.DataFrame:
        """As `StepFit`; `lower` and `upper` are the limits of `table`, at the level `interval`."""
        check_interval(interval)
        frame = super().survival(t, data=data)
        if interval and data is None:
            number = np.searchsorted(self.risk.time, frame.index, side="right")
            for name, limit in zip(("lower", "upper"), self.risk.limits(interval), strict=True):
                frame[name] = np.where(frame["survival"].isna(), np.nan, np.append(1.0, limit)[number])
        return frame

    def quantile(self, p: ArrayLike = 0.5) -> NDArray[np.float64]:
        """The tenure that a share p of the customers does not exceed; NaN where the curve ends before.

        It is the first time when the survival is 1 - p or less.
        """
        p = np.asarray(p, float)
        if not ((p > 0) & (p < 1)).all():
            raise ValueError(f"p must lie strictly between 0 and 1; got {examples(np.ravel(p))}")
        # The survival is a product: a share may be missed by a rounding error.
        number = np.searchsorted(-np.exp(self.risk.log_survival), np.ravel(p) - 1 - 1e-12)
        return np.append(self.risk.time, np.nan)[number].reshape(p.shape)[()]

    @property
    def median(self) -> float:
        """The tenure that half of the customers do not exceed; NaN where the curve ends before."""
        return float(self.quantile(0.5))

    def restricted_mean(self, horizon: ArrayLike, *, interval: float | None = None) -> pd.DataFrame:
        """Mean tenure within a horizon from the start of the contract: the area under the curve.

        Parameters
        ----------
        horizon : array_like
            On the clock of the fit; of renewals the number of periods, of which the first is paid for at the start.
        interval : float, optional
            Adds `lower` and `upper`, from draws of the curve.

        Returns
        -------
        DataFrame
            One row per horizon; NaN for horizons beyond the support.
        """
        check_interval(interval)
        ends = tenures(horizon, 0)
        known, start = ends <= self.support, np.zeros(len(ends))
        mean = np.where(known, self.steps.area(start, ends)[0], np.nan)
        frame = pd.DataFrame({"restricted_mean": mean}, pd.Index(ends, name="horizon"))
        if interval:
            limits = summarise(self.posterior.steps.area(start, ends), interval)
            frame["lower"], frame["upper"] = (np.where(known, limit, np.nan) for limit in limits)
        return frame

    def plot(self, kind: str = "survival", *, ax: Axes | None = None) -> Axes:
        """Draw the curve ("survival") with its 95 % limits, up to the longest tenure observed."""
        from clvmodels.plots.models import step_curve

        check_kind(kind, "survival")
        table = self.table
        return step_curve(
            np.append(table.index, self.support),
            *(np.append(table[name], table[name].iloc[-1]) for name in ("survival", "lower", "upper")),
            title=f"Kaplan-Meier, {counted(self.origin.customers, 'contract')}",
            xlabel="renewals" if self.clock == "renewals" else f"tenure ({self.origin.unit}s)",
            ax=ax,
        )

    def __repr__(self) -> str:
        unit = "renewals" if self.clock == "renewals" else f"{self.origin.unit}s"
        left = np.exp(self.risk.log_survival[-1])
        return (
            f"Kaplan-Meier fitted to {counted(self.origin.customers, 'contract')} on the clock of {self.clock}\n"
            f"{self.risk.events.sum():,.10g} ended; median {self.median:.4g}; {left:.1%} are left after "
            f"{self.support:.4g} {unit}, where the curve ends"
        )


class KaplanMeier(Specification):
    """The share of customers left after each tenure, as it was observed: no shape is assumed.

    Contracts whose end is not seen and contracts that are seen late both count for the time in which they are observed.
    The curve ends at the longest tenure observed and is never continued: predictions beyond are restricted to it.

    Parameters
    ----------
    clock : {"duration", "renewals"}, optional
        What tenure is counted in. If not given: `renewals` where contracts have one period and most end on their
        renewal days, else `duration` where the data have it. The fit says which it was.

    Examples
    --------
    >>> fit = KaplanMeier().fit(Durations.from_survivors([1000, 869, 743, 653]), seed=1)
    >>> fit.survival([1, 2, 3])["survival"].round(3).tolist()
    [0.869, 0.743, 0.653]
    """

    results = KaplanMeierFit

    def __init__(self, *, clock: Clock | None = None) -> None:
        if clock not in (None, *ENTRY):
            raise ValueError(f"clock must be 'duration' or 'renewals'; got {clock!r}")
        self.clock = clock

    def __repr__(self) -> str:
        return f"KaplanMeier({'' if self.clock is None else f'clock={self.clock!r}'})"

    def fit(
        self, data: Any, method: Method = "ml", seed: int | None = None, **sampling: Unpack[Sampling]
    ) -> KaplanMeierFit:
        """Compute the curve.

        Parameters
        ----------
        data : Durations
        method : {"ml"}
            The curve is the maximum of the likelihood over all curves; there are no parameters to have priors.
        seed : int, optional
            Kept in the fit, so that its tables can be repeated; drawn if not given.
        draws : int, default 1000
            Number of draws of the curve that intervals are made of: at each time the share that leaves is
            Beta(events, at_risk - events), the posterior of a beta process whose prior weighs nothing (Hjort 1990).

        Raises
        ------
        DataError
            If nobody has left, or the data do not have the clock.

        Warns
        -----
        DataWarning
            If so few were observed from the start that the curve falls to 0 long before the data end.
        AssumptionWarning
            If the endings are those of one cause.
        """
        data, name = checked_durations(data), type(self).__name__
        seed, draws = check_how(name, method, seed, sampling)
        clock = data.on_clock(self.clock, name)
        columns = data.clock_columns(clock)
        time, event, entry = columns
        check_endings(columns, data, name, shape=False)
        warn_of_cause(data, name)
        risk = RiskTable.of(time, event, entry, data.weights)
        if len(gone := risk.emptied()):
            few = risk.at_risk[risk.time == gone[0]][0]
            warnings.warn(
                f"at tenure {gone[0]:.4g} all of {few:,.10g} observed so early had left, though contracts that were "
                f"seen later last up to {risk.last:.4g}: the curve from the start is 0 from there on, for lack of "
                "data; survival from a later tenure, as predictions use it, is not touched",
                DataWarning,
                stacklevel=2,
            )
        return KaplanMeierFit(
            model=self,
            seed=seed,
            size=draws,
            clock=clock,
            origin=Origin.of(data),
            data_hash=Rows.distinct(*columns, weights=data.weights).hash(data.unit),
            data=data,
            risk=risk,
        )
