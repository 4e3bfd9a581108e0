"""How fast, how late and how lossy a container's endpoint is: qdiscs on the two ends of its veth, tc(8).

The rate holds for each way: `tbf` on the router's end for what the container receives, on its own end for what it
sends. Delay and loss, `netem`, are of what it sends. A container with NET_ADMIN can take those on its own end away.

Whether the kernel has a qdisc is known by adding it; it loads the module itself where there is one.
"""

from __future__ import annotations

import errno
import re
import struct

from net.endpoints import container_index
from net.errors import NetError
from net.named_tuple import NamedTuple
from net.netlink import NLM_F_CREATE, NLM_F_REPLACE, Message, NetlinkError, attribute, nested, number, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from net.netlink import Rtnetlink
    from net.networks import EndpointSettings

# <linux/rtnetlink.h>, <linux/pkt_sched.h>
RTM_NEWQDISC, RTM_DELQDISC = 36, 37
TCA_KIND, TCA_OPTIONS = 1, 2
TCA_TBF_PARMS, TCA_TBF_RATE64, TCA_TBF_BURST = 1, 4, 6
TCA_NETEM_RATE, TCA_NETEM_RATE64, TCA_NETEM_LATENCY64 = 6, 8, 10
TC_H_ROOT = 0xFFFFFFFF
TC_LINKLAYER_ETHERNET = 1
_HANDLE = 1 << 16

_QDISC = struct.Struct("=BxxxiIII")
#: struct tc_ratespec: cell_log, linklayer, overhead, cell_align, mpu, rate in bytes
_RATE = struct.Struct("=BBHhHI")
_TBF = struct.Struct("=12s12sIII")
#: struct tc_netem_qopt: latency, limit, loss, gap, duplicate, jitter
_NETEM = struct.Struct("=IIIIII")
_NETEM_RATE = struct.Struct("=IiIi")
_MAX_32 = 0xFFFFFFFF

#: what may pass at once: with less than a packet of the largest MTU, and what offloading joins, nothing passes
_LEAST_BURST_BYTES = 128 << 10
#: the kernel's timers are no finer than this at the worst (HZ=100)
_BURSTS_PER_SECOND = 100
#: what waits for its turn before packets are dropped, in parts of a second
_QUEUES_PER_SECOND = 10
_NETEM_PACKETS = 100_000

_UNITS = {"": 1, "bit": 1, "bps": 8}
_PREFIXES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}
_SECONDS = {"us": 1, "usec": 1, "ms": 1000, "msec": 1000, "s": 1_000_000, "sec": 1_000_000}
_NUMBER = r"(\d+(?:\.\d+)?|\.\d+)"
#: struct tc_netem_qopt counts in 64 ns of 32 bits
_MOST_DELAY_US = 270_000_000


class Shaping(NamedTuple):
    """0 where nothing is asked for. `rate_bits` is of each second, each way."""

    rate_bits: int = 0
    delay_us: int = 0
    loss_percent: float = 0.0


UNSHAPED = Shaping()


def parse_shaping(rate: str = "", delay: str = "", loss: str = "") -> Shaping:
    """The values of "10mbit", "50ms" and "1%", tc's words; "" asks for nothing. Raises NetError."""
    return Shaping(
        parse_rate(rate) if rate else 0, parse_delay(delay) if delay else 0, parse_loss(loss) if loss else 0.0
    )


def parse_rate(words: str) -> int:
    """Bits a second, of "10mbit", "1.5gbit", "500kbps" (bytes), "800000". Raises NetError."""
    found = re.fullmatch(rf"{_NUMBER}\s*([kmgt]i?)?(bit|bps)?(?:/s)?", words.strip().lower())
    if found is None or (found[2] and not found[3]):
        raise NetError(
            f"invalid rate {words!r}", cause="it is a number and a unit", mend="as in 10mbit, 500kbit or 2mbps"
        )
    rate = round(float(found[1]) * _PREFIXES[found[2] or ""] * _UNITS[found[3] or ""])
    if rate < 8:
        raise NetError(f"invalid rate {words!r}", cause="nothing would pass", mend="--network none connects nothing")
    return rate


def parse_delay(words: str) -> int:
    """A delay in microseconds, of "50ms", "1.5s", "200us". Raises NetError."""
    found = re.fullmatch(rf"{_NUMBER}\s*([a-z]+)", words.strip().lower())
    if found is None or found[2] not in _SECONDS:
        raise NetError(f"invalid delay {words!r}", cause="it is a number and a unit", mend="as in 50ms, 1.5s or 200us")
    delay = round(float(found[1]) * _SECONDS[found[2]])
    if delay > _MOST_DELAY_US:
        raise NetError(f"invalid delay {words!r}", cause=f"at most {_MOST_DELAY_US // 1_000_000} seconds are possible")
    return delay


def parse_loss(words: str) -> float:
    """Percent, of "1%" or "0.5%". Raises NetError."""
    found = re.fullmatch(rf"{_NUMBER}\s*%", words.strip())
    if found is None or float(found[1]) > 100:
        raise NetError(f"invalid loss {words!r}", cause="it is a part of all packets", mend="as in 1% or 0.5%")
    return float(found[1])


def shape_endpoint(routing: Rtnetlink, inside: Rtnetlink, settings: EndpointSettings, shaping: Shaping) -> None:
    """Shape an endpoint that is there, in place of how it was shaped. Raises NetError where the kernel cannot.

    `routing` and `inside` are sockets of the router's and of the container's network namespace.
    """
    received = shaping._replace(delay_us=0, loss_percent=0.0)
    for end, index, wanted in (
        (routing, settings.number, received),
        (inside, container_index(settings), shaping),
    ):
        kind, message = _qdisc(index, wanted)
        try:
            end.send(message)
        except NetlinkError as error:
            raise _explained(kind, error) from error


def _qdisc(index: int, shaping: Shaping) -> tuple[str, Message]:
    if shaping == UNSHAPED:
        body = _QDISC.pack(0, index, 0, TC_H_ROOT, 0)
        # no qdisc to be taken away: the link has none of ours
        return "", Message(RTM_DELQDISC, 0, body, "let an endpoint be as fast as it can", (errno.ENOENT, errno.EINVAL))
    is_rate_alone = not shaping.delay_us and not shaping.loss_percent
    kind, options = ("tbf", _tbf(shaping)) if is_rate_alone else ("netem", _netem(shaping))
    body = _QDISC.pack(0, index, _HANDLE, TC_H_ROOT, 0) + text(TCA_KIND, kind) + options
    return kind, Message(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, body, "shape the network of the container")


def _tbf(shaping: Shaping) -> bytes:
    rate = shaping.rate_bits // 8
    burst = min(max(_LEAST_BURST_BYTES, rate // _BURSTS_PER_SECOND), _MAX_32)
    limit = min(burst + rate // _QUEUES_PER_SECOND, _MAX_32)
    # the link layer is told: so no table of times, one for each size of packet, is needed
    spec = _RATE.pack(0, TC_LINKLAYER_ETHERNET, 0, 0, 0, min(rate, _MAX_32))
    children = [attribute(TCA_TBF_PARMS, _TBF.pack(spec, bytes(_RATE.size), limit, 0, 0)), number(TCA_TBF_BURST, burst)]
    if rate >= _MAX_32:
        children.append(attribute(TCA_TBF_RATE64, struct.pack("=Q", rate)))
    return nested(TCA_OPTIONS, *children)


def _netem(shaping: Shaping) -> bytes:
    # PSCHED_SHIFT: a tick is 64 ns
    ticks = min(shaping.delay_us * 1000 // 64, _MAX_32)
    lost = min(round(shaping.loss_percent / 100 * (1 << 32)), _MAX_32)
    children = [
        _NETEM.pack(ticks, _NETEM_PACKETS, lost, 0, 0, 0),
        attribute(TCA_NETEM_LATENCY64, struct.pack("=q", shaping.delay_us * 1000)),
    ]
    if shaping.rate_bits:
        rate = shaping.rate_bits // 8
        children.append(attribute(TCA_NETEM_RATE, _NETEM_RATE.pack(min(rate, _MAX_32), 0, 0, 0)))
        if rate >= _MAX_32:
            children.append(attribute(TCA_NETEM_RATE64, struct.pack("=Q", rate)))
    # not marked as nested: it begins with a struct
    return attribute(TCA_OPTIONS, b"".join(children))


def _explained(kind: str, error: NetlinkError) -> NetError:
    if error.code == errno.ENOENT:
        what = "--net-rate" if kind == "tbf" else "--net-delay and --net-loss"
        return NetError(f"{what}: this kernel has no qdisc {kind}", cause=error.cause, mend=f"sudo modprobe sch_{kind}")
    return error
