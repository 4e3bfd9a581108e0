"""nftables for one network namespace: libnftables where the machine has it, else the program `nft`.

libnftables(3) is 25 times quicker for one element of a set than a process. A context belongs to the network namespace
it was made in, as its socket does; the library is loaded when the first is made.

Words of nft's grammar are no names of ours: a chain `mark` or a table `egress` is a syntax error, so names have a
prefix. In a text for the library a "}" after a "}" stands on a line of its own.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct

from net.errors import NetError
from net.programs import IGNORED_BY_PYTHON, find_program, install_command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LIBRARY = "libnftables.so.1"
#: <linux/netlink.h>
_NETLINK_NETFILTER, _NLMSG_ERROR = 12, 2
#: <linux/netfilter/nfnetlink.h>, <linux/netfilter/nf_tables.h>: NFT_MSG_GETGEN to NFNL_SUBSYS_NFTABLES, of no family
_SUBSYSTEM, _GETGEN = 10, 16
_GET_GENERATION = struct.pack("=IHHIIBBH", 20, _SUBSYSTEM << 8 | _GETGEN, 1, 0, 0, 0, 0, 0)
#: Debian's name; others have it in the package of `nft`
_PACKAGE = "libnftables1"


class NftContext:
    """nftables of the namespace that it is made in; raises NetError where neither library nor program is there, or the
    kernel has none.
    """

    def __init__(self) -> None:
        _check_kernel()
        self._library = _load_library()
        self._program = "" if self._library is not None else _find_nft()
        self._context = None
        if self._library is not None:
            self._context = ctypes.c_void_p(self._library.nft_ctx_new(0))
            self._library.nft_ctx_buffer_output(self._context)
            self._library.nft_ctx_buffer_error(self._context)

    @property
    def needs_namespace(self) -> bool:
        """Whether it is to be used in the namespace it was made in, by the program `nft`, and not from anywhere."""
        return self._library is None

    def run(self, commands: str) -> str:
        """Carry out `commands`, all of them or none, and return what they print. Raises NetError with nft's words.

        About 2,000 at a time: they are one message, which a user's socket takes up to net.core.wmem_default bytes of.
        The library may be used from any namespace; where the program stands in for it, from the context's own alone.
        """
        if self._context is None or self._library is None:
            return _run_program(self._program, commands)
        status = self._library.nft_run_cmd_from_buffer(self._context, commands.encode())
        # reading empties the buffers: both, so that none is left to the next call
        output = self._library.nft_ctx_get_output_buffer(self._context)
        words = self._library.nft_ctx_get_error_buffer(self._context)
        if status != 0:
            raise _refused(words.decode(errors="replace"))
        return str(output.decode(errors="replace"))

    def close(self) -> None:
        """Give the context up; harmless when called twice."""
        if self._context is not None and self._library is not None:
            self._library.nft_ctx_free(self._context)
            self._context = None


def load_rules(commands: str) -> None:
    """Carry out `commands` once, in the namespace this process is in. Raises NetError."""
    context = NftContext()
    try:
        context.run(commands)
    finally:
        context.close()


def check_nft() -> str:
    """What nftables is driven by here, for a person. Raises NetError where there is nothing."""
    _check_kernel()
    return LIBRARY if _load_library() is not None else _find_nft()


def _check_kernel() -> None:
    """Raise NetError where the kernel has no nf_tables: the library ends this process where netfilter has no sockets,
    and says "Invalid argument" where only they are there.
    """
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as kernel:
            kernel.sendto(_GET_GENERATION, (0, 0))
            answer = kernel.recv(4096)
    except OSError as error:
        raise _no_tables(f"its sockets (NETLINK_NETFILTER): {error.strerror}") from error
    # of struct nlmsghdr the type, and the errno behind it. EPERM is the answer to who has no power in this namespace
    (kind,) = struct.unpack_from("=H", answer, 4)
    if kind == _NLMSG_ERROR and struct.unpack_from("=i", answer, 16)[0] == -errno.EINVAL:
        raise _no_tables("its netfilter knows of none (NFNL_SUBSYS_NFTABLES)")


def _no_tables(cause: str) -> NetError:
    return NetError(
        "bridge networks need nf_tables, which this kernel has not",
        cause=cause,
        mend="sudo modprobe -a nfnetlink nf_tables; or run with --network slirp4netns",
    )


def _load_library() -> Any:
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError:
        return None
    context = ctypes.c_void_p
    for name, result, arguments in (
        ("nft_ctx_new", context, (ctypes.c_uint32,)),
        ("nft_ctx_free", None, (context,)),
        ("nft_ctx_buffer_output", ctypes.c_int, (context,)),
        ("nft_ctx_buffer_error", ctypes.c_int, (context,)),
        ("nft_ctx_get_output_buffer", ctypes.c_char_p, (context,)),
        ("nft_ctx_get_error_buffer", ctypes.c_char_p, (context,)),
        ("nft_run_cmd_from_buffer", ctypes.c_int, (context, ctypes.c_char_p)),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def _find_nft() -> str:
    program = find_program("nft")
    if program is None:
        raise NetError(
            "bridge networks need nftables",
            cause=f"there is neither {LIBRARY} nor the program nft",
            mend=install_command(_PACKAGE if os.path.exists("/usr/bin/apt-get") else "nftables")
            + "; or run with --network slirp4netns",
        )
    return program


def _run_program(program: str, commands: str) -> str:
    # a file without a name and not a pipe: a long text would wait for a reader that waits for us
    text_fd = os.memfd_create("nft")
    read_fd, write_fd = os.pipe()
    try:
        os.write(text_fd, commands.encode())
        os.lseek(text_fd, 0, os.SEEK_SET)
        actions = [
            (os.POSIX_SPAWN_DUP2, source, target) for source, target in ((text_fd, 0), (write_fd, 1), (write_fd, 2))
        ]
        pid = os.posix_spawn(
            program, (program, "-f", "-"), {"LC_ALL": "C"}, file_actions=actions, setsigdef=IGNORED_BY_PYTHON
        )
    except OSError as error:
        os.close(read_fd)
        raise NetError(f"cannot start {program}", cause=error.strerror or str(error)) from error
    finally:
        os.close(text_fd)
        os.close(write_fd)
    with open(read_fd, errors="replace") as stream:
        words = stream.read()
    _, status = os.waitpid(pid, 0)
    if status != 0:
        raise _refused(words)
    return words


def _refused(words: str) -> NetError:
    # "Error: Could not process rule: Operation not supported", then the text with a mark below the place
    lines = [line for line in words.splitlines() if "Error: " in line] or words.splitlines()[:1]
    causes = dict.fromkeys(line.partition("Error: ")[2] or line for line in lines)
    return NetError("nftables refuses the rules", cause="; ".join(causes), mend="sandbox doctor bridge")
