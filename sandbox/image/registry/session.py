"""How one repository of a registry is spoken to: a scheme that answers, credentials when they are asked for, redirects,
and what is tried again. What is said there is `reading`'s and `writing`'s.

Redirects are followed here, so that what proves who we are stays with the host that asked for it (CVE-2020-15157); so
is the place a registry names for an upload.
"""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import httpx
import trio

from sandbox.errors import AuthenticationError, ImageNotFoundError, RegistryError
from sandbox.image.foreign_texts import printable
from sandbox.image.hosts.permitted_hosts import Reach
from sandbox.image.registry import auth
from sandbox.image.registry.answers import error_codes, error_text
from sandbox.image.registry.transport import ConnectionProblem, problem_text, unreachable
from sandbox.redaction import redact

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping

    from sandbox.image.references import Reference
    from sandbox.image.registry.docker_config import Credentials
    from sandbox.image.registry.endpoints import Endpoint

_REDIRECTS_MAX = 5
ERROR_BYTES_MAX = 64 << 10
_RETRY_AFTER_MAX_SECONDS = 60.0
#: of one step, not of the whole: a large blob takes its time
TIMEOUT = httpx.Timeout(30.0, connect=15.0, read=60.0)
_DONE = frozenset((200, 201, 202, 204, 206))

_T = TypeVar("_T")


class Retries(NamedTuple):
    """How often what may pass is tried, and how long the first wait is; each further one is twice as long."""

    attempts: int = 5
    first_delay_seconds: float = 0.25


class Transient(Exception):  # noqa: N818  never seen by a person
    """Failed in a way that may pass: `failure` is what to raise when it does not."""

    def __init__(self, failure: RegistryError, wait_seconds: float | None = None) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.wait_seconds = wait_seconds


class Access(NamedTuple):
    """What is wanted of the repository: the word for it, the actions a token is asked for, and other repositories of
    the same registry that are read besides (to mount blobs from).
    """

    word: str = "pull"
    actions: str = "pull"
    sources: tuple[str, ...] = ()


class Body(NamedTuple):
    """What is sent with a request: its length, and its bytes from the start each time it is asked for them."""

    size: int
    chunks: Callable[[], AsyncIterable[bytes]]


class RegistrySession:
    """The repository of `reference` at one place, which `connect` finds a working scheme for."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        endpoint: Endpoint,
        reference: Reference,
        credentials: Credentials | None,
        retries: Retries = Retries(),  # noqa: B008  an immutable value
        access: Access = Access(),  # noqa: B008
    ) -> None:
        self._http = http
        self._endpoint = endpoint
        self.reference = reference
        self._credentials = credentials
        self.retries = retries
        self._access = access
        self._base = f"{endpoint.schemes[0]}://{endpoint.location}"
        self._connected = len(endpoint.schemes) == 1
        self._authorization = ""
        self._reach: Reach | None = None
        # a mirror is named by nothing but the person's settings
        self._unlimited: dict[str, Any] = {"reach": None} if endpoint.mirror else {}
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
                async with self._http.stream("GET", f"{self._base}/v2/", extensions=self._unlimited) as response:
                    status = response.status_code
            except httpx.TransportError as error:
                problem = ConnectionProblem(error)
                if is_last or problem.untrusted or problem.refused or problem.unknown_host:
                    raise unreachable(self._endpoint.domain, self._base, error) from error
            else:
                # Go's TLS server answers plain HTTP with 400
                self._connected = is_last or status != httpx.codes.BAD_REQUEST

    @asynccontextmanager
    async def open(
        self, path: str, headers: Mapping[str, str], method: str = "GET", body: Body | bytes | None = None
    ) -> AsyncIterator[httpx.Response]:
        """The answer to a request for a path of the registry, or for the whole URL that it named for an upload; after
        credentials and, where nothing is sent, redirects; its body not yet read.

        Raises RegistryError; Transient where the connection broke and another attempt may do.
        """
        url = httpx.URL(path if "://" in path else self._base + path)
        response = await self._send_here(method, url, headers, body)
        try:
            for _hop in range(_REDIRECTS_MAX):
                if not response.has_redirect_location or method not in ("GET", "HEAD"):
                    break
                target = self.redirect_target(response)
                await response.aclose()
                # Authorization is never repeated: the target got its own proof in the URL, or it is not for us
                response = await self._send(method, target, headers, None)
            else:
                raise RegistryError(f"{self.what}: more than {_REDIRECTS_MAX} redirects")
            yield response
        except httpx.TransportError as error:
            raise self._broken(response.url, error) from error
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
                await response.aclose()

    async def _send_here(
        self, method: str, url: httpx.URL, headers: Mapping[str, str], body: Body | bytes | None
    ) -> httpx.Response:
        if not self._is_here(url):
            return await self._send(method, url, headers, body)
        used = self._authorization
        response = await self._send(method, url, self._with_authorization(headers, used), body)
        if response.status_code != httpx.codes.UNAUTHORIZED:
            return response
        challenge = response.headers.get_list("WWW-Authenticate")
        await response.aclose()
        async with self._authenticating:
            if self._authorization == used:
                self._authorization = await self._authenticate(", ".join(challenge))
        return await self._send(method, url, self._with_authorization(headers, self._authorization), body)

    def _is_here(self, url: httpx.URL) -> bool:
        base = httpx.URL(self._base)
        return (url.scheme, url.host, url.port) == (base.scheme, base.host, base.port)

    def _limited(self, url: httpx.URL | None = None) -> dict[str, Any]:
        """The extensions of a request to `url`, see `permitted_hosts`: the registry itself, or where it says."""
        if url is not None and self._is_here(url):
            return self._unlimited
        if self._reach is None:
            self._reach = Reach(self._endpoint.domain, httpx.URL(self._base))
        return {"reach": self._reach}

    async def _send(
        self, method: str, url: httpx.URL, headers: Mapping[str, str], body: Body | bytes | None
    ) -> httpx.Response:
        # identity: a coding on top of a blob would hide its length and digest from us
        sent = {"Accept-Encoding": "identity", **headers}
        if isinstance(body, Body):
            sent["Content-Length"] = str(body.size)
        content = body.chunks() if isinstance(body, Body) else body
        request = self._http.build_request(method, url, headers=sent, content=content, extensions=self._limited(url))
        try:
            return await self._http.send(request, stream=True)
        except httpx.ConnectError as error:
            raise self._connect_failure(url, error) from error
        except httpx.TransportError as error:
            raise self._broken(url, error) from error
        except httpx.InvalidURL as error:
            raise RegistryError(f"{self.what}: the registry named a URL that is none", cause=str(error)) from error

    def _connect_failure(self, url: httpx.URL, error: httpx.ConnectError) -> Exception:
        here = self._is_here(url)
        failure = unreachable(
            self._endpoint.domain if here else url.netloc.decode(), f"{url.scheme}://{url.host}", error
        )
        if not here:
            failure.cause = f"{failure.cause} (the registry {self._endpoint.domain} redirected there)"
        problem = ConnectionProblem(error)
        passing = not (problem.untrusted or problem.unknown_host or problem.refused)
        return Transient(failure) if passing else failure

    def _broken(self, url: httpx.URL, error: httpx.TransportError) -> Transient:
        return Transient(
            RegistryError(
                f"{self.what}: the connection to {url.host} broke",
                cause=problem_text(error),
                mend=f"{self._access.word} again: it goes on from there",
            )
        )

    def _with_authorization(self, headers: Mapping[str, str], authorization: str) -> dict[str, str]:
        return {**headers, **({"Authorization": authorization} if authorization else {})}

    def redirect_target(self, response: httpx.Response) -> httpx.URL:
        """Where an answer sends us. Raises RegistryError for what is no plain URL, or is not encrypted any more."""
        try:
            target = response.url.join(response.headers["Location"])
        except (httpx.InvalidURL, ValueError) as error:
            raise RegistryError(f"{self.what}: redirected to what is no URL", cause=str(error)) from error
        downgraded = target.scheme == "http" and response.url.scheme == "https"
        if target.scheme not in ("http", "https") or not target.host or downgraded or target.userinfo:
            raise RegistryError(
                f"{self.what}: refusing a redirect to {printable(redact(str(target)))}",
                cause="it would leave the encrypted connection" if downgraded else "it is not a plain http(s) URL",
            )
        return target

    async def _authenticate(self, header: str) -> str:
        for challenge in auth.parse_challenges(header):
            if challenge.scheme == "bearer":
                return await self._get_token(challenge)
            if challenge.scheme == "basic" and self._credentials is not None and not self._credentials.identity_token:
                return auth.basic_header(self._credentials)
        raise self.denied("unauthorized: authentication required")

    async def _get_token(self, challenge: auth.Challenge) -> str:
        scope = " ".join(
            f"repository:{path}:{actions}"
            for path, actions in (
                (self.reference.path, self._access.actions),
                *((s, "pull") for s in self._access.sources),
            )
            if path
        )
        wanted = auth.token_request(challenge, scope, self._credentials, registry_url=self._base)
        try:
            async with self._http.stream(
                "POST" if wanted.form else "GET",
                wanted.url,
                headers=dict(wanted.headers),
                data=wanted.form,
                extensions=self._limited(),
            ) as response:
                body = await read_limited(response, ERROR_BYTES_MAX)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise Transient(
                RegistryError(f"cannot reach the token server of {self._endpoint.domain}", cause=problem_text(error))
            ) from error
        if response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN, httpx.codes.BAD_REQUEST):
            raise self.denied(error_text(body) or "unauthorized: the token server refused")
        raise_if_transient(response, f"the token server of {self._endpoint.domain}")
        if response.status_code != httpx.codes.OK:
            raise RegistryError(f"the token server of {self._endpoint.domain} answered {response.status_code}")
        return "Bearer " + auth.read_token(body, self._endpoint.domain)

    async def raise_for_status(self, response: httpx.Response) -> None:
        """Nothing for an answer of success. Raises NotFoundError, AuthenticationError, RegistryError, Transient."""
        if response.status_code in _DONE:
            return
        body = await read_limited(response, ERROR_BYTES_MAX)
        raise_if_transient(response, self.what, error_text(body))
        text = error_text(body) or f"{response.status_code} {response.reason_phrase}"
        if response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise self.denied(text)
        if response.status_code == httpx.codes.NOT_FOUND:
            if "NAME_UNKNOWN" in error_codes(body):
                raise self.denied(text)
            if self._access.word == "push":
                raise RegistryError(f"{self.what}: the registry answered 404", cause=text)
            raise ImageNotFoundError(
                f"manifest for {self.reference.familiar} not found: manifest unknown",
                cause=f"{self._endpoint.domain} answered: {text}",
                mend="look for a tag it has: skopeo list-tags, or the registry's web page",
            )
        raise RegistryError(f"{self.what}: the registry answered {response.status_code}", cause=text)

    async def retrying(self, action: Callable[[], Awaitable[_T]]) -> _T:
        """What `action` gives, tried again while it raises Transient."""
        for attempt in range(1, self.retries.attempts + 1):
            try:
                return await action()
            except Transient as transient:
                if attempt == self.retries.attempts:
                    raise transient.failure from transient
                await self.wait(attempt, transient)
        raise AssertionError("the last attempt raises")

    async def wait(self, failures: int, transient: Transient) -> None:
        """Wait after so many failures: longer each time, or as long as the registry asked for."""
        # half of the wait is chance, so that many clients do not come back in step
        delay = self.retries.first_delay_seconds * 2 ** (failures - 1) * (0.5 + random.random() / 2)
        await trio.sleep(delay if transient.wait_seconds is None else transient.wait_seconds)

    @property
    def what(self) -> str:
        """What an error is about: the reference, or the registry where there is none."""
        return self.reference.familiar if self.reference.path else self._endpoint.domain

    def denied(self, text: str) -> AuthenticationError:
        """The error for a refusal that the registry explains with `text`."""
        domain = self._endpoint.domain
        if self._credentials is not None and (not self.reference.path or "unauthorized" in text.lower()):
            return AuthenticationError(
                f"{domain} does not accept the credentials: unauthorized: incorrect username or password",
                cause=text,
                mend=f"sandbox login {domain}",
            )
        if not self.reference.path:
            return AuthenticationError(f"{domain} wants credentials", cause=text, mend=f"sandbox login {domain}")
        return AuthenticationError(
            f"{self._access.word} access denied for {self.reference.familiar_repository}, repository does not exist "
            f"or may require 'sandbox login'",
            cause=f"{domain} answered: {text}",
            mend=f"check the name, or: sandbox login {domain}",
        )


def raise_if_transient(response: httpx.Response, what: str, text: str = "") -> None:
    """Raises Transient for an answer that may be another one the next time."""
    status = response.status_code
    if status < httpx.codes.INTERNAL_SERVER_ERROR and status not in (
        httpx.codes.TOO_MANY_REQUESTS,
        httpx.codes.REQUEST_TIMEOUT,
    ):
        return
    wait = response.headers.get("Retry-After", "")
    raise Transient(
        RegistryError(
            f"{what}: the registry answered {status} {response.reason_phrase}", cause=text, mend="try again later"
        ),
        min(float(wait), _RETRY_AFTER_MAX_SECONDS) if wait.isdecimal() else None,
    )


async def read_limited(response: httpx.Response, limit: int) -> bytes:
    """The body; of a longer one, a little more than `limit` bytes."""
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > limit:
            break
    return bytes(body)
