"""`sandbox service create` and `sandbox service update`."""

from __future__ import annotations

from sandbox.cli.command import Command, Invocation
from sandbox.cli.service_options.table import CREATE_OPTIONS, UPDATE_OPTIONS
from sandbox.errors import ConflictError, NotFoundError, UsageError
from sandbox.service import looking, operations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.cli.service_options.changes import Changes
    from sandbox.operation_context import OperationContext
    from sandbox.secret.record import Kind
    from sandbox.service.record import Service
    from sandbox.service.spec import ServiceSpec

#: what may stand beside `--rollback`
_BESIDE_ROLLBACK = frozenset({"rollback", "detach", "quiet"})


def create(invocation: Invocation) -> int:
    """Print the id, and wait for the service."""
    from sandbox.cli.service_options.reading import new_service

    where = invocation.context.for_operations()
    spec = _pinned(invocation, where, new_service(_changes(invocation, where, is_update=False)))
    _check(where, spec)
    service = operations.create(where, spec)
    invocation.context.print(service.id)
    return _waited(invocation, service, service.id)


def update(invocation: Invocation) -> int:
    """Print the service as it was named, and wait for it."""
    word = invocation.arguments[0]
    where = invocation.context.for_operations()
    service = looking.inspect(where, word)
    if invocation.flag("rollback"):
        if invocation.values.keys() - _BESIDE_ROLLBACK:
            raise UsageError("other flags may not be combined with --rollback", mend=f"sandbox service rollback {word}")
        service = operations.rollback(where, word)
    else:
        from sandbox.cli.service_options.reading import changed_service, with_replicas

        changes = _changes(invocation, where, is_update=True)
        spec = with_replicas(changed_service(service.spec, changes), changes)
        if invocation.given("image"):
            spec = _pinned(invocation, where, spec)
        _check(where, spec)
        if invocation.flag("force"):
            spec = spec._replace(force_update=spec.force_update + 1)
        try:
            service = operations.update(where, service.id, service.version, spec)
        except NotFoundError as error:
            error.message, error.cause = f"service {word} not found", "it was removed meanwhile"
            raise
        except ConflictError as error:
            if error.message == operations.OUT_OF_SEQUENCE:
                # of what it is by now
                error.mend = invocation.retyped(invocation.arguments)
            raise
    invocation.context.print(word)
    return _waited(invocation, service, word)


def _pinned(invocation: Invocation, where: OperationContext, spec: ServiceSpec) -> ServiceSpec:
    """`spec` with the digest of its image. Raises ImageError."""
    from sandbox.image.pinning import Pinned, pinned, tagged_name

    image = spec.request.image
    found = Pinned(tagged_name(where, image)) if invocation.flag("no-resolve-image") else pinned(where, image)
    if found.warning:
        invocation.context.note(found.warning)
    if invocation.flag("with-registry-auth"):
        from sandbox.image.operations import bring

        bring(where, found.image)
    return spec._replace(request=spec.request._replace(image=found.image))


def _check(where: OperationContext, spec: ServiceSpec) -> None:
    """Raise UsageError where this machine does not fit what is said of nodes."""
    if spec.constraints:
        from sandbox.service.placement import check_placement

        check_placement(spec.constraints, looking.node_of(where))


def _waited(invocation: Invocation, service: Service, word: str) -> int:
    if not invocation.flag("detach"):
        from sandbox.cli.service_waiting import wait_on_service

        invocation.context.stdout.flush()
        wait_on_service(invocation.context, service.id, word, quiet=invocation.flag("quiet"))
    return 0


def _changes(invocation: Invocation, where: OperationContext, *, is_update: bool) -> Changes:
    from sandbox.cli.service_options.changes import Changes, Lookups

    def object_id(kind: Kind, name: str) -> str:
        from sandbox.secret import operations as objects

        try:
            return objects.find(where, kind, name).id
        except NotFoundError as error:
            error.message = f"{kind} not found: {name}"
            raise

    def network_name(word: str) -> str:
        from sandbox.network import operations as networks

        return str(networks.inspect(where, word)["Name"])

    return Changes(invocation, Lookups(object_id, network_name), is_update)


_LIFE = (
    "replicas are containers NAME.SLOT.ID, which sandbox ps shows; one that ends is replaced, by --restart-*",
    "sandbox service ps NAME shows what became of each, sandbox service logs NAME what they wrote",
    "the image is pinned to what a registry has by its tag now; one that no registry knows to what is here",
    "images are pulled by the config.json of who changed the service last; with --with-registry-auth the image is "
    "pulled at once, with credentials of the environment too, which are kept nowhere",
)

COMMANDS: tuple[Command, ...] = (
    Command(
        "service create",
        "Create a new service",
        "[OPTIONS] IMAGE [COMMAND] [ARG...]",
        CREATE_OPTIONS,
        create,
        least=1,
        interspersed=False,
        examples=(
            "sandbox service create --name web --replicas 3 -p 8080:80 nginx",
            "sandbox service create --name db --secret source=pw,target=password,mode=0400 postgres",
            "sandbox service create --name once --mode replicated-job --replicas 10 --max-concurrent 2 IMAGE",
        ),
        further=_LIFE,
    ),
    Command(
        "service update",
        "Update a service",
        "[OPTIONS] SERVICE",
        UPDATE_OPTIONS,
        update,
        least=1,
        most=1,
        examples=(
            "sandbox service update --image nginx:1.27 --update-order start-first web",
            "sandbox service update --env-add A=1 --publish-rm 80 --publish-add 8081:80 web",
            "sandbox service update --force web",
        ),
        further=("replicas are replaced one after another, and an update that fails stops: --update-failure-action",),
    ),
)
