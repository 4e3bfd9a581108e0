"""How every `inspect` prints what it found: an array of JSON, compact JSON, or a template for each."""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from sandbox.cli.command import Context

#: what of a container or an image has keys of anybody's, and what Docker leaves out where there is nothing to tell
_MAPS = (
    *("Config.Labels", "Config.Volumes", "Config.ExposedPorts", "GraphDriver.Data", "NetworkSettings.Ports"),
    *("NetworkSettings.Networks", "HostConfig.PortBindings", "HostConfig.Tmpfs", "HostConfig.Sysctls"),
    *("HostConfig.StorageOpt", "HostConfig.LogConfig.Config", "HostConfig.Annotations"),
)
_LEFT_OUT: dict[str, object] = {
    "State.Health": None, "SizeRw": None, "SizeRootFs": None, "Mounts.Name": "", "Mounts.Driver": "", "Variant": "",
    "Config.Healthcheck": None, "Config.StopSignal": "", "Config.StopTimeout": None, "Config.Shell": None,
    "Config.ExposedPorts": None, "Config.ArgsEscaped": False, "Config.Healthcheck.Test": (),
    "Config.Healthcheck.Interval": 0, "Config.Healthcheck.Timeout": 0, "Config.Healthcheck.StartPeriod": 0,
    "Config.Healthcheck.StartInterval": 0, "Config.Healthcheck.Retries": 0, "HostConfig.Mounts": (),
    "HostConfig.Annotations": {},
}  # fmt: skip


def print_documents(context: Context, documents: Sequence[dict[str, Any]], format_text: str | None) -> int:
    """Print the documents; returns 0. Raises TemplateParseError for a template that cannot be read.

    Without a format it is an array, indented by four; `json` is the array on one line; anything else a Go template.
    """
    for document in documents:
        for place in _MAPS:
            _sort(document, place.split("."))
    if format_text is None or not format_text.strip():
        context.print_quoted(json.dumps(documents, indent=4, ensure_ascii=False))
    elif format_text.strip() == "json":
        context.print_quoted(json.dumps(documents, separators=(",", ":"), ensure_ascii=False))
    else:
        from sandbox.cli.output.go_template import Shape, TemplateError, parse_template, template_mend

        try:
            template = parse_template(format_text)
            shape = Shape(frozenset(_MAPS), _LEFT_OUT)
            for document in documents:
                context.print_quoted(template.render(document, shape=shape))
            if not documents:
                # Docker's buffer ends in a line break even where nothing is in it
                context.print("")
        except TemplateError as error:
            error.mend = template_mend(error, format_text, documents[0] if documents else ())
            raise
    return 0


def _sort(document: dict[str, Any], names: list[str]) -> None:
    """Put the keys of the map at `names` into the order in which Go writes maps."""
    value: object = document
    for name in names[:-1]:
        value = value.get(name) if isinstance(value, dict) else None
    found = value.get(names[-1]) if isinstance(value, dict) else None
    if isinstance(value, dict) and isinstance(found, dict):
        value[names[-1]] = dict(sorted(found.items()))
