"""`search`: images by a word, of Docker Hub's index and of registries that have such a one, or list what they hold.

HOST/v1/search?q=WORD&n=LIMIT      {"results": [{"name", "description", "star_count", "is_official", …}, …]}
HOST/v2/_catalog                   {"repositories": [NAME, …]}: what a registry without an index answers
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

from sandbox.errors import NotFoundError, RegistryError, UsageError
from sandbox.grammar.filters import FilterError, parse_filters
from sandbox.image.manifests.remote import Place
from sandbox.image.references import DEFAULT_DOMAIN, Reference, is_domain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox.grammar.filters import Filters
    from sandbox.image.registry.reading import RegistryClient
    from sandbox.operation_context import OperationContext

#: where Docker Hub has its index
_HUB_INDEX = "index.docker.io"
_DEFAULT_LIMIT, _LIMIT_MAX = 25, 100
_ANSWER_BYTES_MAX = 4 << 20
_PAGES_MAX = 1000
_FILTERS = frozenset({"is-official", "is-automated", "stars"})


class SearchRequest(NamedTuple):
    """What is looked for: a word, with a registry's host and a slash before it for another one than Docker Hub."""

    term: str
    #: 0 is what Docker Hub gives
    limit: int = 0
    #: "KEY=VALUE" as of `search --filter`
    filters: tuple[str, ...] = ()


class SearchResult(NamedTuple):
    """An image that was found."""

    name: str
    description: str
    stars: int
    official: bool
    automated: bool


def search(context: OperationContext, request: SearchRequest) -> list[SearchResult]:
    """What was found, those with the most stars first. Raises UsageError, FilterError, RegistryError."""
    limit = request.limit or _DEFAULT_LIMIT
    if not 0 < limit <= _LIMIT_MAX:
        raise UsageError(f"limit {request.limit} is outside the range of [1, {_LIMIT_MAX}]", mend="--limit 25")
    filters = parse_filters(request.filters, _FILTERS)
    stars = _least_stars(filters)
    domain, term = _split(request.term)

    async def talk(client: RegistryClient) -> list[SearchResult]:
        asked = urlencode({"q": term, "n": limit})
        try:
            body, _next = await client.get_page(f"/v1/search?{asked}", _ANSWER_BYTES_MAX)
        except NotFoundError:
            return await _search_catalog(client, term, limit)
        return _read_results(body, domain)

    host = _HUB_INDEX if domain == DEFAULT_DOMAIN else ""
    found = Place(context, Reference(domain, ""), host=host).ask(talk)
    chosen = [result for result in found if result.stars >= stars and _passes(result, filters)]
    return sorted(chosen, key=lambda result: -result.stars)[:limit]


def _split(text: str) -> tuple[str, str]:
    """The registry and the word; a first part that is no host is the word's own."""
    first, slash, rest = text.partition("/")
    if slash and is_domain(first) and ("." in first or ":" in first or first == "localhost"):
        return (DEFAULT_DOMAIN if first in ("docker.io", _HUB_INDEX) else first), rest
    if not text:
        raise UsageError("a term to search for is missing", mend="sandbox search alpine")
    return DEFAULT_DOMAIN, text


def _least_stars(filters: Filters) -> int:
    least = 0
    for text in filters.of("stars"):
        if not text.isdecimal():
            raise FilterError(f"invalid filter 'stars={text}'", mend="--filter stars=10")
        least = max(least, int(text))
    return least


def _passes(result: SearchResult, filters: Filters) -> bool:
    official, automated = filters.flag("is-official"), filters.flag("is-automated")
    return official in (None, result.official) and automated in (None, result.automated)


def _read_results(body: bytes, domain: str) -> list[SearchResult]:
    prefix = "" if domain == DEFAULT_DOMAIN else f"{domain}/"
    try:
        results = json.loads(body)["results"] or []
        return [_result(entry, prefix) for entry in results]
    except (ValueError, OverflowError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise RegistryError(f"{domain}: the answer to a search is not what it should be", cause=str(error)) from error


def _result(entry: dict[str, Any], prefix: str) -> SearchResult:
    name = str(entry["name"])
    return SearchResult(
        name if name.startswith(prefix) else prefix + name,
        str(entry.get("description") or ""),
        int(entry.get("star_count") or 0),
        entry.get("is_official") is True,
        entry.get("is_automated") is True,
    )


async def _search_catalog(client: RegistryClient, term: str, limit: int) -> list[SearchResult]:
    """The repositories whose name has the word in it, of a registry that has no index."""
    found: list[SearchResult] = []
    path: str | None = "/v2/_catalog?n=1000"
    for _page in range(_PAGES_MAX):
        if path is None or len(found) >= limit:
            break
        body, path = await client.get_page(path, _ANSWER_BYTES_MAX)
        names = [name for name in _repositories(body, client.domain) if term.lower() in name]
        found += [SearchResult(f"{client.domain}/{name}", "", 0, False, False) for name in names]
    return found


def _repositories(body: bytes, domain: str) -> Iterable[str]:
    try:
        names = json.loads(body).get("repositories") or []
    except (ValueError, AttributeError, RecursionError) as error:
        raise RegistryError(f"{domain}: the list of repositories is not JSON", cause=str(error)) from error
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
