"""Our values in the shape the vectors have: the fields of BuildKit's Go structures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.dockerfile import instructions as said
from sandbox.grammar.health import health_document

if TYPE_CHECKING:
    from sandbox.dockerfile.mounts import Mount
    from sandbox.dockerfile.parser import Node
    from sandbox.dockerfile.printing import NodeDocument


def node(found: Node) -> dict[str, Any]:
    shape: dict[str, Any] = {
        "instruction": found.instruction,
        "flags": [word.text for word in found.flags],
        "args": [word.text for word in found.arguments],
        "json_form": found.json,
        "start_line": found.start_line,
        "end_line": found.end_line,
        "original": found.original,
    }
    if found.heredocs:
        shape["heredocs"] = [
            {"name": h.name, "fd": h.file_descriptor, "expand": h.expand, "chomp": h.chomp, "content": h.content}
            for h in found.heredocs
        ]
    if found.trigger:
        shape["onbuild"] = node(found.trigger)
    return shape


def command(found: said.Instruction) -> dict[str, Any]:
    if isinstance(found, said.Copy | said.Add):
        return _files(found)
    if isinstance(found, said.Run | said.Cmd | said.Entrypoint):
        return _command(found)
    if isinstance(found, said.Env | said.Label):
        pairs = [{"Key": p.key, "Value": p.value, "NoDelim": p.legacy} for p in found.pairs]
        return {"Env" if isinstance(found, said.Env) else "Labels": pairs}
    if isinstance(found, said.Arg):
        return {"Args": [{"Key": a.name, "Value": a.value, "DocComment": a.description} for a in found.arguments]}
    if isinstance(found, said.Healthcheck):
        return {"Health": _health(found)}
    names = {
        said.Expose: "Ports",
        said.Volume: "Volumes",
        said.User: "User",
        said.Workdir: "Path",
        said.Onbuild: "Expression",
        said.StopSignal: "Signal",
        said.Shell: "Shell",
        said.Maintainer: "Maintainer",
    }
    value = found[1]
    return {names[type(found)]: list(value) if isinstance(value, tuple) else value}


def _files(found: said.Copy | said.Add) -> dict[str, Any]:
    shape: dict[str, Any] = {
        "DestPath": found.target,
        "SourcePaths": list(found.sources) or None,
        "SourceContents": [{"Path": f.name, "Data": f.content, "Expand": f.expand} for f in found.files] or None,
        "Chown": found.chown,
        "Chmod": found.chmod,
        "Link": found.link,
        "ExcludePatterns": list(found.exclude) or None,
    }
    if isinstance(found, said.Copy):
        return shape | {"From": found.source_name, "Parents": found.parents}
    return shape | {"KeepGitDir": found.keep_git_dir, "Checksum": found.checksum, "Unpack": found.unpack}


def _command(found: said.Run | said.Cmd | said.Entrypoint) -> dict[str, Any]:
    words: list[str] | None = list(found.command.words)
    if isinstance(found, said.Entrypoint):
        words = words or None
    shape: dict[str, Any] = {"CmdLine": words, "Files": None, "PrependShell": found.command.shell}
    if isinstance(found, said.Run):
        shape["Files"] = [{"Name": h.name, "Data": h.content, "Chomp": h.chomp} for h in found.heredocs] or None
        shape["FlagsUsed"] = sorted({flag.text[2:].partition("=")[0] for flag in found.node.flags})
    return shape


def _health(found: said.Healthcheck) -> dict[str, Any]:
    return health_document(found.check)


def mount(found: Mount) -> dict[str, Any]:
    return {
        "Type": found.type,
        "From": found.source_name,
        "Source": found.source,
        "Target": found.target,
        "ReadOnly": found.readonly,
        "SizeLimit": found.size_bytes,
        "CacheID": found.id,
        "CacheSharing": found.sharing,
        "Required": found.required,
        "Env": found.env,
        "Mode": found.mode,
        "UID": found.uid,
        "GID": found.gid,
    }


def meaning(found: NodeDocument) -> dict[str, Any]:
    """A printed node without what printing changes: the lines it takes and how it is spaced."""
    inner = {"onbuild": meaning(found["onbuild"])} if "onbuild" in found else {}
    changed = ("start_line", "end_line", "original")
    return {key: value for key, value in found.items() if key not in changed} | inner
