"""What a person is told where the host gives no user namespaces."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from sandbox.runtime.user_namespace import explain_unshare

if TYPE_CHECKING:
    from pathlib import Path

REFUSED = PermissionError(errno.EPERM, "Operation not permitted")


@pytest.mark.parametrize(
    ("name", "value", "mend"),
    [
        ("kernel/unprivileged_userns_clone", "0", "sudo sysctl kernel.unprivileged_userns_clone=1"),
        ("user/max_user_namespaces", "0", "sudo sysctl user.max_user_namespaces=15000"),
        ("user/max_user_namespaces", "100", "sandbox doctor"),
    ],
)
def test_the_setting_that_refuses_is_named(tmp_path: Path, name: str, value: str, mend: str) -> None:
    (tmp_path / "sys" / name).parent.mkdir(parents=True)
    (tmp_path / "sys" / name).write_text(f"{value}\n")
    assert explain_unshare(REFUSED, str(tmp_path)).mend == mend


def test_apparmor_is_given_a_profile_and_never_switched_off(tmp_path: Path) -> None:
    (tmp_path / "sys/kernel").mkdir(parents=True)
    (tmp_path / "sys/kernel/apparmor_restrict_unprivileged_userns").write_text("1\n")
    mend = explain_unshare(REFUSED, str(tmp_path)).mend
    assert mend.startswith("sandbox doctor --apparmor-profile | sudo tee /etc/apparmor.d/")
    assert "sysctl" not in mend
