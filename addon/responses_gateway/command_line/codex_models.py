"""The models that Codex can ask a gateway for: as the gateway that runs tells, else as its upstreams tell."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from responses_gateway.command_line.codex_config import CLIENT_KEY_VARIABLE
from responses_gateway.command_line.errors import CommandError
from responses_gateway.command_line.models import learnt_router
from responses_gateway.endpoints.models import models_body
from responses_gateway.protocol.json import JsonObject, loads
from responses_gateway.settings.settings import Settings
from responses_gateway.upstream.http_client import HttpClient

_TIMEOUT = 10.0
"""Seconds that a running gateway has; it waits for its upstreams, but not for long."""

_LARGEST = 64 << 20
"""Bytes."""


@dataclass(frozen=True)
class CodexModels:
    """Entries of Codex's catalogue."""

    entries: Sequence[JsonObject] = ()
    wants_key: bool = False
    """Whether the gateway that told them wants an access key."""

    @property
    def names(self) -> list[str]:
        """What upstreams have, without what they only may have."""
        return [entry["slug"] for entry in self.entries if entry.get("visibility") == "list"]

    def catalogue(self, model: str | None) -> list[JsonObject]:
        """The entries for Codex: those of `names` and of `model`; all of them if nobody says what there is."""
        wanted = {*self.names, model} if self.names else {entry["slug"] for entry in self.entries}
        return [entry for entry in self.entries if entry["slug"] in wanted]


def codex_models(url: str, settings: Settings, version: str | None) -> CodexModels:
    """Ask the gateway at `url` (with /v1); if none runs there, the upstreams that the settings name.

    `version` is that of the Codex that is to read the entries; None: the newest. Raises CommandError when the gateway
    wants an access key and there is none.
    """
    query = f"?{urlencode({'client_version': version})}" if version else ""
    running = asyncio.run(_ask(f"{url}/models{query}", settings))
    if running is not None:
        return running
    if not settings.names_upstream:
        return CodexModels()
    return CodexModels(models_body(learnt_router(settings).models(), version)["models"])


async def _ask(url: str, settings: Settings) -> CodexModels | None:
    """None when no gateway answers."""
    async with HttpClient() as http:
        status, entries = await _get(http, url, {})
        if status != 401:
            return None if entries is None else CodexModels(entries)
        keys = [os.environ.get(CLIENT_KEY_VARIABLE, ""), *(key.get_secret_value() for key in settings.access_keys)]
        for key in filter(None, keys):
            status, entries = await _get(http, url, {"authorization": f"Bearer {key}"})
            if entries is not None:
                return CodexModels(entries, wants_key=True)
    raise CommandError(
        f"what listens at {url.partition('?')[0]} wants an access key; export {CLIENT_KEY_VARIABLE}=… first"
    )


async def _get(http: HttpClient, url: str, headers: dict[str, str]) -> tuple[int, list[JsonObject] | None]:
    """The status, and the catalogue of an answer that has one; 0 when nobody answers."""
    try:
        async with asyncio.timeout(_TIMEOUT), http.request("GET", url, headers) as response:
            body, _ = await response.read(_LARGEST)
        answer = loads(body)
    except (OSError, ValueError, RecursionError):
        return 0, None
    entries = answer.get("models") if isinstance(answer, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) and "slug" in entry for entry in entries):
        return response.status, None
    return response.status, entries
