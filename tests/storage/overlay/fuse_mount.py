"""A FUSE overlay for tests: mounted in the namespace that the caller is in, served by a child."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from storage.syscalls import MNT_DETACH, umount2
from tests.storage.namespace import call_in_namespace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

NEEDS = ("userns", "subids", "fuse", "pyfuse3")


class Mounted(NamedTuple):
    """`root` is where it is mounted, `server` the process that serves it."""

    root: str
    server: int
    upper: str
    work: str

    def kill_server(self) -> None:
        os.kill(self.server, signal.SIGKILL)
        os.waitpid(self.server, 0)


@contextmanager
def mounted(
    place: str, layers: Sequence[str], prepare: Callable[[], None] = lambda: None, **more: Any
) -> Iterator[Mounted]:
    """The overlay of `layers`, lowest first, with upper and work directories below `place`; `more` is OverlayConfig's.

    `prepare` is called in the server before it serves.
    """
    from storage.overlay.fuse.serving.mounting import FuseOptions, mount_fuse  # not everywhere is pyfuse3 installed

    for name in ("fuse-upper", "fuse-work", "fuse-merged"):
        os.makedirs(f"{place}/{name}", exist_ok=True)
    root = f"{place}/fuse-merged"
    fd = mount_fuse(root, FuseOptions("fuse.sandbox-overlay", "sandbox-overlay"))
    ready, told = os.pipe()
    server = os.fork()
    if server == 0:
        os.close(ready)
        _serve(fd, told, layers, place, prepare, more)
    os.close(fd)
    os.close(told)
    with open(ready, "rb") as pipe:
        answer = pipe.read(1)
    found = Mounted(root, server, f"{place}/fuse-upper", f"{place}/fuse-work")
    try:
        assert answer == b"r", "the server did not start"
        yield found
    finally:
        umount2(root, MNT_DETACH)
        # what the test left open would keep the mount
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(server, signal.SIGTERM)
            os.waitpid(server, 0)


def _serve(fd: int, told: int, layers: Sequence[str], place: str, prepare: Callable[[], None], more: Any) -> None:
    import traceback

    from storage.overlay.fuse.config import OverlayConfig
    from storage.overlay.fuse.server import serve

    def ready() -> None:
        os.write(told, b"r")
        os.close(told)

    status = 1
    try:
        prepare()
        config = OverlayConfig(tuple(layers), f"{place}/fuse-upper", f"{place}/fuse-work", **more)
        serve(config, f"/dev/fd/{fd}", ready)
        status = 0
    except BaseException:  # noqa: BLE001  # the end of a process
        traceback.print_exc()
    finally:
        os._exit(status)


def in_overlay(place: str, layers: Sequence[str], act: Callable[..., Any], *args: Any, **more: Any) -> Any:
    """What `act(root, *args)` returns, called in a namespace with the overlay mounted."""
    return call_in_namespace(_in_overlay, place, layers, act, args, more)


def _in_overlay(place: str, layers: Sequence[str], act: Callable[..., Any], args: Any, more: Any) -> Any:
    with mounted(place, layers, **more) as found:
        return act(found.root, *args)
