"""The copies of records, and the database made again of them: whatever bytes of it are damaged."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
from typing import TYPE_CHECKING

import pytest

from sandbox import record_copies
from sandbox.container.model.documents import to_json
from sandbox.container.model.record import Container, ContainerConfig, ContainerState
from sandbox.container.model.store import (
    all_containers,
    delete_container,
    insert_container,
    rename_container,
    update_state,
)
from sandbox.container.request.kept import load_request
from sandbox.container.request.request import ContainerRequest
from sandbox.image.copies import keep_image_copies
from sandbox.image.references import parse_reference
from sandbox.image.store import ImageRecord, list_images, names_of, record_image
from sandbox.network.record import Network
from sandbox.network.store import all_networks, insert_network
from sandbox.paths import Paths
from sandbox.record_copies import (
    LostRecordsError,
    find_unrecorded,
    has_copy,
    keep_container_copy,
    keep_network_copy,
    read_copy,
)
from sandbox.state import connect_state
from sandbox.transactions import transaction
from sandbox.upkeep.rebuild import find_loss, rebuild_database
from sandbox.values import LogConfig
from sandbox.volume.store import Volume, create_volume, list_volumes, remove_volume
from storage.content import ContentStore

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    (tmp_path / "data").mkdir()
    return Paths(str(tmp_path / "data"), str(tmp_path), str(tmp_path))


def _container(number: int) -> Container:
    config = ContainerConfig("busybox", f"sha256:{'b' * 64}", (), ("sh",), log=LogConfig("local", (("a", "b"),)))
    return Container(f"{number:x}" * 64, f"c{number}", number, config, ContainerState("exited", exit_code=number))


def _image(content: ContentStore, number: int) -> ImageRecord:
    config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}, "number": number}
    image_id = content.put(json.dumps(config).encode())
    manifest = content.put(json.dumps({"config": {"digest": image_id}, "layers": []}).encode())
    return ImageRecord(image_id, "", (), config, "linux/amd64", manifest, number, number, number)


def _fill(paths: Paths) -> None:
    """Six containers, six images, six volumes and six networks."""
    content = ContentStore(f"{paths.data_root}/blobs")
    connection = connect_state(paths, checked=False)
    for number in range(1, 7):
        container = _container(number)
        os.makedirs(paths.container_data(container.id))
        # what an older program made has no request
        request = ContainerRequest("busybox", labels=(("number", str(number)),))
        insert_container(connection, container, to_json(request) if number % 2 else "")
        keep_container_copy(connection, container.id)
        create_volume(
            connection, paths, Volume(f"volume{number}", 0, {"number": str(number)}, anonymous=False, options={})
        )
        network = Network(
            f"{number:x}" * 64, f"network{number}", "bridge", number, f"10.{number}.0.0/16", labels={"a": ""}
        )
        with transaction(connection):
            insert_network(connection, network)
        keep_network_copy(connection, network.id)
        record_image(connection, _image(content, number), [parse_reference(f"image:{number}")], [("r", f"d{number}")])
    keep_image_copies(connection)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def _records(paths: Paths) -> list[object]:
    connection = connect_state(paths)
    try:
        images = sorted(list_images(connection))
        names = [names_of(connection, image.id) for image in images]
        containers = sorted(all_containers(connection))
        requests = [load_request(connection, container.id) for container in containers]
        networks = [network for network in all_networks(connection) if not network.is_predefined]
        return [containers, list_volumes(connection), images, names, requests, networks]
    finally:
        connection.close()


def _damage(data: bytes, chance: random.Random) -> bytes:
    damaged = bytearray(data)
    match chance.choice(("bits", "page", "end", "noise")):
        case "bits":
            for _ in range(chance.randint(1, 40)):
                damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        case "page":
            start = chance.randrange(len(damaged) // 4096) * 4096
            damaged[start : start + 4096] = bytes(4096)
        case "end":
            del damaged[chance.randrange(len(damaged)) :]
        case _:
            start = chance.randrange(len(damaged) - 300)
            damaged[start : start + 300] = chance.randbytes(300)
    return bytes(damaged)


@pytest.mark.parametrize("seed", [*range(8), 19, 56, 174, 194, 203, 215, 261, 372])
def test_a_damaged_database_keeps_every_record(paths: Paths, seed: int) -> None:
    _fill(paths)
    before = _records(paths)
    with open(paths.database, "rb") as file:
        whole = file.read()
    damaged = _damage(whole, random.Random(seed))
    with open(paths.database, "wb") as file:
        file.write(damaged)
    if find_loss(paths):
        rebuild_database(paths)
        assert find_loss(paths) == ""
        assert _records(paths) == before
    else:
        # damage that no check can tell from what was written: the rows are there, and can be read
        after = _records(paths)
        assert [len(part) for part in after if isinstance(part, list)] == [6] * 6
    assert not os.path.exists(f"{paths.data_root}/.old-database")


def test_what_a_killed_repair_left_is_no_hindrance(paths: Paths) -> None:
    _fill(paths)
    before = _records(paths)
    for left in ("state.db.new", "state.db.new-wal", "images/.x.new"):
        with open(f"{paths.data_root}/{left}", "wb") as file:
            file.write(b"half")
    os.mkdir(f"{paths.data_root}/.old-database")
    os.unlink(paths.database)
    rebuild_database(paths)
    assert _records(paths) == before
    assert not os.path.exists(f"{paths.data_root}/.old-database")


def test_the_log_of_another_database_is_not_replayed(paths: Paths) -> None:
    """SQLite would take what lies beside a database for its own, and write it into the new one."""
    _fill(paths)
    before = _records(paths)
    connection = connect_state(paths)
    connection.execute("DELETE FROM setting")
    connection.execute("INSERT INTO setting VALUES ('late', 'x')")
    log = paths.database + "-wal"
    assert os.path.getsize(log) > 0
    shutil.copyfile(log, log + ".kept")
    connection.close()
    os.unlink(paths.database)
    os.rename(log + ".kept", log)
    kept = rebuild_database(paths)
    assert os.path.exists(f"{kept}-wal")
    assert _records(paths) == before


def test_a_copy_is_there_only_while_its_row_is(paths: Paths) -> None:
    _fill(paths)
    connection = connect_state(paths)
    container = _container(1)
    copy = f"{paths.container_data(container.id)}/record.json"
    rename_container(connection, container.id, "other")
    update_state(connection, container.id, lambda state: state._replace(status="running", monitor_pid=5))
    found = read_copy(copy)
    assert found is not None
    assert (found["name"], found["state"]["status"]) == ("other", "running")
    shutil.rmtree(paths.container_data(container.id))
    with transaction(connection):
        delete_container(connection, container.id)
    assert find_unrecorded(connection, paths.data_root) == {}
    with transaction(connection):
        delete_container(connection, _container(2).id)
    assert find_unrecorded(connection, paths.data_root) == {"container": [_container(2).id]}
    connection.close()


def test_a_volume_that_is_made_again_meanwhile_is_not_lost(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its directory was listed, its row looked for when there was none, its copy read when there was a new one."""
    connection = connect_state(paths)
    create_volume(connection, paths, Volume("again", 0, {}, False, {}))
    remove_volume(paths, "again")
    list_names = os.listdir

    def list_before(path: str) -> list[str]:
        return [*list_names(path), "again"] if path == paths.volumes else list_names(path)

    def make_again(data_root: str, table: str, name: str) -> bool:
        create_volume(connection, paths, Volume("again", 0, {}, False, {}))
        return has_copy(data_root, table, name)

    monkeypatch.setattr(os, "listdir", list_before)
    monkeypatch.setattr(record_copies, "has_copy", make_again)
    other = sqlite3.connect(paths.database, isolation_level=None)
    assert find_unrecorded(other, paths.data_root) == {"volume": ["again"]}
    remove_volume(paths, "again")
    record_copies.refuse_lost_records(other, paths.data_root, paths.database)
    monkeypatch.undo()
    connection.execute("DELETE FROM volume")
    with pytest.raises(LostRecordsError, match="1 volume"):
        record_copies.refuse_lost_records(other, paths.data_root, paths.database)
    other.close()
    connection.close()


def test_a_database_that_was_replaced_is_an_error_of_its_own(paths: Paths) -> None:
    _fill(paths)
    old = sqlite3.connect(paths.database)
    new = sqlite3.connect(f"{paths.data_root}/older")
    old.backup(new)
    new.execute("DELETE FROM container WHERE name = 'c1'")
    new.execute("DELETE FROM volume")
    new.commit()
    old.close()
    new.close()
    os.rename(f"{paths.data_root}/older", paths.database)
    with pytest.raises(LostRecordsError, match="does not know 1 container and 6 volumes"):
        connect_state(paths)
    connect_state(paths, checked=False).close()


def test_a_damaged_row_does_not_spoil_its_copy(paths: Paths) -> None:
    _fill(paths)
    connection = connect_state(paths)
    connection.execute("UPDATE image SET manifest_digest = ?", (f"sha256:{'0' * 64}",))
    directory = f"{paths.data_root}/images"
    before = {name: read_copy(f"{directory}/{name}") for name in os.listdir(directory)}
    keep_image_copies(connection)
    connection.close()
    assert {name: read_copy(f"{directory}/{name}") for name in os.listdir(directory)} == before
