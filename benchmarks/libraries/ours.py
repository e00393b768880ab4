"""clvmodels."""

from pathlib import Path

import pandas as pd

import clvmodels as clv

PACKAGE = "clvmodels"


def fit(model):
    """A fit, standard errors included."""

    def run(table: pd.DataFrame) -> pd.DataFrame:
        data = clv.Summary(table.set_index("customer_id"), unit="week")
        return model().fit(data).parameters[["estimate"]].T

    return run


def summary(path: Path) -> pd.DataFrame:
    """From the log to one row per customer."""
    log = clv.Transactions(path, customer="customer_id", date="date", value="amount")
    return log.summary(unit="day").table[["frequency", "recency", "T", "monetary_value"]]


TASKS = {"BGNBD": fit(clv.BGNBD), "GammaGamma": fit(clv.GammaGamma), "summary": summary}
