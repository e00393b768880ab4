"""`import clvmodels` and `clvmodels --help` start fast, because heavy libraries are imported where they are used."""

import subprocess
import sys

import pytest

import clvmodels

HEAVY = {"pymc", "arviz", "matplotlib", "numba", "sklearn", "duckdb", "lifetimes"}
HELP = "import sys, runpy; sys.argv = ['clvmodels', '--help']; runpy.run_module('clvmodels', run_name='__main__')"


@pytest.mark.parametrize("start", ["import clvmodels", HELP])
def test_a_start_loads_no_heavy_library(start):
    told = "import atexit, sys; atexit.register(lambda: print('LOADED', *sys.modules))"
    run = subprocess.run([sys.executable, "-c", f"{told}; {start}"], capture_output=True, text=True, check=True)  # noqa: S603
    loaded = run.stdout.rpartition("LOADED")[2].split()
    assert "clvmodels" in loaded
    assert not HEAVY.intersection(loaded)


def test_every_public_name_can_be_imported():
    for name in clvmodels.__all__:
        assert getattr(clvmodels, name) is not None
    assert set(clvmodels.__all__) <= set(dir(clvmodels))


def test_export_stays_a_function_beside_the_module_of_its_name():
    import clvmodels.workflow

    assert callable(clvmodels.export)
