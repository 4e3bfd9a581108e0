"""What the overlay benchmark works on: layers, an archive and modules, each made from a fixed seed."""

from __future__ import annotations

import importlib.util
import os
import pkgutil
import random
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_IMPORTS = 300


def make_layers(place: str, files: int, layers: int = 4) -> tuple[str, ...]:
    """Directories below `place`, topmost first: `files` files in all, ten to a directory, names as in a distribution.

    Each directory of the tree is in two layers, so that every listing has to be merged.
    """
    dice = random.Random(files)
    block = dice.randbytes(1 << 16)
    made = [f"{place}/layer{number}" for number in range(layers)]
    for number in range(files):
        directory = f"usr/share/part{number // 500:03d}/package{number // 10:05d}"
        layer = made[(number // 10 + number % 2) % layers]
        if number % 10 < 2:
            os.makedirs(f"{layer}/{directory}", exist_ok=True)
        with open(f"{layer}/{directory}/file-{number:06d}.dat", "wb") as file:
            size = min(int(dice.expovariate(1 / 6000)), len(block))
            file.write(block[:size])
    return tuple(reversed(made))


def make_archive(path: str, files: int = 2600, total_bytes: int = 58_000_000) -> None:
    """A tar of `files` files and about `total_bytes` below `tree/`."""
    dice = random.Random(58)
    block = dice.randbytes(1 << 20)
    mean = total_bytes / files
    with tarfile.open(path, "w") as tar:
        for number in range(files):
            info = tarfile.TarInfo(f"tree/d{number % 130:03d}/source-{number:04d}.c")
            info.size, info.mtime = min(int(dice.expovariate(1 / mean)), len(block)), 1_700_000_000
            tar.addfile(info, _Block(block[: info.size]))


class _Block:
    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def read(self, size: int = -1) -> bytes:
        end = len(self._data) if size < 0 else self._at + size
        part = self._data[self._at : end]
        self._at += len(part)
        return part


def copy_standard_library(layer: str) -> tuple[str, ...]:
    """Copy this interpreter's standard library to LAYER/python; the names of 300 of its modules, which import."""
    source, target = sysconfig.get_path("stdlib"), f"{layer}/python"
    ignored = shutil.ignore_patterns("test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__")
    shutil.copytree(source, target, ignore=ignored, symlinks=True)
    subprocess.run([sys.executable, "-m", "compileall", "-q", "-j", "1", target], check=True)
    names = sorted(_modules(target))
    # imported once, one by one in the same process, as the benchmark will
    script = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    try: importlib.import_module(name); print(name)\n"
        "    except BaseException: pass\n"
    )
    done = subprocess.run(
        [sys.executable, "-IS", "-W", "ignore", "-c", script, *names], capture_output=True, text=True, check=True
    ).stdout
    found = [name for name in done.split() if name in names]
    return tuple(found[:_IMPORTS])


def _modules(directory: str) -> list[str]:
    found = []
    refused = {"antigravity", "this", "idlelib", "turtledemo", "lib2to3", "tkinter", "turtle", "ensurepip", "venv"}
    for module in pkgutil.iter_modules([directory]):
        if module.name in refused or module.name.startswith("_") or "config-" in module.name:
            continue
        found.append(module.name)
        if module.ispkg and importlib.util.find_spec(module.name) is not None:
            inside = pkgutil.iter_modules([f"{directory}/{module.name}"])
            found += [f"{module.name}.{inner.name}" for inner in inside if not inner.name.startswith("__")]
    return found


def import_command(root: str, names: Sequence[str]) -> list[str]:
    """Starts this interpreter with the standard library below `root`, and imports `names`."""
    script = f"import sys; sys.path[:] = [{root + '/python'!r}] + sys.path[-1:]\n" + "".join(
        f"import {name}\n" for name in names
    )
    return [sys.executable, "-ISB", "-W", "ignore", "-c", script]
