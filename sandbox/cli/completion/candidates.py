"""What may stand at a place of the command line: pairs of a word and what it is for."""

from __future__ import annotations

from sandbox.cli.completion import names
from sandbox.cli.completion.values import find_values
from sandbox.cli.index import ALIASES, COMMANDS, NOUN_SUMMARIES
from sandbox.cli.lookup import GLOBAL_OPTIONS, find_command
from sandbox.cli.noun_options import noun_options
from sandbox.cli.topics.pages import TOPICS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sandbox.cli.command import Command, Invocation
    from sandbox.cli.flags import Option

    Candidates = list[tuple[str, str]]

#: in which state a container must be for a command to have something to do; those of no such command: in any
_STATES: dict[str, tuple[str, ...]] = {
    "container attach": ("running", "paused"),
    "container exec": ("running",),
    "container kill": ("running", "paused", "restarting"),
    "container pause": ("running",),
    "container port": ("running", "paused"),
    "container start": ("created", "exited", "dead"),
    "container stats": ("running", "paused"),
    "container stop": ("running", "paused", "restarting"),
    "container top": ("running", "paused"),
    "container unpause": ("paused",),
    "healthcheck run": ("running",),
    "container wait": ("running", "paused", "restarting", "created"),
}
#: a word of a command's usage -> whose names it stands for
NOUNS = {
    "CONTAINER": "container", "IMAGE": "image", "SOURCE_IMAGE": "image", "TARGET_IMAGE": "image",
    "REPOSITORY": "image", "NAME": "image", "VOLUME": "volume", "NETWORK": "network", "SECRET": "secret",
    "CONFIG": "config", "NAME|ID": "any", "SERVICE": "service", "SERVICE|TASK": "service", "STACK": "stack",
    "CONTAINER:SRC_PATH": "path", "DEST_PATH|-": "path",
}  # fmt: skip


def find_candidates(env: Mapping[str, str], words: Sequence[str], incomplete: str) -> Candidates:
    """The candidates for `incomplete`, which `words` (without the program's name) are before."""
    position, awaiting = _skip_options(GLOBAL_OPTIONS, words)
    if awaiting is not None:
        return _fitting(find_values(env, "", awaiting, incomplete), incomplete)
    rest = words[position:]
    if not rest:
        return _options(GLOBAL_OPTIONS, incomplete) if incomplete.startswith("-") else _commands("", incomplete)
    name, rest = rest[0], rest[1:]
    if name == "help":
        return _of_help(rest, incomplete)
    if name in NOUN_SUMMARIES and name not in ALIASES:
        options = noun_options(name)
        position, awaiting = _skip_options(options, rest)
        if awaiting is not None:
            return _fitting(find_values(env, name, awaiting, incomplete), incomplete)
        rest = rest[position:]
        if not rest:
            return _options(options, incomplete) if incomplete.startswith("-") else _commands(name, incomplete)
        name, rest = f"{name} {rest[0]}", rest[1:]
    target = ALIASES.get(name, name)
    return _of_command(env, light_command(target), rest, incomplete) if target in COMMANDS else []


def light_command(target: str) -> Command:
    """The command of a full path, of which only its handler is not to be called."""
    if target not in ("container run", "container create"):
        return find_command(target)
    # its own module begins with what starts a container: more than all of completion takes
    from sandbox.cli.command import Command
    from sandbox.cli.container_options.table import CREATE_OPTIONS, RUN_OPTIONS

    options = RUN_OPTIONS if target == "container run" else CREATE_OPTIONS
    usage = "[OPTIONS] IMAGE [COMMAND] [ARG...]"
    return Command(target, COMMANDS[target][1], usage, options, _never, least=1, interspersed=False)


def _never(_invocation: Invocation) -> int:
    raise AssertionError("completion runs nothing")


def _of_help(words: Sequence[str], incomplete: str) -> Candidates:
    if words:
        return _commands(words[0], incomplete) if len(words) == 1 and words[0] in NOUN_SUMMARIES else []
    topics = [(topic, summary) for topic, (_module, summary) in TOPICS.items()]
    return [*_commands("", incomplete), *_fitting(topics, incomplete)]


def _commands(noun: str, incomplete: str) -> Candidates:
    if noun:
        paths = [path for path in (*COMMANDS, *ALIASES) if path.startswith(f"{noun} ")]
        found = {path.partition(" ")[2]: COMMANDS[ALIASES.get(path, path)][1] for path in paths}
    else:
        found = {path: COMMANDS[target][1] for path, target in ALIASES.items() if " " not in path}
        found.update(NOUN_SUMMARIES)
        found["help"] = "Show the help of a command or a topic"
    return _fitting(sorted(found.items()), incomplete)


def _skip_options(options: Iterable[Option], words: Sequence[str]) -> tuple[int, Option | None]:
    """Where the first argument is, and the option that still lacks its value at the end of `words`."""
    by_name = {name: option for option in options for name in option.names}
    position = 0
    while position < len(words) and words[position].startswith("-") and words[position] not in ("-", "--"):
        option = _valued(by_name, words[position])
        position += 1
        if option is not None:
            if position == len(words):
                return position, option
            position += 1
    return position, None


def _valued(by_name: Mapping[str, Option], word: str) -> Option | None:
    """The option whose value is the next word; None where `word` needs none."""
    if word.startswith("--"):
        option = by_name.get(word)
        return option if option is not None and option.kind != "flag" and option.bare is None else None
    for place, letter in enumerate(word[1:], 2):
        option = by_name.get(f"-{letter}")
        if option is None or option.kind != "flag":
            return option if option is not None and place == len(word) else None
    return None


def _of_command(env: Mapping[str, str], command: Command, words: Sequence[str], incomplete: str) -> Candidates:
    arguments: list[str] = []
    rest = list(words)
    ended = False
    while rest:
        position, awaiting = (0, None) if ended else _skip_options(command.options, rest)
        if awaiting is not None:
            return _fitting(find_values(env, command.path, awaiting, incomplete), incomplete)
        rest = rest[position:]
        if rest:
            ended = ended or rest[0] == "--" or not command.interspersed
            arguments += rest[:1] if rest[0] != "--" else []
            rest = rest[1:]
    if arguments and not command.interspersed:
        return []
    if incomplete.startswith("-") and not ended:
        return _options(command.options, incomplete) if "=" not in incomplete else _joined(env, command, incomplete)
    return _fitting(find_arguments(env, command, arguments), incomplete)


def _options(options: Iterable[Option], incomplete: str) -> Candidates:
    shown = [(name, option.help) for option in options if not option.hidden for name in option.names]
    shown.append(("--help", "Show this message and quit"))
    # short names are for who types a single dash
    return [row for row in dict(shown).items() if row[0].startswith(incomplete) and (
        row[0].startswith("--") or not incomplete.startswith("--"))]  # fmt: skip


def _joined(env: Mapping[str, str], command: Command, incomplete: str) -> Candidates:
    """The candidates for `--option=value`."""
    name, _, value = incomplete.partition("=")
    option = next((option for option in command.options if name in option.names), None)
    if option is None:
        return []
    return [(f"{name}={word}", about) for word, about in _fitting(find_values(env, command.path, option, value), value)]


def find_arguments(env: Mapping[str, str], command: Command, typed: Sequence[str]) -> Candidates:
    """What may follow the arguments `typed` of `command`."""
    if command.most is not None and len(typed) >= command.most:
        return []
    wanted = command.usage.removeprefix("[OPTIONS]").split()
    if not wanted:
        return []
    word = wanted[min(len(typed), len(wanted) - 1)]
    if len(typed) >= len(wanted) and not word.endswith("...]"):
        return []
    meant = word.strip("[]").removesuffix("...")
    if "|" in meant and meant.islower():
        # words of the command's own
        return [(each, "") for each in meant.split("|")]
    if command.path.startswith("compose "):
        # its services are those of a file
        return []
    noun = NOUNS.get(meant) or NOUNS.get(meant.partition("[")[0], "")
    finders: dict[str, Callable[[], Candidates]] = {
        "container": lambda: names.containers(env, _STATES.get(command.path, ())),
        "image": lambda: names.images(env),
        "volume": lambda: names.volumes(env),
        "network": lambda: names.networks(env),
        "secret": lambda: names.objects(env, "secret"),
        "config": lambda: names.objects(env, "config"),
        "service": lambda: names.services(env),
        "stack": lambda: names.stacks(env),
        "any": lambda: [*names.containers(env), *names.images(env), *names.volumes(env), *names.networks(env)],
        "path": lambda: [(f"{name}:", about) for name, about in names.containers(env)],
    }
    found = finders[noun]() if noun in finders else []
    return [row for row in found if row[0] not in typed]


def _fitting(rows: Iterable[tuple[str, str]], incomplete: str) -> Candidates:
    return [row for row in rows if row[0].startswith(incomplete)]
