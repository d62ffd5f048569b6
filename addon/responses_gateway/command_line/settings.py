"""The settings as subcommands read them."""

import os
from pathlib import Path

from responses_gateway.command_line.errors import CommandError
from responses_gateway.settings.config_file import SettingsError
from responses_gateway.settings.loading import config_location, load_settings
from responses_gateway.settings.settings import Settings


def read_settings(config: str | None) -> Settings:
    """The settings, as the gateway would use them with this file, or its usual one. Raises CommandError."""
    try:
        return load_settings({"gateway_config": config}, os.environ)
    except SettingsError as error:
        raise CommandError(str(error)) from None


def settings_file(config: str | None) -> Path:
    """The configuration file, which may not exist yet."""
    return config_location({"gateway_config": config}, os.environ)
