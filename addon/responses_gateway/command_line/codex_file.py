"""Edits Codex's `config.toml` in place. All other content stays, and every change can be undone."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from responses_gateway.command_line.codex_config import PROVIDER, CodexSettings
from responses_gateway.command_line.errors import CommandError

BACKUP_SUFFIX = ".before-responses-gateway"

_PROVIDERS = "model_providers"
_TOP_LEVEL = ("model", "model_provider", "model_catalog_json")


def location(environ: Mapping[str, str]) -> Path:
    """Where Codex keeps its configuration."""
    home = Path(environ.get("HOME") or Path.home())
    return Path(environ.get("CODEX_HOME") or home / ".codex") / "config.toml"


def write(path: Path, settings: CodexSettings) -> Path | None:
    """Put the gateway into the file; returns the backup of what was there before, None when there was no file.

    Raises CommandError for a file that is not TOML.
    """
    before = _read(path)
    document = _parsed(path, before or "")
    backup = _backup_of(path)
    # A second write must not take our own lines for the user's.
    if before is not None and PROVIDER not in document.get(_PROVIDERS, {}):
        _replace(backup, before)
    for name, value in settings.top_level().items():
        document[name] = value
    if settings.catalogue is None:
        _restore(document, "model_catalog_json", _parsed(backup, _read(backup) or ""))
    providers = document.setdefault(_PROVIDERS, tomlkit.table(is_super_table=True))
    table = tomlkit.table()
    table.update(settings.provider())
    providers[PROVIDER] = table
    _replace(path, tomlkit.dumps(document))
    return backup if backup.exists() else None


def undo(path: Path) -> bool:
    """Take the gateway out of the file again, whatever else was changed since; False when it is not in there."""
    text = _read(path)
    document = _parsed(path, text or "")
    if text is None or PROVIDER not in document.get(_PROVIDERS, {}):
        return False
    backup = _backup_of(path)
    original_text = _read(backup)
    original = _parsed(backup, original_text or "")
    for name in _TOP_LEVEL:
        _restore(document, name, original)
    del document[_PROVIDERS][PROVIDER]
    if not document[_PROVIDERS]:
        del document[_PROVIDERS]
    if original_text is not None and document.unwrap() == original.unwrap():
        _replace(path, original_text)
    elif original_text is None and not document.unwrap():
        path.unlink()
    else:
        _replace(path, tomlkit.dumps(document))
    backup.unlink(missing_ok=True)
    return True


def _restore(document: tomlkit.TOMLDocument, name: str, original: Mapping[str, Any]) -> None:
    if name in original:
        document[name] = original[name]
    elif name in document:
        del document[name]


def _backup_of(path: Path) -> Path:
    return path.with_name(path.name + BACKUP_SUFFIX)


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{path}: {error}") from None


def _parsed(path: Path, text: str) -> tomlkit.TOMLDocument:
    try:
        return tomlkit.parse(text)
    except TOMLKitError as error:
        raise CommandError(f"{path} is not valid TOML, so it is left alone: {error}") from None


def _replace(path: Path, text: str) -> None:
    """Write a file whole or not at all. A link stays a link, and an existing file keeps its mode."""
    path = path.resolve()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}") from None
