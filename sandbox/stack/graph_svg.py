"""A picture of a project as SVG: a column for each kind of thing, in the order in which data goes."""

from __future__ import annotations

from sandbox.humane import display_width, ellipsis
from sandbox.stack.graph import KINDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.stack.graph import Edge, Graph, Node

#: pixels
_BOX_WIDTH, _BOX_HEIGHT = 190, 44
_GAP_X, _GAP_Y, _MARGIN = 110, 22, 24
_TITLE_HEIGHT = 34
_TEXT_COLUMNS = 26
_FILLS = {
    "port": "#fde68a", "service": "#bfdbfe", "network": "#bbf7d0", "volume": "#e9d5ff", "secret": "#fecaca",
    "config": "#e5e7eb",
}  # fmt: skip
#: what shares a column
_COLUMNS = {"port": 0, "service": 1, "network": 2, "volume": 3, "secret": 3, "config": 3}


def svg_of(graph: Graph) -> Iterator[str]:
    """Lines of a picture that stands by itself, readable on white and on dark paper."""
    places = _places(graph)
    rows = max((y for _, y in places.values()), default=0)
    width = max((x for x, _ in places.values()), default=0) + _BOX_WIDTH + _MARGIN
    height = rows + _BOX_HEIGHT + _MARGIN
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="13">'
    )
    yield f"<title>{_text(graph.name)}</title>"
    yield '<rect width="100%" height="100%" fill="white"/>'
    yield (
        '<defs><marker id="end" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L10 5L0 10z" fill="#475569"/></marker></defs>'
    )
    yield f'<text x="{_MARGIN}" y="{_MARGIN}" font-weight="bold">{_text(graph.name)}</text>'
    for edge in graph.edges:
        yield from _line(edge, places)
    for node in graph.nodes:
        yield from _box(node, places[node])
    yield "</svg>"


def _places(graph: Graph) -> dict[Node, tuple[int, int]]:
    """The upper left corner of each box; columns that hold nothing take no room."""
    used = sorted({_COLUMNS[node.kind] for node in graph.nodes})
    filled = dict.fromkeys(used, 0)
    places = {}
    for node in sorted(graph.nodes, key=lambda node: (_COLUMNS[node.kind], KINDS.index(node.kind), node.name)):
        column = _COLUMNS[node.kind]
        x = _MARGIN + used.index(column) * (_BOX_WIDTH + _GAP_X)
        places[node] = (x, _TITLE_HEIGHT + _MARGIN + filled[column] * (_BOX_HEIGHT + _GAP_Y))
        filled[column] += 1
    return places


def _box(node: Node, place: tuple[int, int]) -> Iterator[str]:
    x, y = place
    middle = x + _BOX_WIDTH // 2
    radius = 4 if node.kind == "service" else 18
    yield (
        f'<rect x="{x}" y="{y}" width="{_BOX_WIDTH}" height="{_BOX_HEIGHT}" rx="{radius}" fill="{_FILLS[node.kind]}" '
        f'stroke="#475569"><title>{node.kind} {_text(node.name)}</title></rect>'
    )
    lines = [text for text in (node.name, node.detail) if text]
    for number, text in enumerate(lines):
        baseline = y + _BOX_HEIGHT // 2 + 5 + (16 * number - 8 if len(lines) > 1 else 0)
        weight = ' font-weight="bold"' if number == 0 else ' font-size="11"'
        shown = _text(ellipsis(text, _TEXT_COLUMNS))
        yield f'<text x="{middle}" y="{baseline}" text-anchor="middle"{weight}>{shown}</text>'


def _line(edge: Edge, places: dict[Node, tuple[int, int]]) -> Iterator[str]:
    (from_x, from_y), (to_x, to_y) = places[edge.source], places[edge.target]
    half = _BOX_HEIGHT // 2
    looks = 'fill="none" stroke="#475569"' + (' stroke-dasharray="5 4"' if edge.dashed else "")
    arrow = ' marker-end="url(#end)"' if edge.target.kind == "service" else ""
    if from_x == to_x:
        # beside the column, to the left: the way between two services
        bow = from_x - _GAP_X // 3 - abs(to_y - from_y) // 12
        path = f"M{from_x} {from_y + half}C{bow} {from_y + half} {bow} {to_y + half} {to_x} {to_y + half}"
        middle = (bow + 12, (from_y + to_y) // 2 + half)
    else:
        start, end = from_x + _BOX_WIDTH, to_x
        bend = (start + end) // 2
        path = f"M{start} {from_y + half}C{bend} {from_y + half} {bend} {to_y + half} {end} {to_y + half}"
        middle = (bend, (from_y + to_y) // 2 + half - 4)
    yield f'<path d="{path}" {looks}{arrow}/>'
    if edge.label:
        shown = ellipsis(edge.label, max(8, _GAP_X // 7))
        width = display_width(shown) * 6
        yield (
            f'<rect x="{middle[0] - width // 2 - 2}" y="{middle[1] - 10}" width="{width + 4}" height="13" fill="white" '
            'fill-opacity="0.8"/>'
            f'<text x="{middle[0]}" y="{middle[1]}" text-anchor="middle" font-size="10" fill="#334155">{_text(shown)}'
            f"<title>{_text(edge.label)}</title></text>"
        )


def _text(text: str) -> str:
    """Text of XML; what XML cannot say is left out."""
    clean = "".join(c for c in text if c.isprintable())
    return clean.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
