"""Kinds of errors: what each class has, what the command makes of it, and that it survives the way across processes."""

from __future__ import annotations

import pytest

from sandbox import errors
from sandbox.cli.exit_statuses import exit_status
from sandbox.errors import SandboxError
from sandbox.runtime.reports import decode_error, encode_error

#: class -> kind, status of a command, status of `run`
TABLE = {
    "SandboxError": ("failed", 1, 125),
    "UsageError": ("bad_request", 125, 125),
    "NotFoundError": ("not_found", 1, 125),
    "ImageNotFoundError": ("not_found", 1, 125),
    "ConflictError": ("conflict", 1, 125),
    "ForbiddenError": ("forbidden", 1, 125),
    "NotSupportedError": ("not_supported", 1, 125),
    "NoTerminalError": ("no_terminal", 1, 1),
    "HostError": ("host_lacks", 125, 125),
    "StartError": ("not_started", 125, 125),
    "UnmappedIdError": ("not_started", 125, 125),
    "NotExecutableError": ("not_executable", 126, 126),
    "CommandNotFoundError": ("command_not_found", 127, 127),
    "ImageError": ("bad_image", 1, 125),
    "RegistryError": ("registry", 1, 125),
    "AuthenticationError": ("authentication", 1, 125),
}
CLASSES = {
    name: value for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, SandboxError)
}


def test_every_class_has_its_row() -> None:
    assert TABLE.keys() == CLASSES.keys()


@pytest.mark.parametrize("name", TABLE)
def test_kind_and_statuses(name: str) -> None:
    error = CLASSES[name]("it failed")
    kind, status, run_status = TABLE[name]
    create_status = 1 if kind == "failed" else run_status
    statuses = [exit_status(error, path) for path in ("container logs", "container run", "container create")]
    assert (error.kind, statuses) == (kind, [status, run_status, create_status])


@pytest.mark.parametrize("path", ["compose up", "service create", "stack deploy"])
def test_compose_services_and_stacks_have_one_status(path: str) -> None:
    failures = (errors.HostError, errors.StartError, errors.ConflictError, errors.UsageError)
    assert {exit_status(error("it failed"), path) for error in failures} == {1}
    # a slip in a flag has another of Docker's own client, and none of Compose, which is a program of its own
    assert exit_status(errors.UsageError("invalid argument "), path) == (1 if path == "compose up" else 125)


@pytest.mark.parametrize("name", TABLE)
def test_a_kind_survives_the_way_across_processes(name: str) -> None:
    error = CLASSES[name]("it failed", cause="why", mend="how")
    found = decode_error(encode_error(error))
    assert (type(found), found.kind) == (CLASSES[name], error.kind)
    assert (found.message, found.cause, found.mend) == ("it failed", "why", "how")


def test_the_field_at_fault_survives_it_too() -> None:
    found = decode_error(encode_error(errors.UsageError("it failed", field="mounts[1]")))
    assert isinstance(found, errors.UsageError)
    assert found.field == "mounts[1]"
