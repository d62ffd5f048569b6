"""`responses-gateway codex-config`: print, write or undo Codex's configuration."""

import os
import sys
from pathlib import Path

from responses_gateway.command_line.codex_config import CLIENT_KEY_VARIABLE, PROVIDER, CodexSettings, codex_config
from responses_gateway.command_line.codex_file import location, undo, write
from responses_gateway.command_line.errors import CommandError
from responses_gateway.command_line.models import catalogue
from responses_gateway.command_line.program import program
from responses_gateway.command_line.settings import read_settings
from responses_gateway.demo import MODEL as DEMO_MODEL
from responses_gateway.protocol.json import dumps
from responses_gateway.security.terminal import say
from responses_gateway.settings.settings import Settings

_OLD_CODEX = """\
# Codex before 0.160 ignores model_catalog_url. For it, write the catalogue to a file (0.111 and newer read it):
#   {program} codex-config --catalog ~/.codex/gateway-models.json
"""


def codex_settings(url: str, model: str | None, settings: Settings, catalogue_file: str | None = None) -> CodexSettings:
    """What Codex is told about a gateway with these settings."""
    fallback = settings.default_model or (None if settings.names_upstream else DEMO_MODEL)
    key = CLIENT_KEY_VARIABLE if settings.access_keys else None
    return CodexSettings(url, model or fallback, key, catalogue_file)


def run_print(url: str, model: str | None, config: str | None, catalogue_file: str | None) -> int:
    settings = codex_settings(url, model, read_settings(config), _written(catalogue_file, config))
    say(*codex_config(settings).split("\n"))
    if catalogue_file is None:
        say("", *_OLD_CODEX.format(program=program()).rstrip("\n").split("\n"))
    _mention_key(settings)
    return 0


def run_write(url: str, model: str | None, config: str | None, catalogue_file: str | None) -> int:
    settings = codex_settings(url, model, read_settings(config), _written(catalogue_file, config))
    if settings.model is None:
        raise CommandError(f"which model shall Codex ask for? Name it with --model; `{program()} models` lists them")
    path = location(os.environ)
    backup = write(path, settings)
    say(f"Codex now uses the model {settings.model} of the provider {PROVIDER}: {path}")
    if backup is not None:
        say(f"What was there before: {backup}")
    say(f"To go back: {program()} codex-config --undo")
    _mention_key(settings)
    return 0


def run_undo() -> int:
    path = location(os.environ)
    if not undo(path):
        raise CommandError(f"{path} has no provider {PROVIDER}; there is nothing to undo")
    say(f"Codex is as it was before: {path}")
    return 0


def _written(catalogue_file: str | None, config: str | None) -> str | None:
    """Write the catalogue to the file; returns its absolute path."""
    if catalogue_file is None:
        return None
    path = Path(catalogue_file).expanduser().absolute()
    models = catalogue(config)["models"]
    if not models:
        raise CommandError(f"no provider is configured, so no models are known; `{program()} configure` helps")
    try:
        path.write_bytes(dumps({"models": models}))
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}") from None
    say(f"Wrote {len(models)} models to {path}", to=sys.stderr)
    return str(path)


def _mention_key(settings: CodexSettings) -> None:
    if settings.env_key:
        say(f"The gateway wants an access key: export {settings.env_key}=… before you start Codex.", to=sys.stderr)
