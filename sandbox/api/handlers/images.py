"""Images that are here: listed, looked at, named, removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.api.call import Answer
from sandbox.api.documents.filters import read_filters

if TYPE_CHECKING:
    from typing import Any

    from sandbox.api.call import Call

#: until then an image told its size twice, and of a container that it was made of
_ONE_SIZE_SINCE, _NO_CONTAINER_SINCE = (1, 44), (1, 45)
#: it looks for the container's configuration in every version's document when it makes a container anew, and fails
_WANTS_CONTAINER = "docker-compose/1."
_NO_CONTAINER: dict[str, Any] = {
    "Hostname": "", "Domainname": "", "User": "", "AttachStdin": False, "AttachStdout": False, "AttachStderr": False,
    "Tty": False, "OpenStdin": False, "StdinOnce": False, "Env": None, "Cmd": None, "Image": "", "Volumes": None,
    "WorkingDir": "", "Entrypoint": None, "OnBuild": None, "Labels": None,
}  # fmt: skip


async def list_all(call: Call) -> Answer:
    """The short documents of images."""
    filters = read_filters(call.text("filters"))
    if call.text("filter"):
        # of clients older than 1.25
        filters = (*filters, f"reference={call.text('filter')}")
    documents = await call.engine.call("api.images", filters, all=call.flag("all"))
    if call.version < _ONE_SIZE_SINCE:
        for document in documents:
            document["VirtualSize"] = document["Size"]
    if call.flag("shared-size"):
        usage = await call.engine.call("system.usage")
        shared = {image["Id"]: image["SharedSize"] for image in usage["Images"]}
        for document in documents:
            document["SharedSize"] = shared.get(document["Id"], -1)
    return Answer(document=documents)


async def inspect(call: Call) -> Answer:
    """All that is known of one."""
    document = await call.engine.call("image.inspect", call.word)
    if call.version < _ONE_SIZE_SINCE:
        document["VirtualSize"] = document["Size"]
    if call.version < _NO_CONTAINER_SINCE or call.headers.get("user-agent", "").startswith(_WANTS_CONTAINER):
        document |= {"Container": "", "ContainerConfig": _NO_CONTAINER}
    return Answer(document=document)


async def history(call: Call) -> Answer:
    """How it was made."""
    return Answer(document=await call.engine.call("image.history", call.word))


async def tag(call: Call) -> Answer:
    """Give it one more name."""
    repository, name = call.text("repo"), call.text("tag")
    await call.engine.call("image.tag", call.word, f"{repository}:{name}" if name else repository)
    return Answer(201)


async def remove(call: Call) -> Answer:
    """Take a name away, and with the last one the image."""
    return Answer(
        document=await call.engine.call(
            "api.remove_image", call.word, force=call.flag("force"), noprune=call.flag("noprune")
        )
    )


async def prune(call: Call) -> Answer:
    """Remove those that nobody uses."""
    removed, freed = await call.engine.call("image.prune", read_filters(call.text("filters")))
    gone: list[dict[str, str]] = []
    for untagged, deleted in removed:
        gone += [{"Untagged": name} for name in untagged]
        gone += [{"Deleted": digest} for digest in deleted]
    return Answer(document={"ImagesDeleted": gone or None, "SpaceReclaimed": freed})
