"""apt and dpkg in a Debian container: installs, an upgrade, a purge, on the FUSE overlay as on the kernel's."""

from __future__ import annotations

import re
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests import images
from tests.filesystem.container_tree import container_tree
from tests.filesystem.debian_packages import ARCHIVES, DEBIAN_PACKAGES, DIVERTED, RECIPE
from tests.needs import CONTAINER

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.command import Sandbox
    from tests.filesystem.snapshot import Seen

pytestmark = [
    pytest.mark.requires(*CONTAINER, "fuse", "pyfuse3", "mmdebstrap", "umoci", "busybox"), pytest.mark.slow,
    pytest.mark.timeout(600),
]  # fmt: skip

#: what is of the time, of chance, or of inode numbers
_PASSING = re.compile(
    r"^(var/log/|var/cache/apt/\w+\.bin$|var/cache/ldconfig/aux-cache$|var/cache/man/.*index\.db$|tmp/|run/)"
)


class _Debian:
    """One container with Debian's tree."""

    def __init__(self, sandbox: Sandbox, driver: str) -> None:
        self._sandbox, self._name = sandbox, driver
        sandbox.run(
            "run", "-d", "--name", driver, "--storage-driver", driver, "--network", "none", "debian-apt",
            "sleep", "infinity",
        )  # fmt: skip
        # one that is there is kept, and copied by dbus; where there is none, each tree would make one by chance
        self.shell("echo 0123456789abcdef0123456789abcdef >/etc/machine-id")
        self._serve()

    def shell(self, script: str) -> str:
        """Standard output of a script of which every command must succeed."""
        return self._sandbox.run("exec", self._name, "sh", "-euc", script, timeout_seconds=300).stdout

    def look(self, recent_ns: int) -> Mapping[str, Seen]:
        pid = int(self._sandbox.run("inspect", "-f", "{{.State.Pid}}", self._name).stdout)
        tree = container_tree(pid, recent_ns)
        return {path: seen for path, seen in tree.items() if not _PASSING.match(path)}

    def restart(self) -> None:
        self._sandbox.run("restart", "-t", "0", self._name)
        self._serve()

    def _serve(self) -> None:
        # it goes into the background when it listens; apt comes as its user _apt, over a real connection
        self.shell("busybox httpd -p 127.0.0.1:80 -h /srv/archive")


@pytest.fixture
def debian_apt(sandbox: Sandbox, image_cache: Path) -> str:
    layout = images.cached(image_cache, RECIPE)
    archive = sandbox.home.root / "layout.tar"
    subprocess.run(["tar", "-C", layout, "-cf", archive, "."], check=True)
    sandbox.run("load", "-q", "-i", archive)
    (identifier,) = sandbox.run("images", "-q", "--no-trunc").lines
    sandbox.run("tag", identifier, "debian-apt")
    return "debian-apt"


_SOURCE = "deb [trusted=yes] http://127.0.0.1/{name} ./"
_INSTALL = "apt-get -q -y --no-install-recommends"


def _source(archive: str) -> str:
    name = archive.rpartition("/")[2]
    return f"echo '{_SOURCE.format(name=name)}' >/etc/apt/sources.list.d/{name}.list; apt-get -q update"


def _install(debian: _Debian) -> None:
    debian.shell(_source(ARCHIVES[0]))
    # by whom they were fetched: a root that cannot become _apt says so and goes on as root
    said = debian.shell(f"{_INSTALL} install {' '.join(DEBIAN_PACKAGES)} 2>&1")
    assert "unsandboxed" not in said
    assert debian.shell("stat -c %U /var/cache/apt/archives/partial") == "_apt\n"
    debian.shell(f"{_INSTALL} install probe")
    assert debian.shell("probe; trial; cat /etc/probe/edited.conf") == "probe 1.0\nprobe 1.0\nsetting = 1.0\n"
    same = "set -- $(stat -c %i-%h /usr/bin/probe /usr/bin/probe-link /usr/share/probe/third-link); echo $1 $2 $3"
    one, *others = debian.shell(same).split()
    assert others == [one, one]
    assert one.endswith("-3")
    assert debian.shell(f"cat {DIVERTED}") == "probe's own\n"
    assert debian.shell("stat -c '%U:%G %a' /var/lib/probe /usr/libexec/probe-helper").splitlines() == [
        "probe:probe 2770", "root:root 4755",
    ]  # fmt: skip
    assert "cap_net_bind_service=ep" in debian.shell("getcap /usr/libexec/probe-network")
    _check(debian)


def _upgrade(debian: _Debian) -> None:
    debian.shell("echo mine >/etc/probe/edited.conf; echo mine >/etc/probe/moved.conf")
    debian.shell(_source(ARCHIVES[1]))
    debian.shell(f"{_INSTALL} -o Dpkg::Options::=--force-confold --with-new-pkgs upgrade")
    assert debian.shell("dpkg-query -W -f '${Package} ${Version}\\n' 'probe*'") == "probe 2.0\nprobe-data 2.0\n"
    shown = "cd /etc/probe; cat kept.conf edited.conf edited.conf.dpkg-dist here.conf; ls"
    assert debian.shell(shown).split("\n") == [
        "setting = 2.0", "mine", "setting = 2.0", "mine", "edited.conf", "edited.conf.dpkg-dist", "here.conf",
        "here.conf.dpkg-new", "kept.conf", "",
    ]  # fmt: skip
    # the upgrade configured both at once; now the one's files change beneath the other's interest
    debian.shell(f"{_INSTALL} install --reinstall probe-data")
    shown = "cd /usr/share/probe; readlink place; cat place/file given; cat /var/lib/probe/triggered; test ! -e gone"
    assert debian.shell(shown) == "elsewhere\nnew\ngiven over\n/usr/share/probe-data\n"
    _check(debian)


def _purge(debian: _Debian) -> None:
    debian.shell("dpkg --purge probe")
    assert "probe's own" not in debian.shell(f"cat {DIVERTED}")
    assert debian.shell("getent passwd probe || echo gone") == "gone\n"
    places = "/etc /usr/bin /usr/libexec /usr/share/base-files /var/lib/probe /var/lib/dpkg/alternatives"
    left = debian.shell(f"find {places} -name '*probe*' -o -name 'trial' -o -name 'motd.base' 2>&1 || true")
    assert left == "find: \u2018/var/lib/probe\u2019: No such file or directory\n"
    debian.shell("apt-get -q -y purge man-db dbus perl-doc; apt-get -q -y autoremove --purge")
    _check(debian)


def _check(debian: _Debian) -> None:
    """dpkg finds its books right: every file that was installed has its checksum, no package is half there."""
    assert debian.shell("dpkg --audit") == ""
    changed = [line for line in debian.shell("dpkg --verify || true").splitlines() if "/etc/probe/" not in line]
    assert changed == []


def _check_telling(tree: Mapping[str, Seen]) -> None:
    """The look at the tree has seen what is compared for: links, owners, set-id bits and capabilities."""
    assert tree["usr/bin/probe"].nlink == 3
    assert tree["var/lib/probe"].uid > 0
    assert tree["usr/bin/sudo"].mode == 0o4755
    assert [name for name, _value in tree["usr/libexec/probe-network"].xattrs] == ["security.capability"]


def test_a_tree_is_that_of_the_kernels_overlay(sandbox: Sandbox, debian_apt: str) -> None:
    """The same packages come and go on both; after each step the trees are equal in everything but time."""
    began_ns = time.time_ns()
    on_kernel, on_fuse = _Debian(sandbox, "overlay"), _Debian(sandbox, "fuse")
    for step in (_install, _upgrade, _purge):
        for debian in (on_kernel, on_fuse):
            step(debian)
        on_fuse.restart()
        _check(on_fuse)
        expected, found = on_kernel.look(began_ns), on_fuse.look(began_ns)
        if step is _install:
            _check_telling(found)
        different = [path for path in sorted({*expected, *found}) if expected.get(path) != found.get(path)]
        assert {path: (expected.get(path), found.get(path)) for path in different} == {}, step.__name__
