"""The process that is to be mapped, and the one that maps it: what either sees of the other's end."""

from __future__ import annotations

import os

import pytest

from sandbox.errors import HostError
from sandbox.runtime.user_namespace import enter_user_namespace, make_peers, map_forked_child

pytestmark = pytest.mark.requires("userns", "subids")


def test_a_child_that_ends_before_it_is_mapped_is_an_error_of_ours() -> None:
    go_read, go_write = os.pipe()
    peers = make_peers()
    pid = os.fork()
    if pid == 0:
        # it unshares and asks for its maps, and is gone once these are being written
        os.close(go_write)
        enter_user_namespace(peers, lambda: os._exit(os.read(go_read, 1) != b"g"))
    os.close(go_read)

    def end_child() -> None:
        os.write(go_write, b"g")
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

    try:
        with pytest.raises(HostError, match="ended early"):
            map_forked_child(peers, pid, meanwhile=end_child)
    finally:
        os.close(go_write)
