"""References: distribution/reference's own tables, and what they leave out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.errors import ImageError
from sandbox.image.references import (
    Reference,
    is_digest,
    is_domain,
    is_identifier,
    matches,
    parse_reference,
    parse_strict,
)
from tests.sandbox.image.vectors import cases

FILE = "image-references.json"


@pytest.mark.parametrize("case", cases(FILE, "parse"), ids=lambda case: str(case["input"])[:60])
def test_parse(case: dict[str, Any]) -> None:
    if "err" in case:
        with pytest.raises(ImageError):
            parse_strict(case["input"])
        return
    reference = parse_strict(case["input"])
    assert reference.repository == case["repository"]
    assert reference.domain == case.get("domain", "")
    assert reference.tag == case.get("tag", "")
    assert reference.digest == case.get("digest", "")
    assert str(reference) == case["input"]


@pytest.mark.parametrize("text", cases(FILE, "valid_repository_names"))
def test_valid_repository_name(text: str) -> None:
    parse_reference(text)


@pytest.mark.parametrize("text", cases(FILE, "invalid_repository_names"))
def test_invalid_repository_name(text: str) -> None:
    with pytest.raises(ImageError):
        parse_reference(text)


@pytest.mark.parametrize("text", cases(FILE, "valid_remote_names"))
def test_valid_remote_name(text: str) -> None:
    parse_reference(text)


@pytest.mark.parametrize("text", cases(FILE, "invalid_remote_names"))
def test_invalid_remote_name(text: str) -> None:
    with pytest.raises(ImageError):
        parse_reference(text)


@pytest.mark.parametrize("case", cases(FILE, "familiar"), ids=lambda case: case["FullName"])
def test_familiar(case: dict[str, str]) -> None:
    for text in filter(None, (case["FamiliarName"], case["FullName"], case["AmbiguousName"])):
        reference = parse_reference(text)
        assert reference.repository == case["FullName"]
        assert reference.familiar == case["FamiliarName"]
        assert reference.domain == case["Domain"]
        assert reference.path == case["RemoteName"]


@pytest.mark.parametrize("case", cases(FILE, "any"), ids=lambda case: case["Reference"])
def test_any(case: dict[str, str]) -> None:
    text = case["Reference"]
    if is_identifier(text):
        text = f"sha256:{text}"
    shown = text if is_digest(text) else str(parse_reference(text))
    assert shown == case["Equivalent"]


@pytest.mark.parametrize("case", cases(FILE, "docker_ref"), ids=lambda case: case["name"])
def test_docker_reference(case: dict[str, str]) -> None:
    reference = parse_reference(case["input"])
    # a digest says more than a tag, which only names what is meant where there is none
    pinned = f"{reference.repository}@{reference.digest}" if reference.digest else reference.name
    assert pinned == case["expected"]


@pytest.mark.parametrize("case", cases(FILE, "split_host"), ids=lambda case: case["input"])
def test_split_host(case: dict[str, str]) -> None:
    reference = parse_reference(case["input"])
    assert (reference.domain, reference.path) == (case["domain"], case["path"])


@pytest.mark.parametrize("case", cases(FILE, "glob_match"), ids=lambda case: f"{case['pattern']} {case['reference']}")
def test_glob(case: dict[str, Any]) -> None:
    assert matches(case["pattern"], parse_reference(case["reference"])) is case["expected"]


@pytest.mark.parametrize("case", cases(FILE, "domain_regexp"), ids=lambda case: case["input"])
def test_domain(case: dict[str, Any]) -> None:
    assert is_domain(case["input"]) is case["match"]


@pytest.mark.parametrize("case", cases(FILE, "reference_regexp"), ids=lambda case: case["input"][:60])
def test_reference_grammar(case: dict[str, Any]) -> None:
    if not case["match"]:
        with pytest.raises(ImageError):
            parse_strict(case["input"])
        return
    reference = parse_strict(case["input"])
    assert [reference.repository, reference.tag, reference.digest] == case["subs"]


@pytest.mark.parametrize("case", cases(FILE, "identifier"), ids=lambda case: case["input"])
def test_identifier(case: dict[str, Any]) -> None:
    assert is_identifier(case["input"]) is case["match"]


@pytest.mark.parametrize(
    "text", ["../../etc", "a/../b", "alpine\n", "alpine:\n", "al pine", "alpine:", "-x", "a@b", "ä"]
)
def test_never_a_path_or_an_option(text: str) -> None:
    with pytest.raises(ImageError):
        parse_reference(text)


@given(st.text(max_size=40))
def test_any_text_is_a_reference_or_an_error(text: str) -> None:
    try:
        reference = parse_reference(text)
    except ImageError:
        return
    assert parse_reference(str(reference)) == reference
    assert parse_reference(reference.familiar) == reference
    assert ".." not in reference.path.split("/")


def test_default_tag() -> None:
    assert parse_reference("alpine").name == "docker.io/library/alpine:latest"
    assert parse_reference("alpine") == Reference("docker.io", "library/alpine")


@pytest.mark.parametrize(
    ("text", "given_name", "mend"),
    [
        ("A:B", "A", "a:B"),
        ("Alpine", "Alpine", "alpine"),
        ("A:A", "A", "a:A"),
        ("docker.io/Alpine:3", "Alpine", "docker.io/alpine:3"),
        ("ghcr.io/Owner/app:V1", "Owner/app", "ghcr.io/owner/app:V1"),
        ("library/A", "library/A", "library/a"),
    ],
)
def test_upper_case_is_named_as_it_was_given(text: str, given_name: str, mend: str) -> None:
    with pytest.raises(ImageError) as caught:
        parse_reference(text)
    assert caught.value.cause == f"repository name {given_name!r} must be lowercase"
    assert caught.value.mend == f"try {mend}"
    parse_reference(mend)
