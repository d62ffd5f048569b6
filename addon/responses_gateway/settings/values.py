"""Types of settings that accept text as well as structured values: some sources have only text."""

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator

from responses_gateway.catalogue.intercepted_apis import SHIPPED
from responses_gateway.catalogue.models.card import ModelCard
from responses_gateway.protocol.json import JsonObject, loads


def _words(value: Any) -> Any:
    """A comma-separated string as a list, for layers that only have strings."""
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value


_API = re.compile(r"[\w*-]+(?:\.[\w*-]+)*(?:/[^\s?#]*)?")
"""Host and path of an API; the host may be a glob."""


def _api_base(value: Any) -> Any:
    """Host and path of an API, without a scheme and without a slash at the end."""
    if not isinstance(value, str) or value == SHIPPED:
        return value
    base = value.removeprefix("https://").removeprefix("http://").rstrip("/")
    if not _API.fullmatch(base):
        raise ValueError(f"{value!r} is neither {SHIPPED!r} nor host and path of an API, such as llm.example.com/v1")
    return base


def _cards(value: Any) -> Any:
    """Changes to cards, as JSON text or object, with the id that ModelCard wants in each."""
    value = loads(value) if isinstance(value, str) else value
    if not isinstance(value, dict):
        return value
    return {name: {"id": name, **card} if isinstance(card, dict) else card for name, card in value.items()}


def _json(value: Any) -> Any:
    return loads(value) if isinstance(value, str) else value


def _store_name(value: Any) -> Any:
    kinds = ("sqlite", "memory", "none")
    if isinstance(value, str) and value not in kinds and not value.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("must be sqlite, memory, none or a redis:// URL")
    return value


def _home_path(value: Any) -> Any:
    return Path(value).expanduser() if isinstance(value, str) else value


def _archive(value: Any) -> Any:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, str) and value not in ("auto", "on", "off") and "/" not in value and "." not in value:
        raise ValueError("must be auto, on, off or the path of a file")
    return value


type HomePath = Annotated[Path, BeforeValidator(_home_path)]
type ApiBase = Annotated[str, BeforeValidator(_api_base)]
type Words[T] = Annotated[list[T], BeforeValidator(_words)]
type Cards = Annotated[dict[str, ModelCard], BeforeValidator(_cards)]
type JsonValues = Annotated[JsonObject, BeforeValidator(_json)]
type StoreName = Annotated[str, BeforeValidator(_store_name)]
type ArchivePlace = Annotated[str, BeforeValidator(_archive)]
