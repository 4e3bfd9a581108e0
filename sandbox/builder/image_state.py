"""The image a stage is becoming: its configuration and history, as BuildKit writes them."""

from __future__ import annotations

import copy
import json
import time
from typing import TYPE_CHECKING, Any

from sandbox.redaction import redact
from sandbox.values import DEFAULT_PATH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.image.platforms import Platform

DEFAULT_SHELL = ("/bin/sh", "-c")
_COMMENT = "buildkit.dockerfile.v0"
#: members of a base's document that say how that one was made
_DROPPED = ("id", "parent", "parent_id", "container", "container_config", "docker_version", "Size")


class ImageState:
    """`document` is an OCI image config without its rootfs; `config` the part a container starts from."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.config: dict[str, Any] = document["config"]
        self._command_is_set = False

    @classmethod
    def scratch(cls, platform: Platform) -> ImageState:
        document: dict[str, Any] = {"architecture": platform.architecture, "os": platform.os}
        if platform.variant:
            document["variant"] = platform.variant
        document["config"] = {"Env": [f"PATH={DEFAULT_PATH}"], "WorkingDir": "/"}
        document["history"] = []
        return cls(document)

    @classmethod
    def from_base(cls, base: dict[str, Any]) -> ImageState:
        document = {key: copy.deepcopy(value) for key, value in base.items() if key not in _DROPPED}
        document["config"] = {key: value for key, value in (document.get("config") or {}).items() if value is not None}
        document["history"] = list(document.get("history") or [])
        image = cls(document)
        if "PATH" not in image.environment:
            # as BuildKit does: `ENV PATH=/opt/bin:$PATH` means this one, and programs look for themselves in it
            image.set_environment({"PATH": DEFAULT_PATH})
        return image

    def inherit(self) -> ImageState:
        """The image of a stage that starts from this one."""
        return ImageState(copy.deepcopy(self.document))

    @property
    def environment(self) -> dict[str, str]:
        pairs = (entry.partition("=") for entry in self.config.get("Env") or ())
        # a base's entry without a name or without "=" sets nothing, and so it stays
        return {name: value for name, equals, value in pairs if name and equals}

    def set_environment(self, values: dict[str, str]) -> None:
        merged = {**self.environment, **values}
        self.config["Env"] = [f"{name}={value}" for name, value in merged.items()]

    @property
    def shell(self) -> tuple[str, ...]:
        return tuple(self.config.get("Shell") or DEFAULT_SHELL)

    @property
    def user(self) -> str:
        return str(self.config.get("User") or "")

    @property
    def directory(self) -> str:
        return str(self.config.get("WorkingDir") or "/")

    def set_command(self, words: Sequence[str]) -> None:
        self.config["Cmd"] = list(words)
        self._command_is_set = True

    def set_entrypoint(self, words: Sequence[str]) -> None:
        """Takes the base's CMD away: it was made for another entrypoint."""
        self.config["Entrypoint"] = list(words)
        if not self._command_is_set:
            self.config.pop("Cmd", None)

    def add_members(self, member: str, names: Sequence[str]) -> None:
        """For ExposedPorts and Volumes, which are sets written as objects."""
        self.config[member] = {**(self.config.get(member) or {}), **{name: {} for name in names}}

    def add_history(self, text: str, created: str = "") -> None:
        """One entry; `created` is the layer's time, and empty for an instruction that made none.

        Whoever gets the image reads it: credentials of URLs stay out.
        """
        entry: dict[str, Any] = {"created": created} if created else {}
        entry |= {"created_by": redact(text), "comment": _COMMENT}
        if not created:
            entry["empty_layer"] = True
        self.document["history"].append(entry)

    def finished(self, diff_ids: Sequence[str], labels: dict[str, str]) -> dict[str, Any]:
        """The whole document."""
        if labels:
            self.config["Labels"] = {**(self.config.get("Labels") or {}), **labels}
        document = {key: value for key, value in self.document.items() if key != "created"}
        history = _with_times(document["history"])
        times = [entry["created"] for entry in history if entry.get("created")]
        created = {"created": times[-1]} if times else {}
        rootfs = {"type": "layers", "diff_ids": list(diff_ids)}
        return {**document, **created, "history": history, "rootfs": rootfs}


def _with_times(history: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Entries without a time get the layer's before them, the first of them the first new layer's.

    Times are those of layers, never of this moment: a build whose steps were all cached gives the same image again.
    """
    times = [entry.get("created") for entry in history]
    first_open = times.index(None) if None in times else len(times)
    later = [time for time in times[first_open:] if time]
    earlier = [time for time in times[:first_open] if time]
    known = (later[:1] or earlier[-1:] or [None])[0]
    filled = []
    for position, entry in enumerate(history):
        if entry.get("created"):
            known = entry["created"] if position > first_open else known
            filled.append(dict(entry))
        else:
            filled.append({"created": known, **entry} if known else dict(entry))
    return filled


def now() -> str:
    """This moment, as `as_time`."""
    return as_time(time.time_ns())


def as_time(time_ns: int) -> str:
    """RFC 3339 as Go writes it: nanoseconds, without the zeros at their end."""
    seconds, nanoseconds = divmod(time_ns, 10**9)
    fraction = f".{nanoseconds:09d}".rstrip("0").rstrip(".")
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}{fraction}Z"


def quoted(words: Sequence[str]) -> str:
    """Go's %q of a list."""
    return "[" + " ".join(json.dumps(word, ensure_ascii=False) for word in words) + "]"
