"""Secrets and configs of a client: `client.secrets` and `client.configs`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.client.filter_texts import filter_texts
from sandbox.client.model import Model
from sandbox.secret.operations import ObjectRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox.client.calls import Caller
    from sandbox.secret.record import Kind


class StoredModel(Model):
    """A secret or a config. `attrs` is Docker's document of it, as of when it was looked up."""

    _ID_FIELD = "ID"
    _KIND: Kind = "secret"

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: '{self.name}'>"

    @property
    def name(self) -> str:
        return str(self.attrs["Spec"]["Name"])

    def reload(self) -> None:
        """Look `attrs` up anew. Raises NotFound."""
        self.attrs = self._caller.call("object.inspect", self._KIND, self.id)

    def remove(self) -> None:
        """Remove it with its content. Raises Conflict where a service uses it, NotFound."""
        self._caller.call("object.remove", self._KIND, self.id)


class Secret(StoredModel):
    """A secret, of which nobody is shown the content."""


class Config(StoredModel):
    """A config; `attrs` has its content, in base64."""

    _KIND = "config"


class ObjectCollection:
    """What `SecretCollection` and `ConfigCollection` have in common."""

    _KIND: Kind = "secret"

    def __init__(self, caller: Caller, created: Callable[[StoredModel], None]) -> None:
        self._caller = caller
        self._created = created

    def _create(self, name: str, data: bytes | str, labels: Mapping[str, str] | None) -> dict[str, Any]:
        content = data.encode() if isinstance(data, str) else bytes(data)
        request = ObjectRequest(name, content, tuple((labels or {}).items()))
        object_id = self._caller.call("object.create", self._KIND, request)
        return self._inspect(object_id)

    def _inspect(self, word: str) -> dict[str, Any]:
        document: dict[str, Any] = self._caller.call("object.inspect", self._KIND, word)
        return document

    def _ids(self, filters: Mapping[str, object] | None) -> list[str]:
        ids: list[str] = self._caller.call("object.ids", self._KIND, filter_texts(filters))
        return ids


class SecretCollection(ObjectCollection):
    """The secrets of a client: `client.secrets`."""

    def create(self, name: str, data: bytes | str, labels: Mapping[str, str] | None = None) -> Secret:
        """Keep a secret. Raises Conflict for a name that is taken, InvalidArgument."""
        made = Secret(self._caller, self._create(name, data, labels))
        self._created(made)
        return made

    def get(self, secret_id: str) -> Secret:
        """The secret of an id, a name or an id's beginning. Raises NotFound."""
        return Secret(self._caller, self._inspect(secret_id))

    def list(self, filters: Mapping[str, object] | None = None) -> list[Secret]:
        """The secrets that pass the filters (id, label, name, names), by name. Raises InvalidArgument."""
        return [self.get(each) for each in self._ids(filters)]


class ConfigCollection(ObjectCollection):
    """The configs of a client: `client.configs`."""

    _KIND = "config"

    def create(self, name: str, data: bytes | str, labels: Mapping[str, str] | None = None) -> Config:
        """Keep a config. Raises Conflict for a name that is taken, InvalidArgument."""
        made = Config(self._caller, self._create(name, data, labels))
        self._created(made)
        return made

    def get(self, config_id: str) -> Config:
        """The config of an id, a name or an id's beginning. Raises NotFound."""
        return Config(self._caller, self._inspect(config_id))

    def list(self, filters: Mapping[str, object] | None = None) -> list[Config]:
        """The configs that pass the filters (id, label, name, names), by name. Raises InvalidArgument."""
        return [self.get(each) for each in self._ids(filters)]
