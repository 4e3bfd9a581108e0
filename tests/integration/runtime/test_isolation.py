"""What a hostile image or process tries: one test for each row of the threats to start and exec."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import textwrap
import threading
from typing import TYPE_CHECKING

import pytest

from sandbox.errors import StartError, UsageError
from sandbox.runtime.enter import set_up_exec
from sandbox.runtime.process import Stdio
from sandbox.runtime.seccomp import find_program
from sandbox.runtime.spec import BindMount, TmpfsMount
from storage.syscalls import AT_FDCWD, RENAME_EXCHANGE, renameat2
from tests.integration.runtime.containers import (
    compile_static,
    container,
    make_root,
    process,
    remove_root,
    run,
    running,
    shell,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.requires("userns", "subids", "busybox")


def _digest(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def test_script_of_proc_self_exe_never_meets_the_interpreter(root: Path) -> None:
    """CVE-2019-5736: the kernel reads `#!/proc/self/exe` while the process still is the one that executes it."""
    (root / "evil").write_text("#!/proc/self/exe\n")
    (root / "evil").chmod(0o755)
    before = _digest(os.path.realpath(sys.executable))
    seen = set()
    with running(container(root, "/evil")) as pid:
        for _look in range(200):
            try:
                seen.add(os.readlink(f"/proc/{pid}/exe"))
            except OSError:
                break
    assert seen <= {"/memfd:sandbox-exec (deleted)", "/evil"}
    assert _digest(os.path.realpath(sys.executable)) == before


@pytest.mark.requires("gcc")
def test_process_of_the_container_cannot_reach_who_enters(root: Path, tmp_path: Path) -> None:
    """While `exec` enters, nothing of it may be opened: not its program, memory, environment or descriptors."""
    compile_static(_SPY, root / "bin/spy")
    interpreter = os.path.realpath(sys.executable)
    before = _digest(interpreter)
    with running(container(root, "spy")) as pid:
        for _turn in range(15):
            started = set_up_exec(pid, process("true"), Stdio()).release()
            os.waitpid(started.pid, 0)
            os.close(started.pidfd)
        found = (root / "found").read_text() if (root / "found").exists() else ""
    lines = {line for line in found.splitlines() if line}
    assert lines, "the spy saw nothing at all: the test proves nothing"
    assert lines <= {"/bin/busybox", "/bin/spy", "/memfd:sandbox-exec (deleted)"}
    assert _digest(interpreter) == before


_SPY = r"""
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(void) {
    char path[64], text[512], last[512] = "";
    int out = open("/found", O_WRONLY | O_CREAT | O_APPEND, 0644);
    for (;;) for (int pid = 2; pid < 200; pid++) {
        snprintf(path, sizeof path, "/proc/%d/exe", pid);
        long n = readlink(path, text, 500);
        if (n > 0) {
            text[n] = 0;
            if (strcmp(text, last)) { dprintf(out, "%s\n", text); strcpy(last, text); }
            int fd = open(path, O_WRONLY);
            if (fd >= 0) { dprintf(out, "/opened for writing: %s\n", text); close(fd); }
        }
        snprintf(path, sizeof path, "/proc/%d/environ", pid);
        int fd = open(path, O_RDONLY);
        if (fd >= 0) {
            n = read(fd, text, 500);
            for (long i = 0; i + 8 < n; i++) if (!memcmp(text + i, "SSH_AUTH", 8) || !memcmp(text + i, "PYTEST", 6))
                dprintf(out, "/environment of python\n");
            close(fd);
        }
    }
}
"""


@pytest.mark.slow
def test_interpreter_owned_by_the_caller_stays_as_it_is(root: Path, tmp_path: Path) -> None:
    """An interpreter in the person's own home (pyenv, uv): the container's root is its owner for the kernel."""
    compile_needed = root / "bin/evil"
    compile_needed.write_text("#!/proc/self/exe\n")
    compile_needed.chmod(0o755)
    (root / "bin/clobber").write_text(
        "#!/bin/sh\nfor i in 1 2 3; do for p in /proc/[0-9]*; do echo x 2>/dev/null >>$p/exe; done; done; true\n"
    )
    (root / "bin/clobber").chmod(0o755)
    subprocess.run([sys.executable, "-m", "venv", "--copies", "--without-pip", tmp_path / "own"], check=True)
    interpreter = os.fspath(tmp_path / "own/bin/python")
    assert os.stat(interpreter).st_uid == os.getuid()
    before = _digest(interpreter)
    script = textwrap.dedent(
        f"""
        import sys
        sys.path[:0] = {sys.path!r}
        from pathlib import Path
        from tests.integration.runtime.containers import container, run
        print(run(container(Path({os.fspath(root)!r}), "clobber")).status)
        """
    )
    subprocess.run([interpreter, "-c", script], check=True, stdout=subprocess.DEVNULL, env=dict(os.environ))
    assert _digest(interpreter) == before


def test_only_three_descriptors(root: Path, tmp_path: Path) -> None:
    def leak() -> None:
        for _number in range(5):
            os.set_inheritable(os.open(tmp_path, os.O_RDONLY), True)

    outcome = run(container(root, "ls", "/proc/self/fd"), leak)
    assert outcome.lines == ["0", "1", "2", "3"]  # 3 is the directory that ls reads


# the last two are above what the test itself may have open, with which it answers
@pytest.mark.parametrize("number", [3, 4, 5, 6, 7, 8, 9, 10, 60, 80])
def test_working_directory_through_a_descriptor_is_refused(root: Path, tmp_path: Path, number: int) -> None:
    """CVE-2024-21626."""

    def leak() -> None:
        os.dup2(os.open(tmp_path, os.O_RDONLY), number)

    spec = shell(root, "pwd; ls ..")
    spec = spec._replace(process=spec.process._replace(working_directory=f"/proc/self/fd/{number}"))
    with pytest.raises(StartError):
        run(spec, leak)


def test_modules_in_the_container_are_not_imported(root: Path, tmp_path: Path) -> None:
    """CVE-2019-14271: after the change of root, sys.path leads into the container's tree."""
    for directory in [*sys.path, *(f"{entry}/encodings" for entry in sys.path)]:
        if not directory.startswith("/"):
            continue
        place = root / directory.lstrip("/")
        place.mkdir(parents=True, exist_ok=True)
        for name in ("pwd", "grp", "idna", "traceback", "linecache", "ascii", "utf_8_sig", "__init__", "sitecustomize"):
            (place / f"{name}.py").write_text("open('/marker', 'w').write('imported')\n")
    spec = container(root, "nope")
    with pytest.raises(StartError):
        run(spec)
    with pytest.raises(StartError):
        run(spec._replace(process=spec.process._replace(user="nobody:nogroup")))
    assert not (root / "marker").exists()


@pytest.mark.parametrize("link", ["../../../../../../../..{}", "{}"])
def test_link_in_the_image_leads_no_mount_outside(root: Path, tmp_path: Path, link: str) -> None:
    """CVE-2021-30465 class: the target of a volume is a link of the image."""
    canary = tmp_path / "canary"
    canary.mkdir()
    (root / "data").symlink_to(link.format(canary))
    (tmp_path / "volume").mkdir()
    (tmp_path / "volume/file").write_text("volume\n")
    mounts = (BindMount(os.fspath(tmp_path / "volume"), "/data/inner"), TmpfsMount("/data/tmp"))
    outcome = run(shell(root, "cat /data/inner/file; mount")._replace(mounts=mounts))
    assert outcome.lines[0] == "volume"
    assert list(canary.iterdir()) == []


@pytest.mark.slow
def test_target_swapped_while_mounting(root: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.mkdir()
    (tmp_path / "volume").mkdir()
    (root / "data").mkdir()
    (root / "link").symlink_to("../" * 12 + os.fspath(canary).lstrip("/"))
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            renameat2(AT_FDCWD, os.fspath(root / "data"), AT_FDCWD, os.fspath(root / "link"), RENAME_EXCHANGE)

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        for _turn in range(15):
            spec = container(root, "true")._replace(mounts=(BindMount(os.fspath(tmp_path / "volume"), "/data/inner"),))
            try:
                run(spec)
            except StartError:
                continue  # caught in between: refused is as good as mounted inside
    finally:
        stop.set()
        swapper.join()
    assert list(canary.iterdir()) == []


@pytest.mark.parametrize("target", ["/proc", "/proc/self", "/x/../proc/sys"])
def test_mount_over_proc_is_refused(root: Path, tmp_path: Path, target: str) -> None:
    with pytest.raises(UsageError, match="cannot mount over /proc"):
        run(container(root, "true")._replace(mounts=(BindMount(os.fspath(tmp_path), target),)))


def test_mount_over_proc_through_a_link_is_refused(root: Path, tmp_path: Path) -> None:
    (root / "innocent").symlink_to("proc/sys")
    with pytest.raises(StartError) as caught:
        run(container(root, "true")._replace(mounts=(BindMount(os.fspath(tmp_path), "/innocent/kernel"),)))
    assert "/proc" in caught.value.message


@pytest.mark.parametrize("name", ["proc", "sys", "dev"])
def test_link_in_place_of_a_kernel_directory_is_refused(root: Path, name: str) -> None:
    (root / name).symlink_to("etc")
    with pytest.raises(StartError):
        run(container(root, "true"))
    assert sorted(path.name for path in (root / "etc").iterdir()) == ["group", "passwd"]


def test_masked_and_read_only_paths(root: Path) -> None:
    script = """
    for f in /proc/kcore /proc/keys /proc/timer_list /proc/sched_debug /proc/interrupts; do
        test ! -e $f || { head -c 1 $f | grep -q . && echo shows $f; }
    done
    for d in /proc/scsi /proc/acpi /sys/firmware /sys/devices/virtual/powercap; do
        test ! -e $d || { ls -A $d | grep -q . && echo shows $d; touch $d/x 2>/dev/null && echo writes $d; }
    done
    for f in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /sys/kernel/uevent_helper; do
        test ! -e $f || { echo x 2>/dev/null >$f && echo writes $f; }
    done
    umount /proc/keys 2>/dev/null && echo unmounted
    mount -o remount,rw /proc/sys 2>/dev/null && echo remounted
    echo done
    """
    assert run(shell(root, script)).lines == ["done"]


def test_mask_source_must_be_the_null_device(root: Path) -> None:
    """CVE-2025-31133: what is bind-mounted over a masked path is looked at as a descriptor."""
    from sandbox.runtime.rootfs import _open_device

    with pytest.raises(Exception, match="not the device"):
        run_as_root_of_namespace(_open_device, "/dev/zero", (1, 3))


def run_as_root_of_namespace(function: object, *arguments: object) -> object:
    from sandbox.runtime.user_namespace import call_in_user_namespace

    assert callable(function)
    return call_in_user_namespace(function, *arguments)


def test_cgroups_cannot_be_written(root: Path) -> None:
    script = "for d in /sys/fs/cgroup /sys/fs/cgroup/*; do mkdir $d/mine 2>/dev/null && echo made $d; done; "
    script += (
        "mount -t cgroup2 none /etc 2>/dev/null && echo mounted; mount -t cgroup -o memory none /etc 2>/dev/null && "
    )
    script += "echo mounted; find / -name release_agent 2>/dev/null; echo done"
    assert run(shell(root, script)).lines == ["done"]


@pytest.mark.parametrize("user", ["", "1000"])
def test_capability_sets(root: Path, user: str) -> None:
    spec = container(root, "grep", "Cap", "/proc/self/status")
    outcome = run(spec._replace(process=spec.process._replace(user=user)))
    sets = {line.split()[0]: int(line.split()[1], 16) for line in outcome.lines}
    assert sets["CapInh:"] == sets["CapAmb:"] == 0
    assert sets["CapBnd:"] == 0xA80425FB
    assert sets["CapEff:"] == sets["CapPrm:"] == (0 if user else 0xA80425FB)


def test_groups_of_the_caller_do_not_show(root: Path) -> None:
    assert run(container(root, "id", "-G")).output == "0\n"
    spec = container(root, "id", "-G")
    assert run(spec._replace(process=spec.process._replace(additional_groups=("log", "77")))).output == "0 4 77\n"


def test_accounts_from_a_fifo_do_not_hang(root: Path) -> None:
    (root / "etc/passwd").unlink()
    os.mkfifo(root / "etc/passwd")
    (root / "etc/group").unlink()
    (root / "etc/group").symlink_to("/dev/zero")
    spec = container(root, "grep", "Uid", "/proc/self/status")
    assert run(spec._replace(process=spec.process._replace(user="1000"))).output.split()[1] == "1000"


@pytest.mark.parametrize("target", ["", "/proc/self/mem", "/proc/kmsg", "/proc/self/environ"])
def test_accounts_that_cannot_be_read_are_none(root: Path, target: str) -> None:
    """A directory, or a link into /proc, in the place of /etc/passwd: a number still runs, a name is unknown."""
    (root / "etc/passwd").unlink()
    if target:
        (root / "etc/passwd").symlink_to(target)
    else:
        (root / "etc/passwd").mkdir()
    spec = container(root, "grep", "Uid", "/proc/self/status")
    assert run(spec._replace(process=spec.process._replace(user="1000"))).output.split()[1] == "1000"
    with pytest.raises(StartError, match="unable to find user web"):
        run(spec._replace(process=spec.process._replace(user="web")))


def test_only_declared_environment(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "of the caller")
    spec = container(root, "env")
    spec = spec._replace(process=spec.process._replace(environment=("PATH=/bin", "A=1", "A=2", "EMPTY=")))
    assert sorted(run(spec).lines) == ["A=2", "EMPTY=", "HOME=/root", "PATH=/bin"]


@pytest.mark.requires("gcc", "seccomp")
def test_default_filter_answers_also_through_int_0x80(root: Path, tmp_path: Path) -> None:
    compile_static(_CALLS, root / "bin/calls")
    program = find_program("", process("x").capabilities, os.fspath(tmp_path / "cache"))
    spec = container(root, "calls")
    outcome = run(spec._replace(process=spec.process._replace(seccomp_program=program)))
    answers = dict(line.split() for line in outcome.lines)
    assert answers == _EXPECTED_ANSWERS
    for user, no_new_privileges in (("1000", False), ("1000", True), ("", True)):
        changed = spec.process._replace(seccomp_program=program, user=user, no_new_privileges=no_new_privileges)
        answers = dict(line.split() for line in run(spec._replace(process=changed)).lines)
        assert answers["unshare-user"] == "EPERM"
        assert answers["no_new_privs"] == ("1" if no_new_privileges else "0")


_EXPECTED_ANSWERS = {
    "unshare-user": "EPERM",
    "clone-user": "EPERM",
    "clone3": "ENOSYS",
    "keyctl": "EPERM",
    "bpf": "EPERM",
    "io_uring": "EPERM",
    "vsock": "EPERM",
    "vsock-high-bits": "EPERM",
    "alg": "EPERM",
    "inet": "ok",
    "unknown-call": "ENOSYS",
    "int80-unshare": "EPERM",
    "int80-keyctl": "EPERM",
    "int80-getpid": "ok",
    "x32-keyctl": "EPERM",
    "no_new_privs": "0",
}

_CALLS = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
static void show(const char *name, long code) {
    printf("%s %s\n", name, code >= 0 ? "ok" : code == -EPERM ? "EPERM" : code == -ENOSYS ? "ENOSYS" : "other");
}
static long int80(long n, long a) {
    long r; __asm__ volatile("int $0x80" : "=a"(r) : "a"(n), "b"(a), "c"(0L), "d"(0L) : "memory"); return r;
}
#define TRY(name, ...) show(name, syscall(__VA_ARGS__) < 0 ? -(long)errno : 0)
int main(void) {
    TRY("unshare-user", SYS_unshare, 0x10000000);
    TRY("clone-user", SYS_clone, 0x10000000 | 17, 0, 0, 0, 0);
    TRY("clone3", SYS_clone3, 0, 0);
    TRY("keyctl", SYS_keyctl, 0, -3, 0);
    TRY("bpf", SYS_bpf, 0, 0, 0);
    TRY("io_uring", 425, 1, 0);
    TRY("vsock", SYS_socket, 40, 1, 0);
    TRY("vsock-high-bits", SYS_socket, (1L << 32) | 40, 1, 0);
    TRY("alg", SYS_socket, 38, 5, 0);
    TRY("inet", SYS_socket, 2, 1, 0);
    TRY("unknown-call", 999);
    show("int80-unshare", int80(310, 0x10000000));
    show("int80-keyctl", int80(288, 0));
    show("int80-getpid", int80(20, 0));
    TRY("x32-keyctl", 0x40000000 | 250, 0, -3, 0);
    printf("no_new_privs %d\n", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    return 0;
}
"""


@pytest.mark.requires("gcc")
def test_input_cannot_be_pushed_into_the_callers_terminal(root: Path) -> None:
    """TIOCSTI on a terminal that was handed in: the container is a session of its own, without power over it."""
    compile_static(
        r"""
        #include <errno.h>
        #include <stdio.h>
        #include <sys/ioctl.h>
        int main(void) {
            char c = 'x';
            int failed = ioctl(0, TIOCSTI, &c);
            puts(!failed ? "pushed" : errno == EPERM || errno == EIO ? "refused" : "other");
            return 0;
        }
        """,
        root / "bin/push",
    )
    with running(container(root, "sleep", "1000")) as pid:
        master, slave = os.openpty()
        out_read, out_write = os.pipe()
        started = set_up_exec(pid, process("push"), Stdio(slave, out_write, out_write)).release()
        os.waitpid(started.pid, 0)
        answer = os.read(out_read, 100)
        for fd in (master, slave, out_read, out_write, started.pidfd):
            os.close(fd)
    assert answer == b"refused\n"


def test_host_trees_are_gone(root: Path) -> None:
    outcome = run(shell(root, "cat /proc/self/mountinfo; ls -A /"))
    mounts = [line.split()[4] for line in outcome.lines if " - " in line]
    allowed = ("/proc", "/dev", "/sys")
    assert mounts[0] == "/"
    assert all(target == "/" or target.startswith(allowed) for target in mounts)


def test_two_containers_do_not_see_each_other(root: Path, tmp_path: Path) -> None:
    other = make_root(tmp_path / "other")
    with running(container(other, "sleep", "777")):
        assert "777" not in run(container(root, "ps")).output
    remove_root(other)
