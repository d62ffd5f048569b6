"""Where the archive is."""

from collections.abc import Mapping
from pathlib import Path

from responses_gateway.settings.settings import Settings
from responses_gateway.state.state import state_directory

NAME = "archive.sqlite3"


def archive_path(settings: Settings, environ: Mapping[str, str], *, is_shown: bool = True) -> Path | None:
    """The file that the settings name; None when they want none. `is_shown`: whether this runs under mitmweb."""
    match settings.archive:
        case "off":
            return None
        case "auto" if not is_shown:
            return None
        case "auto" | "on":
            return state_directory(environ) / NAME
        case path:
            return Path(path).expanduser()
