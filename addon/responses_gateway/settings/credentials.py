"""Finds API keys outside of the configuration file: in the environment and in OpenCode's auth.json."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from responses_gateway.protocol.json import loads


class Credentials(BaseModel):
    """API keys, by where they were found."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    environment: dict[str, SecretStr] = Field(default_factory=dict)
    """By variable; only variables that may hold a key."""

    opencode: dict[str, SecretStr] = Field(default_factory=dict)
    """By OpenCode's name of the provider."""


def find(variables: Iterable[str], environ: Mapping[str, str], home: Path) -> Credentials:
    """The keys in these variables, and those that OpenCode stored when its user logged in."""
    environment = {name: SecretStr(value) for name in variables if (value := environ.get(name, "").strip())}
    return Credentials(environment=environment, opencode=_opencode(environ, home))


def _opencode(environ: Mapping[str, str], home: Path) -> dict[str, SecretStr]:
    data_home = Path(environ.get("XDG_DATA_HOME") or home / ".local/share")
    path = Path(environ.get("OPENCODE_AUTH_PATH") or data_home / "opencode/auth.json")
    try:
        entries = loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(entries, dict):
        return {}
    return {
        name: SecretStr(entry["key"])
        for name, entry in entries.items()
        if isinstance(entry, dict) and entry.get("type") == "api" and isinstance(entry.get("key"), str)
    }
