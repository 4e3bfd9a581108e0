"""Images of a stack's services by digest: asked of registries before anything is changed."""

from __future__ import annotations

from sandbox.image.operations import bring
from sandbox.image.pinning import Pinned, pinned, tagged_name
from sandbox.stack.service_spec import IMAGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

    from sandbox.deploy.plan import Change, Plan
    from sandbox.operation_context import OperationContext

    Resolve = Literal["always", "changed", "never"]


def with_images(context: OperationContext, plan: Plan, resolve: Resolve, warn: Callable[[str], None]) -> Plan:
    """The plan, whose services have images with digests: `always`, or of those alone whose files name another image
    than before, or `never`. Raises ImageError.
    """
    asked: dict[str, Pinned] = {}

    def ask(image: str) -> Pinned:
        if image not in asked:
            asked[image] = pinned(context, image)
            if asked[image].warning:
                warn(asked[image].warning)
        return asked[image]

    def of(change: Change) -> Change:
        spec, present = change.service, change.present
        if spec is None:
            return change
        image = spec.request.image
        before = present.spec.request.image if present is not None and is_same(change) else ""
        if resolve == "never" or (resolve == "changed" and before):
            image = before or tagged_name(context, image)
        else:
            found = ask(image)
            # who cannot ask now has no reason to replace what runs
            image = before if found.warning and before else found.image
        return change._replace(service=spec._replace(request=spec.request._replace(image=image)))

    return plan._replace(changes=tuple(of(change) for change in plan.changes))


def bring_images(context: OperationContext, plan: Plan) -> None:
    """Pull those that are not here; where one cannot be had its service's tasks tell why."""
    for image in dict.fromkeys(change.service.request.image for change in plan.changes if change.service is not None):
        bring(context, image)


def is_same(change: Change) -> bool:
    """Whether the file names the image that it named when the service was last deployed."""
    if change.service is None or change.present is None:
        return False
    return dict(change.present.spec.labels).get(IMAGE) == dict(change.service.labels).get(IMAGE)
