"""The spend family: what a model of transaction values provides, and what it gets."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvmodels.data.summary import Summary
from clvmodels.draws import Of, blocks, check_interval, check_seed, generator
from clvmodels.errors import DataError, DataWarning, counted
from clvmodels.models import predictive
from clvmodels.models.base import Model, check_kind, summary_or_training
from clvmodels.models.fit import Fit, latent_blocks
from clvmodels.models.predictive import Statistics
from clvmodels.models.rows import Rows
from clvmodels.models.spend import checks
from clvmodels.models.spend.independence import SpendAgainstFrequency, spend_against_frequency
from clvmodels.params import PriorDensity
from clvmodels.plots.models import counts_against_model
from clvmodels.schema import refuse

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class SpendFit(Fit):
    """A fitted spend model."""

    model: SpendModel

    def predict(self, data: Summary | None = None) -> pd.DataFrame:
        """Expected value of a future transaction of each customer, `expected_spend`, whenever it comes.

        Whatever the unit of time of the data: money does not depend on it.
        """
        data = summary_or_training(data, self.data)
        rows = Rows.distinct(*self.model.arrays(data))
        size = self.draw_count
        spend = np.concatenate(
            [
                self.model.conditional_expected_spend(
                    *(column[part] for column in rows.columns), **self.parameter_draws
                ).mean(axis=0)
                for part in blocks(np.full(len(rows.weights), size))
            ]
        )
        table = pd.DataFrame({"expected_spend": spend[rows.inverse]}, index=data.table.index)
        table.attrs.update(
            {"model": repr(self.model), "method": self.method, "seed": self.seed, "data_hash": self.data_hash}
        )
        return table

    def latent_draws(
        self, data: Summary | None = None, *, seed: int | None = None
    ) -> Iterator[tuple[slice, dict[str, NDArray]]]:
        """What is not seen of each customer, drawn given the history, in blocks of customers.

        Yields
        ------
        slice, dict of ndarray, each (S, B)
            Which rows of the table of `predict`, and their draws: `mean_spend`, the mean value of all transactions that
            the customer would ever make. `expected_spend` is its mean.
        """
        return latent_blocks(self, self.model.arrays(summary_or_training(data, self.data)), seed)

    def spend_against_frequency(
        self, data: Summary | None = None, *, interval: float = 0.9, seed: int | None = None
    ) -> SpendAgainstFrequency:
        """Evidence for or against the assumption that spend does not depend on the number of transactions.

        Parameters
        ----------
        data : Summary, optional
            The training data if not given.
        interval : float
            Coverage of the intervals, in (0, 1).
        seed : int, optional
            Of the simulated data; the fit's own if not given.

        Raises
        ------
        DataError
            If all customers have equally many transactions.
        """
        check_interval(interval)
        rows = self.rows if data is None else None
        if rows is None:
            rows = self.model.fit_rows(summary_or_training(data, self.data))
        rng = generator(self.seed if seed is None else check_seed(seed), "spend against frequency")

        def simulate(x: NDArray, draw: int) -> NDArray:
            return np.asarray(self.model.simulate(rng, x, **self.draw(draw)))

        x, m_x = rows.columns
        return spend_against_frequency(
            x, m_x, rows.weights, simulate, self.draw_count, self.model.transaction, interval, rng
        )

    def simulator(self) -> Callable[[np.random.Generator, int], NDArray]:
        """As `Fit`: the mean transactions of customers who have as many as those of the training."""
        x, _ = self.training_columns()
        return lambda rng, draw: np.asarray(self.model.simulate(rng, x, **self.draw(draw)))

    def statistics(self, kind: str | None) -> Statistics:
        """As `Fit`: those of the picture, or a few."""
        if kind is None:
            return checks.summary(self)
        check_kind(kind, "spend")
        return checks.spend(self)

    def plot(
        self,
        kind: Literal["spend"] = "spend",
        ax: Axes | None = None,
        *,
        of: Of = "posterior",
        seed: int | None = None,
    ) -> Axes:
        """Customers by mean transaction that the model counts: the data against what the model makes of such customers.

        Parameters
        ----------
        kind : {"spend"}
        ax : matplotlib Axes, optional
            Where to draw; a new figure if not given.
        of, seed : optional
            As in `predictive_check`, which has the numbers.
        """
        check_kind(kind, "spend")
        return predictive.picture(self, self.statistics(kind), of, seed, counts_against_model, ax)


class SpendModel(Model):
    """A model of what a transaction is worth.

    A model's file gives `params` and these static methods, broadcasting draws (S, 1) against customers (N,):

    - ``log_likelihood(x, m_x)`` of the mean m_x of x transactions, both positive. From `ops` alone.
    - ``expected_spend_new()``: mean value of a transaction of a new customer.
    - ``conditional_expected_spend(x, m_x)``: mean value of a future transaction, x = 0 included.
    - ``simulate(rng, x)``: mean of x transactions of new customers, one draw of the parameters.
    - ``simulate_latent(rng, x, m_x)``: the customer's own mean value of a transaction, drawn given the history: a dict
      of `mean_spend`, (S, N).
    - ``simulate_future(rng, x, m_x, counts)``: values of counts (S, N) future transactions, cell after cell.

    Parameters
    ----------
    include_first : bool
        Count the first transaction beside the repeat transactions: then x and m_x are number and mean of all
        transactions, and one-time buyers inform the fit and their own spend. Not where a first transaction differs in
        kind, such as a trial order. Needs the summary's column `first_value`.
    priors : mapping of str to prior, optional
        As for every model.
    """

    columns: tuple[str, ...] = ("frequency", "monetary_value")
    results = SpendFit

    expected_spend_new: Any
    conditional_expected_spend: Any
    simulate_future: Any

    def __init__(self, *, include_first: bool = False, priors: Mapping[str, PriorDensity] | None = None) -> None:
        super().__init__(priors=priors)
        if not isinstance(include_first, bool):
            raise ValueError(f"include_first must be True or False; got {include_first!r}")
        self.include_first = include_first
        if include_first:
            self.columns = (*self.columns, "first_value")

    @property
    def transaction(self) -> str:
        """What x and m_x are number and mean of."""
        return "transaction" if self.include_first else "repeat transaction"

    def arrays(self, data: Summary) -> tuple[NDArray[np.float64], ...]:
        """x and m_x, number and mean of the transactions that count, each (N,); refuses a negative m_x."""
        x, m_x, *first = super().arrays(data)
        column = "monetary_value"
        if self.include_first:
            x, m_x = x + 1, (x * m_x + first[0]) / (x + 1)
            column = "the mean of first_value and monetary_value"
        refuse(data.table, m_x < 0, f"{column} must not be negative (choose refunds='drop'); it is for")
        return x, m_x

    def in_likelihood(self, data: Summary) -> NDArray[np.bool_]:
        """Those with a mean above 0 of at least one transaction that counts."""
        x, m_x = self.arrays(data)
        return (x > 0) & (m_x > 0)

    def fit_rows(self, data: Summary) -> Rows:
        """Distinct (x, m_x) where x is positive; leaves out means of zero and says how many."""
        x, m_x = self.arrays(data)
        kept = self.in_likelihood(data)
        if worthless := int(((x > 0) & ~kept).sum()):
            warnings.warn(
                f"{type(self).__name__} leaves {counted(worthless, 'customer')} out of its fit, whose mean "
                f"{self.transaction} is worth 0: a gamma distribution has no zeros",
                DataWarning,
                stacklevel=4,
            )
        if kept.sum() < len(self.params):
            raise DataError(
                f"{counted(int(kept.sum()), 'customer')} with a {self.transaction} worth more than 0 cannot carry the "
                f"{len(self.params)} parameters of {type(self).__name__}"
            )
        if np.ptp(m_x[kept]) == 0:
            raise DataError(
                f"the mean {self.transaction} is {m_x[kept][0]:g} for all "
                f"{counted(int(kept.sum()), 'customer')}: there is no spread to fit; multiply the expected "
                "transactions by it"
            )
        return Rows.distinct(x[kept], m_x[kept])

    def scales(self, rows: Rows) -> dict[str, float]:
        """Mean of the customers' mean spend."""
        return {"money": float(np.average(rows.columns[1], weights=rows.weights))}
