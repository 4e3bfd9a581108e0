"""What becomes of a build's result: an image here and in registries, archives, trees.

The image's documents are made for each form that is asked for: configuration (the same for all), layers compressed as
wanted, manifest. With SOURCE_DATE_EPOCH no time in them is later than that one; the times of files are the layers'
own affair (`rewrite-timestamp`, at the time they are made).
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import tarfile
import tempfile
from typing import TYPE_CHECKING, Any, NamedTuple

from sandbox.builder.image_state import as_time
from sandbox.builder.progress.progress import Vertex, reported_step, vertex_id
from sandbox.builder.progress.transfer_reports import ReportedProgress
from sandbox.builder.results.outputs import Output
from sandbox.builder.results.tree_exports import export_directory, export_tar
from sandbox.caller_directory import CallerDirectory
from sandbox.errors import ImageError, SandboxError, translated
from sandbox.image.archive.saving import ChosenImage, write_archive
from sandbox.image.archive.whole_file import written_whole
from sandbox.image.documents import decode_config
from sandbox.image.events import image_event
from sandbox.image.go_json import load_document
from sandbox.image.layer_blobs import LayerForm, form_layers
from sandbox.image.made_manifests import make_manifest
from sandbox.image.media_types import DOCKER_MANIFEST, OCI_MANIFEST
from sandbox.image.recording import content_store, image_platform, parse_time_ns, save_record
from sandbox.image.store import ImageRecord
from sandbox.image.transfer.push import PushJob, push_jobs
from sandbox.state import open_state
from storage.digests import digest_of, parse_digest
from storage.layers.store import LayerStore
from storage.tar.compress import Compression

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sandbox.builder.progress.progress import EventSink, StepReport
    from sandbox.builder.request import BuildResult
    from sandbox.builder.results.outputs import ImageForm
    from sandbox.image.references import Reference
    from sandbox.paths import Paths


class Exported(NamedTuple):
    """What the result is called: the image's ID, and its manifest's digest, media type and size in bytes in the last
    form that was made (empty where no image was asked for); the names it was given.
    """

    image_id: str
    created: str
    digest: str = ""
    media_type: str = ""
    size: int = 0
    names: tuple[Reference, ...] = ()
    loaded: bool = False


class ExportRequest(NamedTuple):
    """Where the result goes, and what is shared by all places. `portable`: digests that are those of a push, also where
    nothing is pushed.
    """

    outputs: tuple[Output, ...] = (Output("image"),)
    cwd: CallerDirectory = CallerDirectory(".")
    epoch: int | None = None
    portable: bool = False

    @property
    def rewritten_epoch(self) -> int | None:
        """The time that files of new layers are held to, where an output asks for it."""
        return self.epoch if any(output.rewrite_times for output in self.outputs) else None


def export_result(
    paths: Paths, env: Mapping[str, str], result: BuildResult, request: ExportRequest, events: EventSink
) -> Exported:
    """Bring the result to every output, in their order; the caller holds the store. Raises SandboxError."""
    exporter = _Exporter(paths, env, result, request)
    for position, output in enumerate(request.outputs):
        with reported_step(events, Vertex(vertex_id("export", position), _TITLES[output.type])) as report:
            exporter.export(output, report)
    return exporter.exported


_TITLES = {
    "local": "exporting to client directory", "tar": "exporting to client tarball",
    "oci": "exporting to oci image format", "docker": "exporting to docker image format",
    "image": "exporting to image", "cacheonly": "exporting to nothing",
}  # fmt: skip


class _Exporter:
    def __init__(self, paths: Paths, env: Mapping[str, str], result: BuildResult, request: ExportRequest) -> None:
        self._paths = paths
        self._env = env
        self._result = result
        self._request = request
        self._content = content_store(paths)
        self._document = with_epoch(result.config, request.epoch)
        self._config = json.dumps(self._document, separators=(",", ":")).encode()
        self.exported = Exported(digest_of(self._config), str(self._document.get("created") or ""))

    def export(self, output: Output, report: StepReport) -> None:
        self._report = report
        dest = self._request.cwd.absolute(output.dest) if output.dest not in ("", "-") else output.dest
        match output.type:
            case "local":
                self._note(export_directory(self._paths, self._trees, dest, replace=output.replace))
                self._report.status(f"copied files to {output.dest}")
            case "tar":
                self._write(dest, lambda stream: self._note(export_tar(self._paths, self._trees, stream.fileno())))
                self._report.status(f"wrote the tree to {output.dest}")
            case "oci" | "docker" if output.dest:
                self._export_archive(output, dest)
            case "image" | "docker":
                self._export_image(output)
            case "cacheonly":
                pass

    @property
    def _trees(self) -> list[tuple[str, str]]:
        diff_ids: list[str] = self._document["rootfs"]["diff_ids"]
        return list(zip(self._result.chain_ids, diff_ids, strict=True))

    def _note(self, notes: Sequence[str]) -> None:
        for note in notes:
            self._report.status(note)

    # --- images

    def _export_image(self, output: Output) -> None:
        record = self._make_record(output, push=output.push)
        names = () if output.by_digest else output.names
        told = [image_event("tag", record.id, record.config, name.familiar) for name in names]
        made = image_event("create", record.id, record.config)
        save_record(self._paths, record, names, [], told, made=made)
        self._report.status(f"writing image {record.id} done")
        for name in names:
            self._report.status(f"naming to {name.name} done")
        if output.push:
            self._push(output, record)
        self.exported = self.exported._replace(loaded=True, names=_merged(self.exported.names, output.names))

    def _push(self, output: Output, record: ImageRecord) -> None:
        data = self._content.read(parse_digest(record.manifest_digest))
        manifest = load_document(data)
        shown = [
            (diff_id, layer["digest"], layer["size"])
            for diff_id, layer in zip(self._document["rootfs"]["diff_ids"], manifest["layers"], strict=True)
        ]
        blobs = (*shown, (record.id, record.id, len(self._config)))
        repositories: dict[str, list[PushJob]] = {}
        for name in output.names:
            tag = "" if output.by_digest else name.tag or "latest"
            job = PushJob(name._replace(tag=tag), record.id, data, blobs)
            repositories.setdefault(name.repository, []).append(job)
        for jobs in repositories.values():
            self._report.status(f"pushing {', '.join(job.reference.familiar for job in jobs)}")
            push_jobs(self._paths, self._env, jobs, ReportedProgress(self._report))

    def _export_archive(self, output: Output, dest: str) -> None:
        record = self._make_record(output, push=True)
        names = tuple(name._replace(tag=name.tag or "latest") for name in output.names)
        chosen = ChosenImage(record, names, dict(output.form.descriptor_annotations))
        if output.tar:
            self._write(dest, lambda stream: write_archive(self._paths, [chosen], stream))
        else:
            with tempfile.TemporaryFile(dir=f"{self._paths.data_root}/blobs/partial") as file:
                write_archive(self._paths, [chosen], file)
                file.seek(0)
                _spread(file, dest)
        self._report.status(f"wrote the image to {output.dest}")
        self.exported = self.exported._replace(names=_merged(self.exported.names, output.names))

    def _write(self, dest: str, write: Callable[[Any], None]) -> None:
        if dest != "-":
            with written_whole(dest) as stream:
                write(stream)
            return
        if sys.stdout.isatty():
            raise SandboxError("refusing to write an archive to a terminal", mend="dest=FILE, or redirect")
        sys.stdout.flush()
        write(sys.stdout.buffer)
        sys.stdout.buffer.flush()

    def _make_record(self, output: Output, *, push: bool) -> ImageRecord:
        with translated(ImageError, "cannot store the image"):
            config = decode_config(self._config, "the built image")
            image_id = self._content.put(self._config)
            layers = self._form_layers(output.form, portable=push or self._request.portable)
            annotations = dict(output.form.annotations)
            data = make_manifest(self._config, layers, oci=output.form.oci, annotations=annotations)
            manifest_digest = self._content.put(data)
            store = LayerStore(self._paths.layers)
            size = 0
            for chain_id in self._result.chain_ids:
                described = store.describe(parse_digest(chain_id)).get("size_bytes")
                size += described if isinstance(described, int) else 0
        created_ns = parse_time_ns(config.created)
        media_type = OCI_MANIFEST if output.form.oci else DOCKER_MANIFEST
        self.exported = self.exported._replace(digest=manifest_digest, media_type=media_type, size=len(data))
        return ImageRecord(
            image_id, "", tuple(self._result.chain_ids), self._document, str(image_platform(config)), manifest_digest,
            created_ns, created_ns, size,
        )  # fmt: skip

    def _form_layers(self, form: ImageForm, *, portable: bool) -> list[dict[str, Any]]:
        compression = form.compression or Compression("gzip" if portable else "uncompressed")
        with open_state(self._paths) as connection:
            return form_layers(
                connection, self._content, self._document["rootfs"]["diff_ids"], self._result.layers,
                LayerForm(compression, form.force_compression, form.oci),
            )  # fmt: skip


def with_epoch(document: Mapping[str, Any], epoch: int | None) -> dict[str, Any]:
    """The image's configuration, `created` being the epoch and no time of the history later."""
    if epoch is None:
        return dict(document)
    latest = as_time(epoch * 10**9)
    history = [
        {**entry, "created": latest}
        if "created" not in entry or parse_time_ns(entry["created"]) > epoch * 10**9
        else dict(entry)
        for entry in document.get("history") or ()
    ]
    return {**document, "created": latest, "history": history}


def _merged(names: tuple[Reference, ...], more: tuple[Reference, ...]) -> tuple[Reference, ...]:
    return tuple(dict.fromkeys((*names, *more)))


def _spread(archive: Any, dest: str) -> None:
    """An archive of our own as a directory: no name in it leads anywhere, and no symlink in `dest` is followed."""
    try:
        os.makedirs(dest, exist_ok=True)
        with tarfile.open(fileobj=archive) as tar:
            for entry in tar:
                if entry.isreg() and (content := tar.extractfile(entry)) is not None:
                    _place(dest, entry.name, content)
    except OSError as error:
        raise SandboxError(f"cannot write to {dest}", cause=error.strerror or str(error)) from error


def _place(dest: str, name: str, content: Any) -> None:
    *above, base = name.split("/")
    fd = os.open(dest, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in above:
            if not _is_there(part, fd):
                os.mkdir(part, dir_fd=fd)
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
            os.close(fd)
            fd = inner
        aside = f".sandbox-{secrets.token_hex(8)}"
        made = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=fd)
        with open(made, "wb") as file:
            while data := content.read(1 << 20):
                file.write(data)
        os.rename(aside, base, src_dir_fd=fd, dst_dir_fd=fd)
    finally:
        os.close(fd)


def _is_there(name: str, dir_fd: int) -> bool:
    try:
        os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
