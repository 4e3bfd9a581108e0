"""`sandbox volume`, and what of volumes the other commands of upkeep show and take."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.upkeep.conftest import Store

pytestmark = [pytest.mark.requires("userns", "subids", "overlay", "seccomp", "umoci", "busybox"), pytest.mark.slow]


def test_a_volume_is_made_listed_looked_at_filled_and_removed(store: Store) -> None:
    run = store.sandbox.run
    assert run("volume", "create", "--label", "a=b", "--label", "c", "data").lines == ["data"]
    assert run("volume", "create", "data").lines == ["data"]
    assert run("volume", "ls").lines == ["DRIVER    VOLUME NAME", "local     data", "local     kept"]
    assert run("volume", "ls", "-q", "-f", "label=a=b").lines == ["data"]
    assert run("volume", "ls", "-q", "-f", "dangling=false").lines == ["kept"]
    assert run("volume", "ls", "-q", "-f", "dangling=true", "-f", "name=at").lines == ["data"]
    assert run("volume", "ls", "--format", '{{.Name}} {{.Label "a"}} {{.Labels}}').lines == ["data b a=b,c=", "kept  "]
    (document,) = json.loads(run("volume", "inspect", "data").stdout)
    made = document.pop("CreatedAt")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", made)
    assert document == {
        "Driver": "local", "Labels": {"a": "b", "c": ""}, "Mountpoint": str(store.root / "volumes/data/_data"),
        "Name": "data", "Options": None, "Scope": "local",
    }  # fmt: skip
    # as one that a container makes, it takes what the image has there, once, and not where that is not wanted
    nothing = ("run", "--rm", "--network", "none", "-v", "data:/made:nocopy", "made", "ls", "/made")
    assert run(*nothing).lines == []
    assert run("run", "--rm", "--network", "none", "-v", "data:/made", "made", "cat", "/made/link").lines == ["made"]
    assert run("volume", "rm", "data").lines == ["data"]
    assert "Error: get data: no such volume\n" in run("volume", "inspect", "data", status=1).stderr
    assert run("volume", "rm", "-f", "data").lines == ["data"]
    assert [path.name for path in (store.root / "volumes").iterdir()] == ["kept"]
    store.is_whole()


def test_a_volume_that_a_container_mounts_stays(store: Store) -> None:
    run = store.sandbox.run
    refused = run("volume", "rm", "kept", "kpt", "..", status=1)
    (container,) = run("ps", "-aq", "--no-trunc").lines
    assert f"remove kept: volume is in use - [{container}]" in refused.stderr
    assert f"mend: sandbox rm -f {container[:12]}" in refused.stderr
    assert "the nearest name here is kept" in refused.stderr
    assert "'..' is not a volume name" in refused.stderr
    run("rm", "job")
    assert run("volume", "rm", "kept").lines == ["kept"]
    assert store.found(clean=True) == []


def test_pruning_takes_volumes_without_a_name_unless_more_is_asked(store: Store) -> None:
    run = store.sandbox.run
    (anonymous,) = run("volume", "create").lines
    assert re.fullmatch("[0-9a-f]{64}", anonymous)
    run("volume", "create", "--label", "keep", "named")
    assert run("volume", "prune", input="n\n").stdout.startswith("WARNING! This will remove anonymous local volumes")
    assert run("volume", "prune", "-f").lines[:2] == ["Deleted Volumes:", anonymous]
    assert "Total reclaimed space: 0B" in run("volume", "prune", "-af", "--filter", "label!=keep").stdout
    assert run("volume", "ls", "-q").lines == ["kept", "named"]
    both = run("volume", "prune", "-af", "--filter", "all=1", status=125)
    assert "conflicting options: cannot specify both --all and --filter all=1" in both.stderr
    run("create", "-v", "/anonymous", "made", "true")
    made = run("volume", "ls", "-q", "-f", "dangling=false").lines
    pruned = run("system", "prune", "-f", "--volumes").lines
    assert "Deleted Volumes:" in pruned
    assert run("volume", "ls", "-q").lines == ["kept", "named"]
    assert set(made) - {"kept"} <= set(pruned)
    assert run("volume", "prune", "-a", input="y\n").lines[-1].startswith("Total reclaimed space: 5B")
    assert run("volume", "ls", "-q").lines == []
    assert run("system", "prune", "-af", "--volumes", "--filter", "until=1h", status=125).stderr.startswith(
        "Error: The"
    )


def test_a_removal_that_was_cut_short_is_a_leftover(store: Store) -> None:
    (store.root / "volumes/.gone-data-1/_data").mkdir(parents=True)
    (finding,) = store.check(clean=True)["findings"]
    assert finding["leftover"]
    store.check("--repair", clean=True)
    assert [path.name for path in (store.root / "volumes").iterdir()] == ["kept"]


@pytest.mark.parametrize("by", ["check", "prune", "run"])
def test_a_removal_that_was_killed_before_its_record_went_has_not_been(store: Store, by: str) -> None:
    run, volumes = store.sandbox.run, store.root / "volumes"
    run("rm", "job")
    (volumes / "kept").rename(volumes / ".gone-kept-999999999")
    # of another volume, which had the name before
    (volumes / ".gone-kept-999999998").mkdir()
    assert store.found(clean=True) == [("volume", "kept"), ("volume", "kept-999999998")]
    read = ("run", "--rm", "--network", "none", "-v", "kept:/kept", "made", "cat", "/kept/file")
    if by == "check":
        store.check("--repair", clean=True)
    elif by == "prune":
        run("system", "prune", "-f")
    assert run(*read).stdout == "data\n"
    run("system", "prune", "-f")
    assert [path.name for path in volumes.iterdir()] == ["kept"]


def test_disk_usage_of_each_object(store: Store) -> None:
    shown = store.sandbox.run("system", "df", "-v").stdout
    parts = re.split(r"\n*(?:^|\n)([A-Z].* usage:.*)\n\n", shown)[1:]
    tables = {title: table.splitlines() for title, table in zip(parts[::2], parts[1::2], strict=True)}
    images, containers, volumes, cache = tables.values()
    assert re.split("  +", images[0]) == [
        "REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE", "SHARED SIZE", "UNIQUE SIZE", "CONTAINERS",
    ]  # fmt: skip
    assert sorted(line.split()[0] for line in images[1:]) == ["busybox", "made"]
    (made,) = [re.split("  +", line) for line in images[1:] if line.startswith("made ")]
    (busybox,) = [re.split("  +", line) for line in images[1:] if line.startswith("busybox ")]
    # all of the one below is in the other
    assert (busybox[5], busybox[6]) == (busybox[4], "0B")
    assert made[5] == busybox[4]
    assert (made[6], made[7], busybox[7]) == ("10B", "1", "0")
    assert re.split("  +", containers[1])[-1] == "job"
    assert re.split("  +", volumes[1]) == ["kept", "1", "5B"]
    assert cache[0].startswith("CACHE ID")
    assert len(cache) == 2
    document = json.loads(store.sandbox.run("system", "df", "-v", "--format", "json").stdout)
    assert list(document) == ["Images", "Containers", "Volumes", "BuildCache"]
    assert sorted(one["Repository"] for one in document["Images"]) == ["busybox", "made"]
    assert [one["Names"] for one in document["Containers"]] == ["job"]
    template = "{{range .Volumes}}{{.Name}} {{.Links}} {{.Size}}{{end}} {{len .BuildCache}}"
    assert store.sandbox.run("system", "df", "-v", "--format", template).lines == ["kept 1 5B 1"]


def test_options_of_the_local_driver(store: Store) -> None:
    run, place = store.sandbox.run, store.sandbox.home.root / "place"
    place.mkdir()
    made = run("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=10m,uid=7,mode=700", "temp")
    assert made.stdout == "temp\n"
    assert made.stderr.startswith("WARNING: each container that mounts this volume gets a tmpfs of its own")
    run("volume", "create", "-o", "type=none", "-o", "o=bind", "-o", f"device={place}", "host")
    run("volume", "create", "-o", "type=none", "-o", "o=bind,ro", "-o", f"device={place}", "read")
    run("volume", "create", "-o", "type=none", "-o", "o=bind", "-o", "device=/not/there", "lost")
    template = "{{json .Options}}"
    assert json.loads(run("volume", "inspect", "-f", template, "host").stdout) == {
        "device": str(place), "o": "bind", "type": "none",
    }  # fmt: skip
    script = "grep ' /temp ' /proc/mounts; stat -c %u:%a /temp; echo new > /made/new; touch /read/x"
    volumes = ("-v", "temp:/temp", "-v", "host:/made", "-v", "read:/read")
    seen = run("run", "--rm", "--network", "none", *volumes, "made", "sh", "-c", script, status=1)
    assert "size=10240k" in seen.lines[0]
    assert seen.lines[1] == "7:700"
    assert "Read-only file system" in seen.stderr
    # filled from the image as every new volume is, and written by the container
    assert sorted(path.name for path in place.iterdir()) == ["deep", "link", "new"]
    lost = run("run", "--rm", "-v", "lost:/x", "made", "true", status=125)
    assert "error while mounting volume 'lost': failed to mount local volume: /not/there: no such file" in lost.stderr
    # one that is there keeps its own options
    options = "volume-opt=type=tmpfs,volume-opt=device=tmpfs"
    mount = f"type=volume,src=host,dst=/x,{options}"
    assert run("run", "--rm", "--network", "none", "--mount", mount, "made", "cat", "/x/new").stdout == "new\n"
    run("volume", "rm", "host")
    assert (place / "new").read_text() == "new\n"
    run("create", "--name", "other", "--mount", mount, "made")
    assert json.loads(run("volume", "inspect", "-f", template, "host").stdout) == {"device": "tmpfs", "type": "tmpfs"}
    assert store.found(clean=True) == []


def test_a_part_of_a_volume_is_mounted_and_nothing_beyond_it(store: Store) -> None:
    run = store.sandbox.run
    script = "mkdir -p /kept/sub/deep; echo part > /kept/sub/deep/file; ln -s /etc /kept/out; ln -s sub /kept/in"
    run("run", "--rm", "--network", "none", "-v", "kept:/kept", "made", "sh", "-c", script)

    def show(path: str, status: int = 0) -> tuple[str, str]:
        mount = f"type=volume,src=kept,dst=/part,volume-subpath={path}"
        shown = run("run", "--rm", "--network", "none", "--mount", mount, "made", "cat", "/part/file", status=status)
        return shown.stdout, shown.stderr

    assert show("sub/deep") == show("in/deep") == ("part\n", "")
    assert "the path leads out of the volume" in show("out", 125)[1]
    assert "No such file or directory" in show("nothing", 125)[1]
    assert "subpath must be a relative path within the volume" in show("../..", 125)[1]


def test_what_no_container_comes_of_leaves_no_unnamed_volume(store: Store) -> None:
    taken = store.sandbox.run("create", "--name", "job", "-v", "/unnamed", "-v", "named:/x", "made", status=125)
    assert "already in use" in taken.stderr
    assert store.sandbox.run("volume", "ls", "-q").lines == ["kept", "named"]
    assert store.found(clean=True) == []


def test_a_volume_that_is_gone_without_a_trace_is_made_again(store: Store) -> None:
    store.in_namespace('rm -r "$1"', store.root / "volumes/kept")
    store.query("DELETE FROM volume")
    (finding,) = store.check(clean=False)["findings"]
    assert (finding["name"], finding["problem"]) == ("kept", "it is gone, and container job mounts it")
    store.check("--repair", clean=True)
    assert store.sandbox.run("start", "-a", "job").status == 0
    assert store.sandbox.run("volume", "ls", "-q").lines == ["kept"]
    store.is_whole()
