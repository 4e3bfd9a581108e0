"""Files from the web, for `import` and for builds: fetched by a process of their own, `sandbox.image.web.fetch_url`."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from sandbox.config import load_config
from sandbox.errors import SandboxError
from sandbox.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.paths import Paths

_BOOT = "import sys; sys.path[:] = sys.argv[1:]; from sandbox.image.web.fetch_url import main; main()"
#: what of the caller's environment decides how a server is reached
_KEPT = (
    "http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
    "SSL_CERT_FILE", "SSL_CERT_DIR",
)  # fmt: skip


class WebRequest(NamedTuple):
    """What to ask for; `authorization` is a header for the URL's own host, `etag` of a body that is here already."""

    url: str
    authorization: str = ""
    etag: str = ""
    #: the content is verified by the caller, so that the way it comes may be any
    verified: bool = False
    #: what a person can do where it may not be any
    verify_mend: str = ""
    #: only the place that redirects lead to is wanted
    locate: bool = False


def fetch_file(request: WebRequest, fd: int, paths: Paths, env: Mapping[str, str]) -> dict[str, Any]:
    """Write the body to `fd`, an empty file; what the server said of it: `digest`, `size`, `etag`, `modified` (seconds
    since 1970), or `same` where the body has the ETag asked with. Raises SandboxError.
    """
    return _ask(request, fd, paths, env)


def locate_url(request: WebRequest, paths: Paths, env: Mapping[str, str]) -> str:
    """The URL that a server's redirects lead to, whatever is there. Raises SandboxError."""
    return str(_ask(request._replace(locate=True), None, paths, env)["url"])


def _ask(request: WebRequest, fd: int | None, paths: Paths, env: Mapping[str, str]) -> dict[str, Any]:
    kept = {name: env[name] for name in _KEPT if name in env}
    job = {
        **request._asdict(), "shown": redact(request.url), "env": kept, "config_root": paths.config_root,
        "redirects": load_config(paths).registries.redirects, "output": fd,
    }  # fmt: skip
    # by the interpreter alone: nothing of the caller's PYTHON variables or directory is imported
    modules = [path for path in sys.path if path.startswith("/")]
    done = subprocess.run(
        [sys.executable, "-IS", "-c", _BOOT, *modules], input=json.dumps(job).encode(), capture_output=True,
        pass_fds=() if fd is None else (fd,), env=kept, check=False,
    )  # fmt: skip
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError as error:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        cause = said[-1] if said else "its process died"
        raise SandboxError(f"cannot download {redact(request.url)}", cause=cause) from error
    if "error" in answer:
        message, cause, mend = answer["error"]
        raise SandboxError(message, cause=cause, mend=mend)
    return answer


def is_url(text: str) -> bool:
    """Whether a source is fetched from the web (Git repositories, which may look the same, are asked for before)."""
    return text.startswith(("http://", "https://"))
