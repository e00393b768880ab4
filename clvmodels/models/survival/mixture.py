"""Fits of contracts whose customers differ: what each one's own probability of leaving may be."""

from __future__ import annotations

from collections.abc import Iterator

from numpy.typing import NDArray

from clvmodels.data.durations import Durations, checked_durations
from clvmodels.models.base import given_or_training
from clvmodels.models.fit import latent_blocks
from clvmodels.models.survival.base import SurvivalFit


class MixtureFit(SurvivalFit):
    """A fitted model in which each customer has a churn probability of his own."""

    def latent_draws(
        self, data: Durations | None = None, *, seed: int | None = None
    ) -> Iterator[tuple[slice, dict[str, NDArray]]]:
        """What is not seen of each active customer, drawn given the tenure, in blocks of customers.

        Yields
        ------
        slice, dict of ndarray, each (S, B)
            Which rows of the table of `predict`, and their draws: `churn_probability`, of `SBG` at every renewal, of
            `BdW` at the first one, from which all others follow.
        """
        active = given_or_training(data, self.data, checked_durations).active
        return latent_blocks(self, self.customer_columns(active), seed)
