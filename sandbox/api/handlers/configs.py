"""Configs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.api.handlers import objects

if TYPE_CHECKING:
    from sandbox.api.call import Answer, Call


async def list_all(call: Call) -> Answer:
    """All of them, or those that pass."""
    return await objects.list_all(call, "config")


async def create(call: Call) -> Answer:
    """Keep one."""
    return await objects.create(call, "config")


async def inspect(call: Call) -> Answer:
    """All that is known of one."""
    return await objects.inspect(call, "config")


async def update(call: Call) -> Answer:
    """Give it other labels."""
    return await objects.update(call, "config")


async def remove(call: Call) -> Answer:
    """Remove it."""
    return await objects.remove(call, "config")
