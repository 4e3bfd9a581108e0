"""Which topics there are, and their pages."""

from __future__ import annotations

import sys

#: topic -> (module below this package, summary); the module has the page as TEXT
TOPICS: dict[str, tuple[str, str]] = {
    "coming-from-docker": ("docker", "What is different for fingers that know Docker"),
    "completion": ("completion", "Commands, options and names completed by the shell"),
    "configuration": ("configuration", "The settings file and the variables"),
    "egress": ("egress", "What a container may reach outside, by name"),
    "exit-codes": ("exit_codes", "What an exit status says"),
    "filters": ("filters", "What --filter takes, and how several go together"),
    "format": ("forms", "What --format takes"),
    "limits": ("limits", "Memory, processors, processes, files"),
    "networking": ("networking", "What a container reaches, and what reaches it"),
    "storage": ("storage", "Where things lie, and how room is made"),
    "volumes": ("volumes", "Data that stays, directories of the host, whose files they are"),
}


def topic_text(name: str) -> str:
    """The page of a topic; imports its module."""
    module = f"sandbox.cli.topics.{TOPICS[name][0]}"
    # importlib is an import of its own
    __import__(module)
    return str(sys.modules[module].TEXT)
