"""Recorded requests (api-flows.jsonl), asked again of a server of ours: ids and names are those that it gives."""

from __future__ import annotations

import http.client
import io
import json
import re
import socket
import tarfile
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from tests.needs import vectors_directory

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: endpoints that become another protocol, which bytes of another build cannot be asked again in
OF_OTHERS = re.compile(r"POST /(grpc|session)")
#: answers that go on until the client has had enough: their heads are looked at alone
_STREAMS = re.compile(
    r"/(attach|wait|events)(\?|$)|/logs\?.*follow=(1|[tT]rue)|/stats(\?.*stream=(1|[tT]rue)|$)|/exec/[^/]+/start"
)
#: as they were recorded; those of a swarm are as they were
_ID = re.compile(r"\bID\d+\b|(?<![\w.-])[0-9a-z]{25}(?![\w.-])")
#: ids, and the beginnings of such
_MADE_ELSEWHERE = re.compile(rf"{_ID.pattern}|(?<=/)[0-9a-f]{{12}}(?=/)")
#: of an object that is changed, of which one must say what version one has seen
_CHANGE = re.compile(r"(/(?:services|secrets|configs)/[^/]+)/update\?(.*)version=\d+")
_NODE = re.compile(r"(?<=^/nodes/)[0-9a-z]{25}")
_TIMEOUT_SECONDS = 120.0


class Asked(NamedTuple):
    """A recorded request, and what came of it: the status, and the JSON where it was kept."""

    number: int
    client: str
    flow: str
    line: dict[str, Any]

    @property
    def text(self) -> str:
        return f"{self.number} {self.client} ({self.flow}): {self.line['method']} {self.line['path']}"


def recorded(clients: Sequence[str]) -> Iterator[Asked]:
    """The requests of these clients, in their order; none where the folder is missing."""
    try:
        with open(vectors_directory() / "api-flows.jsonl", encoding="utf-8") as lines:
            for number, text in enumerate(lines):
                line = json.loads(text)
                if line["client"].startswith(tuple(clients)) and not OF_OTHERS.match(line["endpoint"]):
                    yield Asked(number, line["client"], line["flow"], line)
    except FileNotFoundError:
        return


class Replay:
    """Asks the requests one after the other; keeps which id stands for which."""

    def __init__(self, path: str, image: str) -> None:
        self._path = path
        self._image = image
        self._ids: dict[str, str] = {}
        #: streams whose end is not waited for
        self._open: list[socket.socket] = []
        #: by what is waited for, those that end with it
        self._waits: dict[str, http.client.HTTPResponse] = {}

    def close(self) -> None:
        for each in self._open:
            each.close()

    def knows(self, asked: Asked) -> bool:
        """Whether what is asked for was made by a request before: not all of them were recorded."""
        return not (set(_MADE_ELSEWHERE.findall(_NODE.sub("", asked.line["path"]))) - self._ids.keys())

    def ask(self, asked: Asked) -> tuple[int, Any]:
        """The status and the JSON, None where it is none, of the same request now."""
        line = asked.line
        path = self._mapped(_NODE.sub("self", line["path"]).replace("HUB%2F", "docker.io%2F"))
        changed = _CHANGE.match(path)
        if changed is not None:
            path = f"{changed[1]}/update?{changed[2]}version={self._version_of(changed[1])}"
        body, kind = self._body(line)
        waiting = self._waits.pop(path.partition("?")[0], None) if line["method"] == "DELETE" else None
        if waiting is not None and "force=1" not in path.lower().replace("true", "1"):
            # it was over when it was removed
            waiting.read()
        return self._ask(line, path, body, kind)

    def _version_of(self, path: str) -> int:
        line = {"method": "GET", "path": path, "version": "", "status": 200}
        _status, document = self._ask(line, path, b"", "")
        found: int = document["Version"]["Index"]
        return found

    def _ask(self, line: dict[str, Any], path: str, body: bytes, kind: str) -> tuple[int, Any]:
        version = f"/v{line['version']}" if line["version"] else ""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(_TIMEOUT_SECONDS)
        connection.connect(self._path)
        head = [f"{line['method']} {version}{quote(path, safe='/?&=%:@+,~-')} HTTP/1.1", "Host: engine"]
        upgrades = line["status"] == 101
        head += ["Connection: Upgrade", "Upgrade: tcp"] if upgrades else []
        head += [f"Content-Type: {kind}", f"Content-Length: {len(body)}"] if body else []
        connection.sendall("\r\n".join([*head, "", ""]).encode() + body)
        answer = http.client.HTTPResponse(connection, method=line["method"])
        answer.begin()
        if (_STREAMS.search(line["path"]) and answer.status < 400) or upgrades:
            self._open.append(connection)
            if "/wait" in path:
                self._waits[path.partition("/wait")[0]] = answer
            return answer.status, None
        data = answer.read()
        connection.close()
        return answer.status, self._kept(line, data)

    def _kept(self, line: dict[str, Any], data: bytes) -> Any:
        try:
            found = json.loads(data)
        except ValueError:
            return None
        before = _ID.search(str(line.get("answer", "")))
        given = (found.get("Id") or found.get("ID")) if isinstance(found, dict) else None
        if before and given:
            self._ids[before[0]] = given.removeprefix("sha256:")
        return found

    def _mapped(self, text: str) -> str:
        return _ID.sub(lambda found: self._ids.get(found[0], found[0]), text)

    def _body(self, line: dict[str, Any]) -> tuple[bytes, str]:
        endpoint = line["endpoint"]
        if endpoint == "POST /build":
            return _archive("Dockerfile", f"FROM {self._image}\nRUN true\n".encode()), "application/x-tar"
        if endpoint in ("PUT /containers/{id}/archive", "POST /images/load") or "fromSrc" in line["path"]:
            return _archive("file", b"text"), "application/x-tar"
        if line.get("body") is None or line["method"] in ("GET", "HEAD"):
            return b"", ""
        body = json.loads(self._mapped(json.dumps(line["body"])))
        if endpoint == "POST /containers/create":
            body = self._own_machine(body)
        for port in body.get("EndpointSpec", {}).get("Ports", ()):
            del port["PublishedPort"]
        return json.dumps(body).encode(), "application/json"

    def _own_machine(self, body: dict[str, Any]) -> dict[str, Any]:
        """The body with places that are the recording machine's taken away."""
        host = body.get("HostConfig", {})
        host["PortBindings"] = {
            port: [{**each, "HostIp": "127.0.0.1", "HostPort": ""} for each in places or ()]
            for port, places in (host.get("PortBindings") or {}).items()
        }
        host["Binds"] = [text for text in host.get("Binds") or () if not text.startswith("/")]
        host["Mounts"] = [each for each in host.get("Mounts") or () if each["Type"] != "bind"]
        return body


def _archive(name: str, data: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))
    return file.getvalue()
