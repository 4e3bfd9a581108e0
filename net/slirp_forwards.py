"""The ports that the router's slirp4netns forwards itself (`--port-driver slirp4netns`), held against what is wanted.

A forward leads from the host's port straight to a container's address, for which the router answers on its tap. Who
publishes a port opens it; what the keeper does is the rest: ports of a container that is gone are closed, those that
lead to an address that it has no more are led to the new one, and all are opened again after slirp4netns was.

What leads to the address of a new container was left by one that is gone. What leads to nobody, left by one that was
killed together with the keeper, is closed when each monitor has had time to come again.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import trio

from net.errors import NetError
from net.ports import Forward
from net.slirp_client import SlirpApi
from net.slirp_protocol import HostForward

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from net.keeper_protocol import KeeperMember

#: in which all monitors have found the keeper that follows a killed one
_RETURN_SECONDS = 5.0


class SlirpForwards:
    """Settles the forwards of the slirp4netns that listens on `api_socket`. `note` takes lines for people."""

    def __init__(self, api_socket: str, note: Callable[[str], None]) -> None:
        self._api = SlirpApi(api_socket)
        self._note = note
        self._members: dict[str, KeeperMember] = {}
        #: what leads to these is to be looked at
        self._due: set[str] = set()
        self._changed = trio.Event()

    def know(self, member: KeeperMember) -> None:
        """A container as it is from now on. Most have none of these ports, and cost nothing."""
        before = self._members.get(member.container)
        if member.forward_target:
            self._members[member.container] = member
        else:
            self._members.pop(member.container, None)
        targets = {one.forward_target for one in (before, member) if one is not None and one.forward_target}
        if targets and before != member:
            self._look_at(targets)

    def leave(self, container: str) -> None:
        """The container is gone."""
        member = self._members.pop(container, None)
        if member is not None:
            self._look_at({member.forward_target})

    async def run(self) -> None:
        """Settle what changes, and what an earlier keeper has left."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._close_forgotten)
            while True:
                await self._changed.wait()
                self._changed = trio.Event()
                due, self._due = self._due, set()
                await self._settle(due)

    async def reopen(self) -> None:
        """slirp4netns has been started anew: open all that there are."""
        for wanted in self._wanted():
            await self._open(wanted)

    def _look_at(self, targets: Collection[str]) -> None:
        self._due |= {*targets}
        self._changed.set()

    def _wanted(self) -> list[HostForward]:
        return [
            HostForward(0, Forward(one.host_ip, one.host_port, one.protocol), one.container_port, member.forward_target)
            for member in self._members.values()
            for one in member.forwards
        ]

    async def _settle(self, targets: Collection[str]) -> None:
        try:
            present = await self._api.list_hostfwd()
            wanted = [one for one in self._wanted() if one.address in targets]
            await self._close(one for one in present if one.address in targets and one._replace(id=0) not in wanted)
        except NetError as error:
            # with slirp4netns gone its forwards are too, and what it opens anew is what is wanted then
            self._note(f"the ports of slirp4netns: {error.message}: {error.cause}")
            return
        there = {one._replace(id=0) for one in present}
        for one in wanted:
            if one not in there:
                await self._open(one)

    async def _close_forgotten(self) -> None:
        await trio.sleep(_RETURN_SECONDS)
        # where there is no slirp4netns there is nothing to close
        with suppress(NetError):
            present = await self._api.list_hostfwd()
            known = {member.forward_target for member in self._members.values()}
            await self._close(one for one in present if one.address not in known)

    async def _close(self, forwards: Iterable[HostForward]) -> None:
        for one in forwards:
            await self._api.remove_hostfwd(one.id)

    async def _open(self, wanted: HostForward) -> None:
        try:
            await self._api.add_hostfwd(wanted.forward, wanted.container_port, wanted.address)
        except NetError as error:
            self._note(f"port {wanted.forward} is not open again: {error.message}: {error.cause}")
