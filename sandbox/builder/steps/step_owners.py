"""Names of users and groups, looked up in the tree a step works on: `--chown`, USER, what WORKDIR makes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.builder.sources.copy_sources import StepError
from sandbox.errors import StartError
from sandbox.runtime.unmapped_ids import check_mapped
from sandbox.runtime.users import read_account_text, resolve_identity

if TYPE_CHECKING:
    from sandbox.builder.stage_state import StageState
    from sandbox.dockerfile.parser import Node


def find_owner(root_fd: int, chown: str) -> tuple[int, int]:
    """Uid and gid of the "user[:group]" of `--chown`. Raises StepError, UnmappedIdError."""
    try:
        owner = _look_up(root_fd, chown)
    except StartError as error:
        raise StepError(f"--chown={chown}: {error.message}", mend="--chown=UID:GID, numbers") from error
    check_mapped(*owner)
    return owner


def find_user(stage: StageState, root_fd: int, node: Node) -> tuple[int, int] | None:
    """Uid and gid of the stage's USER, None where it has none. Raises DockerfileError at the USER that set it, or at
    `node` where the stage began with it.
    """
    user = stage.image.user
    if not user:
        return None
    try:
        return _look_up(root_fd, user)
    except StartError as error:
        at, origin = (stage.user_node, "") if stage.user_node else (node, ", which the stage began with")
        raise at.error(
            f"USER {user}{origin}: {error.message}", mend="USER UID:GID, numbers; or add the account in a RUN above"
        ) from error


def _look_up(root_fd: int, text: str) -> tuple[int, int]:
    user, colon, _group = text.partition(":")
    accounts = (read_account_text(root_fd, f"etc/{name}") for name in ("passwd", "group"))
    identity = resolve_identity(text, (), *accounts)
    uid, gid = identity.uid, identity.gid
    if not colon and user.isascii() and user.isdigit():
        gid = uid
    return uid, gid
