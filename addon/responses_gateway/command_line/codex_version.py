"""Which Codex there is, and what it understands of a gateway's models."""

import re
import shutil
import subprocess

CATALOGUE_FILE = (0, 111)
"""The first version that is known to read `model_catalog_json`."""

CATALOGUE_URL = (0, 161)
"""The first version that asks `model_catalog_url`; 0.160 takes the key and asks nothing."""

_SECONDS = 10
_VERSION = re.compile(r"\d{1,6}(?:\.\d{1,6}){1,6}")


def installed() -> str | None:
    """What the Codex on PATH says its version is; None when there is none, or it does not say."""
    program = shutil.which("codex")
    if program is None:
        return None
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=_SECONDS, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = _VERSION.search(said.stdout)
    return found[0] if found else None


def is_before(version: str | None, first: tuple[int, int]) -> bool:
    """Whether a version is older than `first`; an unknown one counts as the newest."""
    return version is not None and tuple(map(int, version.split(".")[:2])) < first
