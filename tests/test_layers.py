"""Imports go down only, those inside functions included."""

import ast
from pathlib import Path

import clvmodels

PACKAGE = Path(clvmodels.__file__).parent
LAYERS = [
    {"__main__"},
    {"cli"},
    {"contract_cli"},
    {"console", "contract_workflow"},
    {"workflow"},
    {"report"},
    {"evaluation", "export", "persistence"},
    {"saved_values"},
    {"value", "segments"},
    {"models"},
    {"inference", "kernels", "data", "plots"},
    {"draws", "params", "priors", "ops", "discounting", "quadrature", "product_limit", "schema"},
    {"time", "files"},
    {"errors"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def imported_modules(file: Path) -> set[str]:
    """First name below the package of each module that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in found if name.startswith("clvmodels.")}


def test_imports_go_down_only():
    wrong = []
    for file in PACKAGE.rglob("*.py"):
        here = file.relative_to(PACKAGE).with_suffix("").parts[0]
        if here == "__init__":
            continue
        for there in imported_modules(file):
            if there != here and there in LEVEL and LEVEL[there] <= LEVEL[here]:
                wrong.append(f"{file.relative_to(PACKAGE)} imports {there}")
    assert not wrong


def test_every_module_has_a_layer():
    names = {path.relative_to(PACKAGE).with_suffix("").parts[0] for path in PACKAGE.rglob("*.py")}
    assert names - {"__init__"} <= set(LEVEL)
