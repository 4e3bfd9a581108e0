"""docker-compose's words as those of `sandbox`."""

from __future__ import annotations

import pytest

from sandbox.cli.compose_shim import as_sandbox


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("up -d", "compose up -d"),
        ("-f a.yml -f b.yml -p name up -d web", "compose --file=a.yml --file=b.yml --project-name=name up -d web"),
        ("--project-directory d --compatibility ps -q", "compose --compatibility=true --project-directory=d ps -q"),
        ("--no-ansi logs", "compose --ansi=never logs"),
        ("--log-level ERROR --verbose config", "compose --verbose=true config"),
        ("-v", "compose version"),
        ("--version", "compose version"),
        ("version --short", "compose version --short"),
        ("--help", "compose --help"),
        ("help", "compose --help"),
        ("help up", "compose up --help"),
        ("-H tcp://h:1 ps", "--host=tcp://h:1 compose ps"),
        ("--tls --context c ps", "--context=c --tls=true compose ps"),
        # what belongs to the verb stays with it
        ("run -v a:b web sh -v", "compose run -v a:b web sh -v"),
        ("--nonsense ps", "compose --nonsense ps"),
        ("", "compose"),
    ],
)
def test_words_before_the_verb(typed: str, meant: str) -> None:
    assert as_sandbox(typed.split()) == meant.split()
