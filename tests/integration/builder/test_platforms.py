"""What is built for: other platforms, the settings every RUN gets, images pulled at the same time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from sandbox.builder.sources.copy_sources import StepError
from sandbox.builder.steps.run_platform import check_runnable
from sandbox.image.platforms import Platform, host_platform

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.builder.conftest import Builder
    from tests.registry import Registry

pytestmark = [pytest.mark.requires("userns", "subids", "overlay", "seccomp"), pytest.mark.slow]


def _platform(builder: Builder, name: str = "made") -> tuple[str, str]:
    found = json.loads(builder.sandbox.run("image", "inspect", name).stdout)[0]
    return found["Os"], found["Architecture"]


def test_cross_building_on_the_build_platform(builder: Builder) -> None:
    text = (
        "FROM --platform=$BUILDPLATFORM busybox AS compile\nARG TARGETPLATFORM TARGETARCH BUILDPLATFORM\n"
        "RUN echo $BUILDPLATFORM $TARGETPLATFORM $TARGETARCH > /out\n"
        "FROM scratch\nCOPY --from=compile /out /\n"
    )
    builder.build({"Dockerfile": text}, "--platform", "linux/s390x")
    assert _platform(builder) == ("linux", "s390x")
    (archive,) = builder.layers()
    file = archive.extractfile("out")
    assert file is not None
    assert file.read().decode().split() == [str(host_platform()), "linux/s390x", "s390x"]


def test_a_run_that_cannot_be_executed_here_is_an_error_at_its_line(builder: Builder) -> None:
    builder.build({"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"}, "--platform", "linux/s390x")
    builder.sandbox.run("tag", "made", "other")
    failed = builder.build({"Dockerfile": "FROM other\nRUN true\n"}, "--platform", "linux/s390x", status=1)
    assert "cannot execute programs for linux/s390x" in failed.stderr
    assert "2 | RUN true" in failed.stderr
    builder.build({"Dockerfile": "FROM other\nCOPY Dockerfile /again\n"}, "--platform", "linux/s390x")
    assert _platform(builder) == ("linux", "s390x")


def test_an_image_here_is_not_taken_for_another_platform(builder: Builder, registry: Registry) -> None:
    name = f"{registry.host}/only-here:1"
    builder.sandbox.run("tag", "busybox", name)
    builder.build({"Dockerfile": f"FROM {name}\nCOPY Dockerfile /\n"})
    failed = builder.build({"Dockerfile": f"FROM {name}\nCOPY Dockerfile /\n"}, "--platform", "linux/s390x", status=1)
    assert "1 | FROM" in failed.stderr


def test_several_platforms_are_refused(builder: Builder) -> None:
    failed = builder.build({"Dockerfile": "FROM scratch\n"}, "--platform", "linux/amd64,linux/arm64", status=125)
    assert "one platform" in failed.stderr


def test_what_executes_here(tmp_path: Path) -> None:
    amd64 = Platform("linux", "amd64")
    check_runnable({"os": "linux", "architecture": "386"}, amd64, str(tmp_path))
    with pytest.raises(StepError):
        check_runnable({"os": "linux", "architecture": "arm64"}, amd64, str(tmp_path))
    for text, runs in (("disabled\n", False), ("enabled\ninterpreter /usr/bin/qemu\n", True)):
        (tmp_path / "qemu-aarch64").write_text(text)
        if runs:
            check_runnable({"os": "linux", "architecture": "arm64"}, amd64, str(tmp_path))
        else:
            with pytest.raises(StepError):
                check_runnable({"os": "linux", "architecture": "arm64"}, amd64, str(tmp_path))


def test_settings_of_every_run(builder: Builder) -> None:
    text = (
        "FROM busybox\nRUN --network=none grep -q '10.1.2.3.*there' /etc/hosts && ulimit -n > /n && ulimit -Hn >> /n "
        "&& df -k /dev/shm | tail -n 1 | awk '{print $2}' > /shm\n"
    )
    options = ("--add-host", "there:10.1.2.3", "--ulimit", "nofile=100:200", "--shm-size", "8m")
    builder.build({"Dockerfile": text}, *options)
    assert builder.run("cat", "/n", "/shm").split() == ["100", "200", "8192"]
    # they are part of what the step is made of
    failed = builder.build({"Dockerfile": text}, *options[2:], status=1)
    assert "exit code: 1" in failed.stderr


def test_bases_are_pulled_at_the_same_time(builder: Builder, registry: Registry, busybox_layout: Path) -> None:
    one, two = (registry.push(busybox_layout, f"{name}:1") for name in ("one", "two"))
    text = f"FROM {one} AS a\nRUN echo x > /x\nFROM {two}\nCOPY --from=a /x /x\n"
    builder.build({"Dockerfile": text})
    assert builder.run("cat", "/x") == "x\n"
    builder.build({"Dockerfile": text}, "--pull")
    text = f"FROM {registry.host}/none:1 AS a\nFROM {registry.host}/three:1\nCOPY --from=a / /\n"
    failed = builder.build({"Dockerfile": text}, status=1)
    assert "none:1" in failed.stderr or "three:1" in failed.stderr
    assert "| FROM" in failed.stderr
