"""The build of every tutorial, as it stands there: an application with requirements, built, run, and asked for a page.

Only the base and the index that pip asks are this machine's own.
"""

from __future__ import annotations

import functools
import http.server
import threading
from typing import TYPE_CHECKING

import pytest

from tests.end_to_end.conftest import fetch
from tests.integration.builder.case_files import write_wheel
from tests.integration.builder.conftest import load_layout
from tests.integration.builder.two_builders import BASES
from tests.needs import CONTAINER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.command import Sandbox

pytestmark = [pytest.mark.requires(*CONTAINER, "umoci", "mmdebstrap", "tap", "slirp4netns"), pytest.mark.slow]

_DOCKERFILE = """FROM python:2.7-slim
WORKDIR /app
COPY . /app
RUN pip install --trusted-host 127.0.0.1 -r requirements.txt
EXPOSE 80
ENV NAME World
CMD ["python", "app.py"]
"""
_APP = """import http.server
import os

import greeting


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"Hello {os.environ['NAME']}, with greeting {greeting.VERSION}".encode())


server = http.server.HTTPServer(("", 80), Handler)
print("listening", flush=True)
server.serve_forever()
"""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def index(tmp_path: Path) -> Iterator[str]:
    """The URL of a package index on the loopback that has `greeting` 1.0 and 2.0."""
    for version in ("1.0", "2.0"):
        write_wheel(tmp_path / "index/simple/greeting", "greeting", version)
    handler = functools.partial(_Quiet, directory=str(tmp_path / "index"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/simple"
        server.shutdown()
        thread.join()


def test_the_first_example_serves(
    sandbox: Sandbox, debian_layout: Path, index: str, free_port: Callable[[], int], tmp_path: Path
) -> None:
    load_layout(sandbox, debian_layout, "layout")
    sandbox.run("build", "-q", "-t", "python:2.7-slim", "-", input=f"FROM layout\n{BASES['python'][1]}")
    app = tmp_path / "app"
    app.mkdir()
    (app / "Dockerfile").write_text(_DOCKERFILE)
    (app / "requirements.txt").write_text(f"--index-url {index}\ngreeting<2\n")
    (app / "app.py").write_text(_APP)
    # the index is on the host's loopback, which no other network of a build reaches
    sandbox.run("build", "--network", "host", "-t", "app", ".", cwd=app)
    port = free_port()
    sandbox.run("run", "-d", "--name", "web", "-p", f"127.0.0.1:{port}:80", "app")
    sandbox.wait_for_log("web", "listening")
    assert fetch(port) == "Hello World, with greeting 1.0"
    sandbox.run("rm", "-f", "web")

    (app / "app.py").write_text(_APP.replace("Hello", "Welcome"))
    again = sandbox.run("build", "--network", "host", "-t", "app", ".", cwd=app)
    assert again.stderr.count("CACHED") == 1
    sandbox.run("run", "-d", "--name", "web", "-e", "NAME=you", "-p", f"127.0.0.1:{port}:80", "app")
    sandbox.wait_for_log("web", "listening")
    assert fetch(port) == "Welcome you, with greeting 1.0"
