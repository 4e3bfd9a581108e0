"""Dockerfiles as people write them, as data: `tests/dockerfiles/NAME.case`, one file a case.

# what it is about
base: python gcc                      images that must be there, besides busybox
options: --build-arg VERSION=2        of the build, both programs'
run: cat /version                     a command that is run in the image made
wheel: greeting 1.0                   a Python wheel of that name is put into wheels/
differs tree /run/lock: why           a path in which the other program's tree is another
differs config Env: why               the same of a member of the image's configuration
long                                  not in the usual run
-- output --                          what `run` prints
-- Dockerfile --                      from here on, the context: a file,
-- Dockerfile.buildah --              what buildah gets instead, where it is too old for the other,
-- start.sh 755 --                    one with a mode,
-- current -> releases/2 --           a symlink,
-- site.tar.gz//etc/x 600 --          a member of an archive
"""

from __future__ import annotations

import io
import os
import re
import tarfile
import zipfile
from pathlib import Path
from typing import NamedTuple

DIRECTORY = Path(__file__).parents[2] / "dockerfiles"
_SECTION = re.compile(r"^-- (?P<name>\S+)(?: -> (?P<link>\S+)| (?P<mode>[0-7]{3,4}))? --$")
_MTIME = 1_600_000_000


class File(NamedTuple):
    """A file of the context, with its mode; or, with `link`, a symlink."""

    name: str
    mode: int
    content: str
    link: str = ""


class Case(NamedTuple):
    """One case; `differences` maps "tree /path" or "config Member" to the reason."""

    name: str
    bases: tuple[str, ...]
    options: tuple[str, ...]
    run: str
    output: str
    wheels: tuple[tuple[str, str], ...]
    differences: dict[str, str]
    is_long: bool
    files: tuple[File, ...]


def read_cases() -> list[Case]:
    """Every case, sorted by name."""
    return [_read(path) for path in sorted(DIRECTORY.glob("*.case"))]


def _read(path: Path) -> Case:
    headers: dict[str, list[str]] = {}
    files: list[File] = []
    lines: list[str] = []
    is_long = False
    for line in path.read_text().splitlines(keepends=True):
        section = _SECTION.match(line.rstrip("\n"))
        if section is not None:
            lines = []
            files.append(File(section["name"], int(section["mode"] or "644", 8), "", section["link"] or ""))
        elif files:
            lines.append(line)
            files[-1] = files[-1]._replace(content="".join(lines))
        elif line.strip() == "long":
            is_long = True
        elif line.strip() and not line.startswith("#"):
            name, colon, value = line.strip().partition(":")
            assert colon, f"{path.name}: {line}"
            headers.setdefault(name, []).append(value.strip())
    differences = {
        name.removeprefix("differs "): values[0] for name, values in headers.items() if name.startswith("differs ")
    }
    output = next((file.content for file in files if file.name == "output"), "")
    return Case(
        path.stem, tuple(_words(headers, "base")), tuple(_words(headers, "options")),
        " ".join(headers.get("run", ())), output,
        tuple((text.split()[0], text.split()[1]) for text in headers.get("wheel", ())), differences, is_long,
        tuple(file for file in files if file.name != "output"),
    )  # fmt: skip


def _words(headers: dict[str, list[str]], name: str) -> list[str]:
    return [word for value in headers.get(name, ()) for word in value.split()]


def write_context(case: Case, root: Path) -> None:
    """Make the context in the new directory `root`."""
    root.mkdir()
    archives: dict[str, list[File]] = {}
    for file in case.files:
        archive, slashes, _member = file.name.partition("//")
        if slashes:
            archives.setdefault(archive, []).append(file)
            continue
        path = root / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        if file.link:
            path.symlink_to(file.link)
        else:
            path.write_text(file.content)
            path.chmod(file.mode)
    for name, members in archives.items():
        _write_archive(root / name, members)
    for name, version in case.wheels:
        write_wheel(root / "wheels", name, version)
    for directory, _directories, names in os.walk(root, topdown=False):
        for name in names:
            os.utime(os.path.join(directory, name), (_MTIME, _MTIME), follow_symlinks=False)
        os.chmod(directory, 0o755)
        os.utime(directory, (_MTIME, _MTIME))


def _write_archive(path: Path, members: list[File]) -> None:
    kind = {".gz": "w:gz", ".bz2": "w:bz2", ".xz": "w:xz"}.get(path.suffix, "w")
    with tarfile.open(str(path), kind) as archive:  # type: ignore[call-overload]  # the mode is computed
        for file in members:
            entry = tarfile.TarInfo(file.name.partition("//")[2])
            entry.mode, entry.mtime, entry.uid, entry.gid = file.mode, _MTIME, 7, 8
            data = file.content.encode()
            if file.link:
                entry.type, entry.linkname = tarfile.SYMTYPE, file.link
                archive.addfile(entry)
            else:
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))


def write_wheel(directory: Path, name: str, version: str) -> None:
    """Put a wheel into the directory, made where missing: `NAME.VERSION`, and a program `NAME` that prints both."""
    directory.mkdir(parents=True, exist_ok=True)
    information = f"{name}-{version}.dist-info"
    texts = {
        f"{name}/__init__.py": f'VERSION = "{version}"\n\n\ndef main() -> None:\n    print("{name}", VERSION)\n',
        f"{information}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{information}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{information}/entry_points.txt": f"[console_scripts]\n{name} = {name}:main\n",
    }
    texts[f"{information}/RECORD"] = "".join(f"{path},,\n" for path in (*texts, f"{information}/RECORD"))
    with zipfile.ZipFile(directory / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in texts.items():
            wheel.writestr(zipfile.ZipInfo(path, (2020, 9, 13, 12, 26, 40)), text)
