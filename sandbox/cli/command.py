"""A command as data, and one call of it as a value: what every module below `commands/` is written in."""

from __future__ import annotations

from net.errors import NetError
from sandbox.errors import NotFoundError, RegistryError, SandboxError, UsageError
from sandbox.humane import printable
from sandbox.named_tuple import NamedTuple
from storage.errors import StorageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TextIO

    from sandbox.caller_directory import CallerDirectory
    from sandbox.cli.flags import Option, Value
    from sandbox.image.transfer.progress import Progress
    from sandbox.operation_context import OperationContext
    from sandbox.paths import Paths


class Command(NamedTuple):
    """One command: `path` as typed under its noun ("container run"), `usage` of its arguments as Docker prints it."""

    path: str
    summary: str
    usage: str
    options: tuple[Option, ...]
    handler: Callable[[Invocation], int]
    least: int = 0
    most: int | None = None
    #: False: the first argument ends the options, what follows belongs to the container
    interspersed: bool = True
    examples: tuple[str, ...] = ()
    #: what to read for more, a line each
    further: tuple[str, ...] = ()


class Context(NamedTuple):
    """Where a command runs; everything it may know of its caller."""

    env: Mapping[str, str]
    cwd: CallerDirectory
    stdout: TextIO
    stderr: TextIO
    #: found on first use, so that `--help` and `version` make no directory
    find_paths: Callable[[], Paths]
    debug: bool = False

    def for_operations(self, open_progress: Callable[[], Progress] | None = None) -> OperationContext:
        """Where the command's operations work; without `open_progress` they tell nobody how far they are. Raises
        HostError.
        """
        from sandbox.operation_context import OperationContext, silent_progress  # not for every command

        return OperationContext(self.find_paths(), self.env, open_progress or silent_progress)

    def print(self, text: str) -> None:
        """One line of data."""
        self.stdout.write(text + "\n")

    def print_quoted(self, text: str) -> None:
        """Data that quotes what a hostile image says of itself; tabs and line breaks stay.

        A pipe gets the bytes as they are; a terminal could be steered by them.
        """
        self.print(self.quoted(text))

    def quoted(self, text: str) -> str:
        """`text` as `print_quoted` has it."""
        if not self.stdout.isatty():
            return text
        return "\n".join("\t".join(printable(cell) for cell in line.split("\t")) for line in text.split("\n"))

    def note(self, text: str) -> None:
        """Talk, on standard error. What quotes the names and texts of a hostile container cannot steer a terminal."""
        self.stderr.write("\n".join(map(printable, text.split("\n"))) + "\n")
        self.stderr.flush()


class Invocation(NamedTuple):
    """A parsed command line with typed access to its values."""

    command: Command
    context: Context
    values: Mapping[str, Value]
    arguments: tuple[str, ...]
    #: the command as it was typed: "ps" for "container ls"
    typed: str = ""
    #: the options between its noun and its verb
    of_noun: Mapping[str, Value] = {}

    def given(self, key: str) -> bool:
        return key in self.values

    def flag(self, key: str) -> bool:
        value = self._value(key)
        return bool(value)

    def without(self, key: str) -> Invocation:
        """The same call, in which this option was not given."""
        return self._replace(values={name: value for name, value in self.values.items() if name != key})

    def text(self, key: str) -> str | None:
        value = self._value(key)
        return None if value is None else str(value)

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._value(key)
        return value if isinstance(value, tuple) else ()

    def number(self, key: str) -> int | None:
        value = self._value(key)
        return value if isinstance(value, int) else None

    def retyped(self, arguments: Sequence[str]) -> str:
        """The command line for a shell: this one's command and options, with other arguments."""
        import shlex  # for errors only

        noun, *verb = (self.typed or self.command.path).split()
        words = ["sandbox", noun]
        if self.of_noun:
            from sandbox.cli.noun_options import noun_options

            of_noun = {option.key: option for option in noun_options(noun)}
            for key, value in self.of_noun.items():
                words += _option_words(of_noun[key], value)
        words += verb
        declared = {option.key: option for option in self.command.options}
        for key, value in self.values.items():
            words += _option_words(declared[key], value)
        return shlex.join([*words, *arguments])

    def _value(self, key: str) -> Value | None:
        if key in self.values:
            return self.values[key]
        for declared in self.command.options:
            if declared.key == key:
                return declared.default
        raise AssertionError(f"{self.command.path} declares no option --{key}")


def _option_words(declared: Option, value: Value) -> list[str]:
    name = declared.names[0]
    if isinstance(value, bool):
        return [name if value else f"--{declared.key}=false"]
    texts = value if isinstance(value, tuple) else (str(value),)
    if declared.bare is not None:
        # without the "=" such an option would stand alone, and its value be an argument
        return [f"--{declared.key}={text}" for text in texts]
    return [word for text in texts for word in (name, text)]


def with_meant_name(invocation: Invocation, error: SandboxError, arguments: Sequence[str]) -> SandboxError:
    """`error`, mended by the same command with the name that may have been meant, where it knows one."""
    if isinstance(error, NotFoundError | RegistryError) and error.near and error.word in arguments:
        error.mend = invocation.retyped([error.near if word == error.word else word for word in arguments])
    return error


def each(invocation: Invocation, action: Callable[[str], str | None]) -> int:
    """Do `action` for every argument as Docker does: try all, print the result or error of each; 1 if any failed."""
    status = 0
    for name in invocation.arguments:
        try:
            line = action(name)
        except UsageError:
            raise
        except (SandboxError, StorageError, NetError) as error:
            from sandbox.foreign_errors import as_sandbox_error  # for errors only

            failure = with_meant_name(invocation, as_sandbox_error(error), (name,))
            invocation.context.note(render_error(failure))
            status = 1
        else:
            if line is not None:
                invocation.context.print_quoted(line)
    return status


def render_error(error: SandboxError) -> str:
    """The text for standard error; messages quote names that come from hostile images, so that nothing steers it."""
    return "\n".join(map(printable, error.render().split("\n")))
