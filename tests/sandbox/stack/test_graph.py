"""A project as a picture: what stands in it, and each language's own marks escaped."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

from sandbox.stack.graph import dot_of, graph_of, mermaid_of
from sandbox.stack.graph_svg import svg_of
from tests.sandbox.cli.in_process import run
from tests.sandbox.stack.projects import one

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.stack.graph import Graph

_BODY = """
name: shop
services:
  web:
    image: "nginx<1>"
    ports: ["8080:80", "127.0.0.1:53:5353/udp"]
    networks: [front, back]
    volumes: ["static:/srv:ro"]
    secrets: [key]
    depends_on: {db: {condition: service_healthy}, cache: {condition: service_started}}
    deploy: {replicas: 3}
  db: {build: ., networks: [back]}
  cache: {image: redis, network_mode: host, deploy: {mode: global}}
networks: {front: , back: {external: true}}
volumes: {static: }
secrets: {key: {environment: KEY}}
"""


@pytest.fixture
def graph(tmp_path: Path) -> Graph:
    return graph_of(one(tmp_path, _BODY))


def test_what_stands_in_it(graph: Graph) -> None:
    nodes = [(node.kind, node.name, node.detail) for node in graph.nodes]
    assert nodes == [
        ("port", "127.0.0.1:53/udp", ""),
        ("port", "8080", ""),
        ("service", "cache", "redis global"),
        ("service", "db", "built here"),
        ("service", "web", "nginx<1> ×3"),
        ("network", "back", "external"),
        ("network", "front", ""),
        ("network", "host", ""),
        ("volume", "static", ""),
        ("secret", "key", ""),
    ]
    edges = {(edge.source.name, edge.target.name, edge.label, edge.dashed) for edge in graph.edges}
    assert edges == {
        ("8080", "web", "80", False),
        ("127.0.0.1:53/udp", "web", "5353", False),
        ("web", "front", "", False),
        ("web", "back", "", False),
        ("db", "back", "", False),
        ("cache", "host", "", False),
        ("web", "static", "/srv (ro)", False),
        ("web", "key", "/run/secrets/key", False),
        ("web", "db", "healthy", True),
        ("web", "cache", "", True),
    }


def test_texts_for_programs_that_draw(graph: Graph) -> None:
    mermaid = list(mermaid_of(graph))
    assert mermaid[0] == "flowchart LR"
    assert '  service_web["nginx&lt;1&gt; ×3"]'.replace("nginx", "web<br/>nginx") in mermaid
    assert '  port_8080 -->|"80"| service_web' in mermaid
    assert '  service_web -.->|"healthy"| service_db' in mermaid
    dot = list(dot_of(graph))
    assert (dot[0], dot[-1]) == ('digraph "shop" {', "}")
    assert '  service_web [label="web\\nnginx<1> ×3", shape=box];' in dot
    assert '  service_web -> service_db [label="healthy", style=dashed];' in dot
    assert "  service_web -> service_cache [style=dashed];" in dot


def test_a_picture(graph: Graph) -> None:
    root = ElementTree.fromstring("\n".join(svg_of(graph)))
    space = "{http://www.w3.org/2000/svg}"
    texts = ["".join(each.itertext()) for each in root.iter(f"{space}text")]
    assert {"shop", "web", "nginx<1> ×3", "8080", "front", "static", "key"} <= set(texts)
    boxes = [
        tuple(int(each.attrib[key]) for key in ("x", "y", "width", "height"))
        for each in root.iter(f"{space}rect")
        if each.find(f"{space}title") is not None
    ]
    assert len(boxes) == len(graph.nodes)
    width, height = int(root.attrib["width"]), int(root.attrib["height"])
    for number, (x, y, wide, high) in enumerate(boxes):
        assert 0 < x < x + wide < width
        assert 0 < y < y + high < height
        assert not any(x < x2 + w2 and x2 < x + wide and y < y2 + h2 and y2 < y + high
                       for x2, y2, w2, h2 in boxes[:number])  # fmt: skip


def test_the_command(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(_BODY)
    printed = run(tmp_path, "stack", "graph", "-c", "compose.yaml", env={"KEY": "k"})
    assert (printed.status, printed.err) == (0, "")
    assert printed.out.startswith("flowchart LR\n")
    assert run(tmp_path, "stack", "graph", "-c", "compose.yaml", "-o", "shop.svg", "shop").status == 0
    assert (tmp_path / "shop.svg").read_text().startswith("<svg ")
    assert run(tmp_path, "stack", "graph", "-c", "compose.yaml", "-o", "shop.dot").status == 0
    assert (tmp_path / "shop.dot").read_text().startswith("digraph ")
    wrong = run(tmp_path, "stack", "graph", "-c", "compose.yaml", "--format", "png")
    assert wrong.status == 1
    assert "there is no graph of the form 'png'" in wrong.err
    none = run(tmp_path, "stack", "graph")
    assert none.status == 1
    assert none.err.startswith("Error: Specify a Compose file (with --compose-file)")
