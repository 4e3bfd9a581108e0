"""What becomes of the sockets of ports that are closed."""

from __future__ import annotations

import os
import select
import socket

import pytest

from net import forwarder
from net.client_address import ForwardTarget
from sandbox.container.monitor.bridge_ports import BridgePorts
from sandbox.values import PublishedPort


def test_ports_are_closed_where_the_forwarder_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    events = select.epoll()
    with ours, theirs, events:
        asked = forwarder.ForwarderProcess(os.getpid(), os.pidfd_open(os.getpid()), ours.fileno())
        monkeypatch.setattr(forwarder, "start_forwarder", lambda *_words, **_options: asked)
        monkeypatch.setattr(forwarder, "end_forwarder", lambda process: os.close(process.pidfd))
        ports = BridgePorts("web", -1, events)
        ports.lead_to(ForwardTarget("10.0.0.2"))
        (bound,) = ports.publish([PublishedPort("127.0.0.1", 0, 80)])
        ports.start()
        steps = ports.unpublish_steps([bound])
        assert next(steps)[0] == ours.fileno()
        with pytest.raises(OSError, match="in use"):
            socket.create_server(("127.0.0.1", bound.host_port))
        steps.close()
        socket.create_server(("127.0.0.1", bound.host_port)).close()
        ports.close()
