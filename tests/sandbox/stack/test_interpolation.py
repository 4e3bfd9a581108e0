"""`${…}` in all its forms: compose-go's tables, and what they leave out."""

from __future__ import annotations

import pytest

from sandbox.stack.interpolation import TemplateError, Variable, substitute, variables_of
from tests.sandbox.stack.vectors import document, pairs

_VALUES = {"FOO": "first", "BAR": "", "JSON": '{"json":2}'}


def _fill(template: str) -> str:
    return substitute(template, _VALUES.get)


@pytest.mark.requires("vectors")
def test_tables() -> None:
    cases = document("compose-interpolation.json")["cases"]["compose_go"]
    seen = 0
    for rows in (row for table in cases.values() for row in table):
        for row in rows:
            if not isinstance(row, dict) or "template" not in row:
                continue
            seen += 1
            wanted = row.get("expectedError") or (row.get("err") or {}).get("Reason")
            if wanted:
                with pytest.raises(TemplateError) as caught:
                    _fill(row["template"])
                assert wanted in str(caught.value), row
            else:
                assert _fill(row["template"]) == row["expected"], row
    assert seen > 20
    for template in cases["TestInvalid"][0]:
        with pytest.raises(TemplateError):
            _fill(template)
    for template in cases["TestUnescaped"][0]:
        assert _fill(template) == template


@pytest.mark.requires("vectors")
def test_variables_are_found() -> None:
    cases = document("compose-interpolation.json")["cases"]["compose_go_variables"]["TestExtractVariables"][0]

    def texts(value: object) -> list[str]:
        if isinstance(value, str):
            return [value]
        items = value if isinstance(value, list) else []
        return [text for item in items for text in texts(item["value"] if isinstance(item, dict) else item)]

    for case in cases:
        found = {each.name for text in texts(case["dict"]) for each in variables_of(text)}
        assert found == set(pairs(case["expected"])), case["name"]


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("$FOO$BAR", "first"),
        ("${FOO}s", "firsts"),
        ("$FOO_s", ""),
        ("$$FOO $${FOO}", "$FOO ${FOO}"),
        ("${NONE:-a:b-c?d}", "a:b-c?d"),
        ("${NONE:-${BAR:-${FOO}}}", "first"),
        ("${NONE:-$$x}", "$x"),
        ("${FOO:+${NONE:-yes}}", "yes"),
        ("${BAR+set}${BAR:+full}", "set"),
        ("${NONE:-one\ntwo}", "one\ntwo"),
        ("100% $ 5", "100% $ 5"),
        ("$1", "$1"),
    ],
)
def test_forms(template: str, text: str) -> None:
    assert _fill(template) == text


@pytest.mark.parametrize("template", ["${", "${FOO", "${FOO:-a", "${FOO:-${BAR}", "${FOO*x}", "${1}", "${FOO:}"])
def test_what_is_no_template(template: str) -> None:
    with pytest.raises(TemplateError, match="invalid interpolation format"):
        _fill(template)


def test_who_has_no_value_is_told() -> None:
    missing: list[str] = []
    assert substitute("$A ${B} ${C:-c} ${D+d} $FOO", _VALUES.get, missing.append) == "  c  first"
    assert missing == ["A", "B"]


def test_defaults_end_somewhere() -> None:
    deep = "${A:-" * 2000 + "}" * 2000
    with pytest.raises(TemplateError, match="nested more than"):
        _fill(deep)


def test_the_parts_of_a_variable() -> None:
    assert list(variables_of("a ${B:?c ${D}} $$E")) == [Variable("B", ":?", "c ${D}"), Variable("D")]
