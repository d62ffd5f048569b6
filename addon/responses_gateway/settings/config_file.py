"""Reads the user's configuration file, expands its variables, and shapes it for validation."""

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from responses_gateway.catalogue.providers.shipped import COMMON_GROUND, for_url, shipped
from responses_gateway.catalogue.yaml_file import Document, KeyPath, merge, read
from responses_gateway.protocol.json import JsonObject
from responses_gateway.settings.model_rules import shaped

SHAPING_KEYS = frozenset({"profile", "card"})
"""Where `shape` nests what the file has flat: `providers.NAME.profile.…`, `models.NAME.card.…`."""

NOT_IN_FILE = frozenset({"id", "base", "changes", "target", "card"})
"""Names of the settings' models that the file does not have."""

_VARIABLE = re.compile(r"\$(?:\$|\{(\w+)\}|([A-Za-z_]\w*))")
_PROVIDER_KEYS = ("api_key", "api_key_env", "forward_authorization")


class SettingsError(Exception):
    """Settings that cannot be used; the message says what, where, and what would be valid."""


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A file as read. `values` has the shape of the settings' models."""

    path: Path
    document: Document
    values: JsonObject = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def where(self, path: KeyPath) -> str:
        """`file:line` of a key of the file."""
        line = self.document.line(path)
        return f"{self.path}:{line}" if line else str(self.path)


def read_config(path: Path, environ: Mapping[str, str]) -> ConfigFile:
    """Read and shape a file; raises SettingsError."""
    try:
        document = read(path)
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise SettingsError(f"{path}: {error}") from None
    raw = {} if document.value is None else document.value
    if not isinstance(raw, dict):
        raise SettingsError(f"{path}: must be a mapping of settings, such as default_model: NAME")
    config = ConfigFile(path, document)
    given = {key: value for key, value in raw.items() if value is not None}
    values = _expanded(config, given, (), environ)
    if isinstance(providers := values.get("providers"), dict):
        values["providers"] = {name: _provider(config, name, entry) for name, entry in providers.items()}
    if isinstance(models := values.get("models"), dict):
        values["models"] = {name: _rule(config, name, entry) for name, entry in models.items()}
    return ConfigFile(path, document, values, tuple(_warnings(path, raw, environ)))


def suggestion(word: str, names: list[str]) -> str:
    """`; did you mean …?`, or the valid names."""
    if near := get_close_matches(word, names, 1):
        return f"; did you mean {near[0]!r}?"
    return f"; valid are {', '.join(sorted(names))}" if names else ""


def named_variable(value: Any) -> str | None:
    """The variable's name when a value is nothing but `$NAME` or `${NAME}`."""
    match = _VARIABLE.fullmatch(value) if isinstance(value, str) else None
    return (match[1] or match[2]) if match else None


def _provider(config: ConfigFile, name: str, entry: Any) -> Any:
    """The complete profile of an entry: the one it names, else the one of its name or address, with its changes."""
    if entry is None:
        entry = {}
    if not isinstance(entry, dict):
        return entry
    _refuse(config, ("providers", name, "name"), entry, "the key of the entry is the provider's name")
    own = {key: entry[key] for key in _PROVIDER_KEYS if key in entry}
    if (variable := named_variable(own.get("api_key"))) is not None:
        own = {**own, "api_key_env": variable}
        del own["api_key"]
    changes = {key: value for key, value in entry.items() if key not in (*_PROVIDER_KEYS, "profile")}
    wanted = entry.get("profile")
    if wanted is not None and str(wanted) not in shipped():
        where = config.where(("providers", name, "profile"))
        raise SettingsError(f"{where}: unknown profile {wanted!r}{suggestion(str(wanted), list(shipped()))}")
    base_url = entry.get("base_url")
    by_address = for_url(base_url, shipped().values()) if isinstance(base_url, str) else None
    chosen = shipped().get(str(wanted or name)) or by_address
    base = chosen or COMMON_GROUND
    known = base.model_dump()
    if "api" in changes:
        # Who says how a provider is asked means all of its models.
        known["models"] = {glob: {**fields, "api": changes["api"]} for glob, fields in known["models"].items()}
    profile = merge(known, {**changes, "name": name})
    return {**own, "base": base.name, "profile": profile, "changes": None if chosen else changes}


def _refuse(config: ConfigFile, path: KeyPath, entry: JsonObject, why: str) -> None:
    """Raise SettingsError for a key that shaping would overwrite."""
    if path[-1] in entry:
        raise SettingsError(f"{config.where(path)}: unknown key {'.'.join(map(str, path))}; {why}")


def _rule(config: ConfigFile, name: str, entry: Any) -> Any:
    if isinstance(entry, dict):
        _refuse(config, ("models", name, "id"), entry, "the id sent upstream is the key `model`")
    return shaped(name, entry)


def _expanded(config: ConfigFile, value: Any, path: KeyPath, environ: Mapping[str, str]) -> Any:
    """The value with its variables; a key that is one variable stays, to be found, or missed, when it is needed."""
    if isinstance(value, dict):
        return {key: _expanded(config, item, (*path, key), environ) for key, item in value.items()}
    if isinstance(value, list):
        return [_expanded(config, item, (*path, index), environ) for index, item in enumerate(value)]
    if not isinstance(value, str) or (path[0] == "providers" and path[2:] == ("api_key",) and named_variable(value)):
        return value

    def replacement(match: re.Match[str]) -> str:
        if (name := match[1] or match[2]) is None:
            return "$"
        if name not in environ:
            where = config.where(path)
            raise SettingsError(f"{where}: environment variable {name} is not set (a plain $ is written $$)")
        return environ[name]

    return _VARIABLE.sub(replacement, value)


def file_path(path: KeyPath) -> KeyPath:
    """The path in the file of a path in the shaped values."""
    return path[:2] + path[3:] if len(path) > 2 and path[2] in SHAPING_KEYS else path


def _warnings(path: Path, raw: JsonObject, environ: Mapping[str, str]) -> list[str]:
    warnings = []
    literal = any(named_variable(key) is None for key in raw.get("access_keys") or ())
    pictures = raw.get("image_generation")
    if isinstance(pictures, dict) and pictures.get("api_key") is not None:
        literal = literal or named_variable(pictures["api_key"]) is None
    providers = raw.get("providers")
    for name, entry in (providers if isinstance(providers, dict) else {}).items():
        key = entry.get("api_key") if isinstance(entry, dict) else None
        if key is None:
            continue
        if (variable := named_variable(key)) is None:
            literal = True
        elif not environ.get(variable):
            warnings.append(f"{path}: the key of provider {name} is in {variable}, which is not set")
    if literal and os.name == "posix" and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        warnings.append(f"{path}: holds a key and other users can read it; run: chmod 600 {path}")
    return warnings
