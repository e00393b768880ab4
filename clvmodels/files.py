"""Files: where one may be written, and written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


def check_targets(*paths: Path, overwrite: bool) -> None:
    """Refuse paths, all in the folder of the first, that cannot be written.

    Raises
    ------
    OSError
        If the folder is missing or may not be written to, or a path is a folder, or is there and not to be replaced.
    """
    path = paths[0]
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path} cannot be written: there is no folder {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(f"{path} cannot be written: the folder {path.parent} is not yours to write to")
    for file in paths:
        if file.is_dir():
            raise IsADirectoryError(f"{file} cannot be written: it is a folder")
        if file.exists() and not overwrite:
            raise FileExistsError(f"{file} exists; replace it with overwrite=True")


@contextlib.contextmanager
def written_whole(*paths: Path) -> Iterator[Path]:
    """A folder to write files of these names in; they take their places, the first one last, if nothing went wrong.

    Raises
    ------
    OSError
        If one cannot be written, in a sentence that names the first.
    """
    path = paths[0]
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".clvmodels-") as folder:
            yield Path(folder)
            for target in reversed(paths):
                _replace(Path(folder, target.name), target)
    except OSError as error:
        raise OSError(f"{path} cannot be written: {error.strerror or error}") from error


def _replace(written: Path, target: Path) -> None:
    with written.open("r+b") as file:
        os.fsync(file.fileno())
    written.replace(target)
