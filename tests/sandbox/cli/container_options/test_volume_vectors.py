"""The 3 tables of moby's volume/mounts: volume-specs.json.

Answered otherwise, with the reason:
- split "name:/named2" with driver "external": the driver is an option of its own there (`--volume-driver`); only
  "local" can be had, and another is refused before volumes are read.
- split "local/name:/tmp:rw": the grammar reads it as a volume's name, as moby does; no volume can have it, so that
  `mount_of` refuses what moby refuses when it makes the volume.
"""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.errors import UsageError
from sandbox.grammar.volumes import mount_of, parse_volume
from tests.sandbox.cli.container_options.vectors import load_cases, words

CASES = load_cases("volume-specs.json")
pytestmark = pytest.mark.requires("vectors")


@pytest.mark.parametrize("case", CASES.get("valid", []), ids=words)
def test_valid(case: str) -> None:
    parse_volume(case)


@pytest.mark.parametrize("case", CASES.get("invalid", []), ids=words)
def test_invalid(case: dict[str, str]) -> None:
    with pytest.raises(UsageError) as caught:
        parse_volume(case["key"])
    assert case["value"] in caught.value.message


@pytest.mark.parametrize("case", CASES.get("split", []), ids=words)
def test_split(case: dict[str, Any]) -> None:
    if "expErr" in case:
        with pytest.raises(UsageError):
            parse_volume(case["bind"])
        return
    wanted = case["expected"]
    spec = parse_volume(case["bind"])
    is_bind = wanted["Type"] == "$mount.TypeBind"
    assert (spec.source, spec.target, spec.is_bind) == (wanted["Spec"]["Source"], wanted["Destination"], is_bind)
    assert (spec.read_only, spec.copy_up) == (not wanted["RW"], True)
    assert ",".join(spec.modes) == wanted.get("Mode", "")
    if "/" in wanted.get("Name", ""):
        with pytest.raises(UsageError):
            mount_of(spec)
        return
    mount = mount_of(spec)
    assert (mount.kind, mount.target) == ("bind" if is_bind else "volume", wanted["Destination"])
    if is_bind:
        assert mount.propagation == wanted["Propagation"]
