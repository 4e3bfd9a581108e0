"""Parser directives: `# syntax=`, `# escape=` and `# check=` before anything else in the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sandbox.dockerfile.errors import DockerfileError, did_you_mean
from sandbox.dockerfile.source_text import SPACE

if TYPE_CHECKING:
    from sandbox.dockerfile.source_text import Source

NAMES = ("syntax", "escape", "check")
_BLANKS = "\t\n\f\r "
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


class Directive(NamedTuple):
    name: str
    value: str
    line: int

    @property
    def first_word(self) -> str:
        """What `syntax` and `check` go by: text after a blank is a remark."""
        return self.value.partition(" ")[0]


class Directives(NamedTuple):
    """The directives in force by name, and how many lines they take."""

    values: dict[str, Directive]
    taken: int

    @property
    def escape(self) -> str:
        found = self.values.get("escape")
        return found.value if found else "\\"


def read_directives(source: Source) -> Directives:
    """The directives at the top of `source`. Raises DockerfileError for one given twice or a bad escape character."""
    values: dict[str, Directive] = {}
    taken = 0
    for number, raw in enumerate(source.lines, 1):
        found = read_directive(raw.rstrip("\r\n").lstrip(SPACE), number)
        if found is None:
            break
        _check(found, values, source)
        values[found.name] = found
        taken = number
    # BuildKit looks past a `#!` line for syntax and check, not for escape, which its line parser alone reads
    if not taken and source.lines and source.lines[0].startswith("#!"):
        values = _after_shebang(source)
    return Directives(values, taken)


def read_directive(line: str, number: int = 0, comment: str = "#") -> Directive | None:
    """The directive that `line` is, or None; `comment` is what opens it."""
    if not line.startswith(comment):
        return None
    name, equals, value = line[len(comment) :].lstrip(SPACE).partition("=")
    name, value = name.rstrip(_BLANKS).lower(), value.strip(_BLANKS)
    if not equals or not value or name not in NAMES or not _LETTERS.issuperset(name):
        return None
    return Directive(name, value, number)


def _check(found: Directive, earlier: dict[str, Directive], source: Source) -> None:
    place = source.place(found.line)
    if found.name in earlier:
        line = earlier[found.name].line
        raise DockerfileError(
            f"only one {found.name} parser directive can be used", place, expected=f"the one on line {line} alone"
        )
    if found.name == "escape" and found.value not in ("\\", "`"):
        raise DockerfileError(f"invalid escape character {found.value!r}", place, expected="\\ or `")


def _after_shebang(source: Source) -> dict[str, Directive]:
    values: dict[str, Directive] = {}
    for number, raw in enumerate(source.lines[1:], 2):
        found = read_directive(raw.rstrip("\r\n"), number)
        if found is None:
            break
        if found.name != "escape":
            values.setdefault(found.name, found)
    return values


class CheckOptions(NamedTuple):
    """What `# check=` says: rules to leave out, experimental ones to take in, and whether a warning fails the build."""

    skip: frozenset[str] = frozenset()
    skip_all: bool = False
    experimental: frozenset[str] = frozenset()
    experimental_all: bool = False
    error: bool = False

    def merged(self, other: CheckOptions) -> CheckOptions:
        """These options with those of a comment before one instruction; whether to fail stays the file's."""
        return CheckOptions(
            self.skip | other.skip,
            self.skip_all or other.skip_all,
            self.experimental | other.experimental,
            self.experimental_all or other.experimental_all,
            self.error,
        )


def read_check_options(text: str) -> CheckOptions | str:
    """The options in `skip=A,B;experimental=all;error=true`, or the text of what is wrong with them."""
    options = CheckOptions()
    for part in text.split(";", 2) if text.strip() else ():
        key, equals, value = (piece.strip() for piece in part.partition("="))
        names = frozenset(name.strip() for name in value.split(","))
        if not equals or key not in ("skip", "experimental", "error"):
            return f"invalid check option {part!r}{did_you_mean(key, ('skip', 'experimental', 'error'))}"
        if key == "skip":
            options = options._replace(skip_all=value == "all", skip=frozenset() if value == "all" else names)
        elif key == "experimental":
            everything = value == "all"
            options = options._replace(experimental_all=everything, experimental=frozenset() if everything else names)
        elif value in TRUE or value in FALSE:
            options = options._replace(error=value in TRUE)
        else:
            return f"invalid check option {part!r}: error takes true or false"
    return options


#: what Go's strconv.ParseBool takes, which mounts and options go by
TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
