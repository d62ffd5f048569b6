"""How a server shows of which kind it is, and where it says what its models can do: the part `detect` of a Profile."""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

MODELS = "models"
"""Stands for the upstream's own model list where a path is asked for."""

_MOST_ENTRIES = 1000
_MOST_CHARACTERS = 200
"""What is looked at of a list and of a text: servers may say anything."""


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class Said:
    """One answer of a server. Header names are lower case; `document` is None when the body is no JSON."""

    headers: Mapping[str, str]
    document: Any


class Sign(_Data):
    """Something that servers of one kind say, and no others."""

    at: str
    """The path that is asked with GET, from the server's root; or `models`."""

    header: str | None = None
    """The header that is looked at; without one it is the body."""

    field: str = ""
    """Where to look in the body: keys with dots between, `*` for every element of a list; empty: the body itself."""

    like: str = "*"
    """A glob that everything found there has to match, whatever the case of its letters."""

    def is_in(self, said: Said) -> bool:
        """Whether an answer to the path has the sign."""
        if self.header is not None:
            found = [said.headers[self.header]] if self.header in said.headers else []
        else:
            found = _values(said.document, self.field)
        return bool(found) and all(self._matches(value) for value in found)

    def _matches(self, value: Any) -> bool:
        if isinstance(value, str):
            return fnmatchcase(value[:_MOST_CHARACTERS].lower(), self.like.lower())
        return value is not None and self.like == "*"


class Source(_Data):
    """Something that can be asked for what models can do."""

    at: str
    """The path, from the server's root."""

    entries: str | None = None
    """The key of the list with one entry for each model; None: the answer is about every model of the server."""

    id: str = "id"
    """The key of an entry that names the model."""

    each: str | None = None
    """When the server is asked once for each model, with POST: the key of the body that names the model."""

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> Self:
        if self.entries is not None and self.each is not None:
            raise ValueError("entries and each do not go together")
        return self

    def by_model(self, document: Any) -> dict[str, Mapping[str, Any]]:
        """What an answer says by model, under the empty name for every model."""
        if self.entries is None:
            return {"": document} if isinstance(document, dict) else {}
        entries = _values(document, f"{self.entries}.*")
        named = ((entry.get(self.id), entry) for entry in entries if isinstance(entry, dict))
        return {name: entry for name, entry in named if isinstance(name, str) and name}


class Detection(_Data):
    """One sign is enough. Later sources win over earlier ones."""

    signs: list[Sign] = Field(default_factory=list)
    sources: list[Source] = Field(default_factory=list)


def _values(document: Any, path: str) -> list[Any]:
    """What stands at a path as in `Sign.field`."""
    found = [document]
    for key in path.split(".") if path else ():
        if key == "*":
            found = [item for value in found if isinstance(value, list) for item in value[:_MOST_ENTRIES]]
        else:
            found = [value[key] for value in found if isinstance(value, dict) and key in value]
    return found
