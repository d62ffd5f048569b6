"""Notices when the configuration file changes."""

import os
from pathlib import Path

INTERVAL = 1.0
"""Seconds between two looks at the file."""


class ConfigWatch:
    """Watches one file, which need not exist; None watches nothing."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._seen = self._state()
        self._next = 0.0

    def changed(self, now: float) -> bool:
        """Whether the file is another one than when this last said so. `now` is in seconds, of any clock."""
        if now < self._next:
            return False
        self._next = now + INTERVAL
        before, self._seen = self._seen, self._state()
        return self._seen != before

    def _state(self) -> tuple[int, int, int] | None:
        if self.path is None:
            return None
        try:
            status = os.stat(self.path)
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino
