"""`system df` and the prunes: what nobody uses goes, and nothing else; what is told as freed is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.upkeep.conftest import Store

pytestmark = [pytest.mark.requires("userns", "subids", "overlay", "seccomp", "umoci", "busybox"), pytest.mark.slow]


def _usage(store: Store) -> dict[str, list[str]]:
    rows = store.sandbox.run("system", "df", "--format", "{{.Type}}|{{.TotalCount}}|{{.Active}}|{{.Size}}").lines
    return {kind: rest for kind, *rest in (row.split("|") for row in rows)}


def test_df_counts_what_is_there_and_in_use(store: Store) -> None:
    table = store.sandbox.run("system", "df").lines
    assert table[0].split() == ["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"]
    usage = _usage(store)
    assert usage["Images"][:2] == ["2", "1"]
    # /written of the container, /kept/file of its volume
    assert usage["Containers"] == ["1", "0", "8B"]
    assert usage["Local Volumes"] == ["1", "1", "5B"]
    assert usage["Build Cache"][0] == "1"


def test_stopped_containers_go_and_running_ones_stay(store: Store) -> None:
    running = store.sandbox.run("run", "-d", "--network", "none", "made", "sleep", "1000").stdout.strip()
    stopped = store.sandbox.run("ps", "-aq", "--no-trunc", "--filter", "name=job").stdout.strip()
    assert store.sandbox.run("container", "prune", input="n\n").stdout.endswith("[y/N] ")
    nothing = store.sandbox.run("container", "prune", "-f", "--filter", "label=nobody-has-it")
    assert nothing.lines == ["Total reclaimed space: 0B"]
    pruned = store.sandbox.run("container", "prune", "-f")
    assert pruned.lines == ["Deleted Containers:", stopped, "", "Total reclaimed space: 8B"]
    assert store.sandbox.run("ps", "-aq", "--no-trunc").lines == [running]
    store.sandbox.run("rm", "-f", running)


def test_images_without_a_name_go_and_with_all_those_without_a_container(store: Store) -> None:
    store.sandbox.run("build", "-q", "-t", "again", "-", input="FROM busybox\nRUN echo 1 > /f\n")
    first = store.sandbox.run("images", "-q", "--no-trunc", "again").stdout.strip()
    store.sandbox.run("build", "-q", "-t", "again", "-", input="FROM busybox\nRUN echo 2 > /f\n")
    pruned = store.sandbox.run("image", "prune", "-f").lines
    assert pruned[:2] == ["Deleted Images:", f"deleted: {first}"]
    assert sorted(store.sandbox.run("images", "--format", "{{.Repository}}").lines) == ["again", "busybox", "made"]
    store.sandbox.run("image", "prune", "-af")
    # a container was made of it
    assert store.sandbox.run("images", "--format", "{{.Repository}}").lines == ["made"]
    store.is_whole()


def test_what_df_calls_reclaimable_is_what_a_prune_frees(store: Store) -> None:
    def reclaimable(kind: str) -> str:
        rows = store.sandbox.run("system", "df", "--format", "{{.Type}}|{{.Reclaimable}}").lines
        return dict(row.split("|") for row in rows)[kind].split()[0]

    store.sandbox.run("build", "-q", "-t", "again", "-", input="FROM busybox\nRUN echo 1 > /f\n")
    # its base is in use, and its own layer is kept by the cache: what is left are its documents
    promised = reclaimable("Images")
    assert promised.endswith("kB")
    assert store.sandbox.run("image", "prune", "-af").lines[-1] == f"Total reclaimed space: {promised}"
    assert reclaimable("Images") == "0B"
    store.sandbox.run("rm", "-f", *store.sandbox.run("ps", "-aq").lines)
    store.sandbox.run("builder", "prune", "-af")
    promised = reclaimable("Images")
    assert promised.endswith("MB")
    assert store.sandbox.run("image", "prune", "-af").lines[-1] == f"Total reclaimed space: {promised}"


def test_a_pruned_record_is_told_as_one_that_could_be_had(store: Store) -> None:
    lines = store.sandbox.run("builder", "prune", "-af").lines
    assert lines[0].split()[:2] == ["ID", "RECLAIMABLE"]
    assert [line.split()[1] for line in lines[1:-1]] == ["true"]
    assert lines[-1].startswith("Total:")


def test_all_that_is_unused_goes(store: Store) -> None:
    refused = store.sandbox.run("system", "prune", input="\n").stdout
    warned = (
        "all stopped containers", "all networks not used by at least one container", "all dangling images",
        "unused build cache",
    )  # fmt: skip
    assert "".join(f"  - {one}\n" for one in warned) + "\nAre you sure" in refused
    filtered = store.sandbox.run("system", "prune", "--filter", "label=b", "--filter", "label!=a", input="n\n").stdout
    assert "cache\n\n  Items to be pruned will be filtered with:\n  - label!=a\n  - label=b\n\nAre you" in filtered
    docker = store.sandbox.home.root / "docker"
    docker.mkdir(exist_ok=True)
    (docker / "config.json").write_text('{"pruneFilters": ["label=nobody-has-it"]}')
    assert "filtered with:\n  - label=nobody-has-it\n" in store.sandbox.run("system", "prune", input="n\n").stdout
    for noun in ("container", "image", "volume", "system"):
        assert store.sandbox.run(noun, "prune", "-f").lines == ["Total reclaimed space: 0B"]
    (docker / "config.json").unlink()
    twice = store.sandbox.run("system", "prune", "--filter", "until=1h", "--filter", "until=2h", status=1)
    assert "more than one until filter specified" in twice.stderr
    pruned = store.sandbox.run("system", "prune", "-af").stdout
    assert "Deleted Containers:" in pruned
    assert "untagged: made:latest\ndeleted: sha256:" in pruned
    assert _usage(store)["Images"] == ["0", "0", "0B"]
    assert _usage(store)["Build Cache"][0] == "0"
    # named volumes are somebody's data
    assert _usage(store)["Local Volumes"] == ["1", "0", "5B"]
    assert store.found(clean=True) == []
    assert list((store.root / "blobs/sha256").iterdir()) == []


def test_what_was_cut_short_goes_with_a_prune_that_names_nothing(store: Store) -> None:
    run = store.sandbox.run
    partial = store.root / "blobs/partial" / ("1" * 64)
    partial.write_bytes(b"half" * 1000)
    build, gone = store.root / "build/killed", store.root / "volumes/.gone-data-999999999"
    for place in (build, gone):
        place.mkdir(parents=True)
        (place / "file").write_text("left")
    run("image", "prune", "-f", "--filter", "until=1h")
    assert partial.exists()
    assert run("image", "prune", "-f").lines == ["Total reclaimed space: 4kB"]
    assert not partial.exists()
    assert run("system", "prune", "-f", "--filter", "label=nobody-has-it").lines[-1] == "Total reclaimed space: 0B"
    assert gone.exists()
    assert run("system", "prune", "-f").lines[-1] != "Total reclaimed space: 0B"
    assert not gone.exists()
    assert not build.exists()
    store.query("DELETE FROM build_cache")
    layers = len(list((store.root / "layers").iterdir()))
    # the layer of `made` is nobody's once its image is gone without a trace
    store.query("DELETE FROM image_name WHERE name LIKE '%/made:latest'")
    pruned = run("image", "prune", "-f").lines
    assert pruned[0] == "Deleted Images:"
    assert len(list((store.root / "layers").iterdir())) == layers - 1
    assert store.found(clean=True) == []
