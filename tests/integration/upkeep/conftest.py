"""A store with something of every kind in it, and a hand that damages it."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.integration.builder.conftest import load_layout
from tests.subordinate import run_as_namespace_root

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.command import Home, Sandbox
    from tests.conftest import FilledHome

_DOCKERFILE = "FROM busybox\nRUN mkdir -p /made/deep && echo made > /made/deep/file && ln /made/deep/file /made/link\n"


class Store(NamedTuple):
    """`busybox` was loaded (gzip), `made` built on it; container `job` has run in it, with the volume `kept`."""

    sandbox: Sandbox

    @property
    def root(self) -> Path:
        return self.sandbox.home.data / "sandbox"

    def check(self, *options: str, clean: bool) -> dict[str, Any]:
        """What `system check` says; `clean` is whether it must find nothing wrong."""
        done = self.sandbox.run("system", "check", "--format", "json", *options, status=0 if clean else 1)
        document: dict[str, Any] = json.loads(done.stdout)
        assert document["ok"] is clean
        return document

    def found(self, *options: str, clean: bool = False) -> list[tuple[str, str]]:
        """Kind and name of each finding."""
        return [(found["kind"], found["name"]) for found in self.check(*options, clean=clean)["findings"]]

    def query(self, statement: str, *values: object) -> list[Any]:
        with contextlib.closing(sqlite3.connect(self.root / "state.db")) as connection, connection:
            return connection.execute(statement, values).fetchall()

    def put_in_one_file(self) -> None:
        """Have all of the database in state.db: the monitor of what has just ended may have it open for a moment."""
        deadline = time.monotonic() + 60
        while True:
            self.query("PRAGMA wal_checkpoint(TRUNCATE)")
            if not (self.root / "state.db-wal").exists():
                return
            assert time.monotonic() < deadline, "somebody holds the database"

    def layers(self, image: str) -> list[str]:
        """Its chain ids' digits, lowest first."""
        ((text,),) = self.query(
            "SELECT layers FROM image JOIN image_name ON image_id = id WHERE name = ?",
            f"docker.io/library/{image}:latest",
        )
        return [chain_id.removeprefix("sha256:") for chain_id in json.loads(text)]

    def tree(self, image: str, position: int = -1) -> Path:
        return self.root / "layers" / self.layers(image)[position] / "diff"

    def manifest(self, image: str) -> dict[str, Any]:
        ((digest,),) = self.query(
            "SELECT manifest_digest FROM image JOIN image_name ON image_id = id WHERE name = ?",
            f"docker.io/library/{image}:latest",
        )
        document: dict[str, Any] = json.loads(self.blob(digest).read_bytes())
        return {**document, "own digest": digest}

    def blob(self, digest: str) -> Path:
        return self.root / "blobs" / digest.replace(":", "/")

    def in_namespace(self, script: str, *arguments: object) -> None:
        """Run a shell script with power over what belongs to subordinate ids."""
        run_as_namespace_root(["sh", "-euc", script, "sh", *map(str, arguments)])

    def is_whole(self, clean: bool = True) -> None:
        """Nothing is wrong, and image, container and volume do their work."""
        assert self.found(clean=clean) == []
        assert self.sandbox.run("run", "--rm", "--network", "none", "made", "cat", "/made/link").stdout == "made\n"


@pytest.fixture(scope="session")
def built_home(filled_home: FilledHome, busybox_layout: Path) -> Iterator[Home]:
    """A home with the images of a `Store`."""

    def fill(sandbox: Sandbox) -> None:
        load_layout(sandbox, busybox_layout, "busybox")
        sandbox.run("build", "-q", "-t", "made", "-", input=_DOCKERFILE)

    with filled_home(fill) as home:
        yield home


@pytest.fixture
def store(sandbox: Sandbox, built_home: Home) -> Store:
    sandbox.home.take_store_of(built_home)
    script = "echo data > /kept/file; echo written > /written"
    sandbox.run("run", "--name", "job", "--network", "none", "-v", "kept:/kept", "made", "sh", "-c", script)
    return Store(sandbox)
