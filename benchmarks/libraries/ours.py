"""clvmodels."""

from pathlib import Path

import pandas as pd

import clvmodels as clv
from benchmarks.problems import COVARIATES

PACKAGE = "clvmodels"


def fit(model):
    """A fit, standard errors included."""

    def run(table: pd.DataFrame) -> pd.DataFrame:
        data = clv.Summary(table.set_index("customer_id"), unit="week")
        return model().fit(data).parameters[["estimate"]].T

    return run


def contracts(model):
    """A fit to contracts, standard errors included."""

    def run(table: pd.DataFrame) -> pd.DataFrame:
        return model.fit(clv.Durations(table, unit="month")).parameters[["estimate"]].T

    return run


def summary(path: Path) -> pd.DataFrame:
    """From the log to one row per customer."""
    log = clv.Transactions(path, customer="customer_id", date="date", value="amount")
    return log.summary(unit="day").table[["frequency", "recency", "T", "monetary_value"]]


MODELS = {"Weibull": clv.Weibull(list(COVARIATES)), "SBG": clv.SBG(), "BdW": clv.BdW()}
TASKS = {
    "BGNBD": fit(clv.BGNBD),
    "GammaGamma": fit(clv.GammaGamma),
    "summary": summary,
    **{name: contracts(model) for name, model in MODELS.items()},
}
