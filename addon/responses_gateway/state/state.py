"""Everything that outlives a request, made from the settings."""

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from responses_gateway.security.terminal import get_logger
from responses_gateway.settings.settings import Settings
from responses_gateway.state.age_clock import AgeClock
from responses_gateway.state.native_ids import NativeIds
from responses_gateway.state.secret import AesEnvelopeCodec, read_secret
from responses_gateway.state.sqlite import SqliteStore
from responses_gateway.state.storage import Storage
from responses_gateway.state.store import Limits, Store, StoreError
from responses_gateway.state.thoughts import ThoughtCache
from responses_gateway.translate.reasoning import PLAIN_ENVELOPES, EnvelopeCodec

logger = get_logger(__name__)

_DAY = 86_400


class State:
    """The store, the caches, and the secret. Raises SecretError.

    `storage` is None when the settings want no store. A store that cannot be opened is replaced by one in memory.
    """

    def __init__(self, settings: Settings, environ: Mapping[str, str] = os.environ) -> None:
        self.storage = Storage(partial(_open_store, settings, environ)) if settings.store != "none" else None
        self.thoughts = ThoughtCache()
        self.native_ids = NativeIds(self.storage)
        self._secret = read_secret(settings.secret_file) if settings.secret_file is not None else None

    def envelopes(self, *purpose: str, owner: str = "") -> EnvelopeCodec:
        """What makes envelopes that open only for the same `purpose`, such as a provider and a model, and `owner`."""
        return PLAIN_ENVELOPES if self._secret is None else AesEnvelopeCodec(self._secret, "\0".join(purpose), owner)

    async def close(self) -> None:
        if self.storage is not None:
            await self.storage.close()


def _open_store(settings: Settings, environ: Mapping[str, str]) -> Store:
    ages = AgeClock()
    limits = Limits(settings.store_max_responses, settings.store_max_bytes, settings.store_max_age * _DAY)
    try:
        match settings.store:
            case "memory":
                return SqliteStore(None, limits, age_clock=ages)
            case "sqlite":
                return SqliteStore(
                    settings.store_path or state_directory(environ) / "responses.sqlite3", limits, age_clock=ages
                )
            case url:
                return _redis(url, limits)
    except StoreError as error:
        logger.error("Responses are kept in memory only, because %s.", error)
        return SqliteStore(None, limits, age_clock=ages)


def state_directory(environ: Mapping[str, str]) -> Path:
    """Where the gateway keeps files of its own (XDG base directory specification)."""
    home = Path(environ.get("HOME") or Path.home())
    return Path(environ.get("XDG_STATE_HOME") or home / ".local/state") / "responses-gateway"


def _redis(url: str, limits: Limits) -> Store:
    try:
        from responses_gateway.state.redis import RedisStore
    except ImportError:
        raise StoreError("Redis needs the package redis: pip install 'responses-gateway[redis]'") from None
    return RedisStore(url, limits)
