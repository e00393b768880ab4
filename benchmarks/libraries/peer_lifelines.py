"""lifelines, at its defaults."""

import numpy as np
import pandas as pd
from lifelines import WeibullAFTFitter

from benchmarks.problems import COVARIATES

PACKAGE = "lifelines"


def weibull(table: pd.DataFrame) -> pd.DataFrame:
    """Weibull, covariates on the scale; the scale of an average customer in place of the intercept."""
    fitter = WeibullAFTFitter().fit(table.drop(columns="customer_id"), "duration", "event")
    found = fitter.params_["lambda_"]
    names = list(COVARIATES)
    scale = np.exp(found["Intercept"] + table[names].mean() @ found[names])
    return pd.DataFrame([{"scale": scale, "shape": np.exp(fitter.params_["rho_"].item())} | dict(found[names])])


TASKS = {"Weibull": weibull}
