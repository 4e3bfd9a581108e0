"""`sandbox stack config` and `sandbox stack graph`: the files of a stack as one, and as a picture."""

from __future__ import annotations

from sandbox.cli.command import Command
from sandbox.cli.flags import option
from sandbox.cli.stack_files import COMPOSE_FILE, load_stack
from sandbox.errors import UsageError
from sandbox.stack.project_request import ProjectRequest, Steps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sandbox.cli.command import Invocation
    from sandbox.stack.graph import Graph


def config(invocation: Invocation) -> int:
    """Print the files as one."""
    import io

    from sandbox.stack.canonical import document_of, in_order_of_keys, with_dollars
    from sandbox.stack.yaml_writing import write_yaml

    context = invocation.context
    skips = invocation.flag("skip-interpolation")
    request = ProjectRequest(profiles=("*",), keeps_unused=True)
    project = load_stack(invocation, request, Steps(interpolates=not skips, normalises=False))
    document: object = document_of(project._replace(name=""))
    stream = io.StringIO()
    write_yaml(in_order_of_keys(document) if skips else with_dollars(document), stream)
    context.stdout.write(context.quoted(stream.getvalue()))
    return 0


def graph(invocation: Invocation) -> int:
    """Print a picture, or write it to a file."""
    from sandbox.stack.graph import graph_of

    path = invocation.text("output") or ""
    form = invocation.text("format") or (path.rpartition(".")[2] if path.endswith((".dot", ".svg")) else "mermaid")
    lines = _written(form)
    # names are those of the files: what a stack adds to them says nothing in a picture
    project = load_stack(invocation, ProjectRequest(name=(*invocation.arguments, "stack")[0], profiles=("*",)))
    text = "".join(f"{line}\n" for line in lines(graph_of(project)))
    if not path:
        invocation.context.stdout.write(invocation.context.quoted(text))
        return 0
    from sandbox.image.archive.whole_file import written_whole

    with written_whole(invocation.context.cwd.absolute(path)) as stream:
        stream.write(text.encode())
    return 0


def _written(form: str) -> Callable[[Graph], Iterator[str]]:
    if form == "svg":
        from sandbox.stack.graph_svg import svg_of

        return svg_of
    from sandbox.stack import graph

    if form not in ("mermaid", "dot"):
        raise UsageError(f"there is no graph of the form {form!r}", mend="--format mermaid, dot or svg")
    return graph.dot_of if form == "dot" else graph.mermaid_of


COMMANDS: tuple[Command, ...] = (
    Command(
        "stack config",
        "Outputs the final config file, after doing merges and interpolations",
        "[OPTIONS]",
        (
            COMPOSE_FILE,
            option("--skip-interpolation", "flag", "Skip interpolation and output only merged config"),
        ),
        config,
        most=0,
        examples=(
            "sandbox stack config -c compose.yaml",
            "sandbox stack config -c compose.yaml -c production.yaml --skip-interpolation",
        ),
        further=("docs/compose.md has every key of a Compose file, and what becomes of it",),
    ),
    Command(
        "stack graph",
        "Draw the services of Compose files: what they publish, share and wait for",
        "[OPTIONS] [STACK]",
        (
            COMPOSE_FILE,
            option("--format", "text", "What to draw for: 'mermaid', 'dot' or 'svg'", "string"),
            option("-o --output", "text", "Write to a file, whose name may end in .dot or .svg", "string"),
        ),
        graph,
        most=1,
        examples=(
            "sandbox stack graph -c compose.yaml",
            "sandbox stack graph -c compose.yaml -o shop.svg shop",
            "sandbox stack graph -c compose.yaml --format dot | dot -Tpng >shop.png",
        ),
    ),
)
