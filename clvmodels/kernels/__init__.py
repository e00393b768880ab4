"""Fast twins of log-likelihoods, one file a model: the weighted sum and its gradient, for samplers that ask often.

The text of a model stays the truth; the contract test holds each kernel to it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

# Parameters in their declared order and the user's units -> log-likelihood of all customers, and its gradient; not a
# number where the parameters are impossible.
Density = Callable[[NDArray[np.float64]], tuple[float, NDArray[np.float64]]]
