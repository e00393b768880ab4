"""The README says what is true: its example runs and prints what it shows, its tables are those of the schema."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from clvmodels import schema

README = Path(__file__).parents[1] / "README.md"


@pytest.fixture(scope="module")
def text():
    return README.read_text(encoding="utf-8")


def test_the_examples_print_what_is_shown(text, tmp_path):
    examples = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", text, re.DOTALL)
    assert len(examples) == 7
    for code, shown in examples:
        command = [sys.executable, "-c", code]
        printed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout  # noqa: S603
        assert [line.rstrip() for line in printed.splitlines()] == [line.rstrip() for line in shown.splitlines()]
    assert (tmp_path / "clv.parquet").exists()


def test_the_other_examples_are_python(text):
    sketches = re.findall(r"```(?:py|python)\n(.*?)```", text, re.DOTALL)
    assert len(sketches) > 7  # those that print, and others
    for code in sketches:
        ast.parse(code)


@pytest.mark.parametrize(
    "table",
    [
        schema.SUMMARY,
        schema.DURATIONS,
        schema.CONTRACT_HOLDOUT,
        schema.PREDICTIONS,
        schema.INFINITE_HORIZON,
        schema.CONTRACT_PREDICTIONS,
        schema.CONTRACT_INFINITE_HORIZON,
        schema.CONTRACT_RESTRICTED,
        schema.EXCEEDANCE,
    ],
    ids=[
        "summary",
        "durations",
        "holdout of contracts",
        "predictions",
        "infinite horizon",
        "contracts",
        "contracts for ever",
        "contracts restricted",
        "exceedance",
    ],
)
def test_every_column_is_explained_in_the_words_of_the_schema(text, table):
    for name, column in table.items():
        assert f"| `{name}` | {column.meaning} |" in text


def test_every_module_of_the_tree_exists(text):
    tree = text[text.index("clvmodels/\n") : text.index("Imports go down only")]
    package = README.parent / "clvmodels"
    names = set(re.findall(r"\b(\w+\.py)\b", tree))
    assert names == {path.name for path in package.rglob("*.py")} - {"__main__.py"}
