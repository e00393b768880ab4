"""A function with its gradient as an operation of PyTensor, for a sampler of PyMC."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray


def blackbox(function: Callable[[NDArray], tuple[float, NDArray]]) -> Callable[[Any], Any]:
    """An operation that takes a vector (k,) and gives the function's value and, as a second output, its gradient."""
    from pytensor import tensor
    from pytensor.graph.op import Op

    class Blackbox(Op):
        itypes = (tensor.dvector,)
        otypes = (tensor.dscalar, tensor.dvector)

        def perform(self, node: Any, inputs: Any, outputs: Any) -> None:
            value, gradient = function(inputs[0])
            outputs[0][0], outputs[1][0] = np.asarray(value, float), gradient

        def pullback(self, inputs: Any, outputs: Any, cotangents: Any) -> Any:
            return [cotangents[0] * outputs[1]]

        def L_op(self, inputs: Any, outputs: Any, cotangents: Any) -> Any:  # its name before PyTensor 3
            return [cotangents[0] * outputs[1]]

    return Blackbox()
