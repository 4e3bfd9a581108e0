"""nftables by the library, by the program where the library is missing, and where there is neither."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest

from net import nft
from net.errors import NetError
from net.nft import LIBRARY, NftContext, check_nft, load_rules
from net.syscalls import CLONE_NEWNET, unshare
from tests.net.bridge_containers import run_in_user_namespace

_RULES = """
table inet sandbox_test {
    set sandbox_some { type ipv4_addr; flags timeout; }
    chain sandbox_in {
        type filter hook input priority filter; policy accept;
        tcp dport 53 drop
    }
}
"""


@pytest.mark.requires("userns", "nft")
@pytest.mark.parametrize("by", ["library", "program"])
def test_rules_are_loaded_and_refusals_told(by: str) -> None:
    told = run_in_user_namespace(_use, by)
    assert "sandbox_in" in told["list"]
    assert "192.0.2.1" in told["elements"]
    assert told["refused"].startswith("nftables refuses the rules: syntax error, unexpected ")
    assert told["nothing half-made"] is True
    assert told["kernel's word"].startswith("nftables refuses the rules: ")
    assert told["kernel's word"].endswith("No such file or directory")


def test_a_kernel_without_netfilter_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nft, "_NETLINK_NETFILTER", 31)
    for ask in (NftContext, check_nft):
        with pytest.raises(NetError, match="need nf_tables, which this kernel has not") as caught:
            ask()
        assert caught.value.cause == "its sockets (NETLINK_NETFILTER): Protocol not supported"


@pytest.mark.requires("userns", "nft")
def test_a_kernel_without_nf_tables_is_told() -> None:
    assert run_in_user_namespace(_ask_another, "10") == {"there": True}
    # no subsystem has the last number
    cause = "its netfilter knows of none (NFNL_SUBSYS_NFTABLES)"
    assert run_in_user_namespace(_ask_another, "254") == {"there": False, "cause": cause}


def _ask_another(subsystem: str) -> dict[str, Any]:
    question = bytearray(nft._GET_GENERATION)
    assert question[5] == 10
    question[5] = int(subsystem)
    nft._GET_GENERATION = bytes(question)
    unshare(CLONE_NEWNET)
    try:
        check_nft()
    except NetError as error:
        return {"there": False, "cause": error.cause}
    return {"there": True}


def _use(by: str) -> dict[str, Any]:
    if by == "program":
        _without_library()
    unshare(CLONE_NEWNET)
    load_rules(_RULES)
    context = NftContext()
    told: dict[str, Any] = {"list": context.run("list ruleset")}
    context.run("add element inet sandbox_test sandbox_some { 192.0.2.1 timeout 60s }")
    told["elements"] = context.run("list ruleset")
    # longer than a pipe takes
    long = "".join(
        f"add element inet sandbox_test sandbox_some {{ 198.51.{n // 256}.{n % 256} }}\n" for n in range(1500)
    )
    for key, commands in (
        ("refused", f"{long}add junk inet sandbox_test"),
        ("kernel's word", "flush table inet sandbox_nothing"),
    ):
        try:
            context.run(commands)
        except NetError as error:
            told[key] = f"{error.message}: {error.cause}"
    told["nothing half-made"] = "198.51" not in context.run("list ruleset")
    context.run(long)
    context.close()
    return told


def _without_library() -> None:
    real = ctypes.CDLL

    def load(name: Any, *arguments: Any, **options: Any) -> Any:
        if name == LIBRARY:
            raise OSError("no such library")
        return real(name, *arguments, **options)

    replaced: Any = ctypes
    replaced.CDLL = load


def test_neither_library_nor_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nft, "_load_library", lambda: None)
    monkeypatch.setattr(nft, "find_program", lambda _name: None)
    for use in (check_nft, NftContext):
        with pytest.raises(NetError) as caught:
            use()
        assert caught.value.message == "bridge networks need nftables"
        assert "libnftables" in caught.value.mend or "nftables" in caught.value.mend
        assert "--network slirp4netns" in caught.value.mend


@pytest.mark.requires("nft")
def test_what_is_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_nft() == LIBRARY
    monkeypatch.setattr(nft, "_load_library", lambda: None)
    assert check_nft().endswith("/nft")
