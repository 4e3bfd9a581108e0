"""`--output`, `--push`, `--load` and `--annotation`, read: where a build's result goes, and in which form.

    -o DIR                                     type=local,dest=DIR
    -o -                                       type=tar,dest=-
    -o type=local,dest=DIR                     the tree, as the caller's own files
    -o type=tar,dest=FILE|-                    the tree, with its owners
    -o type=oci|docker[,dest=FILE|-][,tar=false]  the image, as an archive or (tar=false) a directory
    -o type=image,name=NAME[,push=true]        the image, here and in a registry; type=registry pushes it
    -o type=cacheonly                          nothing but the cache

(BuildKit's README §Exporters names the fields.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from sandbox.dockerfile.errors import did_you_mean
from sandbox.errors import SandboxError, UsageError
from sandbox.grammar.comma_fields import split_fields
from sandbox.image.references import parse_reference
from storage.errors import StorageError
from storage.tar.compress import Compression

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sandbox.image.references import Reference
    from storage.tar.compress import CompressionKind

OutputType = Literal["local", "tar", "oci", "docker", "image", "cacheonly"]
_TYPES: dict[str, OutputType] = {
    "local": "local", "tar": "tar", "oci": "oci", "docker": "docker", "image": "image", "registry": "image",
    "cacheonly": "cacheonly",
}  # fmt: skip
_KINDS: dict[str, CompressionKind] = {"gzip": "gzip", "zstd": "zstd", "uncompressed": "uncompressed"}
_IMAGE_FIELDS = frozenset(
    {"name", "push", "push-by-digest", "oci-mediatypes", "compression", "compression-level", "force-compression",
     "rewrite-timestamp", "unpack", "store", "dest", "tar"}
)  # fmt: skip
_FIELDS: dict[OutputType, frozenset[str]] = {
    "local": frozenset({"dest", "platform-split", "mode"}),
    "tar": frozenset({"dest", "platform-split"}),
    "oci": _IMAGE_FIELDS - {"push", "push-by-digest", "unpack", "store"},
    "docker": _IMAGE_FIELDS - {"push", "push-by-digest", "unpack", "store"},
    "image": _IMAGE_FIELDS - {"dest", "tar"},
    "cacheonly": frozenset(),
}
#: what BuildKit knows and we do not, and why
_REFUSED = {
    "registry.insecure": 'in config.toml: [registries] insecure = ["HOST"]',
    "danging-name-prefix": "", "dangling-name-prefix": "", "name-canonical": "", "oci-artifact": "", "buildinfo": "",
}  # fmt: skip
_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True", ""})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})


class ImageForm(NamedTuple):
    """How an image leaves: its media types, its layers' compression (None: as they lie), its own annotations."""

    oci: bool = True
    compression: Compression | None = None
    force_compression: bool = False
    annotations: tuple[tuple[str, str], ...] = ()
    #: of the descriptor that names the manifest in an OCI layout's index
    descriptor_annotations: tuple[tuple[str, str], ...] = ()


class Output(NamedTuple):
    """One place for the result. `dest` is a path as the caller wrote it, "-" for standard output, "" for none."""

    type: OutputType
    dest: str = ""
    names: tuple[Reference, ...] = ()
    push: bool = False
    by_digest: bool = False
    tar: bool = True
    replace: bool = False
    rewrite_times: bool = False
    form: ImageForm = ImageForm()

    @property
    def loads(self) -> bool:
        """Whether the image is in this machine's store afterwards."""
        return self.type == "image" or (self.type == "docker" and not self.dest)


def read_outputs(
    texts: Sequence[str], names: tuple[Reference, ...], annotations: Sequence[str], *, push: bool, load: bool
) -> tuple[Output, ...]:
    """What was asked for; without any of it the image is loaded. Raises UsageError."""
    form = _read_annotations(annotations)
    outputs = [_read_output(text, names, form) for text in texts]
    if push:
        pushed = [output for output in outputs if output.type == "image"]
        outputs = [output._replace(push=True) if output.type == "image" else output for output in outputs]
        if not pushed:
            outputs.append(Output("image", names=names, push=True, form=form))
    if load or not outputs:
        outputs.append(Output("image", names=names, form=form))
    for output in outputs:
        _check(output, form)
    if sum(output.dest == "-" for output in outputs) > 1:
        raise UsageError("only one output can go to standard output", mend="give the others dest=FILE")
    return tuple(outputs)


def _read_output(text: str, names: tuple[Reference, ...], form: ImageForm) -> Output:
    fields = split_fields(text)
    if len(fields) == 1 and "=" not in fields[0]:
        return Output("tar", "-") if text == "-" else Output("local", text)
    values = {}
    for field in fields:
        key, equals, value = field.partition("=")
        if not equals:
            raise UsageError(f"invalid value {field!r} in --output", cause="a field is key=value", mend=_MEND)
        values[key.strip().lower()] = value
    written = values.pop("type", "")
    kind = _TYPES.get(written)
    if kind is None:
        raise UsageError(
            f"--output {text!r}: " + (f"unknown type {written!r}" if written else "type is required for output")
            + did_you_mean(written, _TYPES),
            mend=_MEND,
        )  # fmt: skip
    output = Output(kind, values.pop("dest", ""), names, push=written == "registry", form=form)
    for key, value in values.items():
        output = _take_field(output, key, value)
    return output


_MEND = "-o DIR, -o type=local|tar|oci|docker,dest=PATH, or -o type=image,name=NAME,push=true"


def _take_field(output: Output, key: str, value: str) -> Output:
    form = output.form
    if key.startswith("annotation"):
        return output._replace(form=_annotate(form, key.removeprefix("annotation").lstrip("-"), value))
    if key not in _FIELDS[output.type]:
        if key in _REFUSED:
            raise UsageError(f"--output: {key} is not supported", mend=_REFUSED[key])
        raise UsageError(
            f"--output: type={output.type} knows no {key!r}{did_you_mean(key, _FIELDS[output.type])}", mend=_MEND
        )
    match key:
        case "name":
            return output._replace(names=tuple(parse_reference(name.strip()) for name in value.split(",") if name))
        case "push":
            return output._replace(push=output.push or _boolean(key, value))
        case "push-by-digest":
            return output._replace(by_digest=_boolean(key, value))
        case "tar":
            return output._replace(tar=_boolean(key, value))
        case "mode":
            if value not in ("copy", "delete"):
                raise UsageError(f"--output: mode {value!r} is none", mend="mode=copy or mode=delete")
            return output._replace(replace=value == "delete")
        case "rewrite-timestamp":
            return output._replace(rewrite_times=_boolean(key, value))
        case "oci-mediatypes":
            return output._replace(form=form._replace(oci=_boolean(key, value)))
        case "compression":
            if value not in _KINDS:
                raise UsageError(
                    f"--output: compression {value!r} is not supported", mend=f"one of {', '.join(_KINDS)}"
                )
            level = form.compression.level if form.compression else -1
            return output._replace(form=form._replace(compression=Compression(_KINDS[value], level)))
        case "compression-level":
            if not value.isdecimal():
                raise UsageError(f"--output: compression-level {value!r} is no number")
            kind = form.compression.kind if form.compression else "gzip"
            return output._replace(form=form._replace(compression=Compression(kind, int(value))))
        case "force-compression":
            return output._replace(form=form._replace(force_compression=_boolean(key, value)))
        case _:
            # unpack, store, platform-split: what is always so here
            _boolean(key, value)
            return output


def _check(output: Output, form: ImageForm) -> None:
    try:
        _level = output.form.compression and output.form.compression.settled_level
    except StorageError as error:
        raise UsageError(f"--output: {error.message}", mend=error.mend) from error
    if output.type in ("local", "tar") and not output.dest:
        raise UsageError(f"dest is required for the {output.type} output", mend=f"-o type={output.type},dest=PATH")
    if output.type == "local" and output.dest == "-":
        raise UsageError("dest cannot be standard output for the local output", mend="-o type=tar,dest=-")
    if output.type == "oci" and not output.dest:
        raise UsageError("dest is required for the oci output", mend="-o type=oci,dest=FILE")
    if not output.tar and output.dest in ("", "-"):
        raise UsageError("tar=false needs a directory", mend=f"-o type={output.type},tar=false,dest=DIR")
    if output.push and not output.names:
        raise UsageError("tag is needed when pushing to registry", mend="-t REGISTRY/NAME:TAG")
    if output.form.compression and output.form.compression.kind == "zstd" and not output.form.oci:
        raise UsageError("Docker's media types know no zstd", mend="leave oci-mediatypes=false out")
    if output.form.annotations and not output.form.oci:
        raise UsageError("Docker's manifest has no annotations", mend="leave oci-mediatypes=false out")
    if output.type in ("local", "tar", "cacheonly") and output.form.annotations != form.annotations:
        raise UsageError(f"the {output.type} output has no annotations")


def _read_annotations(texts: Sequence[str]) -> ImageForm:
    form = ImageForm()
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UsageError(f"invalid annotation {text!r}: expected key=value", mend='--annotation "KEY=VALUE"')
        place, colon, rest = key.partition(":")
        kinds = [one.partition("[")[0] for one in place.split(",")]
        if colon and all(kind in _PLACES for kind in kinds):
            for kind in kinds:
                form = _annotate(form, f"{kind}.{rest}", value)
        else:
            form = _annotate(form, f".{key}", value)
    return form


_PLACES = ("manifest", "index", "manifest-descriptor", "index-descriptor")


def _annotate(form: ImageForm, key: str, value: str) -> ImageForm:
    """Add what `PLACE[platform].KEY` says; no place means the manifest."""
    place, _, name = key.partition(".")
    place = place.partition("[")[0] or "manifest"
    if not name or place not in _PLACES:
        raise UsageError(f"invalid annotation {key!r}", mend='--annotation "manifest:KEY=VALUE"')
    if place in ("index", "index-descriptor"):
        raise UsageError(
            f"{place} annotations are not supported for an image of one platform",
            cause="it has no index",
            mend=f'--annotation "manifest:{name}={value}"',
        )
    if place == "manifest":
        return form._replace(annotations=(*form.annotations, (name, value)))
    return form._replace(descriptor_annotations=(*form.descriptor_annotations, (name, value)))


def _boolean(key: str, value: str) -> bool:
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise UsageError(f"non-bool value {value!r} for {key}", mend=f"{key}=true or {key}=false")


def read_epoch(environment: Mapping[str, str], arguments: Mapping[str, str]) -> int | None:
    """SOURCE_DATE_EPOCH in seconds: the build argument's, else the environment's. Raises SandboxError."""
    name = "SOURCE_DATE_EPOCH"
    text = arguments.get(name, environment.get(name, ""))
    if not text:
        return None
    # a time that the database and RFC 3339 both hold
    if not text.isdecimal() or int(text) > 253402300799:
        raise SandboxError(
            f"invalid {name} {text[:40]!r}", cause="it is seconds since 1970", mend=f"{name}=$(date +%s)"
        )
    return int(text)
