"""Hostile Dockerfiles, contexts and bases: nothing outside the build is read, written or removed."""

from __future__ import annotations

import io
import os
import tarfile
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.builder.conftest import Builder

pytestmark = [pytest.mark.requires("userns", "subids", "overlay", "seccomp"), pytest.mark.slow]


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """A file outside, which nobody may read or change."""
    path = tmp_path / "outside/marker"
    path.parent.mkdir()
    path.write_text("m4rker")
    return path


def _check_untouched(marker: Path) -> None:
    assert marker.read_text() == "m4rker"
    assert [path.name for path in marker.parent.iterdir()] == ["marker"]


@pytest.mark.parametrize(
    "target", ["{outside}", "../../../../../../..{outside}", "/proc/self/cwd", "/proc/1/root{outside}"]
)
def test_a_mounts_source_stays_in_its_own_tree(builder: Builder, marker: Path, target: str) -> None:
    """CVE-2024-1753, CVE-2024-23651, CVE-2024-11218: the link is in a stage, or in the context."""
    link = target.format(outside=marker.parent)
    made = f"FROM busybox AS made\nRUN ln -s {link} /link\n"
    read = "ls /m/ /m/marker; cat /m/marker; echo planted > /m/planted; true"
    for mount in (
        "type=bind,from=made,source=/link,target=/m,rw", "type=bind,source=link,target=/m,rw",
        "type=cache,id=c,from=made,source=/link,target=/m", "type=bind,from=made,source=/link/../link,target=/m,rw",
    ):  # fmt: skip
        done = builder.sandbox.run(
            "build", "--progress", "plain",
            builder.context({"Dockerfile": f"{made}FROM busybox\nRUN --mount={mount} {read}\n", "link": f"-> {link}"}),
            status=None,
        )  # fmt: skip
        assert "m4rker" not in done.stdout + done.stderr
        _check_untouched(marker)


def test_copy_and_add_write_through_no_link(builder: Builder, marker: Path) -> None:
    outside = marker.parent
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for kind, name, link in (
            (tarfile.SYMTYPE, "s", str(outside)), (tarfile.REGTYPE, "s/planted", ""),
            (tarfile.SYMTYPE, "up", "../../../../../../../.." + str(outside)), (tarfile.REGTYPE, "up/planted", ""),
        ):  # fmt: skip
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, link
            archive.addfile(entry)
    text = (
        f"FROM busybox\nRUN ln -s {outside} /link && ln -s ../../../../../..{outside} /up\n"
        "RUN mkdir /d && ln -s /link /d/l\n"
        "COPY f /link/planted\nCOPY f /up/planted\nCOPY f /d/l/planted\nADD a.tar /d/x/\nADD a.tar /link/\n"
        "COPY --parents f /link/\nWORKDIR /link/planted-directory\nRUN touch /link/planted-too\n"
    )
    builder.build({"Dockerfile": text, "f": "x", "a.tar": data.getvalue()})
    _check_untouched(marker)
    # it all went to that path inside
    assert f"{outside}/planted".lstrip("/") in builder.tree()


def test_mount_points_are_cleaned_up_nowhere(builder: Builder, marker: Path) -> None:
    """CVE-2024-23652: what a command puts where its mount was is no reason to remove anything."""
    text = (
        f"FROM busybox\nRUN mkdir -p /d && echo kept > /d/f && ln -s {marker.parent} /out\n"
        "RUN --mount=type=tmpfs,target=/d/sub/mount --mount=type=cache,target=/out/marker "
        "--mount=type=secret,id=s,target=/d/secret echo ran > /d/ran\n"
    )
    builder.sandbox.run("build", "-t", "made", "--secret", "id=s,env=S", "-", input=text, env={"S": "x"})
    _check_untouched(marker)
    tree = builder.tree()
    assert {"d/f", "d/ran"} <= tree.keys()
    assert builder.run("cat", "/d/f") == "kept\n"
    assert not [name for name in tree if "secret" in name or name.startswith("d/sub")]


@pytest.mark.parametrize(
    "option",
    [
        "type=cache,id=../../../../../../escape,target=/c", "type=cache,id=/etc,target=/c",
        "type=cache,id=x/../../y,target=/../../../c", "type=tmpfs,target=/t,size=1m",
    ],
)  # fmt: skip
def test_ids_and_targets_are_names_and_no_paths(builder: Builder, option: str, marker: Path) -> None:
    """CVE-2024-9675: a cache's id is hashed; a target is inside the container."""
    builder.sandbox.run("build", "-", input=f"FROM busybox\nRUN --mount={option} touch /c/f /t/f; true\n")
    caches = builder.sandbox.home.data / "sandbox/builder-mounts"
    for path in caches.iterdir() if caches.exists() else ():
        assert set(path.name.removesuffix(".lock")) <= set("0123456789abcdef")
    assert not [name for name in os.listdir(builder.sandbox.home.data) if name != "sandbox"]
    _check_untouched(marker)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("RUN --mount=type=bind,bind-propagation=shared,target=/x true", "unexpected key"),
        ("RUN --mount=type=bind,source=/,target=/x,propagation=rshared true", "unexpected key"),
        ("RUN --mount=type=cache,target=/c,mode=9999 true", "invalid value"),
        ("RUN --mount=type=cache,target=/c,uid=-1 true", "invalid value"),
        ("RUN --mount=type=cache,target=/c,gid=4294967296 true", "invalid value"),
        ("RUN --mount=type=cache,target=/c,sharing=everybody true", "sharing"),
        ("RUN --mount=type=nonsense,target=/c true", "unsupported mount type"),
        ("RUN --mount=type=ssh,source=/x true", "no source"),
        ("RUN --mount=type=tmpfs,target=/ true", "invalid mount target"),
        ("RUN --mount=type=bind,target=/x/.. true", "invalid mount target"),
        ("RUN --network=container:1 true", "invalid network"),
        ("RUN --security=insecure true", "refused"),
        ("RUN --network=host true", "network.host was not granted"),
        ("RUN --device=vendor.example/class=name true", "refused"),
        ("COPY --chmod=99999 f /f", "invalid chmod"),
        ("COPY --chown=0:nobody-here f /f", "nobody-here"),
    ],
)
def test_values_are_checked_at_their_line(builder: Builder, line: str, said: str) -> None:
    """CVE-2024-9407, CVE-2024-23653."""
    failed = builder.build({"Dockerfile": f"FROM busybox\n{line}\n", "f": ""}, status=1)
    assert said in failed.stderr
    assert f"2 | {line}" in failed.stderr


def test_a_base_cannot_ask_for_more_by_its_triggers(builder: Builder, marker: Path) -> None:
    text = (
        f"FROM busybox\nRUN ln -s {marker.parent} /link\nONBUILD COPY f /link/planted\nONBUILD RUN cat {marker}; true\n"
    )
    builder.sandbox.run("build", "-t", "hostile", "-", input=text)
    done = builder.build({"Dockerfile": "FROM hostile\n", "f": "x"})
    assert "m4rker" not in done.stderr
    _check_untouched(marker)


def test_the_hosts_network_is_for_the_caller_to_give(builder: Builder) -> None:
    """A file, a base's ONBUILD, and a stage's ask for it in vain, cached or not; nothing before it is run either."""
    ask = "RUN --network=host readlink /proc/self/ns/net > /ns\n"
    base = f"FROM busybox\nONBUILD {ask}"
    builder.sandbox.run("build", "-t", "asking", "-", input=base)
    files = {
        "the file": f"FROM busybox\nRUN echo before\n{ask}",
        "a base": "FROM asking\n",
        "a stage": f"{base.replace('busybox', 'busybox AS asking')}FROM asking\n",
        "a stage that is not the target": f"FROM busybox AS a\n{ask}FROM busybox\nCOPY --from=a /ns /\n",
    }

    def refused() -> None:
        for file in files.values():
            failed = builder.sandbox.run("build", "-", input=file, status=1)
            assert "network.host was not granted" in failed.stderr
            assert "mend: sandbox build --allow network.host" in failed.stderr
            assert "RUN echo before" not in failed.stderr

    refused()
    for options in (("--allow", "network.host"), ("--network", "host")):
        for file in files.values():
            builder.sandbox.run("build", "-t", "made", "--no-cache", *options, "-", input=file)
            assert builder.run("cat", "/ns").strip() == os.readlink("/proc/self/ns/net")
    # what a build that had it made is in the cache now
    refused()
    assert (
        "network.host was not granted"
        in builder.sandbox.run("build", "--network", "none", "-", input=files["a base"], status=1).stderr
    )


def test_account_files_of_a_base_are_read_as_text_of_the_base(builder: Builder, marker: Path) -> None:
    """CVE-2019-14271's class: names for --chown never come from this machine, and no fifo hangs the build."""
    me = os.path.basename(os.path.expanduser("~"))
    for setup in (
        f"rm /etc/passwd && ln -s ../../../../..{marker} /etc/passwd", "rm /etc/passwd && mkfifo /etc/passwd",
        "rm /etc/passwd && mkdir /etc/passwd", "rm /etc/passwd && ln -s /dev/zero /etc/passwd",
    ):  # fmt: skip
        files: dict[str, str | bytes] = {"Dockerfile": f"FROM busybox\nRUN {setup}\nCOPY --chown={me} f /f\n", "f": ""}
        failed = builder.build(files, status=1)
        assert f"{me}" in failed.stderr
        assert "3 | COPY" in failed.stderr


def test_what_a_command_writes_to_a_bound_tree_is_lost(builder: Builder) -> None:
    change = "echo new > /m/d/f && rm /m/d/g && mkdir /m/made && cat /m/d/f /m/d/h"
    text = (
        "FROM busybox AS tree\nCOPY d /t/d\n"
        f"FROM busybox\nRUN --mount=from=tree,source=/t,target=/m,rw {change} > /stage\n"
        f"RUN --mount=target=/m,rw {change} > /context\nRUN --mount=target=/m,source=d/f cat /m > /file\n"
        "RUN --mount=target=/m ! touch /m/d/f 2>/dev/null && cat /m/d/f > /read-only\nCOPY --from=tree /t /kept\n"
    )
    for ignored in ("", "other\n"):
        files: dict[str, str | bytes] = {"Dockerfile": text, "d/f": "old\n", "d/g": "g\n", "d/h": "h\n", "other": ""}
        context = builder.context({**files, ".dockerignore": ignored} if ignored else files)
        builder.sandbox.run("build", "--no-cache", "-t", "made", context)
        assert builder.run("cat", "/stage", "/context", "/file", "/read-only") == "new\nh\nnew\nh\nold\nold\n"
        assert builder.run("ls", "/kept/d").split() == ["f", "g", "h"]
        assert (context / "d/f").read_text() == "old\n"
        assert not (context / "made").exists()
        assert "m" not in builder.tree()
