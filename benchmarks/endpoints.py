"""What a router, and each of fifty endpoints on one network, takes: `unshare -Ur python -m benchmarks.endpoints`.

Times of the kernel and of our own code, with no container around them; medians of five routers.
"""

from __future__ import annotations

import statistics
import time
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from net.endpoints import add_endpoint, remove_endpoint
from net.router import make_router
from tests.net.bridge_containers import bridge, endpoint, make_container

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_TURNS, _ENDPOINTS = 5, 50


def main() -> None:
    """Print the table."""
    routers: list[float] = []
    adding: list[list[float]] = []
    removing: list[list[float]] = []
    # all of them before there is anything to be taken away: the kernel does that beside us, under the same locks
    made = [_timed(routers, make_router) for _turn in range(_TURNS)]
    for _router, routing in made:
        rows = [endpoint(bridge(), last) for last in range(2, 2 + _ENDPOINTS)]
        containers = [make_container() for _each in rows]
        adding.append([])
        for container, row in zip(containers, rows, strict=True):
            _timed(adding[-1], partial(add_endpoint, routing, container.inside, container.net_fd, row))
        removing.append([])
        for row in (rows[0], rows[-1]):
            _timed(removing[-1], partial(remove_endpoint, routing, row))
    print(f"router               {_milliseconds(routers)}")
    for place in (0, 1, _ENDPOINTS // 2, _ENDPOINTS - 1):
        print(f"endpoint {place + 1:2} made     {_milliseconds([turn[place] for turn in adding])}")
    for place in (0, 1):
        print(f"endpoint {(1, _ENDPOINTS)[place]:2} removed  {_milliseconds([turn[place] for turn in removing])}")


def _timed(seconds: list[float], work: Callable[[], T]) -> T:
    start = time.perf_counter()
    result = work()
    seconds.append(time.perf_counter() - start)
    return result


def _milliseconds(seconds: list[float]) -> str:
    return f"{statistics.median(seconds) * 1000:5.2f} ms, at best {min(seconds) * 1000:5.2f}"


if __name__ == "__main__":
    main()
