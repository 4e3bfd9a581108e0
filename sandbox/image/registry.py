"""A client of the OCI distribution API (and Docker's Registry v2, which it grew out of), on httpx and trio.

One `RegistryClient` speaks to one place about one repository. It answers the place's challenge for credentials, follows
redirects itself so that what proves who we are stays with the host that asked for it (CVE-2020-15157), tries again
what may succeed the second time, and believes no length and no digest it has not counted.
"""

from __future__ import annotations

import hashlib
import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

import httpx
import trio

from sandbox.errors import AuthenticationError, NotFoundError, RegistryError
from sandbox.image import auth
from sandbox.image.documents import DOCKER_INDEX, DOCKER_MANIFEST, MANIFEST_BYTES_MAX, OCI_INDEX, OCI_MANIFEST
from sandbox.image.registry_answers import continues, error_codes, error_text, next_page, printable, read_tags
from sandbox.image.transport import ConnectionProblem, unreachable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from sandbox.image.docker_config import Credentials
    from sandbox.image.documents import Descriptor
    from sandbox.image.endpoints import Endpoint
    from sandbox.image.references import Reference

_ACCEPT = ", ".join((OCI_INDEX, OCI_MANIFEST, DOCKER_INDEX, DOCKER_MANIFEST))
_REDIRECTS_MAX = 5
_ERROR_BYTES_MAX = 64 << 10
_TAGS_BYTES_MAX = 8 << 20
_TAG_PAGES_MAX = 1000
_RETRY_AFTER_MAX_SECONDS = 60.0
#: written at once: large enough that handing it to a thread costs little
_CHUNK_SIZE = 1 << 20
#: so much more of a blob is progress, after which failures are counted anew
_PROGRESS_BYTES = 1 << 20
#: of one step, not of the whole: a large blob takes its time
TIMEOUT = httpx.Timeout(30.0, connect=15.0, read=60.0)

_T = TypeVar("_T")


class Retries(NamedTuple):
    """How often what may pass is tried, and how long the first wait is; each further one is twice as long."""

    attempts: int = 5
    first_delay_seconds: float = 0.25


class Fetched(NamedTuple):
    """A manifest or index as received, verified against `digest`."""

    data: bytes
    media_type: str
    digest: str


class BlobSink(Protocol):
    """What a blob is written to: storage's BlobWriter."""

    offset: int

    def append(self, data: bytes) -> None: ...

    def restart(self) -> None: ...


class _Transient(Exception):  # noqa: N818  never seen outside
    """Failed in a way that may pass: `failure` is what to raise when it does not."""

    def __init__(self, failure: RegistryError, wait_seconds: float | None = None) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.wait_seconds = wait_seconds


class RegistryClient:
    """The repository of `reference` at one place, which `connect` finds a working scheme for."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        endpoint: Endpoint,
        reference: Reference,
        credentials: Credentials | None,
        retries: Retries = Retries(),  # noqa: B008  an immutable value
    ) -> None:
        self._http = http
        self._endpoint = endpoint
        self._reference = reference
        self._credentials = credentials
        self._retries = retries
        self._base = f"{endpoint.schemes[0]}://{endpoint.location}"
        self._connected = len(endpoint.schemes) == 1
        self._authorization = ""
        # several layers meet the same expired token at once: one of them gets the next
        self._authenticating = trio.Lock()

    @property
    def domain(self) -> str:
        """The place's host and port, as its credentials are filed."""
        return self._endpoint.domain

    async def connect(self) -> None:
        """Settle on a scheme where the endpoint allows two. Raises RegistryError when nothing answers."""
        for position, scheme in enumerate(self._endpoint.schemes):
            if self._connected:
                return
            self._base = f"{scheme}://{self._endpoint.location}"
            is_last = position == len(self._endpoint.schemes) - 1
            try:
                async with self._http.stream("GET", f"{self._base}/v2/") as response:
                    status = response.status_code
            except httpx.TransportError as error:
                problem = ConnectionProblem(error)
                if is_last or problem.untrusted or problem.refused or problem.unknown_host:
                    raise unreachable(self._endpoint.domain, self._base, error) from error
            else:
                # Go's TLS server answers plain HTTP with 400
                self._connected = is_last or status != httpx.codes.BAD_REQUEST

    async def check_login(self) -> None:
        """Make sure the credentials are accepted. Raises AuthenticationError."""
        await self.connect()
        await self._retrying(self._check_login)

    async def get_manifest(self, which: str) -> Fetched:
        """The manifest or index under a tag or digest. Raises NotFoundError, AuthenticationError, RegistryError."""
        await self.connect()
        return await self._retrying(lambda: self._get_manifest(which))

    async def list_tags(self) -> tuple[str, ...]:
        """Every tag of the repository."""
        await self.connect()
        tags: list[str] = []
        path = f"/v2/{self._reference.path}/tags/list?n=1000"
        for _page in range(_TAG_PAGES_MAX):
            body, headers = await self._retrying(lambda path=path: self._get(path, {}, _TAGS_BYTES_MAX))  # type: ignore[misc]
            tags += read_tags(body, self._what())
            following = next_page(headers.get("Link", ""))
            if following is None:
                return tuple(tags)
            path = following
        raise RegistryError(f"{self._what()} lists more than {_TAG_PAGES_MAX} pages of tags")

    async def download_blob(
        self, descriptor: Descriptor, sink: BlobSink, on_bytes: Callable[[int], None] = lambda _count: None
    ) -> None:
        """Append the blob to `sink` from `sink.offset` on, going on after breaks; `on_bytes` hears of each chunk.

        Never more than the descriptor's size is written. The digest is the sink's to verify. Raises RegistryError;
        what was written stays in the sink.
        """
        await self.connect()
        failures = 0
        while True:
            before = sink.offset
            try:
                return await self._download_rest(descriptor, sink, on_bytes)
            except _Transient as transient:
                failures = 1 if sink.offset - before >= _PROGRESS_BYTES else failures + 1
                if failures >= self._retries.attempts:
                    raise transient.failure from transient
                await self._wait(failures, transient)

    async def _check_login(self) -> None:
        async with self._open("/v2/", {}) as response:
            await self._raise_for_status(response)

    async def _get_manifest(self, which: str) -> Fetched:
        path = f"/v2/{self._reference.path}/manifests/{which}"
        data, headers = await self._get(path, {"Accept": _ACCEPT}, MANIFEST_BYTES_MAX)
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        promised = which if which.startswith("sha256:") else headers.get("Docker-Content-Digest", digest)
        if promised.startswith("sha256:") and promised != digest:
            raise RegistryError(
                f"the manifest of {self._what()} does not match its digest",
                cause=f"wanted {promised}, received {digest}",
            )
        return Fetched(data, headers.get("Content-Type", "").partition(";")[0].strip(), digest)

    async def _get(self, path: str, headers: Mapping[str, str], limit: int) -> tuple[bytes, httpx.Headers]:
        async with self._open(path, headers) as response:
            await self._raise_for_status(response)
            body = await _read_limited(response, limit)
            if len(body) > limit:
                raise RegistryError(f"{self._what()}: the answer is larger than {limit >> 20} MiB")
            return body, response.headers

    async def _download_rest(self, descriptor: Descriptor, sink: BlobSink, on_bytes: Callable[[int], None]) -> None:
        if sink.offset == descriptor.size and descriptor.size:
            return
        headers = {"Range": f"bytes={sink.offset}-"} if sink.offset else {}
        path = f"/v2/{self._reference.path}/blobs/{descriptor.blob}"
        async with self._open(path, headers) as response:
            if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE and sink.offset:
                await trio.to_thread.run_sync(sink.restart)
                raise _Transient(
                    RegistryError(f"{self._what()}: the registry cannot continue blob {descriptor.digest}")
                )
            await self._raise_for_status(response)
            if sink.offset and not continues(
                response.status_code, response.headers.get("Content-Range", ""), sink.offset
            ):
                await trio.to_thread.run_sync(sink.restart)
            await self._copy(response, descriptor, sink, on_bytes)

    async def _copy(
        self, response: httpx.Response, descriptor: Descriptor, sink: BlobSink, on_bytes: Callable[[int], None]
    ) -> None:
        pending = bytearray()
        remaining = descriptor.size - sink.offset
        try:
            async for chunk in response.aiter_raw(_CHUNK_SIZE):
                remaining -= len(chunk)
                if remaining < 0:
                    raise RegistryError(
                        f"{self._what()}: the registry sends more of blob {descriptor.digest} than its "
                        f"{descriptor.size} bytes"
                    )
                pending += chunk
                if len(pending) >= _CHUNK_SIZE:
                    data, pending = bytes(pending), bytearray()
                    await trio.to_thread.run_sync(sink.append, data)
                    on_bytes(sink.offset)
        finally:
            # what came before a break is kept, and so is what came before a cancellation
            if pending and remaining >= 0:
                with trio.CancelScope(shield=True):
                    await trio.to_thread.run_sync(sink.append, bytes(pending))
                    on_bytes(sink.offset)
        if remaining:
            raise _Transient(
                RegistryError(
                    f"{self._what()}: blob {descriptor.digest} ended after {sink.offset} of {descriptor.size} bytes",
                    mend="pull again: it goes on from there",
                )
            )

    @asynccontextmanager
    async def _open(self, path: str, headers: Mapping[str, str]) -> AsyncIterator[httpx.Response]:
        """The answer to a GET, after credentials and redirects, its body not yet read."""
        response = await self._send_here(path, headers)
        try:
            for _hop in range(_REDIRECTS_MAX):
                if not response.has_redirect_location:
                    break
                target = self._redirect_target(response)
                await response.aclose()
                response = await self._send(target, headers)
            else:
                raise RegistryError(f"{self._what()}: more than {_REDIRECTS_MAX} redirects")
            yield response
        except httpx.TransportError as error:
            raise self._broken(response.url, error) from error
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
                await response.aclose()

    async def _send_here(self, path: str, headers: Mapping[str, str]) -> httpx.Response:
        used = self._authorization
        response = await self._send(httpx.URL(self._base + path), self._with_authorization(headers, used))
        if response.status_code != httpx.codes.UNAUTHORIZED:
            return response
        challenge = response.headers.get_list("WWW-Authenticate")
        await response.aclose()
        async with self._authenticating:
            if self._authorization == used:
                self._authorization = await self._authenticate(", ".join(challenge))
        return await self._send(httpx.URL(self._base + path), self._with_authorization(headers, self._authorization))

    async def _send(self, url: httpx.URL, headers: Mapping[str, str]) -> httpx.Response:
        # identity: a coding on top of a blob would hide its length and digest from us
        request = self._http.build_request("GET", url, headers={"Accept-Encoding": "identity", **headers})
        try:
            return await self._http.send(request, stream=True)
        except httpx.ConnectError as error:
            raise self._connect_failure(url, error) from error
        except httpx.TransportError as error:
            raise self._broken(url, error) from error
        except httpx.InvalidURL as error:
            raise RegistryError(f"{self._what()}: the registry named a URL that is none", cause=str(error)) from error

    def _connect_failure(self, url: httpx.URL, error: httpx.ConnectError) -> Exception:
        here = str(url).startswith(self._base)
        failure = unreachable(
            self._endpoint.domain if here else url.netloc.decode(), f"{url.scheme}://{url.host}", error
        )
        if not here:
            failure.cause = f"{failure.cause} (the registry {self._endpoint.domain} redirected there)"
        problem = ConnectionProblem(error)
        passing = not (problem.untrusted or problem.unknown_host or problem.refused)
        return _Transient(failure) if passing else failure

    def _broken(self, url: httpx.URL, error: httpx.TransportError) -> _Transient:
        return _Transient(
            RegistryError(
                f"{self._what()}: the connection to {url.host} broke",
                cause=str(error) or type(error).__name__,
                mend="pull again: it goes on from there",
            )
        )

    def _with_authorization(self, headers: Mapping[str, str], authorization: str) -> dict[str, str]:
        return {**headers, **({"Authorization": authorization} if authorization else {})}

    def _redirect_target(self, response: httpx.Response) -> httpx.URL:
        try:
            target = response.url.join(response.headers["Location"])
        except (httpx.InvalidURL, ValueError) as error:
            raise RegistryError(f"{self._what()}: redirected to what is no URL", cause=str(error)) from error
        downgraded = target.scheme == "http" and response.url.scheme == "https"
        if target.scheme not in ("http", "https") or not target.host or downgraded or target.userinfo:
            raise RegistryError(
                f"{self._what()}: refusing a redirect to {printable(str(target))}",
                cause="it would leave the encrypted connection" if downgraded else "it is not a plain http(s) URL",
            )
        # Authorization is never repeated: the target got its own proof in the URL, or it is not for us
        return target

    async def _authenticate(self, header: str) -> str:
        for challenge in auth.parse_challenges(header):
            if challenge.scheme == "bearer":
                return await self._get_token(challenge)
            if challenge.scheme == "basic" and self._credentials is not None and not self._credentials.identity_token:
                return auth.basic_header(self._credentials)
        raise self._denied("unauthorized: authentication required")

    async def _get_token(self, challenge: auth.Challenge) -> str:
        scope = f"repository:{self._reference.path}:pull" if self._reference.path else ""
        wanted = auth.token_request(challenge, scope, self._credentials, registry_url=self._base)
        try:
            async with self._http.stream(
                "POST" if wanted.form else "GET", wanted.url, headers=dict(wanted.headers), data=wanted.form
            ) as response:
                body = await _read_limited(response, _ERROR_BYTES_MAX)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise _Transient(
                RegistryError(f"cannot reach the token server of {self._endpoint.domain}", cause=str(error))
            ) from error
        if response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN, httpx.codes.BAD_REQUEST):
            raise self._denied(error_text(body) or "unauthorized: the token server refused")
        _raise_if_transient(response, f"the token server of {self._endpoint.domain}")
        if response.status_code != httpx.codes.OK:
            raise RegistryError(f"the token server of {self._endpoint.domain} answered {response.status_code}")
        return "Bearer " + auth.read_token(body, self._endpoint.domain)

    async def _raise_for_status(self, response: httpx.Response) -> None:
        if response.status_code in (httpx.codes.OK, httpx.codes.PARTIAL_CONTENT):
            return
        body = await _read_limited(response, _ERROR_BYTES_MAX)
        _raise_if_transient(response, self._what(), error_text(body))
        text = error_text(body) or f"{response.status_code} {response.reason_phrase}"
        if response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise self._denied(text)
        if response.status_code == httpx.codes.NOT_FOUND:
            if "NAME_UNKNOWN" in error_codes(body):
                raise self._denied(text)
            raise NotFoundError(
                f"manifest for {self._shown()} not found: manifest unknown",
                cause=f"{self._endpoint.domain} answered: {text}",
                mend="look for a tag it has: skopeo list-tags, or the registry's web page",
            )
        raise RegistryError(f"{self._what()}: the registry answered {response.status_code}", cause=text)

    async def _retrying(self, action: Callable[[], Awaitable[_T]]) -> _T:
        for attempt in range(1, self._retries.attempts + 1):
            try:
                return await action()
            except _Transient as transient:
                if attempt == self._retries.attempts:
                    raise transient.failure from transient
                await self._wait(attempt, transient)
        raise AssertionError("the last attempt raises")

    async def _wait(self, failures: int, transient: _Transient) -> None:
        # half of the wait is chance, so that many clients do not come back in step
        delay = self._retries.first_delay_seconds * 2 ** (failures - 1) * (0.5 + random.random() / 2)
        await trio.sleep(delay if transient.wait_seconds is None else transient.wait_seconds)

    def _shown(self) -> str:
        return self._reference.familiar

    def _what(self) -> str:
        return self._shown() if self._reference.path else self._endpoint.domain

    def _denied(self, text: str) -> AuthenticationError:
        domain = self._endpoint.domain
        if self._credentials is not None and (not self._reference.path or "unauthorized" in text.lower()):
            return AuthenticationError(
                f"{domain} does not accept the credentials: unauthorized: incorrect username or password",
                cause=text,
                mend=f"sandbox login {domain}",
            )
        if not self._reference.path:
            return AuthenticationError(f"{domain} wants credentials", cause=text, mend=f"sandbox login {domain}")
        return AuthenticationError(
            f"pull access denied for {self._reference.familiar_repository}, repository does not exist or may require "
            f"'sandbox login'",
            cause=f"{domain} answered: {text}",
            mend=f"check the name, or: sandbox login {domain}",
        )


def _raise_if_transient(response: httpx.Response, what: str, text: str = "") -> None:
    status = response.status_code
    if status < httpx.codes.INTERNAL_SERVER_ERROR and status not in (
        httpx.codes.TOO_MANY_REQUESTS,
        httpx.codes.REQUEST_TIMEOUT,
    ):
        return
    wait = response.headers.get("Retry-After", "")
    raise _Transient(
        RegistryError(
            f"{what}: the registry answered {status} {response.reason_phrase}", cause=text, mend="try again later"
        ),
        min(float(wait), _RETRY_AFTER_MAX_SECONDS) if wait.isdecimal() else None,
    )


async def _read_limited(response: httpx.Response, limit: int) -> bytes:
    """The body; of a longer one, a little more than `limit` bytes."""
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > limit:
            break
    return bytes(body)
