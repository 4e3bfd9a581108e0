"""`search`: images of Docker Hub, or of another registry, by a word."""

from __future__ import annotations

from sandbox.cli.command import Command
from sandbox.cli.flags import option
from sandbox.humane import ellipsis

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.cli.command import Invocation
    from sandbox.cli.output.table import Row

_DESCRIPTION_WIDTH = 45
_HEADERS = {
    "Name": "NAME", "Description": "DESCRIPTION", "StarCount": "STARS", "IsOfficial": "OFFICIAL",
    "IsAutomated": "AUTOMATED",
}  # fmt: skip


def search(invocation: Invocation) -> int:
    """Print what was found in a table, the descriptions cut to their beginning."""
    from sandbox.cli.output.listings import print_listing
    from sandbox.image.operations import search as search_images
    from sandbox.image.searching import SearchRequest

    context = invocation.context
    (term,) = invocation.arguments
    request = SearchRequest(term, invocation.number("limit") or 0, invocation.texts("filter"))
    full = invocation.flag("no-trunc")
    rows: list[Row] = []
    for result in search_images(context.for_operations(), request):
        description = " ".join(result.description.split())
        rows.append(
            {
                "Name": result.name,
                "Description": description if full else ellipsis(description, _DESCRIPTION_WIDTH),
                "StarCount": str(result.stars),
                "IsOfficial": "[OK]" if result.official else "",
                "IsAutomated": "[OK]" if result.automated else "",
            }
        )
    columns = ("Name", "Description", "StarCount", "IsOfficial")
    print_listing(context, _HEADERS, columns, rows, invocation.text("format"))
    return 0


COMMANDS = (
    Command(
        "image search",
        "Search Docker Hub, or another registry, for images",
        "[OPTIONS] TERM",
        (
            option("-f --filter", "list", "Filter output based on conditions provided", "filter"),
            option("--format", "text", "Pretty-print search using a Go template", "string"),
            option("--limit", "number", "Max number of search results", "int"),
            option("--no-trunc", "flag", "Don't truncate output"),
        ),
        search,
        least=1,
        most=1,
        examples=(
            "sandbox search --filter is-official=true nginx",
            "sandbox search --limit 5 registry.example.org/app",
        ),
    ),
)
