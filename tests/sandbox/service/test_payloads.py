"""Contents that are templates: what a task's own text is made of, and what cannot be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox.container.request.request import ContainerRequest
from sandbox.errors import SandboxError, UsageError
from sandbox.operation_context import OperationContext
from sandbox.paths import find_paths
from sandbox.secret import operations
from sandbox.secret.operations import ObjectRequest
from sandbox.service.container_request import Node, task_values
from sandbox.service.payloads import with_payloads
from sandbox.service.spec import ServiceMode, ServiceSpec
from sandbox.state import open_state
from sandbox.values import FileGrant
from tests.sandbox.service.values import service_of, task_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def context(tmp_path: Path) -> OperationContext:
    return OperationContext(find_paths({"HOME": str(tmp_path)}), {})


def _filled(context: OperationContext, template: str, mode: ServiceMode | None = None) -> str | None:
    """What a task with two other grants gets as the text of a config with this content."""
    operations.create(context, "secret", ObjectRequest("key", b"k\xff"))
    config = operations.create(context, "config", ObjectRequest("all", template.encode(), (), "golang"))
    request = ContainerRequest(
        image="busybox",
        environment=("A=1=2", "BARE"),
        secrets=(FileGrant("key", "word"),),
        configs=(FileGrant(config, "/all"),),
    )
    service = service_of(
        ServiceSpec("web", request, labels=(("tier", "front"),), mode=mode or ServiceMode("replicated"))
    )
    values = task_values(service, task_of(service, "task1", slot=3), Node("node1", "here"))
    with open_state(context.paths) as connection:
        return with_payloads(connection, context.paths, request, values, {"tier": "front"}).configs[-1].content


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{.Service.Name}} {{.Task.Slot}} {{.Node.Hostname}}", "web 3 here"),
        ("{{.Node.Platform.OS}}", "linux"),
        ('{{index .Service.Labels "tier"}}{{.Service.Labels.none}}', "front<no value>"),
        ('{{env "A"}},{{env "BARE"}},{{env "NONE"}}', "1=2,,"),
        # bytes that are no text stay what they are
        ('{{secret "word"}}{{secret "/run/secrets/word"}}', "k\udcffk\udcff"),
        ('{{if eq .Task.Slot "3"}}third{{else}}other{{end}}', "third"),
        ("plain {", "plain {"),
    ],
)
def test_a_template_becomes_the_tasks_own_text(context: OperationContext, template: str, text: str) -> None:
    assert _filled(context, template) == text


def test_a_task_of_a_node_has_its_id_as_slot(context: OperationContext) -> None:
    assert _filled(context, "{{.Task.Slot}}", ServiceMode("global")) == "node1"


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ('{{secret "key"}}', "failed to expand templated config all: secret target key not found"),
        ("{{.Service", "failed to expand templated config all: template parsing error"),
        ("{{nope}}", 'function "nope" not defined'),
    ],
)
def test_a_template_that_fails_is_told_with_its_object(context: OperationContext, template: str, told: str) -> None:
    with pytest.raises(SandboxError, match=told):
        _filled(context, template)


def test_what_is_no_template_is_granted_as_it_is(context: OperationContext) -> None:
    operations.create(context, "secret", ObjectRequest("plain", b"{{.Task.Slot}}"))
    request = ContainerRequest(image="busybox", secrets=(FileGrant("plain", "plain"),))
    with open_state(context.paths) as connection:
        assert with_payloads(connection, context.paths, request, {".Service.ID": ""}, {}) == request


def test_another_language_is_refused(context: OperationContext) -> None:
    with pytest.raises(UsageError, match="unrecognized template driver jinja"):
        operations.create(context, "config", ObjectRequest("a", b"b", (), "jinja"))


def test_the_document_says_that_it_is_a_template(context: OperationContext) -> None:
    operations.create(context, "secret", ObjectRequest("a", b"b", (), "golang"))
    assert operations.inspect(context, "secret", "a")["Spec"]["Templating"] == {"Name": "golang"}
