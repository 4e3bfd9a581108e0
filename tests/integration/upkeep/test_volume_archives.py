"""`volume export` and `volume import`: all of a volume there and back, or nothing; hostile archives stay inside."""

from __future__ import annotations

import gzip
import io
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.upkeep.conftest import Store

pytestmark = [pytest.mark.requires("userns", "subids", "overlay", "seccomp", "umoci", "busybox"), pytest.mark.slow]

_FILL = """
cd /kept; chown 5:6 .; chmod 1770 .; mkdir -p deep/er; echo a > deep/a; ln deep/a deep/b; ln -s /etc/passwd link
mkfifo fifo; chown 7:8 deep/a; chmod 4755 deep/a; echo like a whiteout > .wh.deep
truncate -s 50M holes; echo end >> holes; touch -d 2001-02-03 deep/a; mkdir empty; chmod 0 empty
"""
_LOOK = "cd /kept; find . | sort | xargs stat -c '%n %A %u:%g %h %s %Y'; readlink link; cat deep/b; tail -n 1 holes"


def _run(store: Store, script: str, volume: str = "kept") -> str:
    """What the script says in a container that has the volume at /kept."""
    words = ("run", "--rm", "--network", "none", "-v", f"{volume}:/kept", "made", "sh", "-ec", script)
    return store.sandbox.run(*words).stdout


def test_everything_of_a_volume_comes_back(store: Store) -> None:
    run, archive = store.sandbox.run, store.sandbox.home.root / "kept.tar"
    _run(store, _FILL)
    run("volume", "export", "-o", archive, "kept")
    assert archive.stat().st_size < 100_000
    run("volume", "create", "other")
    run("volume", "import", "other", archive)
    assert _run(store, _LOOK, "other") == _run(store, _LOOK)
    # and through pipes
    with store.sandbox.spawn("volume", "export", "kept", stdout=subprocess.PIPE) as command:
        data, _talk = command.communicate()
    assert data == archive.read_bytes()
    run("volume", "create", "piped")
    run("volume", "import", "piped", input=gzip.compress(data))
    assert _run(store, _LOOK, "piped") == _run(store, _LOOK)
    assert store.found(clean=True) == []


def test_an_import_lays_an_archive_over_what_is_there(store: Store) -> None:
    run, archive = store.sandbox.run, store.sandbox.home.root / "kept.tar"
    run("volume", "export", "-o", archive, "kept")
    run("volume", "create", "other")
    _run(store, "echo old > /kept/file; echo own > /kept/own; ln /kept/own /kept/again; ln -s / /kept/link", "other")
    run("volume", "import", "other", archive)
    look = "cat /kept/file /kept/own; stat -c %h /kept/own; readlink /kept/link"
    assert _run(store, look, "other") == "data\nown\n2\n/\n"
    (container,) = run("run", "-d", "--network", "none", "-v", "other:/kept", "made", "sleep", "300").lines
    refused = run("volume", "import", "other", archive, status=1).stderr
    assert "is running with it" in refused
    run("rm", "-f", container)
    for broken in (b"", b"no archive at all" * 100, archive.read_bytes()[:700]):
        assert "Error: the archive is" in run("volume", "import", "other", input=broken, status=1).stderr
    assert _run(store, look, "other") == "data\nown\n2\n/\n"
    assert [path.name for path in (store.root / "volumes/other").iterdir()] == ["_data", "record.json"]
    assert "get nothing: no such volume" in run("volume", "import", "nothing", archive, status=1).stderr
    assert "get nothing: no such volume" in run("volume", "export", "nothing", status=1).stderr
    assert store.found(clean=True) == []


def _entry(
    name: str, kind: bytes = tarfile.REGTYPE, link: str = "", data: bytes = b""
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size, info.mode = kind, link, len(data), 0o777
    return info, data


def _archive(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for info, data in entries:
            tar.addfile(info, io.BytesIO(data))
    return raw.getvalue()


#: what an archive says, and whether that is refused; PLACE is a directory of the host
_HARM = (
    ([_entry("../../../out", data=b"x")], True),
    ([_entry("a/../../../../out", data=b"x")], True),
    ([_entry("hard", tarfile.LNKTYPE, "../../../state.db")], True),
    ([_entry("hard", tarfile.LNKTYPE, "/etc/passwd")], True),
    ([_entry("/out", data=b"x")], False),
    ([_entry("up", tarfile.SYMTYPE, "../../.."), _entry("up/out", data=b"x")], False),
    ([_entry("away", tarfile.SYMTYPE, "PLACE"), _entry("away/out", data=b"x")], False),
    ([_entry("device", tarfile.CHRTYPE)], False),
    ([_entry(".", tarfile.SYMTYPE, "PLACE")], True),
)


def test_an_archive_that_means_harm_stays_in_the_volume(store: Store, tmp_path: Path) -> None:
    data = store.root / "volumes/kept/_data"
    for entries, refused in _HARM:
        for info, _content in entries:
            info.linkname = info.linkname.replace("PLACE", str(tmp_path))
        shown = " ".join(info.name for info, _content in entries)
        done = store.sandbox.run("volume", "import", "kept", input=_archive(*entries), status=None)
        assert (done.status, "Traceback" in done.stderr) == (1 if refused else 0, False), shown
        assert list(tmp_path.iterdir()) == [], shown
        assert all(data in path.parents for path in store.sandbox.home.root.rglob("out")), shown
        assert (data / "file").read_text() == "data\n", shown
    assert store.found(clean=True) == []


def test_what_a_container_writes_during_an_import_is_not_lost(store: Store) -> None:
    with store.sandbox.spawn("volume", "import", "kept", stdin=subprocess.PIPE) as command:
        # the volume has been read when the archive is
        assert command.stdin is not None
        command.stdin.write(_archive(_entry("new", data=bytes(1 << 20)))[: 1 << 20])
        command.stdin.flush()
        _run(store, "echo precious > /kept/file")
        _output, said = command.communicate(_archive(_entry("new", data=bytes(1 << 20)))[1 << 20 :])
    assert (command.returncode, b"a container had it mounted meanwhile" in said) == (1, True)
    assert _run(store, "cat /kept/file; ls /kept") == "precious\nfile\n"
    assert store.found(clean=True) == []


def test_what_a_killed_import_left_is_a_leftover(store: Store) -> None:
    volume = store.root / "volumes/kept"
    (volume / "import").mkdir()
    (volume / "import/half").write_text("half")
    (volume / "import.lock").touch()
    assert store.found(clean=True) == [("volume", "kept")]
    store.check("--repair", clean=True)
    assert sorted(path.name for path in volume.iterdir()) == ["_data", "record.json"]
    (volume / "import.old").mkdir()
    store.sandbox.run("volume", "import", "kept", input=_archive(_entry("new", data=b"new")))
    assert sorted(path.name for path in volume.iterdir()) == ["_data", "record.json"]
    assert _run(store, "cat /kept/file /kept/new") == "data\nnew"
