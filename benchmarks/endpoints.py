"""What a router, and each of fifty endpoints on one network, takes: `unshare -Ur python -m benchmarks.endpoints`.

Times of the kernel and of our own code, with no container around them; medians of ten routers.
"""

from __future__ import annotations

import statistics
import time

from net.endpoints import add_endpoint, remove_endpoint
from net.router import make_router
from tests.net.bridge_containers import bridge, endpoint, make_container

_ROUTERS, _ENDPOINTS = 10, 50


def main() -> None:
    """Print the table."""
    routers: list[float] = []
    adding: list[list[float]] = []
    removing: list[list[float]] = []
    for _turn in range(_ROUTERS):
        start = time.perf_counter()
        made, routing = make_router()
        routers.append(time.perf_counter() - start)
        rows = [endpoint(bridge(), last) for last in range(2, 2 + _ENDPOINTS)]
        containers = [make_container() for _each in rows]
        adding.append([])
        for container, row in zip(containers, rows, strict=True):
            start = time.perf_counter()
            add_endpoint(routing, container.inside, container.net_fd, row)
            adding[-1].append(time.perf_counter() - start)
        removing.append([])
        for row in rows:
            start = time.perf_counter()
            remove_endpoint(routing, row)
            removing[-1].append(time.perf_counter() - start)
        for container in containers:
            container.close()
        routing.close()
        made.close()
    print(f"router               {_milliseconds(routers)}")
    for place in (0, 1, _ENDPOINTS // 2, _ENDPOINTS - 1):
        print(f"endpoint {place + 1:2} made     {_milliseconds([turn[place] for turn in adding])}")
    for place in (0, _ENDPOINTS - 1):
        print(f"endpoint {place + 1:2} removed  {_milliseconds([turn[place] for turn in removing])}")


def _milliseconds(seconds: list[float]) -> str:
    return f"{statistics.median(seconds) * 1000:5.2f} ms, at best {min(seconds) * 1000:5.2f}"


if __name__ == "__main__":
    main()
