"""No library, but the least that reading a log can cost: DuckDB looks at every value of its three columns once."""

from pathlib import Path

import duckdb
import pandas as pd

PACKAGE = "duckdb"


def scan(path: Path) -> pd.DataFrame:
    """Largest customer, last date, sum of the amounts."""
    with duckdb.connect() as connection:
        text = "SELECT max(customer_id) AS customer, max(date) AS date, sum(amount) AS amount FROM read_parquet(?)"
        return connection.execute(text, [str(path)]).df()


TASKS = {"summary": scan}
