"""What is to be changed so that an engine has what a stack asks for: of values alone, and nothing is done here."""

from __future__ import annotations

from sandbox.deploy.wording import service_changes
from sandbox.errors import SandboxError
from sandbox.named_tuple import NamedTuple
from sandbox.service.spec import template_of
from sandbox.stack.service_spec import IMAGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Literal

    from sandbox.deploy.stack_spec import ObjectSpec, StackSpec
    from sandbox.service.spec import ServiceSpec
    from sandbox.stack.project import Network
    from sandbox.values import FileGrant

    Action = Literal["create", "update", "keep", "remove"]
    Noun = Literal["network", "secret", "config", "service"]


class PresentService(NamedTuple):
    id: str
    #: who changes it says that he has seen this one
    version: int
    spec: ServiceSpec


class PresentObject(NamedTuple):
    id: str
    labels: tuple[tuple[str, str], ...]
    #: whether it has what the stack's file has; True where the stack makes none
    same_content: bool = True


class Present(NamedTuple):
    """What an engine has of a stack, and what it has that the stack names, by names."""

    services: Mapping[str, PresentService] = {}
    #: with the stack's label
    networks: frozenset[str] = frozenset()
    #: all there are
    known_networks: frozenset[str] = frozenset()
    secrets: Mapping[str, PresentObject] = {}
    configs: Mapping[str, PresentObject] = {}

    def objects(self, kind: str) -> Mapping[str, PresentObject]:
        """Those of one kind."""
        return self.secrets if kind == "secret" else self.configs


class Change(NamedTuple):
    """One thing that is made, changed, kept or removed, and why."""

    noun: Noun
    action: Action
    name: str
    reasons: tuple[str, ...] = ()
    #: whether running replicas are replaced
    replaces: bool = False
    network: Network | None = None
    object: ObjectSpec | None = None
    service: ServiceSpec | None = None
    present: PresentService | None = None


class Plan(NamedTuple):
    """Changes in the order in which they are made, and what keeps them from being made at all."""

    stack: str
    changes: tuple[Change, ...] = ()
    refusals: tuple[Refusal, ...] = ()

    @property
    def changes_anything(self) -> bool:
        return any(change.action != "keep" for change in self.changes)


class Refusal(NamedTuple):
    """Why a stack cannot be had, and what puts that right."""

    message: str
    mend: str = ""


class PlannedRefusalError(SandboxError):
    """A plan that cannot be carried out; the first of its refusals is the message."""

    def __init__(self, refusals: tuple[Refusal, ...]) -> None:
        others = "; ".join(each.message for each in refusals[1:])
        super().__init__(refusals[0].message, cause=others, mend=refusals[0].mend)


def plan_of(stack: StackSpec, present: Present, *, prunes: bool = False) -> Plan:
    """The plan: first, with `prunes`, services go that the stack has no more; then what services need, then these."""
    changes = [
        *(_pruned(stack, present) if prunes else ()),
        *_networks(stack, present),
        *_objects(stack, present),
        *(_service(spec, present) for spec in stack.services),
    ]
    return Plan(stack.name, tuple(changes), tuple(_refusals(stack, present)))


def _pruned(stack: StackSpec, present: Present) -> Iterator[Change]:
    wanted = {spec.name for spec in stack.services}
    for name, service in sorted(present.services.items()):
        if name not in wanted:
            yield Change("service", "remove", name, ("no file has it any more",), present=service)


def _networks(stack: StackSpec, present: Present) -> Iterator[Change]:
    for network in stack.networks:
        action: Action = "keep" if network.name in present.networks else "create"
        yield Change("network", action, network.name, network=network)


def _objects(stack: StackSpec, present: Present) -> Iterator[Change]:
    for wanted in stack.objects:
        if wanted.data is None:
            continue
        found = present.objects(wanted.kind).get(wanted.name)
        if found is None:
            yield Change(wanted.kind, "create", wanted.name, object=wanted)
        else:
            action: Action = "keep" if found.labels == wanted.labels else "update"
            yield Change(wanted.kind, action, wanted.name, ("labels",) if action == "update" else (), object=wanted)


def _service(spec: ServiceSpec, present: Present) -> Change:
    found = present.services.get(spec.name)
    if found is None:
        return Change("service", "create", spec.name, service=spec)
    # a stack says nothing of how often somebody asked for new replicas
    wanted = with_ids(_with_digest(spec, found.spec), present)._replace(force_update=found.spec.force_update)
    reasons = tuple(service_changes(found.spec, wanted))
    return Change(
        "service",
        "keep" if wanted == found.spec else "update",
        spec.name,
        reasons,
        replaces=template_of(wanted) != template_of(found.spec),
        service=spec,
        present=found,
    )


def _with_digest(spec: ServiceSpec, before: ServiceSpec) -> ServiceSpec:
    """`spec` with the image as it runs, where the file names the same one: `with_images` asks what that means now."""
    if dict(spec.labels).get(IMAGE) != dict(before.labels).get(IMAGE):
        return spec
    return spec._replace(request=spec.request._replace(image=before.request.image))


def with_ids(spec: ServiceSpec, present: Present) -> ServiceSpec:
    """`spec` with its grants by the ids of their objects, as far as there are any."""

    def of(grant: FileGrant, kind: str) -> FileGrant:
        found = present.objects(kind).get(grant.source)
        return grant if found is None else grant._replace(source=found.id)

    return spec._replace(
        request=spec.request._replace(
            secrets=tuple(of(grant, "secret") for grant in spec.request.secrets),
            configs=tuple(of(grant, "config") for grant in spec.request.configs),
        )
    )


def _refusals(stack: StackSpec, present: Present) -> Iterator[Refusal]:
    for name in stack.external_networks:
        if name not in present.known_networks:
            yield Refusal(
                f'network "{name}" is declared as external, but could not be found. You need to create a swarm-scoped '
                "network before the stack is deployed",
                f"sandbox network create {name}",
            )
    for wanted in stack.objects:
        found = present.objects(wanted.kind).get(wanted.name)
        if wanted.data is None and found is None:
            mend = f"sandbox {wanted.kind} create {wanted.name} FILE"
            yield Refusal(f"{wanted.kind} not found: {wanted.name}", mend)
        elif wanted.data is not None and found is not None and not found.same_content:
            yield Refusal(
                f"failed to update {wanted.kind} {wanted.name}: only updates to Labels are allowed",
                f"name: another one for the {wanted.kind} in the file, as {wanted.name}_2, which replaces what has it",
            )
