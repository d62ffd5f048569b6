"""Where pages get their turns from: the archive, read in a thread, and what runs at this moment."""

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

from responses_gateway.inspection.archive.file import ArchiveError
from responses_gateway.inspection.archive.reader import Archive
from responses_gateway.inspection.recording.recorded_turn import RecordedTurn
from responses_gateway.protocol.json import JsonObject

STEP = 0.25
"""Seconds after which a page with something that runs is made anew when it is asked for. Less than the time between two
requests of one page (`handler.PAUSE`): otherwise every few of them would be told that nothing had changed.
"""


_PATIENCE = 10.0
"""Seconds that a thread waits for the event loop."""


class NotThereError(Exception):
    """There is no such session or turn."""


def _nothing(_: str) -> None:
    """Nothing runs."""


class Reading(NamedTuple):
    """What a page is made from."""

    archive: Archive
    running: Mapping[str, JsonObject]
    """What is known of each turn that runs (`Observer.facts`, copied), by the id of its flow."""

    now: float
    """Seconds since the epoch."""

    record: Callable[[str], RecordedTurn | None] = _nothing
    """The record of the turn that runs in a flow, by the flow's id."""


class Source:
    """The turns that this process shows, those of saved flows that were loaded among them."""

    def __init__(
        self,
        path: Callable[[], Path | None],
        running: Callable[[], dict[str, JsonObject]],
        record: Callable[[str], RecordedTurn | None] = _nothing,
    ) -> None:
        """`path` gives the archive's file, None when there is none; `running` the facts of what runs, `record` a copy
        of all that is known of the turn in a flow that runs.
        """
        self._path = path
        self._running = running
        self._record = record

    async def read[T](self, make: Callable[[Reading], T]) -> T:
        """What `make` returns, which is called in a thread. Raises ArchiveError when there is nothing to read."""
        path, running = self._path(), self._running()
        if path is None:
            raise ArchiveError("Nothing is kept: the setting gateway_archive is off.")
        return await asyncio.to_thread(_read, path, running, make, _from_thread(self._record))

    def version(self) -> str:
        """Changes whenever pages may have changed. Costs two calls of the operating system."""
        path = self._path()
        marks = [_mark(Path(f"{path}{suffix}")) for suffix in ("", "-wal")] if path is not None else []
        step = f"{time.time() // STEP:.0f}" if self._running() else ""
        return "-".join((*marks, step))


def _read[T](
    path: Path,
    running: Mapping[str, JsonObject],
    make: Callable[[Reading], T],
    record: Callable[[str], RecordedTurn | None],
) -> T:
    with closing(Archive(path)) as archive:
        return make(Reading(archive, running, time.time(), record))


def _from_thread(record: Callable[[str], RecordedTurn | None]) -> Callable[[str], RecordedTurn | None]:
    """`record` for a thread: it is called on the event loop, where turns change."""
    loop = asyncio.get_running_loop()

    async def ask(flow: str) -> RecordedTurn | None:
        return record(flow)

    return lambda flow: asyncio.run_coroutine_threadsafe(ask(flow), loop).result(_PATIENCE)


def _mark(path: Path) -> str:
    """Changes when a file does."""
    with suppress(OSError):
        found = os.stat(path)
        return f"{found.st_ino:x}.{found.st_mtime_ns:x}.{found.st_size:x}"
    return ""
