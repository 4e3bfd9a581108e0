"""Templates against what Go's text/template and Docker's functions answer."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.errors import SandboxError
from sandbox.go_template import STRUCTURES, Shape, TemplateError, TemplateParseError, parse_template

DATA: dict[str, Any] = {
    "Name": "web",
    "Id": "sha256:abc",
    "Count": 3,
    "Ratio": 0.5,
    "Running": True,
    "Off": False,
    "Empty": "",
    "None": None,
    "List": ["a", "b", "c"],
    "Numbers": [1, 2],
    "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "443/tcp": None},
    "Config": {"Labels": {"com.example.x": "1"}, "Env": ["A=1"], "NoLabels": {}},
    "Label": lambda name: f"<{name}>",
}

RENDERED = [
    ("plain", "plain"),
    ("", ""),
    ("{{.Name}}", "web"),
    ("{{ .Name }}/{{.Count}}", "web/3"),
    ("{{.Config.Labels}}", "map[com.example.x:1]"),
    ("{{.List}}", "[a b c]"),
    ("{{.Ratio}}", "0.5"),
    ("{{.Running}}", "true"),
    ("{{.None}}", "<no value>"),
    ("{{.Config.Missing}}", "<no value>"),
    ("{{.Config.Missing.Deeper}}", "<no value>"),
    ("{{json .List}}", '["a","b","c"]'),
    ("{{json .Config}}", '{"Labels":{"com.example.x":"1"},"Env":["A=1"],"NoLabels":{}}'),
    ("{{.List | json}}", '["a","b","c"]'),
    ("{{if .Running}}up{{else}}down{{end}}", "up"),
    ("{{if .Off}}up{{else}}down{{end}}", "down"),
    ("{{if .Off}}1{{else if .Empty}}2{{else if .Name}}3{{else}}4{{end}}", "3"),
    ("{{if and .Running .Name}}both{{end}}", "both"),
    ("{{if or .Off .Name}}one{{end}}", "one"),
    ("{{and .Off .Missing}}", "false"),
    ("{{if not .Off}}no{{end}}", "no"),
    ("{{range .List}}<{{.}}>{{end}}", "<a><b><c>"),
    ("{{range $i, $v := .List}}{{$i}}={{$v}} {{end}}", "0=a 1=b 2=c "),
    ("{{range $v := .List}}{{$v}}{{end}}", "abc"),
    ("{{range .Empty2}}x{{else}}none{{end}}", "none"),
    ("{{range .List}}{{if eq . \"b\"}}{{break}}{{end}}{{.}}{{end}}", "a"),
    ("{{range .List}}{{if eq . \"b\"}}{{continue}}{{end}}{{.}}{{end}}", "ac"),
    ("{{range $p, $c := .Ports}}{{$p}} {{end}}", "443/tcp 80/tcp "),
    ("{{(index (index .Ports \"80/tcp\") 0).HostPort}}", "8080"),
    ("{{index .Ports \"80/tcp\" 0 \"HostPort\"}}", "8080"),
    ("{{range $p, $conf := .Ports}}{{with $conf}}{{$p}}->{{(index $conf 0).HostPort}}{{end}}{{end}}", "80/tcp->8080"),
    ("{{with .Name}}[{{.}}]{{end}}", "[web]"),
    ("{{with .Empty}}x{{else}}y{{end}}", "y"),
    ("{{with $x := .Name}}{{$x}}{{end}}", "web"),
    ("{{$x := .Name}}{{$x}}-{{$x}}", "web-web"),
    ("{{$x := 1}}{{range .List}}{{$x = 2}}{{end}}{{$x}}", "2"),
    ("{{$.Name}}", "web"),
    ("{{range .List}}{{$.Count}}{{end}}", "333"),
    ("{{index .Config.Labels \"com.example.x\"}}", "1"),
    ("{{index .Config.Labels \"other\"}}", ""),
    ("{{index .Config.NoLabels \"other\"}}", ""),
    ("{{index .List 1}}", "b"),
    ("{{len .List}} {{len .Name}}", "3 3"),
    ("{{slice .Name 1 2}}", "e"),
    ("{{slice .Name 1}}", "eb"),
    ("{{eq .Name \"web\"}} {{ne .Count 3}} {{lt 1 2}} {{le 2 2}} {{gt 1 2}}", "true false true true false"),
    ("{{ge 2 2}}", "true"),
    ("{{eq .Name \"db\" \"web\"}}", "true"),
    ("{{print 1 2 \"a\" 3}}", "1 2a3"),
    ("{{println \"a\" 1}}", "a 1\n"),
    ("{{printf \"%s|%5d|%-5s|%05d\" .Name 42 \"ab\" 7}}", "web|   42|ab   |00007"),
    ("{{printf \"%q|%v|%x\" \"q\\\"\" .List \"hi\"}}", '"q\\""|[a b c]|6869'),
    ("{{printf \"%.2f %t %%\" 1.5 true}}", "1.50 true %"),
    ("{{printf \"%d\" \"x\"}}", "%!d(string=x)"),
    ("{{printf \"%d %d\" 1}}", "1 %!d(MISSING)"),
    ("{{printf \"%d\" 1 2}}", "1%!(EXTRA int=2)"),
    ("{{.Name | printf \"%s-%s\" \"x\"}}", "x-web"),
    ("{{split \"a,b\" \",\"}}", "[a b]"),
    ("{{join .List \"-\"}}", "a-b-c"),
    ("{{title \"\"}}|{{title \"it's\"}}", "|It's"),
    ("{{title \"hello world\"}} {{lower \"AB\"}} {{upper \"ab\"}}", "Hello World ab AB"),
    ("[{{pad .Name 1 2}}]", "[ web  ]"),
    ("[{{padright .Name 5}}]", "[web  ]"),
    ("{{truncate .Id 6}}", "sha256"),
    ("a {{- .Name -}} b", "awebb"),
    ("a {{/* comment }} */}}b", "a b"),
    ("a {{- /* c */ -}} b", "ab"),
    ("{{\"}}\"}}", "}}"),
    ("{{`raw \\n`}}", "raw \\n"),
    ("{{\"tab\\t\\x41\\u00e9\\101\"}}", "tab\tAéA"),
    ("{{'a'}} {{0x10}} {{-3}} {{1.5}} {{1e3}}", "97 16 -3 1.5 1000"),
    ("{{true}} {{false}}", "true false"),
    ("{{.Label \"x\"}}", "<x>"),
    ("{{define \"x\"}}<{{.}}>{{end}}{{template \"x\" .Name}}{{template \"x\" 1}}", "<web><1>"),
    ("{{range .List}}{{template \"x\" .}}{{end}}{{define \"x\"}}{{.}}{{$}};{{end}}", "aa;bb;cc;"),
    ("{{define \"x\"}}x{{end}}{{template \"x\"}}", "x"),
    ("{{block \"x\" .Config}}{{len .Labels}}{{end}}{{template \"x\" .Config}}", "11"),
    ("{{define \"x\"}}{{if .}}{{slice . 0 1}}{{template \"x\" (slice . 1)}}{{end}}{{end}}{{template \"x\" .Name}}",
     "web"),
    ("{{$x := 1}}{{define \"x\"}}{{$x := 2}}{{$x}}{{end}}{{template \"x\"}}{{$x}}", "21"),
    ("{{html \"<a>\"}} {{urlquery \"a b&\"}}", "&lt;a&gt; a+b%26"),
    ("{{(.Config).Env}}", "[A=1]"),
    ("{{ .Config.Labels | len | printf \"%d\" }}", "1"),
    ("multi\n{{.Name}}\nline", "multi\nweb\nline"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "expected"), RENDERED)
def test_renders(source: str, expected: str) -> None:
    assert parse_template(source).render(DATA) == expected


@pytest.mark.parametrize(
    "source",
    [
        "{{", "{{.Name", "{{if}}", "{{if .Name}}", "{{end}}", "{{else}}", "{{range}}x{{end}}", "{{nosuch .Name}}",
        "{{.Name | }}", "{{| .Name}}", "{{$x}}", "{{\"open}}", "{{`open}}", "{{(.Name}}", "{{.Name)}}", "{{.}}}}{{",
        "{{break}}", "{{define \"x\"}}", "{{define x}}{{end}}", "{{if 1}}{{define \"x\"}}{{end}}{{end}}",
        "{{template}}", "{{template x}}", "{{block \"x\"}}{{end}}", "{{block \"x\" .}}", "{{template \"x\" . .}}",
        "{{define \"x\"}}{{$y}}{{end}}", "{{range .List}}{{block \"x\" .}}{{break}}{{end}}{{end}}",
        "{{1 .Name}}", "{{nil}}", "{{.Name | 1}}",
        "{{if .Name}}{{else}}{{else}}{{end}}",
        "{{/* open", "{{/* a */ b}}", "{{.5a}}", "{{'ab'}}", "{{\"\\q\"}}", "{{end .Name}}",
        "{{$x, $y := .Name}}", "{{@}}",
        "{{" + "(" * 200 + "1" + ")" * 200 + "}}", "{{if 1}}" * 200 + "{{end}}" * 200, "{{}}", "{{ }}",
    ],
)  # fmt: skip
def test_refuses_what_is_no_template(source: str) -> None:
    with pytest.raises(TemplateParseError) as caught:
        parse_template(source)
    assert caught.value.kind == "bad_template"
    assert caught.value.message.startswith("template parsing error: template: :")


@pytest.mark.parametrize(
    "source",
    [
        "{{.Name.Foo}}", "{{.None.Foo}}", "{{index .List 9}}", "{{index .Missing 1}}", "{{len .Count}}",
        "{{lt 1 \"a\"}}",
        "{{eq .List .List}}", "{{range .Name}}{{end}}", "{{.Name \"arg\"}}", "{{join .Count \",\"}}",
        "{{len}}", "{{and}}",
        "{{upper .Count}}", "{{pad .Name 1 99999999999}}", "{{slice .Name 2 1}}", "{{printf 1}}", "{{not}}",
        "{{.Label}}", "{{template \"x\"}}", "{{define \"x\"}}{{template \"x\"}}{{end}}{{template \"x\"}}",
    ],
)  # fmt: skip
def test_fails_on_data_that_does_not_fit(source: str) -> None:
    template = parse_template(source)
    with pytest.raises(TemplateError) as caught:
        template.render(DATA)
    assert caught.value.kind == "failed"


def test_a_typed_row_has_no_other_fields() -> None:
    template = parse_template("{{.Foo}}")
    assert template.render({"Name": "x"}) == "<no value>"
    with pytest.raises(TemplateError, match=r"at <\.Foo>: can't evaluate field Foo"):
        template.render({"Name": "x"}, shape=STRUCTURES)


def test_a_shape_tells_maps_and_what_is_left_out_from_mistakes() -> None:
    data = {"Labels": {"a": "1"}, "Ports": {"80/tcp": [{"Port": 1}]}, "Mounts": [{"Type": "bind"}]}
    shape = Shape(frozenset({"Labels", "Ports"}), {"Mounts.Name": "", "Health": None})

    def render(source: str) -> str:
        return parse_template(source).render(data, shape=shape)

    assert render("{{.Labels.b}}") == "<no value>"
    assert render("{{.Ports.x}}{{if .Health}}sick{{end}}{{range .Mounts}}[{{.Name}}]{{end}}") == "<no value>[]"
    for source in (
        "{{.Name}}", "{{.Health.Status}}", "{{range .Mounts}}{{.Nam}}{{end}}",
        "{{with index .Mounts 0}}{{.Nam}}{{end}}", '{{range index .Ports "80/tcp"}}{{.Nam}}{{end}}',
    ):  # fmt: skip
        with pytest.raises(TemplateError):
            render(source)


_SOURCES = st.lists(
    st.sampled_from(
        ["{{", "}}", "{{-", "-}}", " ", ".Name", ".List", "$x", ":=", "=", "|", "(", ")", '"a"', "`b`", "'c'",
        "1", "-2.5",
         "if", "else", "end", "range", "with", "break", "index", "len", "eq", "printf", "json", "and", "or",
         "not", "nil",
         "true", ",", "text", "\n", "/*", "*/", "%d%s%*v", '"%5.3q"', "slice", "pad", "truncate", "split",
         "join", "$", "."]
    ),
    max_size=25,
).map("".join)  # fmt: skip


@given(st.one_of(_SOURCES, st.text(max_size=40), st.text(max_size=30).map(lambda body: "{{" + body + "}}")))
def test_no_template_raises_anything_else(source: str) -> None:
    with suppress(SandboxError):
        parse_template(source).render(DATA, shape=STRUCTURES)


@given(
    st.text(alphabet="%+-# 0123456789.*vdsqxXtfgcU", max_size=20),
    st.lists(st.one_of(st.integers(-(10**9), 10**9), st.floats(), st.booleans(), st.text(), st.none()), max_size=3),
)
def test_no_printf_raises(form: str, values: list[object]) -> None:
    data = {"Form": form, "Values": values}
    source = "{{printf .Form " + " ".join(f"(index .Values {i})" for i in range(len(values))) + "}}"
    parse_template(source).render(data)
