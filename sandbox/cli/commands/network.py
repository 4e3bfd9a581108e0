"""`sandbox network`: networks made, listed, looked at and removed; containers put on them and taken off."""

from __future__ import annotations

from sandbox.cli.command import Command, Invocation, each
from sandbox.cli.flags import option
from sandbox.errors import UsageError
from sandbox.network import operations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.network.create import NetworkRequest
    from sandbox.values import EndpointRequest


def create(invocation: Invocation) -> int:
    """Print the id."""
    created = operations.create(invocation.context.for_operations(), _request(invocation))
    for note in created.notes:
        invocation.context.note(f"WARNING: {note}")
    invocation.context.print(created.id)
    return 0


def _request(invocation: Invocation) -> NetworkRequest:
    from sandbox.grammar.ipam import IpamTexts, group_subnets
    from sandbox.grammar.labels import read_labels
    from sandbox.network.create import NetworkRequest

    for key in ("ingress", "config-only", "config-from", "scope"):
        if invocation.given(key):
            raise UsageError(f"--{key} is for swarms, and there is this machine alone", mend="leave it out")
    texts = invocation.texts
    return NetworkRequest(
        invocation.arguments[0],
        invocation.text("driver") or "bridge",
        group_subnets(
            IpamTexts(
                _listed(texts("subnet")), _listed(texts("ip-range")), _listed(texts("gateway")), texts("aux-address")
            )
        ),
        invocation.flag("ipv4") if invocation.given("ipv4") else None,
        invocation.flag("ipv6") if invocation.given("ipv6") else None,
        invocation.flag("internal"),
        invocation.flag("attachable"),
        _pairs(texts("opt")),
        tuple(read_labels((), texts("label")).items()),
        invocation.text("ipam-driver") or "default",
        texts("egress"),
        _pairs(texts("ipam-opt")),
    )


def _listed(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Each of several that may stand in one text, with commas between."""
    return tuple(part for text in texts for part in text.split(","))


def _pairs(texts: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    return tuple((key, value) for key, _, value in (text.partition("=") for text in texts))


def list_all(invocation: Invocation) -> int:
    """Print Docker's table of networks."""
    from sandbox.cli.network_rows import COLUMNS, HEADERS, RAW, network_row
    from sandbox.cli.output.listings import print_listing
    from sandbox.cli.output.own_formats import format_of

    context, truncate = invocation.context, not invocation.flag("no-trunc")
    networks = operations.list_all(context.for_operations(), invocation.texts("filter"))
    if invocation.flag("quiet") and not invocation.given("format"):
        for network in networks:
            context.print(network.id[:12] if truncate else network.id)
        return 0
    rows = [network_row(network, truncate=truncate) for network in networks]
    print_listing(context, HEADERS, COLUMNS, rows, format_of(invocation, "networksFormat"), raw=RAW)
    return 0


def inspect(invocation: Invocation) -> int:
    """Print the documents of those found; 1 if any was not."""
    from sandbox.cli.output.inspect_output import print_inspected

    where = invocation.context.for_operations()
    verbose = invocation.flag("verbose")
    return print_inspected(invocation, lambda name: operations.inspect(where, name, verbose=verbose))


def remove(invocation: Invocation) -> int:
    """Print the name of each that went."""
    context, force = invocation.context.for_operations(), invocation.flag("force")

    def remove_one(name: str) -> str | None:
        return name if operations.remove(context, name, force=force) else None

    return each(invocation, remove_one)


def connect(invocation: Invocation) -> int:
    """Print nothing."""
    from sandbox.container import networking

    network, container = invocation.arguments
    networking.connect(invocation.context.for_operations(), container, _endpoint(invocation, network))
    return 0


def _endpoint(invocation: Invocation, network: str) -> EndpointRequest:
    from sandbox.cli.container_options.reading import parse_each
    from sandbox.grammar.networks import SharedOptions, combine_networks, parse_link

    priority = invocation.number("gw-priority") or 0
    asked = SharedOptions(
        invocation.texts("alias"),
        tuple(":".join(link) for link in parse_each(invocation, "link", parse_link)),
        invocation.text("ip") or "",
        invocation.text("ip6") or "",
        invocation.texts("link-local-ip"),
    )
    # a name of its own, whatever it looks like
    (endpoint,) = combine_networks(("a-network",), asked)
    return endpoint._replace(
        network=network, driver_options=_pairs(invocation.texts("driver-opt")), gateway_priority=priority
    )


def disconnect(invocation: Invocation) -> int:
    """Print nothing."""
    from sandbox.container import networking

    network, container = invocation.arguments
    networking.disconnect(invocation.context.for_operations(), container, network, force=invocation.flag("force"))
    return 0


_CREATE = (
    option("--attachable", "flag", "Enable manual container attachment"),
    option("--aux-address", "list", "Auxiliary IPv4 or IPv6 addresses used by Network driver", "map"),
    option("--config-from", "text", "The network from which to copy the configuration", "string", hidden=True),
    option("--config-only", "flag", "Create a configuration only network", hidden=True),
    option("-d --driver", "text", "Driver to manage the Network", "string", "bridge"),
    option("--egress", "list", "What containers may reach outside: 'deny', or 'allow=example.org:443,*.example.net'"),
    option("--gateway", "list", "IPv4 or IPv6 Gateway for the master subnet", "ipSlice"),
    option("--ingress", "flag", "Create swarm routing-mesh network", hidden=True),
    option("--internal", "flag", "Restrict external access to the network"),
    option("--ip-range", "list", "Allocate container ip from a sub-range"),
    option("--ipam-driver", "text", "IP Address Management Driver", "string", "default"),
    option("--ipam-opt", "list", "Set IPAM driver specific options", "map"),
    option("--ipv4", "flag", "Enable or disable IPv4 address assignment", default=True),
    option("--ipv6", "flag", "Enable or disable IPv6 address assignment"),
    option("--label", "list", "Set metadata on a network", "list"),
    option("-o --opt", "list", "Set driver specific options", "map"),
    option("--scope", "text", "Control the network's scope", "string", hidden=True),
    option("--subnet", "list", "Subnet in CIDR format that represents a network segment"),
)

COMMANDS: tuple[Command, ...] = (
    Command(
        "network create",
        "Create a network",
        "[OPTIONS] NETWORK",
        _CREATE,
        create,
        least=1,
        most=1,
        examples=(
            "sandbox network create front",
            "sandbox network create --subnet 172.30.0.0/16 --ip-range 172.30.5.0/24 --ipv6 back",
            "sandbox network create --internal db",
            "sandbox network create -o com.docker.network.driver.mtu=1400 slow-road",
            "sandbox network create --egress allow=example.org:443 builds",
        ),
        further=(
            "containers of a network find each other by their names; without --subnet the first of Docker's pools is "
            "taken that this host has no route to",
        ),
    ),
    Command(
        "network ls",
        "List networks",
        "[OPTIONS]",
        (
            option("-f --filter", "list", 'Provide filter values (e.g. "driver=bridge")', "filter"),
            option("--format", "text", "Format output: 'table', 'table TEMPLATE', 'json' or a Go template", "string"),
            option("--no-trunc", "flag", "Do not truncate the output"),
            option("-q --quiet", "flag", "Only display network IDs"),
        ),
        list_all,
        most=0,
        examples=("sandbox network ls -f type=custom", "sandbox network ls -f dangling=true -q"),
    ),
    Command(
        "network inspect",
        "Display detailed information on one or more networks",
        "[OPTIONS] NETWORK [NETWORK...]",
        (
            option("-f --format", "text", "Format output: 'json' or a Go template", "string"),
            option("-v --verbose", "flag", "Show also the bridge, what of the host it hides, and the keeper"),
        ),
        inspect,
        least=1,
        examples=(
            "sandbox network inspect bridge",
            "sandbox network inspect -f '{{range .Containers}}{{.Name}} {{.IPv4Address}}{{println}}{{end}}' front",
            "sandbox network inspect -v -f '{{json .Keeper.WayOut}}' bridge",
        ),
        further=("with -v also what the process does that answers names and keeps slirp4netns, the way out, running",),
    ),
    Command(
        "network rm",
        "Remove one or more networks",
        "[OPTIONS] NETWORK [NETWORK...]",
        (option("-f --force", "flag", "Do not error if the network does not exist"),),
        remove,
        least=1,
        examples=("sandbox network rm front back",),
    ),
    Command(
        "network connect",
        "Connect a container to a network",
        "[OPTIONS] NETWORK CONTAINER",
        (
            option("--alias", "list", "Add network-scoped alias for the container"),
            option("--driver-opt", "list", "driver options for the network"),
            option("--gw-priority", "number", "Highest gw-priority provides the default gateway", "int"),
            option("--ip", "text", 'IPv4 address (e.g., "172.30.100.104")', "string"),
            option("--ip6", "text", 'IPv6 address (e.g., "2001:db8::33")', "string"),
            option("--link", "list", "Add link to another container"),
            option("--link-local-ip", "list", "Add a link-local address for the container"),
        ),
        connect,
        least=2,
        most=2,
        examples=(
            "sandbox network connect front web",
            "sandbox network connect --alias db --ip 172.30.5.9 back postgres",
        ),
        further=("one that runs has the new interface at once, and at each start from now on",),
    ),
    Command(
        "network disconnect",
        "Disconnect a container from a network",
        "[OPTIONS] NETWORK CONTAINER",
        (option("-f --force", "flag", "Force the container to disconnect from a network"),),
        disconnect,
        least=2,
        most=2,
        examples=("sandbox network disconnect front web",),
    ),
)
