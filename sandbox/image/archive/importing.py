"""`import`: an image of one layer, made of the archive of a file system."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from sandbox.errors import ImageError, translated
from sandbox.image.archive.install import LocalImage, install_images
from sandbox.image.documents import decode_config
from sandbox.image.made_manifests import layer_descriptor, make_manifest
from sandbox.image.recording import content_store
from sandbox.image.web.web_file import WebRequest, fetch_file
from storage.digests import Digest
from storage.errors import os_failure
from storage.tar.decompress import decompressed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.image.platforms import Platform
    from sandbox.image.references import Reference
    from sandbox.image.store import ImageRecord
    from sandbox.image.transfer.progress import Progress
    from sandbox.paths import Paths
    from storage.content import ContentStore

_READ_SIZE = 1 << 20


class ImportRequest(NamedTuple):
    """What to make of the archive; `created` is RFC 3339, `config` what a container of it starts from, `source` what is
    said where no message is given: Docker says `-` of every archive that is no URL's.
    """

    reference: Reference | None
    config: Mapping[str, Any]  # Any: JSON
    message: str
    platform: Platform
    created: str
    source: str = "-"


def import_archive(
    paths: Paths, stream: BinaryIO, what: str, request: ImportRequest, progress: Progress
) -> ImageRecord:
    """The image whose file system is the archive in `stream`; `what` names it in errors. `progress` is told how far it
    is, and warned of what of the archive could not be had. Raises ImageError.
    """

    def collect() -> list[LocalImage]:
        blob, diff_id, head, size = _keep_layer(stream, what, paths, content_store(paths))
        data = json.dumps(_config_document(request, diff_id), separators=(",", ":")).encode()
        manifest = make_manifest(data, [layer_descriptor(head, blob, size)])
        names = (request.reference,) if request.reference else ()
        return [LocalImage(decode_config(data, what), data, manifest, (blob,), names, "import")]

    (record,) = install_images(paths, collect, progress)
    return record


def _config_document(request: ImportRequest, diff_id: Digest) -> dict[str, Any]:
    platform = request.platform
    document: dict[str, Any] = {"architecture": platform.architecture, "os": platform.os}
    if platform.variant:
        document["variant"] = platform.variant
    comment = request.message or f"Imported from {request.source}"
    return {
        **document,
        "created": request.created,
        "config": dict(request.config),
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [{"created": request.created, "comment": comment}],
    }


def _keep_layer(stream: BinaryIO, what: str, paths: Paths, content: ContentStore) -> tuple[Digest, Digest, bytes, int]:
    """The archive as a blob: its digest, diff id, first bytes and size. What a registry cannot carry goes in plain."""
    os.makedirs(f"{paths.data_root}/tmp", mode=0o700, exist_ok=True)
    # nameless, so that a killed import leaves nothing
    with tempfile.TemporaryFile(dir=f"{paths.data_root}/tmp") as spool, translated(ImageError, f"cannot import {what}"):
        try:
            blob = _copy(iter(lambda: stream.read(_READ_SIZE), b""), spool)
        except OSError as error:
            raise os_failure("cannot keep the archive", error) from error
        spool.seek(0)
        sha256 = hashlib.sha256()
        for piece in decompressed(spool):
            sha256.update(piece)
        diff_id = Digest("sha256:" + sha256.hexdigest())
        head = os.pread(spool.fileno(), 6, 0)
        if head.startswith(b"BZh") or head == b"\xfd7zXZ\x00":
            spool.seek(0)
            with tempfile.TemporaryFile(dir=f"{paths.data_root}/tmp") as plain:
                blob = _copy(decompressed(spool), plain)
                return _store(plain, blob, diff_id, content)
        return _store(spool, blob, diff_id, content)


def _copy(pieces: Any, target: BinaryIO) -> Digest:
    sha256 = hashlib.sha256()
    for piece in pieces:
        sha256.update(piece)
        target.write(piece)
    target.flush()
    return Digest("sha256:" + sha256.hexdigest())


def _store(file: BinaryIO, blob: Digest, diff_id: Digest, content: ContentStore) -> tuple[Digest, Digest, bytes, int]:
    size = os.fstat(file.fileno()).st_size
    file.seek(0)
    with content.writer(blob, size) as writer:
        if not writer.done:
            writer.restart()
            while piece := file.read(_READ_SIZE):
                writer.append(piece)
            writer.commit()
    return blob, diff_id, os.pread(file.fileno(), 6, 0), size


def download(url: str, paths: Paths, env: Mapping[str, str]) -> BinaryIO:
    """What lies at an http(s) URL, in a nameless file the caller closes. Raises SandboxError."""
    os.makedirs(f"{paths.data_root}/tmp", mode=0o700, exist_ok=True)
    file = tempfile.TemporaryFile(dir=f"{paths.data_root}/tmp")  # noqa: SIM115  the caller owns it
    request = WebRequest(url, verify_mend="fetch it by other means, and import the file")
    try:
        fetch_file(request, file.fileno(), paths, env)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file
