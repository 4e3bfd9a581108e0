"""`--restart POLICY[:RETRIES]`."""

from __future__ import annotations

from sandbox.errors import UsageError
from sandbox.named_tuple import NamedTuple
from sandbox.values import RestartPolicy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

_FORMAT = "invalid restart policy format"
_NAMES: dict[str, Literal["no", "on-failure", "always", "unless-stopped"]] = {
    "": "no",
    "no": "no",
    "on-failure": "on-failure",
    "always": "always",
    "unless-stopped": "unless-stopped",
}


class PolicyText(NamedTuple):
    """The two parts of a policy's text, not yet checked against the policies there are."""

    name: str
    maximum_retries: int = 0


def split_policy(text: str) -> PolicyText:
    """The name and the count in `text`. Raises UsageError."""
    name, colon, count = text.partition(":")
    if colon and not name:
        raise UsageError(f"{_FORMAT}: no policy provided before colon")
    if not count:
        return PolicyText(name)
    digits = count.removeprefix("-")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 9:
        raise UsageError(f"{_FORMAT}: maximum retry count must be an integer")
    return PolicyText(name, int(count))


def parse_restart(text: str) -> RestartPolicy:
    """The policy that `text` names. Raises UsageError."""
    return check_restart(*split_policy(text))


def check_restart(name: str, retries: int) -> RestartPolicy:
    """The policy of this name. Raises UsageError for one that there is not, or that counts no retries."""
    known = _NAMES.get(name)
    if known is None:
        raise UsageError(
            f"invalid restart policy: unknown policy '{name}'; "
            "use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
        )
    if retries and known != "on-failure":
        raise UsageError("invalid restart policy: maximum retry count can only be used with 'on-failure'")
    if retries < 0:
        raise UsageError("invalid restart policy: maximum retry count cannot be negative")
    return RestartPolicy(known, retries)
