"""`responses-gateway codex-config`: print, write or undo Codex's configuration."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from responses_gateway.command_line.codex_config import CLIENT_KEY_VARIABLE, PROVIDER, CodexSettings, codex_config
from responses_gateway.command_line.codex_file import location, undo, write
from responses_gateway.command_line.codex_models import CodexModels, codex_models
from responses_gateway.command_line.codex_version import CATALOGUE_FILE, CATALOGUE_URL, installed, is_before
from responses_gateway.command_line.errors import CommandError
from responses_gateway.command_line.model_names import proposed
from responses_gateway.command_line.program import program
from responses_gateway.demo import MODEL as DEMO_MODEL
from responses_gateway.protocol.json import JsonObject, dumps
from responses_gateway.security.terminal import say
from responses_gateway.settings.settings import Settings

_OLD_CODEX = """\
# Codex before 0.161 does not ask model_catalog_url. For it, write the catalogue to a file (0.111 and newer read it):
#   {program} codex-config{address} --catalog ~/.codex/gateway-models.json"""


@dataclass(frozen=True)
class CodexOptions:
    """What `codex-config` was asked for."""

    url: str
    """The gateway's, with /v1."""

    address: str
    """The options that say the same."""

    settings: Settings
    model: str | None = None
    catalogue: str | None = None
    """The file to write the models to."""

    version: str | None = None
    """The version of Codex that is to understand it; None: that of the Codex on PATH, else the newest."""


def codex_settings(url: str, model: str | None, settings: Settings, models: Sequence[str]) -> CodexSettings:
    """What Codex is told about a gateway with these settings, whose upstreams have `models`."""
    fallback = settings.default_model or proposed(models) or (None if settings.names_upstream else DEMO_MODEL)
    key = CLIENT_KEY_VARIABLE if settings.access_keys else None
    return CodexSettings(url, model or fallback, key)


def run_print(options: CodexOptions) -> int:
    version = options.version or installed()
    settings = _prepared(options, version)
    say(*codex_config(settings).split("\n"))
    if settings.catalogue is None and (version is None or is_before(version, CATALOGUE_URL)):
        say("", *_hint(options.address).split("\n"))
    _mention_key(settings)
    return 0


def run_write(options: CodexOptions) -> int:
    version = options.version or installed()
    settings = _prepared(options, version)
    if settings.model is None:
        raise CommandError(f"which model shall Codex ask for? Name it with --model; `{program()} models` lists them")
    path = location(os.environ)
    backup = write(path, settings)
    say(f"Codex now uses the model {settings.model} of the provider {PROVIDER}: {path}")
    if backup is not None:
        say(f"What was there before: {backup}")
    say(f"To go back: {program()} codex-config --undo")
    if settings.catalogue is None and is_before(version, CATALOGUE_URL):
        say("", *_hint(options.address).split("\n"))
    _mention_key(settings)
    return 0


def run_undo() -> int:
    path = location(os.environ)
    if not undo(path):
        raise CommandError(f"{path} has no provider {PROVIDER}; there is nothing to undo")
    say(f"Codex is as it was before: {path}")
    return 0


def _prepared(options: CodexOptions, version: str | None) -> CodexSettings:
    """What Codex is to be told; the catalogue is written."""
    settings = options.settings
    models = CodexModels()
    if options.catalogue is not None or not (options.model or settings.default_model):
        models = codex_models(options.url, settings, version)
    told = codex_settings(options.url, options.model, settings, models.names)
    if models.wants_key:
        told = replace(told, env_key=CLIENT_KEY_VARIABLE)
    if options.catalogue is None:
        return told
    if not models.entries:
        raise CommandError(
            f"no gateway answers at {options.url}, and no provider is configured, so no models are known; start the "
            "gateway first, or name its upstream with --upstream"
        )
    if is_before(version, CATALOGUE_FILE):
        say(f"Codex {version} reads no catalogue; set model_context_window for it instead.", to=sys.stderr)
    return replace(told, catalogue=_write_catalogue(options.catalogue, models.catalogue(told.model)))


def _write_catalogue(name: str, entries: Sequence[JsonObject]) -> str:
    """Write the catalogue to a file; returns its absolute path."""
    path = Path(name).expanduser().absolute()
    try:
        path.write_bytes(dumps({"models": entries}))
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}") from None
    say(f"Wrote {len(entries)} {'model' if len(entries) == 1 else 'models'} to {path}", to=sys.stderr)
    return str(path)


def _hint(address: str) -> str:
    return _OLD_CODEX.format(program=program(), address=address)


def _mention_key(settings: CodexSettings) -> None:
    if settings.env_key:
        say(f"The gateway wants an access key: export {settings.env_key}=… before you start Codex.", to=sys.stderr)
