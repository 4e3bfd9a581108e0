"""What a process shows of itself to those of a container whose pid namespace it, or a child of it, is about to enter.

Until it executes the container's program it is a copy of the command, or of the program that called us: its memory, its
program and its command line are the host's, with what was written there for nobody in a container.
"""

from __future__ import annotations

from sandbox.runtime import syscalls as sc

#: the command line that is left: proc(5), /proc/PID/cmdline
ENTERING = b"sandbox-enter"
#: arg_start and arg_end of proc_pid_stat(5), counted from the field behind the name
_ARGUMENTS = slice(45, 47)


def become_unseen() -> None:
    """Keep memory, program, descriptors and command line of this process, a forked child, from the container's.

    What it forks is unseen as well. After a change of credentials, as by setns(2) into a user namespace,
    `PR_SET_DUMPABLE` is to be set again; the command line is gone for good.
    """
    sc.prctl(sc.PR_SET_DUMPABLE, 0)
    # unlike the rest it can be read by everybody who sees the process at all
    with open("/proc/self/stat", "rb") as file:
        start, end = map(int, file.read().rpartition(b") ")[2].split()[_ARGUMENTS])
    # a last byte that is not 0 would show the environment as well
    room = end - start
    sc.write_memory(start, ENTERING[: max(0, room - 1)].ljust(room, b"\0"))
