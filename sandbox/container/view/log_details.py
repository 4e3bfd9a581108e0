"""`logs --details`: the labels and variables that log options name, as they stand before each line.

They never change in a container's life, so they are made of its configuration and take no room in its log.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.container.model.record import ContainerConfig


def log_details(config: ContainerConfig) -> str:
    """ "NAME=VALUE,NAME=VALUE", by name and escaped as in a URL; "" where no option names any."""
    options = dict(config.log.options)
    if not options.keys() & {"labels", "labels-regex", "env", "env-regex"}:
        return ""
    from urllib.parse import quote_plus  # for those that have such options

    variables = dict(entry.partition("=")[::2] for entry in config.environment)
    found = {
        **_chosen(dict(config.labels), options.get("labels", ""), options.get("labels-regex", "")),
        **_chosen(variables, options.get("env", ""), options.get("env-regex", "")),
    }
    return ",".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in sorted(found.items()))


def _chosen(values: Mapping[str, str], names: str, pattern: str) -> dict[str, str]:
    import re

    named = set(names.split(",")) if names else set()
    expression = re.compile(pattern) if pattern else None
    return {name: value for name, value in values.items() if name in named or (expression and expression.search(name))}
