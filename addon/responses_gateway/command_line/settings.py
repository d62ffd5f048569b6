"""The settings as subcommands read them."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from responses_gateway.command_line.errors import CommandError
from responses_gateway.settings.config_file import SettingsError
from responses_gateway.settings.loading import config_location, load_settings
from responses_gateway.settings.options import OPTION_PREFIX
from responses_gateway.settings.settings import Settings

NOTHING: Mapping[str, str | None] = {}


def read_settings(
    config: str | None,
    flags: Mapping[str, str | None] = NOTHING,
    specs: Sequence[str] = (),
    environ: Mapping[str, str] = os.environ,
) -> Settings:
    """The settings as the gateway would use them with this file, or its usual one. Raises CommandError.

    `flags` are options of ours by their names without prefix; `specs` are those of `--set`, as NAME=VALUE.
    """
    given: dict[str, str | None] = {"gateway_config": config}
    for spec in specs:
        name, _, given[name] = spec.partition("=")
    given.update((f"{OPTION_PREFIX}{name}", value) for name, value in flags.items() if value)
    try:
        return load_settings(given, environ)
    except SettingsError as error:
        raise CommandError(str(error)) from None


def settings_file(config: str | None) -> Path:
    """The configuration file, which may not exist yet."""
    return config_location({"gateway_config": config}, os.environ)
