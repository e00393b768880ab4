"""lifetimes, at its defaults."""

from pathlib import Path

import pandas as pd
from lifetimes import BetaGeoFitter, GammaGammaFitter
from lifetimes.utils import summary_data_from_transaction_data

PACKAGE = "lifetimes"


def bgnbd(table: pd.DataFrame) -> pd.DataFrame:
    """BG/NBD."""
    return pd.DataFrame([BetaGeoFitter().fit(table["frequency"], table["recency"], table["T"]).params_])


def gamma_gamma(table: pd.DataFrame) -> pd.DataFrame:
    """Gamma-Gamma, fitted to the customers that it accepts."""
    table = table[table["monetary_value"] > 0]
    return pd.DataFrame([GammaGammaFitter().fit(table["frequency"], table["monetary_value"]).params_])


def summary(path: Path) -> pd.DataFrame:
    """From the log to one row per customer."""
    return summary_data_from_transaction_data(
        pd.read_parquet(path), "customer_id", "date", monetary_value_col="amount", freq="D"
    )


TASKS = {"BGNBD": bgnbd, "GammaGamma": gamma_gamma, "summary": summary}
