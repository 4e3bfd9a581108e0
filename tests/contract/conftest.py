"""One store for all rows of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests import leaks, needs
from tests.command import Home, Sandbox
from tests.contract.engines import podman_engine, sandbox_engine
from tests.contract.standing import published_port, root_tar, standing_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.contract.engines import Engine


@pytest.fixture(scope="module")
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """The product, in a home with all that is standing."""
    lacking = [f"{word}: {why}" for word in ("busybox", *needs.CONTAINER) if (why := needs.missing(word))]
    if lacking:
        pytest.skip("; ".join(lacking))
    home = Home.make(request.config.getoption("--storage-driver"))
    sandbox = Sandbox(home)
    try:
        (home.root / "root.tar").write_bytes(root_tar())
        for words in standing_lines(published_port("sandbox")):
            sandbox.run(*words, status=3 if "old" in words else 0)
        with sandbox_engine(sandbox) as answer:
            yield answer
    finally:
        sandbox.remove_containers()
        left = leaks.wait_processes_gone(str(home.root))
        leaks.kill(left)
        home.remove()
    assert not left, "left running: " + "; ".join(left)


@pytest.fixture(scope="module")
def podman() -> Iterator[Engine]:
    """The same in a store of podman's."""
    home = Home.make()
    env = {**home.env, "TMPDIR": str(home.root)}
    # podman does without the file, but not where it was named
    del env["DOCKER_CONFIG"]
    answer = podman_engine(env, home.root)
    try:
        (home.root / "root.tar").write_bytes(root_tar())
        for words in standing_lines(published_port("podman")):
            done = answer(words, "")
            assert done.status == (3 if "old" in words else 0), f"podman {' '.join(words)}: {done.stderr}"
        yield answer
    finally:
        answer(["rm", "-fa", "-t", "0"], "")
        # its process that holds a namespace ends with it
        answer(["system", "migrate"], "")
        home.remove()
