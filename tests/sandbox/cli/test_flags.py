"""The flag grammar against the behaviour of Go's pflag, which Docker's scripts lean on."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.cli.flags import option, parse_flags
from sandbox.errors import UsageError

OPTIONS = (
    option("-i --interactive", "flag", ""),
    option("-t --tty", "flag", ""),
    option("-p --publish", "list", ""),
    option("-v --volume", "list", ""),
    option("-e --env", "list", ""),
    option("-n --tail", "text", ""),
    option("--time", "number", ""),
    option("-T", "number", ""),
    option("--color", "text", "", bare="always"),
    option("--net --network", "text", ""),
    option("--help", "flag", ""),
)


@pytest.mark.parametrize(
    ("line", "values", "arguments"),
    [
        ("-it img", {"interactive": True, "tty": True}, ("img",)),
        ("-it=false img", {"interactive": True, "tty": False}, ("img",)),
        ("--tty=0 img", {"tty": False}, ("img",)),
        ("-p=80:80 -p 81:81 -p82:82 --publish=83:83 --publish 84:84 img",
         {"publish": ("80:80", "81:81", "82:82", "83:83", "84:84")}, ("img",)),
        ("-vfoo img", {"volume": ("foo",)}, ("img",)),
        ("-itvfoo img", {"interactive": True, "tty": True, "volume": ("foo",)}, ("img",)),
        ("-itv foo img", {"interactive": True, "tty": True, "volume": ("foo",)}, ("img",)),
        ("-e A=b=c img", {"env": ("A=b=c",)}, ("img",)),
        ("-e=A=b img", {"env": ("A=b",)}, ("img",)),
        ("--time -1 img", {"time": -1}, ("img",)),
        ("--time=-1 img", {"time": -1}, ("img",)),
        ("-T -1 img", {"T": -1}, ("img",)),
        ("-T-1 img", {"T": -1}, ("img",)),
        ("--time 0x10 img", {"time": 16}, ("img",)),
        ("--time +5 img", {"time": 5}, ("img",)),
        ("--color img", {"color": "always"}, ("img",)),
        ("--color=never img", {"color": "never"}, ("img",)),
        ("--network host img", {"net": "host"}, ("img",)),
        ("-n all img -t", {"tail": "all"}, ("img", "-t")),
        ("-- -t", {}, ("-t",)),
        ("-t -- -i img", {"tty": True}, ("-i", "img")),
        ("- -t", {}, ("-", "-t")),
        ("img -- x", {}, ("img", "--", "x")),
        ("-n -- img", {"tail": "--"}, ("img",)),
        ("-h", {"help": True}, ()),
        ("", {}, ()),
    ],
)  # fmt: skip
def test_reads_as_pflag_does(line: str, values: dict[str, object], arguments: tuple[str, ...]) -> None:
    parsed = parse_flags(OPTIONS, line.split(), interspersed=False)
    assert (parsed.values, parsed.arguments) == (values, arguments)


def test_options_may_stand_between_arguments() -> None:
    parsed = parse_flags(OPTIONS, ["a", "-t", "b", "--", "-i"])
    assert (parsed.values, parsed.arguments) == ({"tty": True}, ("a", "b", "-i"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--nosuch", "unknown flag: --nosuch"),
        ("--nosuch=1", "unknown flag: --nosuch"),
        ("-x", "unknown shorthand flag: 'x' in -x"),
        ("-itx", "unknown shorthand flag: 'x' in -itx"),
        ("-t=", "unknown shorthand flag: '=' in -t="),
        ("--env", "flag needs an argument: --env"),
        ("-te", "flag needs an argument: 'e' in -te"),
        ("--=x", "bad flag syntax: --=x"),
        ("---tty", "bad flag syntax: ---tty"),
        ("--tty=maybe", 'invalid argument "maybe" for "-t, --tty" flag: must be true or false'),
        ("-t=maybe", 'invalid argument "maybe" for "-t, --tty" flag: must be true or false'),
        ("--time x", 'invalid argument "x" for "--time" flag: must be a whole number'),
        ("--time 1_0", 'invalid argument "1_0" for "--time" flag: must be a whole number'),
        (
            "--time 99999999999999999999",
            'invalid argument "99999999999999999999" for "--time" flag: must be a whole number',
        ),
    ],
)
def test_refuses_as_pflag_does(line: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_flags(OPTIONS, line.split())
    assert caught.value.message == message
    assert caught.value.kind == "bad_request"


def test_a_slip_of_the_pen_is_answered() -> None:
    with pytest.raises(UsageError) as caught:
        parse_flags(OPTIONS, ["--interactiv"])
    assert caught.value.mend == "did you mean --interactive?"
    with pytest.raises(UsageError) as caught:
        parse_flags(OPTIONS, ["--nosuch"])
    assert caught.value.mend == ""


@given(
    st.lists(st.one_of(st.text(max_size=8), st.text(alphabet="-=itpvenTh01x", max_size=8)), max_size=6), st.booleans()
)
def test_no_line_raises_anything_else(words: list[str], interspersed: bool) -> None:
    with suppress(UsageError):
        parse_flags(OPTIONS, words, interspersed=interspersed)
