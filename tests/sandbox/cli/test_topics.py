"""`sandbox help TOPIC`: short pages, whose commands and options are there."""

from __future__ import annotations

import io
import re

import pytest

from sandbox.cli.index import ALIASES, COMMANDS, NOUN_SUMMARIES
from sandbox.cli.lookup import find_command
from sandbox.cli.main import main
from sandbox.cli.topics.pages import TOPICS, topic_text
from sandbox.config import _KNOWN
from sandbox.paths import SETTINGS_VARIABLES

_ENV = {"HOME": "/nonexistent"}
#: what may be written for a command of several kinds
_STANDS = re.compile(r"(?<![\w-])sandbox ((?:-[\w-]+ )*)([a-z][\w-]*)((?: [^`\n]*)?)")


def _help(*words: str, status: int = 0) -> str:
    stdout, stderr = io.StringIO(), io.StringIO()
    assert main(["help", *words], _ENV, "/", stdout, stderr) == status
    return stdout.getvalue() + stderr.getvalue()


@pytest.mark.parametrize("topic", TOPICS)
def test_a_page_is_short_and_its_commands_are_there(topic: str) -> None:
    shown = _help(topic)
    assert shown == f"{topic}: {TOPICS[topic][1]}\n\n{topic_text(topic)}"
    assert len(shown.splitlines()) <= 40
    assert all(len(line) <= 120 for line in shown.splitlines())
    named = _STANDS.findall(topic_text(topic))
    assert named or topic == "configuration"
    for options, word, rest in named:
        if "-completion" not in options:
            _require_command(word, rest.split("  ")[0])


def _require_command(word: str, rest: str) -> None:
    if word == "help":
        assert rest.split()[0] in TOPICS
        return
    verb = rest.split()[0] if word in NOUN_SUMMARIES and word not in ALIASES else ""
    path = f"{word} {verb}".strip()
    command = find_command(ALIASES.get(path, path))
    names = {name for option in command.options for name in option.names}
    for option in re.findall(r" (--[a-z][\w-]*|-[a-zA-Z](?=[ \n]))", rest.partition(" IMAGE")[0]):
        assert option in names, f"{path}: {option}"


def test_topics_are_listed() -> None:
    shown = _help("topics")
    assert re.findall(r"^  (\S+)  ", shown, re.MULTILINE) == sorted(TOPICS)
    assert "sandbox help topics" in _help()


def test_a_topic_is_no_command() -> None:
    assert "unknown command: sandbox networking" in _help("networkign", status=1) + _main("networking")
    assert not set(TOPICS) & {*COMMANDS, *ALIASES, *NOUN_SUMMARIES, "topics", "help"}
    assert "Did you mean: sandbox help networking\n" in _help("networkign", status=1)


def _main(*words: str) -> str:
    stderr = io.StringIO()
    assert main(words, _ENV, "/", io.StringIO(), stderr) == 1
    return stderr.getvalue()


def test_the_configuration_page_has_every_key_and_variable() -> None:
    text = topic_text("configuration")
    assert all(name in text for name in SETTINGS_VARIABLES)
    assert all(section in text for section in _KNOWN)
