"""The survival family: what a model of contracts provides, and what it gets."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from clvmodels.data.durations import ENTRY, Clock, Durations, checked_durations
from clvmodels.discounting import integral_to_infinity, sum_of_terms
from clvmodels.draws import Of, check_interval, summarise
from clvmodels.errors import AssumptionWarning, DataError, DataWarning, counted, examples
from clvmodels.models import predictive
from clvmodels.models.base import Model, check_kind
from clvmodels.models.fit import Fit, check_unit
from clvmodels.models.predictive import Statistics
from clvmodels.models.rows import Rows
from clvmodels.models.survival import checks
from clvmodels.models.survival.contracts import ContractFit
from clvmodels.ops import log1mexp, maximum, where
from clvmodels.plots.models import BAND, curve_against_steps
from clvmodels.product_limit import RiskTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LONGEST = 1e300  # times are searched for up to here; beyond, a customer never leaves
_DEEP = 40.0  # -log of a survival below which no horizon is too long


def survival_data(data: Any, model: str, clock: Clock) -> Durations:
    """The durations, if they have the clock; a model that counts renewals takes contracts of one period."""
    durations = checked_durations(data)
    if clock not in durations.table.columns:
        other = {"duration": "time: a continuous model", "renewals": "whole periods: a discrete model"}[clock]
        kind = "such as Weibull" if clock == "renewals" else "such as SBG"
        raise DataError(
            f"{model} needs the column {clock!r}, for it counts {other}; the durations have {clock_of(durations)!r}: "
            f"fit a model {kind}, or make the durations from Subscriptions, which gives both"
        )
    if clock == "renewals":
        durations.check_one_period(model)
    return durations


def clock_of(data: Durations) -> Clock:
    """The clock of durations that have one."""
    return "duration" if "duration" in data.table.columns else "renewals"


def warn_of_cause(data: Durations, model: str) -> None:
    """Say what a model assumes that is fitted to the endings of one cause."""
    if data.only_cause is not None:
        warnings.warn(
            f"{model} is fitted to the endings by {data.only_cause}; the {int(data.ended_otherwise.sum()):,} by other "
            "causes count as not seen: it assumes that causes are independent, and tells what would be if the others "
            "were abolished; for value fit all endings, for shares see durations.cumulative_incidence()",
            AssumptionWarning,
            stacklevel=3,
        )


def _all_from_the_start(entry: Any) -> bool:
    """Whether no contract was seen late: the survival to the entry is 1 then."""
    return isinstance(entry, np.ndarray) and not entry.any()


def check_endings(columns: tuple[NDArray, ...], data: Durations, model: str, *, shape: bool) -> None:
    """Refuse data that say nothing of when customers leave or, to a model that has a `shape`, how that changes."""
    t, event, _ = columns
    ended = event == 1
    seen, left = int((data.table["event"] == 1).sum()), int(ended.sum())
    if left < seen / 2:
        told = (
            f"{left or 'none'} of {counted(seen, 'ending')} can be counted in renewals: contracts end within periods, "
            "and a period counts only where it was observed whole; observe longer (since=, until=), or use a model of "
            "time, such as Weibull"
        )
        if not left:
            raise DataError(told)
        warnings.warn(told, DataWarning, stacklevel=3)
    if not left:
        raise DataError(f"none of {counted(data.number, 'contract')} has ended: there is no churn to learn")
    if shape and (t <= t[ended].min()).all():
        number = float(ended.sum() if data.weights is None else data.weights[ended].sum())
        raise DataError(
            f"all {number:,.10g} endings are at {t[ended][0]:g}, and nobody is seen longer: they do not tell how "
            f"churn changes with tenure, which {model} would have to learn; ShiftedGeometric and Exponential have one "
            "parameter"
        )


class SurvivalFit(ContractFit, Fit):
    """A fitted survival model."""

    model: SurvivalModel

    @property
    def clock(self) -> Clock:
        """What the model counts: time ("duration") or renewals."""
        return self.model.clock

    @property
    def support(self) -> float:
        """The longest tenure that the model speaks of."""
        return math.inf

    def customer_columns(self, data: Durations) -> tuple[NDArray[np.float64], ...]:
        """What the model knows of each customer, each (N,): first the tenure on its clock."""
        data = survival_data(data, type(self.model).__name__, self.clock)
        check_unit(self, data)
        return (data.table[self.clock].to_numpy(float),)

    def customer_params(
        self, columns: tuple[NDArray, ...], draws: slice | NDArray[np.intp] = slice(None)
    ) -> Mapping[str, NDArray[np.float64]]:
        """The parameters of customers of these columns, each (S, 1) or (S, B)."""
        return {name: values[draws] for name, values in self.parameter_draws.items()}

    def log_survival_at(
        self, t: ArrayLike, columns: tuple[NDArray, ...], draws: slice = slice(None)
    ) -> NDArray[np.float64]:
        """Log survival at the tenure t, (B,) or (S, B), of customers of these columns: (S, B)."""
        return np.asarray(self.model.log_survival(np.asarray(t, float), **self.customer_params(columns, draws)))

    def lifetimes(
        self, rng: np.random.Generator, columns: tuple[NDArray, ...], draws: slice = slice(None)
    ) -> NDArray[np.float64]:
        """Simulated tenure at the end of the contracts of customers who have reached theirs, (S, B)."""
        return self.model.simulate(rng, columns[0], **self.customer_params(columns, draws))

    def mean_residual_lifetime(self, t: float, columns: tuple[NDArray, ...]) -> NDArray[np.float64]:
        """The mean of the lifetime to come, up to t, or whole if t is infinite: (S, B); on the model's clock."""
        return np.asarray(self.model.expected_residual_lifetime(columns[0], t, **self.customer_params(columns)))

    def survival(self, t: ArrayLike, *, data: Durations | None = None, interval: float | None = None) -> pd.DataFrame:
        """P(still a customer after t), from the start of the contract.

        Parameters
        ----------
        t : array_like
            Tenures, in the unit of the fit or, of a model that counts them, renewals.
        data : Durations, optional
            Customers whose covariates are asked about; the average one if not given.
        interval : float, optional
            Adds `lower` and `upper`, where the probability itself lies by what the data leave open.

        Returns
        -------
        DataFrame
            One row per t with `survival`; if there are data, one row per customer and one column per t.
        """
        return self._curve("survival", t, data, interval)

    def hazard(self, t: ArrayLike, *, data: Durations | None = None, interval: float | None = None) -> pd.DataFrame:
        """Rate of leaving at t of those still there; of a model of renewals, the probability of leaving at the t-th."""
        return self._curve("hazard", t, data, interval)

    def retention(self, t: ArrayLike, *, data: Durations | None = None, interval: float | None = None) -> pd.DataFrame:
        """Share of the customers of t - 1 who are still there at t: S(t) / S(t - 1)."""
        return self._curve("retention_rate", t, data, interval)

    def simulator(self) -> Callable[[np.random.Generator, int], tuple[NDArray, NDArray]]:
        """As `Fit`: tenure and event of contracts that are seen from and until when those of the training are."""
        t, event, entry, *covariates = self.training_columns()
        until = checks.follow_up(t, event, entry)

        def simulate(rng: np.random.Generator, draw: int) -> tuple[NDArray, NDArray]:
            end = self.lifetimes(rng, (entry, *covariates), slice(draw, draw + 1))[0]
            last = until(rng)
            return np.minimum(end, last), ((end <= last) & np.isfinite(end)).astype(float)

        return simulate

    def statistics(self, kind: str | None) -> Statistics:
        """As `Fit`: those of the picture, or a few."""
        if kind is None:
            return checks.summary(self)
        check_kind(kind, "survival")
        return checks.survival(self)

    def plot(
        self,
        kind: Literal["survival"] = "survival",
        ax: Axes | None = None,
        *,
        of: Of = "posterior",
        seed: int | None = None,
    ) -> Axes:
        """The share left after each tenure: the model against Kaplan and Meier's steps, and half as far again.

        One band holds the curve of the model itself, by what the parameters leave open. After the fit a wider one holds
        the steps of as many contracts as were fitted, which chance moves beside that.

        Parameters
        ----------
        kind : {"survival"}
        ax : matplotlib Axes, optional
            Where to draw; a new figure if not given.
        of, seed : optional
            As in `predictive_check`, which has the numbers.
        """
        check_kind(kind, "survival")
        if self.rows is None:
            raise DataError("a picture needs the contracts that the model was fitted to; a loaded fit has none")
        t, event, entry = self.rows.columns[:3]
        risk = RiskTable.of(t, event, entry, self.rows.weights)
        end = 1.5 * risk.last
        whole = self.clock == "renewals"
        times = np.arange(math.ceil(end) + 1.0) if whole else np.linspace(0, end, 201)
        curve: Any = self if of == "posterior" else predictive.drawn(self, of, seed)
        simulated = None
        if of == "posterior" and self.rows.countable:
            statistics = checks.survival(self, times[(times > 0) & (times <= risk.last)])
            found, _ = predictive.replicas(self, statistics, of, seed)
            simulated = (statistics.labels.to_numpy(), *summarise(found, BAND))
        return curve_against_steps(
            (np.append(risk.time, risk.last), np.exp(np.append(risk.log_survival, risk.log_survival[-1]))),
            (times, *curve._population(times).to_numpy().T),
            simulated,
            whole=whole,
            title=f"Survival: {predictive.called(self, of)}",
            xlabel="renewals" if whole else f"tenure ({self.origin.unit}s)",
            of=of,
            ax=ax,
        )

    def _population(self, times: NDArray) -> pd.DataFrame:
        """Share left of those that the model was fitted to, and where it lies by what the data leave open."""
        return self.survival(times, interval=BAND)

    def _curve(self, name: str, t: ArrayLike, data: Durations | None, interval: float | None) -> pd.DataFrame:
        check_interval(interval)
        times = np.atleast_1d(np.asarray(t, float))
        if times.ndim != 1 or not (times >= (name == "retention_rate")).all():
            first = "1 or more" if name == "retention_rate" else "0 or more"
            raise ValueError(f"t must be tenures, {first}; got {examples(np.ravel(times))}")
        formula = getattr(self.model, name)
        if data is not None:
            columns = self.customer_columns(data)
            params = self.customer_params(columns)
            values = [np.broadcast_to(formula(at, **params), (self.draw_count, len(data))).mean(axis=0) for at in times]
            return pd.DataFrame(dict(zip(times, values, strict=True)), index=data.table.index)
        draws = formula(times, **self.customer_params((times,)))
        frame = pd.DataFrame({name: draws.mean(axis=0)}, index=pd.Index(times, name="t"))
        if interval:
            draws = formula(times, **self.posterior.customer_params((times,)))
            frame["lower"], frame["upper"] = summarise(draws, interval)
        return frame


class SurvivalModel(Model):
    """A model of how long a contract lasts.

    A model's file gives `params` and these static methods, of time and named parameters, broadcasting draws (S, 1)
    against customers (N,) and made from `ops` alone, so that they take tensors:

    - ``log_survival(t)``: log P(still a customer after t), t >= 0. For `clock` "renewals" t counts renewals and may lie
      between two; heterogeneity of customers is integrated in it.
    - ``log_hazard(t)``: log of the rate of leaving, for `clock` "duration" only.

    The likelihood follows, with endings that are not seen (censoring) and contracts that are seen late (`entry`): what
    is known is divided by the survival to the entry, after the integration over customers, because who was seen late
    had to stay so long.
    """

    clock: ClassVar[Clock]
    results: ClassVar[type[SurvivalFit]] = SurvivalFit
    log_survival: Any
    log_hazard: Any

    @staticmethod
    def checked(data: Any) -> Durations:
        """The data, if they are durations."""
        return checked_durations(data)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the likelihood takes."""
        return (self.clock, "event", ENTRY[self.clock])

    def arrays(self, data: Any) -> tuple[NDArray[np.float64], ...]:
        """Tenure, event and entry of each contract, on the model's clock, each (N,)."""
        return survival_data(data, type(self).__name__, self.clock).clock_columns(self.clock)

    def fit_rows(self, data: Any) -> Rows:
        """Distinct (tenure, event, entry); refuses data in which nobody left, or in which all left at once."""
        return Rows.distinct(*self.endings(data), weights=data.weights)

    def endings(self, data: Any) -> tuple[NDArray[np.float64], ...]:
        """As `arrays`, of data that say when customers leave."""
        t, event, entry = self.arrays(data)
        free = [param for param in self.params if param.name not in self.priors]
        check_endings((t, event, entry), data, type(self).__name__, shape=len(self.params) > 1 and bool(free))
        warn_of_cause(data, type(self).__name__)
        return t, event, entry

    def scales(self, rows: Rows) -> dict[str, float]:
        """Mean tenure, and renewals that came up for each contract that ended."""
        t, event, entry = rows.columns[:3]
        return {
            "time": float(np.average(t, weights=rows.weights)),
            "renewals": float((t - entry) @ rows.weights / (event @ rows.weights)),
        }

    # Formulas that follow

    @classmethod
    def log_likelihood(cls, t: Any, event: Any, entry: Any, **params: Any) -> Any:
        """Log-likelihood of each contract: of its end at t, or of lasting longer, given that it lasted to the entry."""
        if cls.clock == "duration":
            ended = where(event > 0, cls.log_hazard(where(event > 0, t, 1.0), **params), 0.0)
            lasted = ended + cls._log_survival_to(t, **params)
        else:
            ended = where(event > 0, log1mexp(cls.log_retention(maximum(t, 1), **params)), 0.0)
            lasted = ended + cls._log_survival_to(t - event, **params)
        return lasted if _all_from_the_start(entry) else lasted - cls._log_survival_to(entry, **params)

    @classmethod
    def _log_survival_to(cls, t: Any, **params: Any) -> Any:
        """`log_survival`, whose derivatives are 0 at t = 0, as its value is."""
        return where(t > 0, cls.log_survival(where(t > 0, t, 1.0), **params), 0.0)

    @classmethod
    def log_retention(cls, t: Any, **params: Any) -> Any:
        """log[S(t) / S(t - 1)]: a model overrides it where the difference loses digits."""
        return cls.log_survival(t, **params) - cls.log_survival(t - 1, **params)

    @classmethod
    def survival(cls, t: ArrayLike, **params: ArrayLike) -> NDArray[np.float64]:
        """P(still a customer after t)."""
        return np.exp(cls.log_survival(np.asarray(t, float), **params))

    @classmethod
    def conditional_survival(cls, t: ArrayLike, tenure: ArrayLike, **params: ArrayLike) -> NDArray[np.float64]:
        """P(still a customer t later), of a customer of this tenure: S(tenure + t) / S(tenure)."""
        tenure = np.asarray(tenure, float)
        return np.exp(cls.log_survival(tenure + t, **params) - cls.log_survival(tenure, **params))

    @classmethod
    def retention_rate(cls, t: ArrayLike, **params: ArrayLike) -> NDArray[np.float64]:
        """S(t) / S(t - 1), t >= 1: the share of those at t - 1 who are still customers at t."""
        return np.exp(cls.log_retention(np.asarray(t, float), **params))

    @classmethod
    def churn_rate(cls, t: ArrayLike, **params: ArrayLike) -> NDArray[np.float64]:
        """1 - S(t) / S(t - 1), t >= 1: the share of those at t - 1 who have left at t."""
        return -np.expm1(cls.log_retention(np.asarray(t, float), **params))

    @classmethod
    def hazard(cls, t: ArrayLike, **params: ArrayLike) -> NDArray[np.float64]:
        """The rate of leaving at t; of a model of renewals, the churn rate: the probability of leaving at the t-th."""
        if cls.clock == "renewals":
            return cls.churn_rate(t, **params)
        return np.exp(cls.log_hazard(np.asarray(t, float), **params))

    @classmethod
    def inverse_log_survival(cls, log_survival: ArrayLike, **params: ArrayLike) -> NDArray[np.float64]:
        """The time at which the log survival has a value: by bisection, to the last digits; infinite beyond 1e300.

        A model overrides it where there is a formula.
        """
        target = np.asarray(log_survival, float)
        shape = np.broadcast_shapes(target.shape, *(np.shape(value) for value in params.values()))
        target = np.broadcast_to(target, shape)
        lower, upper = np.full(shape, -700.0), np.full(shape, math.log(_LONGEST))
        with np.errstate(all="ignore"):  # far out S is 0, and its logarithm minus infinity
            never = cls.log_survival(np.exp(upper), **params) > target
            for _ in range(64):
                middle = (lower + upper) / 2
                later = cls.log_survival(np.exp(middle), **params) > target
                lower, upper = np.where(later, middle, lower), np.where(later, upper, middle)
        return np.where(target == 0, 0.0, np.where(never, np.inf, np.exp(upper)))[()]

    @classmethod
    def quantile(cls, p: ArrayLike, tenure: ArrayLike = 0.0, **params: ArrayLike) -> NDArray[np.float64]:
        """The residual lifetime that a customer of this tenure does not exceed with probability p.

        Of a model of renewals the number of the renewal, counted from the tenure on, at which the customer leaves.
        """
        p, tenure = np.asarray(p, float), np.asarray(tenure, float)
        if not ((p >= 0) & (p < 1)).all():
            raise ValueError(f"p must be probabilities, 0 or more and less than 1; got {examples(np.ravel(p))}")
        return cls._ends(cls.log_survival(tenure, **params) + np.log1p(-p), tenure, **params) - tenure

    @classmethod
    def _ends(cls, log_survival: ArrayLike, tenure: NDArray, **params: ArrayLike) -> NDArray[np.float64]:
        """The tenure at which a contract ends whose log survival falls to a value, which it does after `tenure`."""
        end = cls.inverse_log_survival(log_survival, **params)
        if cls.clock == "duration":
            return np.maximum(end, tenure)
        return np.maximum(np.ceil(end - 1e-9 * np.maximum(end, 1.0)), tenure + 1)

    @classmethod
    def simulate(cls, rng: np.random.Generator, tenure: NDArray, **params: NDArray) -> NDArray[np.float64]:
        """Simulated tenure at the end of contracts that have reached one.

        Parameters
        ----------
        rng : Generator
        tenure : ndarray, (N,)
            On the model's clock.
        **params : ndarray, (S, 1) or (S, N)

        Returns
        -------
        ndarray, (S, N)
            Time, or the number of the renewal at which the customer leaves; infinite for who never does.
        """
        tenure = np.asarray(tenure, float)
        shape = np.broadcast_shapes(tenure.shape, *(np.shape(value) for value in params.values()))
        lost = rng.standard_exponential(shape)
        return cls._ends(cls.log_survival(tenure, **params) - lost, tenure, **params)

    @classmethod
    def expected_residual_lifetime(
        cls, tenure: ArrayLike, horizon: float = math.inf, **params: ArrayLike
    ) -> NDArray[np.float64]:
        """Mean time until a customer of this tenure leaves, counted up to the horizon.

        Parameters
        ----------
        tenure : array_like
            On the model's clock.
        horizon : float
            In the unit of the clock; infinite for the whole lifetime, which may be infinite itself. Of a model of
            renewals a whole number of periods, of which the running one is the first: it is paid for.
        **params : array_like, scalar, (S, 1) or (S, N)
        """
        tenure = np.asarray(tenure, float)
        if cls.clock == "duration":
            return cls._mean_residual_time(tenure, horizon, **params)
        if horizon != math.inf and (horizon != round(horizon) or horizon < 1):
            raise ValueError(f"a model of renewals counts whole periods; horizon must be 1 or more, got {horizon!r}")
        return cls._discounted_periods(tenure, 0.0, horizon, **params)

    @classmethod
    def derl(cls, renewals: ArrayLike, discount_rate: float, **params: ArrayLike) -> NDArray[np.float64]:
        """Discounted expected residual lifetime, in periods, just before the next renewal (Fader & Hardie 2010).

        Sum over k >= 0 of S(renewals + 1 + k) / S(renewals) / (1 + discount_rate)^k: the payment of the coming renewal,
        if it is made, counts in full.

        Parameters
        ----------
        renewals : array_like
            Renewals completed; for a model of time, the tenure in periods of one unit.
        discount_rate : float
            Per period. At 0 the mean number of all periods to come, which may be infinite.
        **params : array_like, scalar, (S, 1) or (S, N)

        References
        ----------
        Fader & Hardie (2010), Customer-Base Valuation in a Contractual Setting: The Perils of Ignoring Heterogeneity,
        Marketing Science 29(1).
        """
        if not (math.isfinite(discount_rate) and discount_rate >= 0):
            raise ValueError(f"discount_rate must be finite and not negative; got {discount_rate!r}")
        renewals = np.asarray(renewals, float)
        rate = math.log1p(discount_rate)
        # All periods from the running one on, less that one.
        return (cls._discounted_periods(renewals, rate, math.inf, **params) - 1) * math.exp(rate)

    @classmethod
    def _mean_residual_time(cls, tenure: NDArray, horizon: float, **params: ArrayLike) -> NDArray[np.float64]:
        """The integral of S(tenure + u) / S(tenure) over u in (0, horizon).

        It is the mean of min(lifetime, horizon), taken over -log of the conditional survival, which is exponentially
        distributed: whatever the scale of the model, the integrand then falls like e^-x.
        """
        start = cls.log_survival(tenure, **params)
        finite = horizon != math.inf
        reach = start - cls.log_survival(tenure + horizon, **params) if finite else np.full(np.shape(start), math.inf)
        top = np.minimum(reach, _DEEP)
        total = np.zeros(np.shape(top))
        step = 0.125
        for node in np.arange(-4.0, 4.0 + step / 2, step):  # tanh-sinh
            share = 1 / (1 + math.exp(-math.pi * math.sinh(node)))
            weight = step * math.pi * math.cosh(node) * share * (1 - share)
            at = top * share
            residual = np.maximum(cls.inverse_log_survival(start - at, **params) - tenure, 0.0)
            total = total + weight * top * residual * np.exp(-at)
        if finite:
            return np.asarray(total + horizon * np.exp(-top))[()]
        # What outlives that counts only where the tail is heavy, and there it is smooth.
        last = cls.inverse_log_survival(start - _DEEP, **params)
        beyond = integral_to_infinity(lambda u: np.exp(cls.log_survival(last + u, **params) - start))
        return np.asarray(total + (last - tenure) * math.exp(-_DEEP) + beyond)[()]

    @classmethod
    def _discounted_periods(
        cls, tenure: NDArray, rate: float, periods: float, **params: ArrayLike
    ) -> NDArray[np.float64]:
        """Sum over 0 <= k < periods of S(tenure + k) / S(tenure) x exp(-rate k)."""
        start = cls.log_survival(tenure, **params)

        def term(k: Any) -> NDArray[np.float64]:
            return np.exp(cls.log_survival(tenure + k, **params) - start - rate * k)

        return sum_of_terms(term, periods)
