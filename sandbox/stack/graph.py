"""A project as a picture: what its services publish, share and wait for. First as values, then as a text for programs
that draw: Mermaid and DOT (`graph_svg` draws itself).
"""

from __future__ import annotations

from sandbox.named_tuple import NamedTuple
from sandbox.stack.measures import Pairs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.stack.model import Port, Service
    from sandbox.stack.project import Project

#: kinds of nodes, as they stand from left to right
KINDS = ("port", "service", "network", "volume", "secret", "config")


class Node(NamedTuple):
    """One thing of a project: its kind, its key in the file, and a second line."""

    kind: str
    name: str
    detail: str = ""

    @property
    def id(self) -> str:
        """A word that every language takes for a name."""
        return f"{self.kind}_{''.join(c if c.isascii() and c.isalnum() else f'_{ord(c):x}_' for c in self.name)}"


class Edge(NamedTuple):
    """From one node to another; a dashed one is an order of starts, and no way of data."""

    source: Node
    target: Node
    label: str = ""
    dashed: bool = False


class Graph(NamedTuple):
    name: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


def graph_of(project: Project) -> Graph:
    """The services of a project, with what they publish, share and wait for. Nodes stand in the order of KINDS."""
    services = {name: Node("service", name, _detail(service)) for name, service in project.services}
    edges: list[Edge] = []
    for name, service in project.services:
        node = services[name]
        edges += _edges_of_ports(node, service)
        edges += _edges_of_shares(node, service, project)
        edges += [
            Edge(node, services[other], _condition(each.condition), dashed=True)
            for other, each in service.depends_on
            if other in services
        ]
    found = {*services.values(), *(node for edge in edges for node in (edge.source, edge.target))}
    nodes = sorted(found, key=lambda node: (KINDS.index(node.kind), node.name))
    return Graph(project.name, tuple(nodes), tuple(edges))


def _detail(service: Service) -> str:
    image = service.image or ("built here" if service.build is not None else "")
    mode = service.deploy.mode if service.deploy is not None else ""
    count = mode if mode.startswith("global") else f"×{service.replicas}" if service.replicas != 1 else ""
    return " ".join(word for word in (image, count) if word)


def _condition(text: str) -> str:
    return "" if text == "service_started" else text.removeprefix("service_").replace("_", " ")


def _edges_of_ports(node: Node, service: Service) -> Iterator[Edge]:
    for port in service.ports:
        if isinstance(port, str):
            yield Edge(Node("port", port), node)
        else:
            yield Edge(Node("port", _outside(port)), node, f"{port.target}")


def _outside(port: Port) -> str:
    address = f"{port.host_ip}:" if port.host_ip else ""
    protocol = "" if port.protocol in ("", "tcp") else f"/{port.protocol}"
    return f"{address}{port.published or 'any'}{protocol}"


def _edges_of_shares(node: Node, service: Service, project: Project) -> Iterator[Edge]:
    if service.network_mode:
        yield Edge(node, Node("network", service.network_mode))
    for key, _ in service.networks or Pairs():
        network = project.networks.value(key)
        yield Edge(node, Node("network", key, "external" if network is not None and network.external else ""))
    for volume in service.volumes:
        if not isinstance(volume, str) and volume.source and volume.type in ("volume", "bind"):
            yield Edge(node, Node("volume", volume.source), volume.target + (" (ro)" if volume.read_only else ""))
    for kind, grants in (("secret", service.secrets), ("config", service.configs)):
        for grant in grants:
            yield Edge(node, Node(kind, grant.source), grant.target)


def mermaid_of(graph: Graph) -> Iterator[str]:
    """Lines of a Mermaid flowchart."""
    shapes = {
        "port": ("([", "])"), "service": ("[", "]"), "network": ("{{", "}}"), "volume": ("[(", ")]"),
        "secret": ("[/", "/]"), "config": ("[/", "/]"),
    }  # fmt: skip
    yield "flowchart LR"
    for node in graph.nodes:
        opened, closed = shapes[node.kind]
        yield f"  {node.id}{opened}{_mermaid_text(_label(node, '<br/>'))}{closed}"
    for edge in graph.edges:
        arrow = "-.->" if edge.dashed else "-->" if edge.target.kind == "service" else "---"
        label = f"|{_mermaid_text(edge.label)}|" if edge.label else ""
        yield f"  {edge.source.id} {arrow}{label} {edge.target.id}"


def dot_of(graph: Graph) -> Iterator[str]:
    """Lines of a graph for Graphviz."""
    shapes = {
        "port": "plaintext", "service": "box", "network": "hexagon", "volume": "cylinder", "secret": "note",
        "config": "note",
    }  # fmt: skip
    yield f"digraph {_dot_text(graph.name)} {{"
    yield "  rankdir=LR;"
    for node in graph.nodes:
        yield f"  {node.id} [label={_dot_text(_label(node, chr(10)))}, shape={shapes[node.kind]}];"
    for edge in graph.edges:
        looks = [f"label={_dot_text(edge.label)}"] if edge.label else []
        looks += ["style=dashed"] if edge.dashed else [] if edge.target.kind == "service" else ["dir=none"]
        attributes = f" [{', '.join(looks)}]" if looks else ""
        yield f"  {edge.source.id} -> {edge.target.id}{attributes};"
    yield "}"


def _label(node: Node, line_break: str) -> str:
    return f"{node.name}{line_break}{node.detail}" if node.detail else node.name


def _mermaid_text(text: str) -> str:
    # a mark of the language in quotes is text, but for quotes themselves, and for what HTML reads
    escaped = text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")
    return f'"{escaped.replace("&lt;br/&gt;", "<br/>")}"'


def _dot_text(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
