"""Learned repairs: changes that made refused requests acceptable to an upstream, kept across restarts.

They are kept in one small JSON file in the user's state directory, which only the user can read. It is a cache: nothing
breaks without it, and its entries expire, because upstreams change.
"""

import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from responses_gateway.protocol.json import dumps, loads
from responses_gateway.security.terminal import get_logger
from responses_gateway.translate.repair.request_repairs import Repair, known

logger = get_logger(__name__)

MAX_ENTRIES = 256
"""Entries, one for each owner, upstream and model; the one that was changed longest ago goes first."""

MAX_REPAIRS = 16
"""Repairs in one entry."""

MAX_AGE = 30 * 86400.0
"""Seconds after which an entry expires, so that the request is tried unrepaired again."""

_MAX_FILE = 1 << 20

type _Key = tuple[str, str, str]
"""Owner, upstream and model."""


def default_path(environ: Mapping[str, str]) -> Path:
    """Where the file is: `responses-gateway/learnt.json` in XDG_STATE_HOME, or in ~/.local/state."""
    home = Path(environ.get("HOME") or Path.home())
    return Path(environ.get("XDG_STATE_HOME") or home / ".local" / "state") / "responses-gateway" / "learnt.json"


@dataclass(slots=True)
class _Entry:
    at: float
    """Seconds since the epoch, when the last repair was added."""

    repairs: list[Repair] = field(default_factory=list)


class LearnedRepairs:
    """The repairs by owner, upstream (base URL) and model. `path` None: in memory only.

    The repairs of one owner are not used for another: a client may choose its upstream, and so what is refused.
    """

    def __init__(self, path: Path | None, clock: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock
        self._entries = self._read()

    def repairs(self, owner: str, upstream: str, model: str) -> list[Repair]:
        """The repairs to apply, in this order."""
        entry = self._entries.get((owner, upstream, model))
        return list(entry.repairs) if entry is not None and self._clock() - entry.at < MAX_AGE else []

    def everybodys(self, upstream: str, model: str) -> list[Repair]:
        """The repairs of all owners, for the operator, who sees all turns."""
        owners = [owner for owner, *where in self._entries if where == [upstream, model]]
        return [repair for owner in owners for repair in self.repairs(owner, upstream, model)]

    def add(self, owner: str, upstream: str, model: str, repair: Repair) -> None:
        """Remember a repair after which the upstream accepted the request."""
        entries = {**self._read(), **self._entries}
        entry = entries.pop((owner, upstream, model), None) or _Entry(0.0)
        entry.at = self._clock()
        if repair not in entry.repairs:
            entry.repairs = [*entry.repairs, repair][-MAX_REPAIRS:]
        entries[owner, upstream, model] = entry
        self._entries = dict(list(entries.items())[-MAX_ENTRIES:])
        self._write()

    def _read(self) -> dict[_Key, _Entry]:
        if self._path is None:
            return {}
        try:
            if self._path.stat().st_size > _MAX_FILE:
                return {}
            content = loads(self._path.read_bytes())
            found = [
                (
                    (str(entry.get("owner", "")), str(entry["upstream"]), str(entry["model"])),
                    _Entry(float(entry["at"]), known(entry["repairs"])),
                )
                for entry in content["learnt"]
            ]
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return {}
        now = self._clock()
        return dict(sorted(((key, entry) for key, entry in found if now - entry.at < MAX_AGE), key=lambda it: it[1].at))

    def _write(self) -> None:
        if self._path is None:
            return
        content = {
            "learnt": [
                {"owner": owner, "upstream": upstream, "model": model, "at": entry.at, "repairs": entry.repairs}
                for (owner, upstream, model), entry in self._entries.items()
            ]
        }
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # mkstemp makes the file 0600; a rename replaces the old one whole or not at all.
            descriptor, temporary = tempfile.mkstemp(dir=self._path.parent, prefix=".learnt-")
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(dumps(content))
                os.replace(temporary, self._path)
            except OSError:
                with suppress(OSError):
                    os.unlink(temporary)
                raise
        except OSError as error:
            logger.warning("what was learnt about upstreams cannot be kept in %s: %s", self._path, error.strerror)
