"""`--egress`: what a container may reach outside, and on which networks that can be held."""

from __future__ import annotations

from net.egress import parse_egress
from net.errors import NetError
from sandbox.errors import UsageError
from sandbox.grammar.networks import is_user_defined
from sandbox.values import EndpointRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.container.model.record import ContainerConfig


def restricted(config: ContainerConfig, texts: tuple[str, ...]) -> ContainerConfig:
    """`config` with these rules; without a network that was asked for it is on `bridge`, where they can be held.

    Raises UsageError for texts that are no rules, and on a network that is not a bridge.
    """
    try:
        parse_egress(texts)
    except NetError as error:
        raise UsageError(error.message, cause=error.cause, mend=error.mend) from error
    if config.network == "default":
        aliases = config.network_aliases
        config = config._replace(network="bridge", endpoints=(EndpointRequest("bridge", aliases),))
    elif not (config.network == "bridge" or is_user_defined(config.network)):
        raise UsageError(
            f"conflicting options: egress rules and the network mode {config.network}", mend="--network bridge"
        )
    return config._replace(egress=texts)
