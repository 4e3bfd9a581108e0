"""Docker semantics with no root and no system daemon.

For programs there is `Client`, and what it raises; docs/python-api.md describes them.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.client.client import Client as Client
    from sandbox.client.containers import ContainerError as ContainerError
    from sandbox.client.errors import APIError as APIError
    from sandbox.client.errors import BuildError as BuildError
    from sandbox.client.errors import Conflict as Conflict
    from sandbox.client.errors import ImageNotFound as ImageNotFound
    from sandbox.client.errors import InvalidArgument as InvalidArgument
    from sandbox.client.errors import NotFound as NotFound
    from sandbox.client.errors import NotSupported as NotSupported
    from sandbox.version import __version__ as __version__

__all__ = [
    "APIError",
    "BuildError",
    "Client",
    "Conflict",
    "ContainerError",
    "ImageNotFound",
    "InvalidArgument",
    "NotFound",
    "NotSupported",
    "__version__",
]


def __getattr__(name: str) -> object:
    """What a program asks for, imported then: every command imports this package, and needs nothing of it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    places = {"Client": "client.client", "ContainerError": "client.containers", "__version__": "version"}
    return getattr(import_module(f"sandbox.{places.get(name, 'client.errors')}"), name)
