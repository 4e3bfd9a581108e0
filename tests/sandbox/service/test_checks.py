"""What no container of a service could be made of is refused with the service."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox.container.request.request import ContainerRequest
from sandbox.errors import UsageError
from sandbox.service.checks import check_containers
from sandbox.service.spec import ServiceSpec
from sandbox.values import FileGrant, MountRequest

if TYPE_CHECKING:
    from typing import Any


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"nano_cpus": 999_999}, "invalid cpu value 0.000999999: Must be at least 0.001"),
        ({"nano_cpus": 5_000_000}, "range of CPUs is from 0.01"),
        ({"memory_bytes": 1024}, "invalid memory value 1024: Must be at least 4MiB"),
        ({"memory_reservation_bytes": 1024}, "invalid memory value 1024: Must be at least 4MiB"),
        ({"oom_score_adjust": 1001}, "range for oom score adj"),
        ({"mounts": (MountRequest("npipe", "a", "/a"),)}, "mount type 'npipe' is not supported"),
        ({"mounts": (MountRequest("bind", "a", "/a"),)}, "'a' mount path must be absolute"),
        (
            {"mounts": (MountRequest("tmpfs", "", "/a"), MountRequest("volume", "vol", "/a"))},
            "Duplicate mount point: /a",
        ),
        ({"secrets": (FileGrant("one", "x"), FileGrant("two", "x"))}, "Duplicate mount point: /run/secrets/x"),
        ({"hostname": "a b"}, "invalid hostname"),
        ({"cap_add": ("NOPE",)}, "unknown capability: 'CAP_NOPE'"),
        ({"cap_drop": ("all", "nope")}, "unknown capability: 'CAP_NOPE'"),
    ],
)
def test_what_cannot_be(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        check_containers(ServiceSpec("web", ContainerRequest(image="i", **fields)))
    assert caught.value.field


def test_values_of_tasks_may_stand_in_it() -> None:
    request = ContainerRequest(
        image="i", hostname="{{.Service.Name}}-{{.Task.Slot}}", volumes_from=("other",), nano_cpus=10_000_000,
        mounts=(MountRequest("bind", "/srv/{{.Node.Hostname}}", "/data"),),
    )  # fmt: skip
    check_containers(ServiceSpec("web", request))
