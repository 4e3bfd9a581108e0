"""slirp4netns kept running over one network namespace, by a trio program: started, waited for, started again.

When it ends its tap device goes too, and what starts next makes it anew; open connections out are lost, new ones work
again. How it is started, and what is left out where a version lacks it, is `net.slirp`'s, for monitors and the keeper.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

import trio

from net.errors import NetError
from net.keeper_protocol import WayOut
from net.slirp import clear_way, close_slirp, read_log, ready_steps, spawn_slirp

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from net.slirp import SlirpPlan, SlirpProcess

#: who ended within this time of its start waits a while for the next one
_SHORT_LIFE_SECONDS = 1.0
_FIRST_DELAY_SECONDS = 0.05
_LONGEST_DELAY_SECONDS = 10.0
#: between two looks at what it says, and how much of a line is kept
_WORDS_SECONDS = 1.0
_WORDS_LENGTH = 200
#: what it says of who connects to its API to see whether it is there
_EMPTY_CALL = "api_handler: rc=-1"


class SlirpSupervisor:
    """`run` keeps slirp4netns up until it is cancelled, which leaves it running: it ends with the last holder of its
    exit pipe.

    `plan` is asked for at each start and raises NetError where there can be none; `told` is called with each change,
    and with the process when it is ready, whose descriptors stay this object's. At each start but the first `came_up`
    is called, and then `reopened`. `note` takes lines for people.
    """

    def __init__(
        self,
        plan: Callable[[], SlirpPlan],
        *,
        told: Callable[[WayOut, SlirpProcess | None], None],
        came_up: Callable[[], None] = lambda: None,
        reopened: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint,
        note: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._plan = plan
        self._told, self._came_up, self._reopened, self._note = told, came_up, reopened, note
        self.way_out = WayOut()
        self.process: SlirpProcess | None = None
        self._restarts = 0
        self._delay = 0.0
        self._words = ""
        self._wanted = trio.Event()

    def want(self) -> None:
        """Somebody needs it: after a failure it is tried again at once, not when the delay is over."""
        if self.way_out.state == "failed":
            # what is told from now on is of that try
            self.way_out = WayOut("starting", restarts=self._restarts)
            self._wanted.set()

    async def run(self, process: SlirpProcess | None = None, failure: NetError | None = None) -> None:
        """Go on with a `process` that is ready, or with the `failure` to start one."""
        if failure is not None:
            self._fail(failure)
            await self._pause()
        while True:
            if process is None:
                process = await self._start()
            started = trio.current_time()
            self.process = process
            self._tell(WayOut("ready", process.pid, self._restarts, process.notes))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._read_words, process)
                await trio.lowlevel.wait_readable(process.pidfd)
                nursery.cancel_scope.cancel()
            self._take_leave(process)
            process = None
            self._restarts += 1
            if trio.current_time() - started < _SHORT_LIFE_SECONDS:
                await self._pause()
            else:
                self._delay = 0.0

    async def _start(self) -> SlirpProcess:
        while True:
            self._tell(WayOut("starting", restarts=self._restarts))
            try:
                process = await self._until_ready(self._plan())
                self._came_up()
            except NetError as error:
                self._fail(error)
                await self._pause()
                continue
            await self._reopened()
            return process

    async def _until_ready(self, plan: SlirpPlan) -> SlirpProcess:
        clear_way(plan)
        steps = ready_steps(plan, spawn_slirp(plan))
        try:
            fd, seconds = next(steps)
            while True:
                in_time = False
                with trio.move_on_after(seconds):
                    await trio.lowlevel.wait_readable(fd)
                    in_time = True
                fd, seconds = steps.send(in_time)
        except StopIteration as end:
            process: SlirpProcess = end.value
            return process
        finally:
            steps.close()

    async def _read_words(self, process: SlirpProcess) -> None:
        """Keep the last it has said: its pipe is full otherwise when that counts."""
        while True:
            await trio.lowlevel.wait_readable(process.log_fd)
            self._hear(process)
            # a container can make it talk without end
            await trio.sleep(_WORDS_SECONDS)

    def _hear(self, process: SlirpProcess) -> None:
        for line in read_log(process).splitlines():
            if line.strip() and not line.startswith(_EMPTY_CALL):
                self._words = line.strip()[:_WORDS_LENGTH]

    def _take_leave(self, process: SlirpProcess) -> None:
        self._hear(process)
        words, self._words = self._words, ""
        # of our own child; one that an earlier keeper started is reaped by somebody else
        with suppress(ChildProcessError):
            os.waitid(os.P_PIDFD, process.pidfd, os.WEXITED)
        close_slirp(process)
        self.process = None
        self._note(f"slirp4netns {process.pid} ended{': ' + words if words else ''}")

    def _fail(self, error: NetError) -> None:
        self._note(f"{error.message}: {error.cause}")
        self._tell(WayOut("failed", restarts=self._restarts, message=error.message, cause=error.cause, mend=error.mend))

    def _tell(self, way_out: WayOut) -> None:
        self.way_out = way_out
        self._told(way_out, self.process)

    async def _pause(self) -> None:
        self._delay = min(max(self._delay * 2, _FIRST_DELAY_SECONDS), _LONGEST_DELAY_SECONDS)
        self._wanted = trio.Event()
        with trio.move_on_after(self._delay):
            await self._wanted.wait()
