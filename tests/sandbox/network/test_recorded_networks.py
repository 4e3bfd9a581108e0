"""The networks that real clients made (api-flows.jsonl), and the documents that they look at."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.grammar.filters import FilterError
from sandbox.network import operations
from sandbox.network.create import NetworkRequest
from sandbox.operation_context import OperationContext
from tests.needs import vectors_directory

if TYPE_CHECKING:
    from sandbox.paths import Paths

pytestmark = pytest.mark.requires("vectors", "slirp4netns", "tap", "nft")


def recorded(method: str) -> list[dict[str, Any]]:
    """What was asked of networks; nothing where the folder is missing."""
    try:
        with open(vectors_directory() / "api-flows.jsonl", encoding="utf-8") as lines:
            flows = [json.loads(line) for line in lines]
    except FileNotFoundError:
        return []
    found = [flow for flow in flows if flow["method"] == method and flow["path"].startswith("/networks")]
    return list({json.dumps([flow["path"], flow.get("body")]): flow for flow in found}.values())


BODIES = [flow["body"] for flow in recorded("POST") if flow["path"] == "/networks/create"]


def test_there_are_requests() -> None:
    assert len(BODIES) > 8


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body["Name"])
def test_what_a_client_made_it_is_shown(body: dict[str, Any], paths: Paths) -> None:
    context = OperationContext(paths, {})
    request = NetworkRequest(
        body["Name"], body.get("Driver", "bridge"), attachable=body.get("Attachable", False),
        labels=tuple(body.get("Labels", {}).items()), ipam_driver=body.get("IPAM", {}).get("Driver", "default"),
    )  # fmt: skip
    made = operations.create(context, request)
    document = operations.inspect(context, body["Name"])
    assert (document["Name"], document["Id"], document["Driver"]) == (body["Name"], made.id, request.driver)
    assert document["Scope"] == ("swarm" if request.driver == "overlay" else "local")
    assert (document["Labels"], document["Attachable"]) == (body.get("Labels", {}), body.get("Attachable", False))
    assert [set(pool) for pool in document["IPAM"]["Config"]] == [{"Subnet", "Gateway"}]
    # compose asks by the name, and by its labels
    assert [one.id for one in operations.list_all(context, [f"name={body['Name']}"])] == [made.id]
    labels = [f"label={key}={value}" for key, value in body.get("Labels", {}).items()]
    assert [one.id for one in operations.list_all(context, [*labels, "type=custom"])] == [made.id]


def test_a_kind_that_there_is_not_is_refused(paths: Paths) -> None:
    with pytest.raises(FilterError):
        operations.list_all(OperationContext(paths, {}), ["type=mine"])
