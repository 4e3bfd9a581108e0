"""`--security-opt`: seccomp, no-new-privileges, systempaths; labels and AppArmor profiles only to switch them off."""

from __future__ import annotations

from sandbox.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.caller_directory import CallerDirectory

_LARGEST_PROFILE_BYTES = 4 * 1024 * 1024


def parse_security_option(text: str) -> str:
    """One option in the record's form: "no-new-privileges", "seccomp=unconfined", "seccomp={…}",
    "systempaths=unconfined", or "" for one that asks for what is so already. Raises UsageError.
    """
    name, value = _split(text)
    if name == "no-new-privileges":
        if value not in ("", "true", "false"):
            raise UsageError(f"invalid --security-opt: {text!r}", mend="--security-opt no-new-privileges")
        return "" if value == "false" else name
    if name == "seccomp":
        if value in ("unconfined", "builtin"):
            return "seccomp=unconfined" if value == "unconfined" else ""
        return f"seccomp={_check_profile(value)}"
    if name == "systempaths" and value == "unconfined":
        return "systempaths=unconfined"
    # without root no AppArmor profile or SELinux label is ever applied: off is what these are
    if (name, value) in (("apparmor", "unconfined"), ("label", "disable")):
        return ""
    if name in ("apparmor", "label"):
        raise UsageError(
            f"--security-opt {name} is not supported: {text!r}",
            cause="loading a profile or setting a label needs root",
            mend=f"--security-opt {'apparmor=unconfined' if name == 'apparmor' else 'label=disable'}",
        )
    raise UsageError(f"invalid --security-opt: {text!r}")


def read_security_option(text: str, cwd: CallerDirectory) -> str:
    """`text` again, checked, with the content of a seccomp profile in place of its path. Raises UsageError.

    A profile is read now: a file that changes later must not change a container that was made.
    """
    name, value = _split(text)
    if name == "seccomp" and value not in ("unconfined", "builtin"):
        return f"seccomp={_read_profile(cwd.absolute(value))}"
    parse_security_option(text)
    return text


def _split(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals and ":" in text:
        # the older form, still in scripts
        name, equals, value = text.partition(":")
    if not value and name != "no-new-privileges":
        raise UsageError(f"invalid --security-opt: {text!r}")
    return name, value


def _read_profile(path: str) -> str:
    import json

    try:
        with open(path, "rb") as file:
            content = file.read(_LARGEST_PROFILE_BYTES + 1)
        profile = json.loads(content) if len(content) <= _LARGEST_PROFILE_BYTES else None
    except OSError as error:
        raise UsageError(
            f"opening seccomp profile ({path}) failed", cause=error.strerror or str(error), mend=f"ls -l {path}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"compacting json for seccomp profile ({path}) failed: {error}") from error
    if not isinstance(profile, dict) or "defaultAction" not in profile:
        raise UsageError(f"the seccomp profile {path} is not an object with a defaultAction")
    return json.dumps(profile, separators=(",", ":"))


def _check_profile(text: str) -> str:
    import json

    try:
        profile = json.loads(text) if len(text) <= _LARGEST_PROFILE_BYTES else None
    except (ValueError, RecursionError):
        profile = None
    if not isinstance(profile, dict) or "defaultAction" not in profile:
        raise UsageError("the seccomp profile is not a JSON object with a defaultAction")
    return text
