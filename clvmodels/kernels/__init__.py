"""Fast twins of log-likelihoods, one file a model: the weighted sum with its gradient, or of many draws at once.

The text of a model stays the truth; tests hold each kernel to it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from clvmodels.draws import Parameters

# Parameters in their declared order and the user's units -> log-likelihood of all customers, and its gradient; not a
# number where the parameters are impossible.
LogLikelihood = Callable[[NDArray[np.float64]], tuple[float, NDArray[np.float64]]]

# Draws of the parameters by name, each (S, 1) -> log-likelihood of all customers (S,), as the formula sums up to; where
# the parameters are impossible whatever it gives.
Sums = Callable[[Parameters], NDArray[np.float64]]
