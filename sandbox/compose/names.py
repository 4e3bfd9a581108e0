"""Names and labels by which the parts of a project are found, as Docker's Compose has them."""

from __future__ import annotations

import os

PREFIX = "com.docker.compose."
PROJECT = f"{PREFIX}project"
SERVICE = f"{PREFIX}service"
NUMBER = f"{PREFIX}container-number"
ONE_OFF = f"{PREFIX}oneoff"
CONFIG_HASH = f"{PREFIX}config-hash"
IMAGE = f"{PREFIX}image"
DEPENDS_ON = f"{PREFIX}depends_on"
CONFIG_FILES = f"{PREFIX}project.config_files"
WORKING_DIRECTORY = f"{PREFIX}project.working_dir"
ENVIRONMENT_FILE = f"{PREFIX}project.environment_file"
VERSION = f"{PREFIX}version"
#: of a container that is to take another one's place: that one's name
REPLACE = f"{PREFIX}replace"
#: of a network and a volume: its key in the file
NETWORK = f"{PREFIX}network"
VOLUME = f"{PREFIX}volume"
_SHORT_ID = 12


def one_off_name(project: str, service: str) -> str:
    """The name of a container of `compose run`."""
    return f"{project}-{service}-run-{os.urandom(_SHORT_ID // 2).hex()}"


def temporary_name(old_id: str, name: str) -> str:
    """What the successor of a container is called until that one is gone."""
    return f"{old_id[:_SHORT_ID]}_{name}"


def final_name(name: str) -> str:
    """What a container with a temporary name is to be called; any other name is that already."""
    head, mark, rest = name.partition("_")
    is_id = len(head) == _SHORT_ID and set(head) <= set("0123456789abcdef")
    return rest if mark and rest and is_id else name


def short_name(project: str, name: str) -> str:
    """What a container is called before its lines: its name, without the project's."""
    return name.removeprefix(f"{project}_" if name.startswith(f"{project}_") else f"{project}-")
