"""Which image a name with a tag means now: asked once, so that all that is made of it later is of that one."""

from __future__ import annotations

from sandbox.errors import NotFoundError, RegistryError
from sandbox.image.references import DEFAULT_TAG, Reference, is_digest, parse_reference
from sandbox.image.store import digests_of, find_image, find_named_image, is_full_id
from sandbox.named_tuple import NamedTuple
from sandbox.state import open_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.operation_context import OperationContext


class Pinned(NamedTuple):
    """A name with the digest of what it means, and what there is to be said where no digest could be found."""

    image: str
    warning: str = ""


def tagged_name(context: OperationContext, image: str) -> str:
    """The name with its tag, `latest` where it says none; an image's ID as it is. Raises ImageError."""
    reference = _named(context, image)
    return image if reference is None else reference.familiar


def pinned(context: OperationContext, image: str) -> Pinned:
    """The name with its tag and its digest: that which the registry has, and of an image that no registry knows that of
    the one here. Raises ImageError.
    """
    reference = _named(context, image)
    if reference is None or reference.digest:
        return Pinned(image)
    own = _digest_of_own(context, reference)
    if own:
        return Pinned(reference._replace(digest=own).familiar)
    # 300 ms of imports, for what speaks to a registry
    from sandbox.image.manifests.remote import Place, fetch_document

    try:
        digest = Place(context, reference, mirrors=True).ask(fetch_document).digest
    except (RegistryError, NotFoundError):
        # who may not see it is told so when it is pulled
        name = reference.familiar
        return Pinned(
            name,
            f"image {name} could not be accessed on a registry to record\n"
            f"its digest. Each node will access {name} independently,\n"
            "possibly leading to different nodes running different\nversions of the image.\n",
        )
    return Pinned(reference._replace(digest=digest).familiar)


def _named(context: OperationContext, image: str) -> Reference | None:
    """None where the text is no name but the ID of an image, or the beginning of one that is here."""
    if is_full_id(image):
        return None
    with open_state(context.paths, durable=False) as connection:
        found = find_image(connection, image)
        if found is not None and find_named_image(connection, image) is None:
            return None
    reference = parse_reference(image)
    return reference if reference.tag or reference.digest else reference._replace(tag=DEFAULT_TAG)


def _digest_of_own(context: OperationContext, reference: Reference) -> str:
    """The digest of the image that is here by this name, and that no registry has by it; "" where there is none."""
    with open_state(context.paths, durable=False) as connection:
        found = find_named_image(connection, str(reference))
        if found is None:
            return ""
        known = {each.repository for each in digests_of(connection, found.id)}
    return found.manifest_digest if reference.repository not in known and is_digest(found.manifest_digest) else ""
