"""What the workers of a project's run do, each in a process of its own: the table, and what is Compose's own in it."""

from __future__ import annotations

from sandbox.warm.registry import Operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox.compose.hook_requests import Hooks
    from sandbox.container.request.request import ContainerRequest
    from sandbox.operation_context import OperationContext
    from sandbox.values import MountRequest

_HERE = "sandbox.compose.work"
_CONTAINER = "sandbox.container.operations"

OPERATIONS: Mapping[str, Operation] = {
    "create": Operation(_HERE, "create"),
    "recreate": Operation(_HERE, "recreate"),
    "remove": Operation(_HERE, "stop_and_remove", reports="stopped"),
    "kill": Operation(_CONTAINER, "kill"),
    "rename": Operation(_CONTAINER, "rename"),
    "pre_start": Operation("sandbox.compose.hooks", "run_before", lasts=True),
    "start": Operation(_HERE, "start", lasts=True),
    "stop": Operation(_HERE, "stop"),
    "restart": Operation(_HERE, "restart"),
    "create_network": Operation("sandbox.network.operations", "create"),
    "remove_network": Operation("sandbox.network.operations", "remove"),
    "create_volume": Operation("sandbox.volume.operations", "create"),
    "remove_volume": Operation("sandbox.volume.operations", "remove"),
    "remove_image": Operation("sandbox.image.operations", "remove"),
}

#: what these import as they go
PRELOADED: tuple[str, ...] = (
    "sandbox.container.life.creation",
    "sandbox.container.life.driver_choice",
    "sandbox.container.life.image_lookup",
    "sandbox.container.life.publish",
    "sandbox.container.life.remove",
    "sandbox.container.life.start",
    "sandbox.container.life.stop",
    "sandbox.container.monitor.process",
    "sandbox.container.request.merging",
    "sandbox.image.store",
    "sandbox.state",
    "sandbox.volume.volumes",
)


def create(context: OperationContext, request: ContainerRequest) -> tuple[str, tuple[str, ...]]:
    """Make a container of a service; its id, and what is to be known of it, a sentence each. Raises as `create` of
    containers.
    """
    from sandbox.container.operations import create as create_container

    created = create_container(context, request)
    return created.container.id, created.warnings


def recreate(
    context: OperationContext,
    request: ContainerRequest,
    old_id: str,
    successor_id: str,
    *,
    timeout_seconds: int | None,
    renews_volumes: bool,
    hooks: Hooks,
) -> tuple[str, ...]:
    """Put a new container in the place of the one with `old_id`: made under a name of its own, and called by that of
    the request when the old one is gone. One with `successor_id` was made before. What is to be known, a sentence each.

    Raises SandboxError; a successor that was made and the old one are what may be left, and are known by their names.
    """
    from sandbox.compose.names import temporary_name
    from sandbox.container.operations import rename

    name = request.name or ""
    warnings: tuple[str, ...] = ()
    if not successor_id:
        if not renews_volumes:
            request = with_old_volumes(context, request, old_id)
        successor_id, warnings = create(context, request._replace(name=temporary_name(old_id, name)))
    stop_and_remove(context, old_id, timeout_seconds=timeout_seconds, hooks=hooks)
    rename(context, successor_id, name)
    return warnings


def with_old_volumes(context: OperationContext, request: ContainerRequest, old_id: str) -> ContainerRequest:
    """The request with the unnamed volumes of a container that has any where the new one would get some as well.
    Raises NotFoundError where it is gone.
    """
    from sandbox.container.operations import look_up
    from sandbox.values import MountRequest

    old = {
        mount.target: mount.source
        for mount in look_up(context, old_id).config.mounts
        if mount.kind == "volume" and mount.anonymous
    }
    if not old:
        return request
    wanted = {text for text in request.binds if ":" not in text}
    wanted |= {mount.target for mount in request.mounts if mount.kind == "volume" and not mount.source}
    wanted |= set(_volumes_of_image(context, request.image))
    taken = sorted(old.keys() & wanted)
    kept = [MountRequest("volume", old[target], target, unnamed=True) for target in taken]
    return request._replace(
        binds=tuple(text for text in request.binds if text not in taken),
        mounts=(*(mount for mount in request.mounts if not _is_unnamed(mount, taken)), *kept),
    )


def _is_unnamed(mount: MountRequest, targets: list[str]) -> bool:
    return mount.kind == "volume" and not mount.source and mount.target in targets


def _volumes_of_image(context: OperationContext, name: str) -> tuple[str, ...]:
    from sandbox.container.request.image_defaults import read_image_defaults
    from sandbox.image.store import find_image
    from sandbox.state import open_state

    with open_state(context.paths, durable=False) as connection:
        image = find_image(connection, name)
    return tuple(read_image_defaults(image.config, name).volumes) if image is not None else ()


def start(context: OperationContext, word: str, *, hooks: Hooks) -> None:
    """Start the container, and then run the hooks in it. Raises SandboxError."""
    from sandbox.container.operations import start as start_container

    start_container(context, word)
    if hooks.commands:
        from sandbox.compose.hooks import run_hooks

        run_hooks(context, word, hooks)


def stop(context: OperationContext, word: str, *, timeout_seconds: int | None, hooks: Hooks) -> None:
    """Run the hooks in the container and stop it; `timeout_seconds` is before it is killed. Raises SandboxError."""
    from sandbox.container.operations import StopRequest
    from sandbox.container.operations import stop as stop_container

    _before_stop(context, word, hooks)
    stop_container(context, word, StopRequest(timeout_seconds=timeout_seconds))


def _before_stop(context: OperationContext, word: str, hooks: Hooks) -> None:
    if hooks.commands:
        from sandbox.compose.hooks import run_hooks_before_stop

        run_hooks_before_stop(context, word, hooks)


def restart(context: OperationContext, word: str, *, timeout_seconds: int | None, hooks: Hooks, started: Hooks) -> None:
    """Stop the container and start it, with `hooks` before that and those `started` behind it; `timeout_seconds` is
    before it is killed. Raises SandboxError.
    """
    from sandbox.container.operations import StopRequest
    from sandbox.container.operations import restart as restart_container

    _before_stop(context, word, hooks)
    restart_container(context, word, StopRequest(timeout_seconds=timeout_seconds))
    if started.commands:
        from sandbox.compose.hooks import run_hooks

        run_hooks(context, word, started)


def stop_and_remove(
    context: OperationContext,
    word: str,
    *,
    timeout_seconds: int | None,
    hooks: Hooks,
    volumes: bool = False,
    stopped: Callable[[str], None] | None = None,
) -> None:
    """Stop the container and remove it; nothing happens where it is gone. Raises SandboxError."""
    from sandbox.container.operations import remove
    from sandbox.errors import NotFoundError

    try:
        stop(context, word, timeout_seconds=timeout_seconds, hooks=hooks)
        if stopped is not None:
            stopped("Stopped")
        remove(context, word, force=True, volumes=volumes)
    except NotFoundError:
        pass  # somebody else has removed it
