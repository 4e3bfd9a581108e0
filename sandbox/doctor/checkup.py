"""All checks in their order, run together or one by one."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from sandbox.doctor import boot, identity, limits, network, storage_place, subnets
from sandbox.doctor.check import Check, Machine
from sandbox.errors import UsageError
from sandbox.faults import explain_fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_SECONDS_EACH = 20.0


class Examination(NamedTuple):
    """A check and what must have passed for it to make sense."""

    run: Callable[[Machine], Check]
    after: tuple[str, ...] = ()


EXAMINATIONS: dict[str, Examination] = {
    "kernel": Examination(identity.check_kernel),
    "userns": Examination(identity.check_user_namespaces),
    "subids": Examination(identity.check_subordinate_ids),
    "getsubids": Examination(identity.check_getsubids),
    "idmap": Examination(identity.check_id_map, ("userns", "subids")),
    "ownership": Examination(storage_place.check_ownership, ("idmap",)),
    "overlay": Examination(storage_place.check_overlay, ("idmap",)),
    "space": Examination(storage_place.check_space),
    "local-disk": Examination(storage_place.check_local_disk),
    "mount-options": Examination(storage_place.check_mount_options),
    "runtime-directory": Examination(storage_place.check_runtime_directory),
    "seccomp": Examination(limits.check_seccomp),
    "tun": Examination(network.check_tun_device),
    "slirp4netns": Examination(network.check_slirp, ("idmap", "tun")),
    "bridge": Examination(network.check_bridge, ("idmap",)),
    "keeper": Examination(network.check_keeper),
    "ipv6": Examination(network.check_ipv6),
    "subnets": Examination(subnets.check_subnets),
    "ports": Examination(network.check_ports),
    "ping": Examination(network.check_ping),
    "fuse": Examination(storage_place.check_fuse, ("idmap",)),
    "cgroup": Examination(limits.check_cgroups),
    "linger": Examination(limits.check_linger),
    "autostart": Examination(boot.check_autostart),
}


class TooSlowError(Exception):
    """A check did not come back in time."""


def run_checks(machine: Machine, names: Iterable[str] = EXAMINATIONS) -> Iterator[Check]:
    """The outcome of each check in `names`, in order, as soon as it is known. No check hangs or raises.

    What a failed one makes senseless is not tried, and says so.
    """
    #: what failed or was not tried -> the failure at the root of it
    roots: dict[str, str] = {}
    for name in names:
        examination = EXAMINATIONS[name]
        root = next((roots[other] for other in examination.after if other in roots), None)
        if root is None:
            check = _run(name, examination, machine)
            if check.status == "failure":
                roots[name] = name
        else:
            # a warning: one thing to mend is one failure
            check = Check(name, "warning", "not tried", f"{root} failed", f"sandbox doctor {root}")
            roots[name] = root
        yield check


def run_check(name: str, machine: Machine) -> Check:
    """The outcome of one check. Raises UsageError for an unknown name."""
    if name not in EXAMINATIONS:
        raise UsageError(f"no such check: {name}", mend="sandbox doctor lists them")
    return _run(name, EXAMINATIONS[name], machine)


def is_fit(checks: Iterable[Check]) -> bool:
    """Whether the main job can run: a container from an image, with a published port."""
    return all(check.status != "failure" for check in checks)


def _run(name: str, examination: Examination, machine: Machine) -> Check:
    try:
        with _deadline(_SECONDS_EACH):
            return examination.run(machine)
    except TooSlowError:
        cause = f"the check did not end within {_SECONDS_EACH:g} seconds"
        return Check(name, "failure", "no answer", cause, f"sandbox doctor {name}")
    except Exception as error:  # noqa: BLE001  # the boundary of one check: what breaks it must not hide the others
        return Check(name, "failure", "the check itself failed", explain_fault(error))


@contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    """Raise TooSlowError in the block after `seconds`, and again each second should something catch it."""

    def late(_number: int, _frame: object) -> NoReturn:
        raise TooSlowError

    earlier = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, earlier)
