"""The APIs whose requests the gateway answers when it is a proxy: hosts and paths, as data."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import NamedTuple, Self

from responses_gateway.catalogue.yaml_file import read

SHIPPED = "shipped"
"""The word that stands for all APIs of `intercepted_apis.yaml`."""

ENDPOINTS = ("responses", "conversations", "models", "chat/completions")
"""The endpoints of an API that only its base is known of."""


class InterceptedApi(NamedTuple):
    """One API. `host` is in lower case and may be a glob; `path` has neither a slash at its end nor a query."""

    host: str
    path: str
    endpoints: Sequence[str] = ENDPOINTS

    @classmethod
    def of(cls, base: str, endpoints: Sequence[str] = ENDPOINTS) -> Self:
        """`base` is host and path: `api.openai.com/v1`."""
        host, slash, path = base.rstrip("/").partition("/")
        return cls(host.lower(), slash + path, tuple(endpoints))

    def endpoint(self, path: str) -> str | None:
        """What of the path of a request is below the base, if it is one of the endpoints, or below one."""
        below = path.removeprefix(f"{self.path}/")
        if below == path:
            return None
        return next((below for name in self.endpoints if below == name or below.startswith(f"{name}/")), None)


class InterceptedApis:
    """All APIs that the settings name."""

    def __init__(self, bases: Iterable[str]) -> None:
        """`bases` are hosts with paths, and SHIPPED."""
        self._apis = [api for base in bases for api in (shipped() if base == SHIPPED else [InterceptedApi.of(base)])]

    def has_host(self, host: str) -> bool:
        """Whether one of the APIs is at this host."""
        return any(self._at(host))

    def target(self, host: str, target: str) -> str | None:
        """The target of a request as the gateway's endpoints know it, below /v1 and with its query.

        None: the request is for none of the APIs. `target` is path and query.
        """
        path, mark, query = target.partition("?")
        found = (api.endpoint(path) for api in self._at(host))
        endpoint = next((one for one in found if one is not None), None)
        return None if endpoint is None else f"/v1/{endpoint}{mark}{query}"

    def _at(self, host: str) -> list[InterceptedApi]:
        name = host.lower().rstrip(".")
        return [api for api in self._apis if fnmatchcase(name, api.host)]


@cache
def shipped() -> Sequence[InterceptedApi]:
    """The APIs that come with the package."""
    text = files(__package__).joinpath("intercepted_apis.yaml").read_text(encoding="utf-8")
    return tuple(InterceptedApi.of(entry["base"], entry["endpoints"]) for entry in read(text).value)
