"""What a container takes, as the document that Docker's engine answers with."""

from __future__ import annotations

from sandbox.humane import rfc3339

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sandbox.container.model.record import Container
    from sandbox.container.usage.usage import Interface, Usage

    Document = dict[str, Any]  # Any: JSON

#: of cgroups of version 1, and null with version 2
_OLD_BLOCK_FIELDS = (
    "io_serviced_recursive", "io_queue_recursive", "io_service_time_recursive", "io_wait_time_recursive",
    "io_merged_recursive", "io_time_recursive", "sectors_recursive",
)  # fmt: skip
#: how the engine says that nothing limits the processes
_NO_LIMIT = 2**64 - 1


def stats_document(container: Container, before: Usage | None, now: Usage | None) -> Document:
    """The document; `before` is the reading that the use of processors is reckoned from, None where there was none.

    Without `now` it is that of a container that does not run.
    """
    document: Document = {
        "name": f"/{container.name}",
        "id": container.id,
        "read": rfc3339(now.time_ns if now else 0),
        "preread": rfc3339(before.time_ns if before and now else 0),
        "pids_stats": {},
        "blkio_stats": {"io_service_bytes_recursive": None, **dict.fromkeys(_OLD_BLOCK_FIELDS)},
        "num_procs": 0,
        "storage_stats": {},
        "cpu_stats": _processors(now),
        "precpu_stats": _processors(before if now else None),
        "memory_stats": {},
    }
    if now is None:
        return document
    document["pids_stats"] = {"current": now.processes, "limit": now.process_limit or _NO_LIMIT}
    document["blkio_stats"]["io_service_bytes_recursive"] = [
        {"major": device.major, "minor": device.minor, "op": operation, "value": value}
        for device in now.devices
        for operation, value in (("read", device.read_bytes), ("write", device.written_bytes))
    ]
    document["memory_stats"] = {
        "usage": now.memory_bytes,
        "stats": dict(now.memory_details),
        "limit": now.memory_limit_bytes,
    }
    if now.interfaces:
        document["networks"] = {interface.name: _network(interface) for interface in now.interfaces}
    return document


def _processors(usage: Usage | None) -> Document:
    throttling = usage.throttling if usage else None
    document: Document = {
        "cpu_usage": {
            "total_usage": usage.cpu_ns if usage else 0,
            "usage_in_kernelmode": usage.system_ns if usage else 0,
            "usage_in_usermode": usage.user_ns if usage else 0,
        },
        "throttling_data": {
            "periods": throttling.periods if throttling else 0,
            "throttled_periods": throttling.throttled_periods if throttling else 0,
            "throttled_time": throttling.throttled_ns if throttling else 0,
        },
    }
    if usage:
        document |= {"system_cpu_usage": usage.machine_cpu_ns, "online_cpus": usage.processors}
    return document


def _network(interface: Interface) -> Document:
    return {
        "rx_bytes": interface.received_bytes,
        "rx_packets": interface.received_packets,
        "rx_errors": interface.received_errors,
        "rx_dropped": interface.received_dropped,
        "tx_bytes": interface.sent_bytes,
        "tx_packets": interface.sent_packets,
        "tx_errors": interface.sent_errors,
        "tx_dropped": interface.sent_dropped,
    }
