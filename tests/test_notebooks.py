"""The notebooks run, from public names alone, and show what comes out."""

import ast
import contextlib
import io
import json
from pathlib import Path

import pytest
from conftest import quietly

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


def run(source, names):
    """What a cell prints and, if its last line is an expression, what that shows."""
    cell = ast.parse(source)
    if isinstance(cell.body[-1], ast.Expr):
        cell.body[-1] = ast.Assign([ast.Name("shown", ast.Store())], cell.body[-1].value)
    else:
        cell.body.append(ast.Assign([ast.Name("shown", ast.Store())], ast.Constant(None)))
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(ast.fix_missing_locations(cell), "cell", "exec"), names)  # noqa: S102 - our own notebooks
    shown = names.pop("shown")
    text = [] if shown is None else [shown.to_string() if hasattr(shown, "to_string") else repr(shown)]
    return [*filter(None, [printed.getvalue()]), *text]


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_shows_what_its_cells_give(path):
    names = {}
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            source = "".join(cell["source"])
            for node in ast.walk(ast.parse(source)):
                assert not (isinstance(node, ast.Attribute) and node.attr.startswith("_"))
            outputs = [output.get("text") or output["data"]["text/plain"] for output in cell["outputs"]]
            assert quietly(run, source, names) == ["".join(lines) for lines in outputs], source
