"""R, the router: one network namespace for each user, with a bridge for each network and one way out, tap0.

It belongs to K, the user namespace that the user's containers on bridges share, and has no process of its own: it lives
as long as somebody holds a descriptor of it. From any holder's pid and descriptor number it is found again.

    host's namespace        R                                                    containers
    slirp4netns ──────────  tap0 ─ masquerade ─ forward ─ br-… (gateway) ─ veth ─ eth0
    listening sockets ────  transparent sockets ─────────── br-… ────────── veth ─ eth0

A host process of the same uid may enter K, and from K R. Nobody comes back from R to the host's network namespace: what
is to be made in R is made by a forked child (`call_in_router`), or, in a process that makes no namespaces later, by a
short thread (`call_in_thread`), for setns(2) moves one thread. Sockets go on to belong to R.

Bridges are told by link groups, and whether both ends of a packet are on one bridge by `fib`: a new one needs no rule.
"""

from __future__ import annotations

import array
import os
from _socket import (
    AF_INET,
    AF_INET6,
    AF_UNIX,
    CMSG_SPACE,
    MSG_CMSG_CLOEXEC,
    SCM_RIGHTS,
    SOCK_CLOEXEC,
    SOCK_SEQPACKET,
    SOL_SOCKET,
    socket,
    socketpair,
)
from contextlib import suppress

from net.errors import NetError
from net.link_messages import everything_is_local, rule_for_mark, set_up
from net.named_tuple import NamedTuple
from net.namespace import kernel_has_ipv6
from net.netlink import Rtnetlink, open_rtnetlink
from net.nft import load_rules
from net.slirp import TAP_NAME
from net.syscalls import CLONE_NEWNET, CLONE_NEWUSER, setns, unshare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn, TypeVar

    from net.networks import BridgeSettings

    T = TypeVar("T")

#: link groups of bridges: the first and bits added to it; netdevice groups are numbers that only their user gives sense
_FIRST_GROUP, _INTERNAL, _NO_ICC = 0x5B0, 1, 2
BRIDGE_GROUPS = range(_FIRST_GROUP, _FIRST_GROUP + 4)
#: of packets to transparent sockets: answers to a client's address, which R takes in itself
TRANSPARENT_MARK = 0x51
_TRANSPARENT_TABLE = 100
_LOOPBACK_INDEX = 1
#: the most descriptors in one message, <net/scm.h> SCM_MAX_FD
_MOST_DESCRIPTORS = 253
_REPORT_BYTES = 1 << 16

#: written where the kernel has them: IPv6 may not be there
_SYSCTLS = (
    ("ipv4/ip_forward", "1"),
    ("ipv6/conf/all/forwarding", "1"),
    # a host that has IPv6 off may have namespaces begin so (net.core.devconf_inherit_init_net)
    ("ipv6/conf/default/disable_ipv6", "0"),
    # a container on two networks answers by its default route, whichever it was asked on
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
    # routes come from nobody but us, and from slirp4netns on its tap
    ("ipv6/conf/default/accept_ra", "0"),
    # addresses come from one allocator: two seconds in which the kernel looks for another owner are saved
    ("ipv6/conf/default/accept_dad", "0"),
)
#: written where the kernel lets a user's network namespace: it works without, but less well
_WISHES = (
    ("ipv4/conf/all/send_redirects", "0"),
    ("ipv4/conf/default/send_redirects", "0"),
    # what stays on one bridge is none of the router's rules' business
    ("bridge/bridge-nf-call-iptables", "0"),
    ("bridge/bridge-nf-call-ip6tables", "0"),
    ("bridge/bridge-nf-call-arptables", "0"),
    # clients on the host itself all have the gateway's address towards a container: each port of it is a connection
    ("ipv4/ip_local_port_range", "1024 65535"),
    ("ipv4/tcp_tw_reuse", "1"),
)


def bridge_group(settings: BridgeSettings) -> int:
    """The link group by which the rules know what a bridge's network may."""
    return _FIRST_GROUP + _INTERNAL * settings.internal + _NO_ICC * (not settings.icc)


def _groups(*without: int) -> str:
    return f"{{ {', '.join(str(group) for group in BRIDGE_GROUPS if not any(group & bit for bit in without))} }}"


#: datagrams with questions that come by one wire, in a second and at once: what the name server has room for while
#: others run, of several such containers
_TOO_MANY_QUESTIONS = "limit rate over 2000/second burst 256 packets"

#: what R forwards and what it takes in. By the tap comes what slirp4netns is told to forward, and nothing else.
#: Containers reach the router's own addresses for names and echo, nothing else listens there. What begins or ends in
#: the router itself, as most of published ports does, is not tracked: conntrack would keep each connection for two
#: minutes after its end
_RULES = f"""
table inet sandbox_router {{
    # single addresses of services: they are of the router's own, and lead on to containers (net.vips)
    set sandbox_vips {{
        type ipv4_addr
    }}
    chain sandbox_early {{
        type filter hook prerouting priority raw; policy accept;
        iifgroup {_groups()} socket transparent 1 socket wildcard 0 meta mark set {TRANSPARENT_MARK} notrack accept
        ip daddr @sandbox_vips accept
        iifgroup {_groups()} fib daddr type local notrack
    }}
    chain sandbox_early_output {{
        type filter hook output priority raw; policy accept;
        oifgroup {_groups()} notrack
    }}
    chain sandbox_input {{
        type filter hook input priority filter; policy accept;
        iifname "{TAP_NAME}" meta l4proto {{ tcp, udp }} th dport 53 drop
    }}
    chain sandbox_forward {{
        type filter hook forward priority filter; policy drop;
        ct state established,related accept
        iifgroup {_groups(_NO_ICC)} fib daddr . iif oif exists accept
        iifgroup {_groups(_INTERNAL)} oifname "{TAP_NAME}" accept
        iifname "{TAP_NAME}" oifgroup {_groups(_INTERNAL)} accept
        iifgroup {_groups()} reject with icmpx type admin-prohibited
    }}
    chain sandbox_postrouting {{
        type nat hook postrouting priority srcnat; policy accept;
        oifname "{TAP_NAME}" masquerade
    }}
}}
# all containers that ask the router for names share a socket: who asks without end fills it for himself alone
table bridge sandbox_router {{
    set sandbox_askers {{
        type ifname
        size 4096
        flags dynamic,timeout
        timeout 1m
    }}
    chain sandbox_questions {{
        type filter hook input priority filter; policy accept;
        udp dport 53 update @sandbox_askers {{ iifname {_TOO_MANY_QUESTIONS} }} drop
    }}
}}
"""


class Router(NamedTuple):
    """Descriptors of K and of R, owned by the holder of this value."""

    user_fd: int
    net_fd: int

    def close(self) -> None:
        """Close both."""
        os.close(self.user_fd)
        os.close(self.net_fd)


def become_router() -> Rtnetlink:
    """Move this process, which is root of K, into a new network namespace that is a router.

    Returns an rtnetlink socket of it; `open_namespace` gives the descriptor. Raises NetError.
    """
    try:
        unshare(CLONE_NEWNET)
    except OSError as error:
        raise NetError("cannot make a network namespace", cause=error.strerror or str(error)) from error
    for path, value in _SYSCTLS:
        _write_where_there(f"/proc/sys/net/{path}", value)
    for path, value in _WISHES:
        with suppress(NetError):
            _write_where_there(f"/proc/sys/net/{path}", value)
    routing = open_rtnetlink()
    try:
        messages = [set_up(_LOOPBACK_INDEX)]
        for family in (AF_INET, AF_INET6) if kernel_has_ipv6() else (AF_INET,):
            messages.append(rule_for_mark(family, TRANSPARENT_MARK, _TRANSPARENT_TABLE))
            messages.append(everything_is_local(family, _LOOPBACK_INDEX, _TRANSPARENT_TABLE))
        routing.send(*messages)
        load_rules(_RULES)
    except BaseException:
        routing.close()
        raise
    return routing


def make_router(meanwhile: Callable[[], None] = lambda: None) -> tuple[Router, Rtnetlink]:
    """A new router, and an rtnetlink socket of it, for a process that is root of K and stays in its network namespace.

    `meanwhile` is called while a child makes it. Raises NetError.
    """

    def make() -> Sequence[int]:
        routing = become_router()
        return open_namespace(), routing.detach()

    net_fd, routing_fd = _call_in_child(make, meanwhile)
    return Router(os.open("/proc/self/ns/user", os.O_RDONLY | os.O_CLOEXEC), net_fd), Rtnetlink.from_fd(routing_fd)


def open_namespace() -> int:
    """A descriptor of the network namespace this process is in."""
    return os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def enter_router(net_fd: int) -> None:
    """Move this process, or the thread that calls, into R, for good. It is root of K. Raises NetError."""
    try:
        setns(net_fd, CLONE_NEWNET)
    except OSError as error:
        raise NetError("cannot enter the network of the containers", cause=error.strerror or str(error)) from error


def call_in_router(router: Router, function: Callable[[], Sequence[int]], *, join_user: bool = False) -> list[int]:
    """The descriptors that `function` returns, called in a forked child that has entered R; they are the caller's.

    With `join_user` the child enters K first: for a command, which is not in it. Raises NetError, also what `function`
    raises as one.
    """

    def enter_and_call() -> Sequence[int]:
        if join_user:
            try:
                setns(router.user_fd, CLONE_NEWUSER)
            except OSError as error:
                words = error.strerror or str(error)
                raise NetError("cannot enter the user namespace of the containers", cause=words) from error
        enter_router(router.net_fd)
        return function()

    return _call_in_child(enter_and_call)


def call_in_thread(net_fd: int, function: Callable[[], T]) -> T:
    """What `function` returns, called in a thread that is in R and ends; the rest of this process stays where it is.

    For a process that is in K and makes no user namespace afterwards: the thread may still be ending then, and
    unshare(2) refuses a process with two. Raises NetError and what `function` raises.
    """
    from _thread import allocate_lock, start_new_thread  # for the keeper alone

    done = allocate_lock()
    results: list[T] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            enter_router(net_fd)
            results.append(function())
        except BaseException as error:  # noqa: BLE001  # the border of the thread: raised by who waits
            failures.append(error)
        finally:
            done.release()

    done.acquire()
    start_new_thread(run, ())
    done.acquire()
    if failures:
        raise failures[0]
    return results[0]


def _call_in_child(function: Callable[[], Sequence[int]], meanwhile: Callable[[], None] = lambda: None) -> list[int]:
    ours, theirs = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        _answer(theirs, function)
    theirs.close()
    try:
        meanwhile()
        report, fds = _receive(ours)
    finally:
        ours.close()
        os.waitpid(pid, 0)
    if report == b"":
        return fds
    message, cause, mend = [*report.decode(errors="replace").split("\0"), "", ""][:3]
    raise NetError(message, cause=cause, mend=mend)


def _answer(channel: socket, function: Callable[[], Sequence[int]]) -> NoReturn:
    try:
        try:
            fds = array.array("i", function())
            channel.sendmsg([b"+"], [(SOL_SOCKET, SCM_RIGHTS, fds)])
        except NetError as error:
            channel.send("\0".join((error.message, error.cause, error.mend)).encode())
        except Exception as error:  # noqa: BLE001  # a process boundary: the parent raises it
            channel.send(f"a helper process failed\0{type(error).__name__}: {error}".encode())
    finally:
        os._exit(0)


def _receive(channel: socket) -> tuple[bytes, list[int]]:
    space = CMSG_SPACE(_MOST_DESCRIPTORS * array.array("i").itemsize)
    report, ancillary, _flags, _address = channel.recvmsg(_REPORT_BYTES, space, MSG_CMSG_CLOEXEC)
    fds = array.array("i")
    for level, kind, data in ancillary:
        if level == SOL_SOCKET and kind == SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    if report == b"+":
        return b"", list(fds)
    return report or b"a helper process died\0it left no answer", []


def _write_where_there(path: str, value: str) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    except OSError as error:
        raise NetError(f"cannot set {path} to {value}", cause=error.strerror or str(error)) from error
    try:
        os.write(fd, value.encode())
    except OSError as error:
        raise NetError(f"cannot set {path} to {value}", cause=error.strerror or str(error)) from error
    finally:
        os.close(fd)
