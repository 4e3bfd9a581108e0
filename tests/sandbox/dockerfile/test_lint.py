"""The rules of `docker build --check`: each with files that break it and files that do not."""

from __future__ import annotations

import pytest

from sandbox.dockerfile import lint_rules
from sandbox.dockerfile.arguments import platform_arguments
from sandbox.dockerfile.dockerignore import read_ignore_file
from sandbox.dockerfile.errors import DockerfileError
from sandbox.dockerfile.lint import Report, check_program
from sandbox.dockerfile.lint_rules import Rule
from sandbox.dockerfile.lint_stages import Surroundings
from sandbox.dockerfile.stages import read_dockerfile
from sandbox.errors import UsageError
from sandbox.image.platforms import parse_platform

_PLATFORM = parse_platform("linux/amd64")


def check(text: str, given: dict[str, str] | None = None, ignore: str | None = None) -> Report:
    given = given or {}
    predefined = platform_arguments(_PLATFORM, _PLATFORM, "", given)
    images = {"busybox": {"PATH": "/bin", "HOME": "/root"}}
    surroundings = Surroundings(images.get, None if ignore is None else read_ignore_file(ignore))
    return check_program(read_dockerfile(text), given, predefined, surroundings)


def found(text: str, given: dict[str, str] | None = None, ignore: str | None = None) -> list[str]:
    return [f"{f.place.line} {f.rule.name}" for f in check(text, given, ignore).findings]


_EXPECTED = [
    ("from scratch AS x", "1 FromAsCasing"),
    ("FROM scratch as x", "1 FromAsCasing"),
    ("From scratch as x", "1 ConsistentInstructionCasing"),
    ("FROM scratch AS Xy", "1 StageNameCasing"),
    ("FROM scratch AS context", "1 ReservedStageName"),
    ("FROM scratch AS a\nFROM scratch AS A", "2 DuplicateStageName,2 StageNameCasing"),
    ("FROM scratch\ncopy a b\nCOPY a b", "2 ConsistentInstructionCasing"),
    ("from scratch\ncopy a b\nCOPY a b", "3 ConsistentInstructionCasing"),
    ("FROM scratch\nCMD a", "2 JSONArgsRecommended"),
    ('FROM scratch\nENTRYPOINT a\nSHELL ["b"]', "2 JSONArgsRecommended"),
    ('FROM scratch AS a\nSHELL ["b"]\nFROM a\nENTRYPOINT a', ""),
    ("FROM scratch\nMAINTAINER me", "2 MaintainerDeprecated"),
    ("FROM busybox:$A", "1 UndefinedArgInFrom,1 InvalidDefaultArgInFrom"),
    ("FROM --platform=$BUILDPLATFORN busybox", "1 UndefinedArgInFrom"),
    ("ARG A\nFROM scratch$A", ""),
    ("FROM scratch\nWORKDIR a\nWORKDIR b", "2 WorkdirRelativePath"),
    ("FROM scratch AS a\nWORKDIR /a\nFROM a\nWORKDIR b", ""),
    ("FROM scratch\nCOPY $A /", "2 UndefinedVar"),
    ("FROM scratch\nARG A\nCOPY $A /", ""),
    ("FROM busybox\nUSER $HOME\nENV A=$HOME B=$A\nRUN $C", "3 UndefinedVar"),
    ("FROM unknown\nUSER $HOME", ""),
    ("FROM scratch\nCOPY <<A <<'B' /\n$C\nA\n$C\nB\n", "2 UndefinedVar"),
    ("FROM scratch\nRUN --mount=target=$A x", "2 UndefinedVar"),
    ("FROM scratch AS a\nARG A=1\nFROM a\nUSER $A", ""),
    ("FROM scratch\nUSER ${A:-b}", "2 UndefinedVar"),
    ('FROM scratch\nCMD ["a"]\nCMD ["b"]', "2 MultipleInstructionsDisallowed"),
    ("FROM scratch\nHEALTHCHECK NONE\nHEALTHCHECK NONE", "2 MultipleInstructionsDisallowed"),
    ('FROM scratch AS a\nCMD ["a"]\nFROM a\nCMD ["b"]', ""),
    ("FROM scratch\nENV a b\nLABEL a b", "2 LegacyKeyValueFormat,3 LegacyKeyValueFormat"),
    ("FROM --platform=$TARGETPLATFORM scratch", "1 RedundantTargetPlatform"),
    ("FROM --platform=linux/arm64 scratch", "1 FromPlatformFlagConstDisallowed"),
    ("FROM --platform=linux/arm64 scratch AS arm64", ""),
    ("FROM --platform=$BUILDPLATFORM scratch", ""),
    ("FROM scratch\nARG TOKEN\nENV API_KEY=a", "2 SecretsUsedInArgOrEnv,3 SecretsUsedInArgOrEnv"),
    ("FROM scratch\nARG TOKEN_FILE\nENV PUBLIC_KEY=a MONKEY=b", ""),
    ("ARG A\nFROM $A", "2 InvalidDefaultArgInFrom"),
    ("ARG A\nFROM ${A:-b}", ""),
    (f"FROM {'0a' * 32}", ""),
    ("FROM scratch\nEXPOSE 80/TCP 53/udp", "2 ExposeProtoCasing"),
    ("FROM scratch\nEXPOSE 127.0.0.1:80:80 81", "2 ExposeInvalidFormat"),
    ("FROM scratch\nCOPY a \\\n\n  b", "3 NoEmptyContinuation"),
    ("# check=experimental=all\n# wrong\nARG a\nFROM scratch", "3 InvalidDefinitionDescription"),
    ("# check=experimental=all\n# a is right\nARG a\n# b is too\nFROM scratch AS b", ""),
    ("# about a\nARG a\nFROM scratch", ""),
]


@pytest.mark.parametrize(("text", "expected"), _EXPECTED)
def test_rules(text: str, expected: str) -> None:
    assert ",".join(sorted(found(text))) == ",".join(sorted(expected.split(","))) if expected else found(text) == []


def test_ignored_files() -> None:
    text = "FROM scratch\nCOPY a b/c /\nADD https://a/a ./a /\nCOPY --from=x a /\nCOPY . /"
    assert found(text, ignore="a\nb\n") == ["2 CopyIgnoredFile", "2 CopyIgnoredFile", "3 CopyIgnoredFile"]
    assert found(text, ignore="*\n!b\n") == []
    assert found("FROM scratch\nCOPY . /", ignore="*") == ["2 CopyIgnoredFile"]


def test_rules_are_left_out() -> None:
    text = "FROM scratch as x\nENV a b\nMAINTAINER me"
    assert found(f"# check=skip=FromAsCasing,MaintainerDeprecated\n{text}") == ["3 LegacyKeyValueFormat"]
    assert found(f"# check=skip=all\n{text}") == []
    assert found(f"# check=skip=all\n{text}", {"BUILDKIT_DOCKERFILE_CHECK": "skip=FromAsCasing"}) == [
        "3 LegacyKeyValueFormat",
        "4 MaintainerDeprecated",
    ]


def test_a_comment_leaves_a_rule_out_for_one_instruction() -> None:
    text = "FROM scratch\n# check=skip=SecretsUsedInArgOrEnv known\nENV KEY=a\nENV KEY=a\n"
    assert found(text) == ["4 SecretsUsedInArgOrEnv"]


def test_findings_may_fail_the_build() -> None:
    assert check("# check=error=true\nFROM scratch as a").fails
    assert not check("# check=error=true\nFROM scratch AS a").fails
    assert not check("FROM scratch as a").fails


def test_bad_options() -> None:
    with pytest.raises(DockerfileError) as raised:
        check("# check=skip=all;eror=true\nFROM a")
    assert "did you mean error?" in raised.value.message
    assert raised.value.place.line == 1
    with pytest.raises(UsageError):
        check("FROM a", {"BUILDKIT_DOCKERFILE_CHECK": "error=maybe"})


def test_what_the_build_would_refuse_is_refused() -> None:
    with pytest.raises(DockerfileError) as raised:
        check("FROM scratch\nUSER a${B:?missing}")
    assert (raised.value.place.line, raised.value.place.column) == (2, 7)


def test_an_address_for_each_rule() -> None:
    rules = [rule for rule in vars(lint_rules).values() if isinstance(rule, Rule)]
    assert len(rules) == 21
    assert lint_rules.JSON_ARGS_RECOMMENDED.url.endswith("/rule/json-args-recommended/")
    assert lint_rules.FROM_AS_CASING.url.endswith("/rule/from-as-casing/")


def test_a_finding_in_a_line() -> None:
    (finding,) = check("FROM scratch\n  ENV a b").findings
    assert str(finding) == "Dockerfile:2:3: LegacyKeyValueFormat: write ENV a=… in place of ENV a …"
