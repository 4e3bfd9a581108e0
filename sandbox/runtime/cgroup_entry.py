"""How a process comes into its container's cgroup: brought there from outside, before it does anything.

    who starts it                    child in between              the process
    CgroupEntry(path)
    fork ─────────────────────────▶  namespaces
                                     fork ───────────────────────▶ wait()
           ◀────────────── its pid   ends
    bring(pid) ──────────────────────────────────────────────────▶ goes on

Nobody else is ever in the cgroup: if the child in between went in and forked there, two would be for a moment, and
`--pids-limit 1` would let no container start.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class CgroupEntry:
    """One for each process, made before the fork. "" is no cgroup: nothing happens then."""

    def __init__(self, cgroup: str, env: Mapping[str, str]) -> None:
        self._cgroup = cgroup
        self._env = env
        self._reading, self._writing = os.pipe() if cgroup else (-1, -1)

    def bring(self, pid: int) -> None:
        """Put the process there and let it go on. Raises StartError, and then the process ends."""
        if not self._cgroup:
            return
        # a container without limits has no use for it
        from sandbox.runtime.cgroups import join_cgroup

        try:
            join_cgroup(self._cgroup, pid, self._env)
            os.write(self._writing, b"j")
        finally:
            self.close()

    def wait(self) -> None:
        """In the process: return when it is in the cgroup; it ends where it was not brought there."""
        if not self._cgroup:
            return
        os.close(self._writing)
        if os.read(self._reading, 1) != b"j":
            os._exit(1)
        os.close(self._reading)

    def close(self) -> None:
        """Give the descriptors back; harmless when called twice."""
        for fd in (self._reading, self._writing):
            if fd >= 0:
                os.close(fd)
        self._reading = self._writing = -1
