"""Connects the archive with mitmproxy: puts flows into it, and brings them back."""

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple
from weakref import WeakValueDictionary

from mitmproxy import command, ctx, exceptions, http

from responses_gateway.inspection.archive.document import Document
from responses_gateway.inspection.archive.file import ArchiveError
from responses_gateway.inspection.archive.flow_list_limit import FlowListLimit
from responses_gateway.inspection.archive.flows import document_of, flow_of
from responses_gateway.inspection.archive.limits import Limits
from responses_gateway.inspection.archive.location import archive_path
from responses_gateway.inspection.archive.reader import Archive
from responses_gateway.inspection.archive.running import RunningTurns
from responses_gateway.inspection.archive.worker import Archivist, Counts
from responses_gateway.inspection.recording.turn_recorder import TurnRecorder
from responses_gateway.security.terminal import get_logger
from responses_gateway.settings.settings import Settings

logger = get_logger(__name__)

_DAY = 86_400


class _Use(NamedTuple):
    """The settings of the archive."""

    path: Path | None
    limits: Limits
    flows: int
    flow_bytes: int

    @classmethod
    def of(cls, settings: Settings) -> "_Use":
        path = archive_path(settings, os.environ, is_shown=_is_mitmweb())
        limits = Limits(settings.archive_max_bytes, settings.archive_max_age * _DAY)
        return cls(path, limits, settings.flows_kept, settings.flows_kept_bytes)


class Archiving:
    """The archive of this process, as the settings want it."""

    def __init__(self) -> None:
        self._use: _Use | None = None
        self._archivist: Archivist | None = None
        self._kept: FlowListLimit | None = None
        self._running: RunningTurns | None = None
        self._flows: WeakValueDictionary[str, http.HTTPFlow] = WeakValueDictionary()

    @property
    def path(self) -> Path | None:
        """The file, for an `Archive`; None when nothing is kept."""
        return self._archivist.path if self._archivist is not None else None

    @property
    def counts(self) -> Counts | None:
        """What became of the turns so far; None when nothing is kept."""
        return self._archivist.counts if self._archivist is not None else None

    def use(self, settings: Settings) -> None:
        """Take over new settings."""
        use = _Use.of(settings)
        if use == self._use:
            return
        if self._archivist is not None:
            self._archivist.finish()
        self._use = use
        self._archivist = self._running = None
        if use.path is not None:
            self._archivist = Archivist(use.path, use.limits, self._on_kept)
            self._running = RunningTurns(self._put_running, self._archivist.put)
        view = ctx.master.addons.get("view")
        shows = _is_mitmweb() and view is not None and use.flows
        self._kept = FlowListLimit(view, use.flows, use.flow_bytes) if shows and self._archivist is not None else None

    def begin(self, flow: http.HTTPFlow, recorder: TurnRecorder) -> None:
        """A turn begins: what comes of it is kept while it runs, so that it is not lost when this process dies."""
        if self._running is not None:
            self._running.begin(flow, recorder)

    def begun(self, flow: http.HTTPFlow) -> None:
        """There is something to show of a turn that runs: pages find it from now on."""
        if self._running is not None:
            self._running.begun(flow)

    def ended(self, flow: http.HTTPFlow, *, passed: bool, streamed: bool = False) -> None:
        """A flow is over. `passed`: it came through the gateway, not from a file. `streamed`: its response is what the
        record holds, too.
        """
        if self._archivist is None or self._running is None:
            return
        self._running.end(flow)
        document, _ = self._put(flow, is_over=True, streamed=streamed)
        if passed and self._kept is not None:
            self._flows[flow.id] = flow
            self._kept.ended(flow, document)

    def _put_running(self, flow: http.HTTPFlow) -> Document | None:
        document, is_taken = self._put(flow, is_over=False)
        return document if is_taken else None

    def _put(self, flow: http.HTTPFlow, *, is_over: bool, streamed: bool = False) -> tuple[Document | None, bool]:
        """Keep the turn in a flow, if there is one that `is_over` or is not, and whether it is taken."""
        assert self._archivist is not None  # noqa: S101 (callers look)
        try:
            document = document_of(flow, streamed=streamed)
            if document is None or document.is_over != is_over:
                return None, False
            return document, self._archivist.put(document)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            # A file may hold anything under our keys.
            logger.warning("A flow that was loaded is no turn of the gateway: %r", error)
            return None, False

    def _on_kept(self, document: Document) -> None:
        """Called on the archive's thread."""
        ctx.master.event_loop.call_soon_threadsafe(self._is_kept, document.flow)

    def _is_kept(self, flow: str) -> None:
        one = self._flows.get(flow)
        if one is not None and self._kept is not None:
            self._kept.archived(one)

    def done(self) -> None:
        """Write what waits, and close the file."""
        if self._archivist is not None and self._running is not None:
            self._running.write()
            self._archivist.close()
            self._archivist = self._running = self._kept = None

    # Back again -------------------------------------------------------------------------------------------------------

    @command.command("gateway.archive.load")
    def load_command(self, turn: str) -> None:
        """Bring a turn back from the archive into the list: by its own id, its flow's, or a session's for all of it."""
        if self.path is None:
            raise exceptions.CommandError("there is no archive; the setting gateway_archive makes one")
        task = asyncio.ensure_future(self.bring_back(turn))
        task.add_done_callback(_say)

    async def bring_back(self, name: str) -> list[http.HTTPFlow]:
        """The flows of a turn or session, which are in mitmweb's list then. Raises ArchiveError when there is none."""
        if self.path is None:
            raise ArchiveError("there is no archive; the setting gateway_archive makes one")
        flows = await asyncio.to_thread(_read, self.path, name)
        view = ctx.master.addons.get("view")
        if view is not None:
            view.add(flows)
        return flows


def _is_mitmweb() -> bool:
    """Only mitmweb's master has a web application; to import its class costs the other programs their start-up time."""
    return hasattr(ctx.master, "app")


def _read(path: Path, name: str) -> list[http.HTTPFlow]:
    archive = Archive(path)
    try:
        turns = list(_turns(archive, name))
        if not turns:
            raise ArchiveError(f"the archive has no turn, flow or session {name}")
        wholes = [whole for turn in turns if (whole := archive.turn(turn)) is not None and whole.shell]
        if not wholes:
            raise ArchiveError("the turn is not over")
        return [flow_of(whole) for whole in wholes]
    finally:
        archive.close()


def _turns(archive: Archive, name: str) -> Iterable[str]:
    """Ids of the turns that a name stands for."""
    if (whole := archive.turn(name)) is not None:
        return [whole.turn.id]
    if (turn := archive.turn_in_flow(name)) is not None:
        return [turn.id]
    return [turn.id for turn in archive.turns(name)]


def _say(task: "asyncio.Future[list[http.HTTPFlow]]") -> None:
    error = task.exception() if not task.cancelled() else None
    if error is not None:
        logger.error("%s", error)
