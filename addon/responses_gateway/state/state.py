"""Everything that outlives a request, made from the settings."""

import os
from collections.abc import Mapping
from pathlib import Path

from responses_gateway.settings import Settings
from responses_gateway.state.secret import AesSeal, read_secret
from responses_gateway.state.sqlite import SqliteStore
from responses_gateway.state.store import Limits, Store, StoreError
from responses_gateway.state.thoughts import ThoughtCache
from responses_gateway.terminal import get_logger
from responses_gateway.translate.reasoning import PLAIN, Seal

logger = get_logger(__name__)

_DAY = 86_400


class State:
    """The store, opened at its first use, the caches, and the secret. Raises SecretError."""

    def __init__(self, settings: Settings, environ: Mapping[str, str] = os.environ) -> None:
        self._settings = settings
        self._environ = environ
        self._store: Store | None = None
        self._opened = False
        self.thoughts = ThoughtCache()
        self._secret = read_secret(settings.secret_file) if settings.secret_file is not None else None

    @property
    def store(self) -> Store | None:
        """None when the settings want none. A store that cannot be opened is replaced by one in memory."""
        if not self._opened:
            self._opened = True
            try:
                self._store = self._open()
            except StoreError as error:
                logger.error("Responses are kept in memory only, because %s.", error)
                self._store = SqliteStore(None, self._limits)
        return self._store

    def seal(self, *purpose: str, owner: str = "") -> Seal:
        """What makes envelopes that open only for the same `purpose`, such as a provider and a model, and `owner`."""
        return PLAIN if self._secret is None else AesSeal(self._secret, "\0".join(purpose), owner)

    def close(self) -> None:
        if self._store is not None:
            self._store.close()

    @property
    def _limits(self) -> Limits:
        settings = self._settings
        return Limits(settings.store_max_responses, settings.store_max_bytes, settings.store_max_age * _DAY)

    def _open(self) -> Store | None:
        match self._settings.store:
            case "none":
                return None
            case "memory":
                return SqliteStore(None, self._limits)
            case "sqlite":
                path = self._settings.store_path or state_directory(self._environ) / "responses.sqlite3"
                return SqliteStore(path, self._limits)
            case url:
                return _redis(url, self._limits)


def state_directory(environ: Mapping[str, str]) -> Path:
    """Where the gateway keeps files of its own (XDG base directory specification)."""
    home = Path(environ.get("HOME") or Path.home())
    return Path(environ.get("XDG_STATE_HOME") or home / ".local/state") / "responses-gateway"


def _redis(url: str, limits: Limits) -> Store:
    try:
        from responses_gateway.state.redis import RedisStore
    except ImportError:
        raise StoreError(f"{url} needs the package redis: pip install 'responses-gateway[redis]'") from None
    return RedisStore(url, limits)
