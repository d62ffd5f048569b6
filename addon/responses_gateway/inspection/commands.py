"""mitmproxy commands: `gateway.export`, `gateway.raw`, `gateway.retranslate`, `gateway.stats`."""

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mitmproxy import command, ctx, exceptions, flow, http, types
from mitmproxy.proxy.mode_specs import ProxyMode

from responses_gateway.inspection import export, retranslate
from responses_gateway.inspection.archive.archiving import Archiving
from responses_gateway.inspection.recording.recorded_turn import RecordedTurn
from responses_gateway.inspection.recording.stream_capture import body_of
from responses_gateway.inspection.recording.turn_recorder import TURN
from responses_gateway.inspection.stats import Statistics
from responses_gateway.security.terminal import one_line
from responses_gateway.turn.runtime import Runtime
from responses_gateway.upstream.learned_repairs import LearnedRepairs

_RAW = ("request", "chat", "chunks", "events")
_SCOPES = ("flows", "session")


class Commands:
    """What can be asked for in mitmweb's command bar, in mitmproxy's console, and by scripts."""

    def __init__(
        self,
        statistics: Statistics,
        runtime: Callable[[ProxyMode], Runtime],
        learned: LearnedRepairs,
        archiving: Archiving,
    ) -> None:
        self._statistics = statistics
        self._archiving = archiving
        self._runtime = runtime
        self._learned = learned

    @command.command("gateway.export.formats")
    def formats(self) -> Sequence[str]:
        """The formats of gateway.export."""
        return list(export.FORMATS)

    @command.command("gateway.export")
    @command.argument("format", type=types.Choice("gateway.export.formats"))
    def export(self, format: str, flows: Sequence[flow.Flow], path: types.Path, scope: str = "flows") -> str:
        """Write turns to a file: a test fixture, curl commands for either side, or a transcript as JSON lines.

        With scope `session`, a selected flow stands for all flows of its session.
        """
        _require(scope, _SCOPES, "scope")
        records = _records(self._session_of(flows) if scope == "session" else flows)
        if format not in export.FORMATS:
            raise exceptions.CommandError(f"unknown format {format!r}: one of {', '.join(export.FORMATS)}")
        _write(path, export.FORMATS[format](records).encode())
        return f"{len(records)} turns written to {path}"

    @command.command("gateway.raw")
    def raw(self, side: str, flows: Sequence[flow.Flow], path: types.Path) -> str:
        """Write bytes as they passed: the client's `request`, the `chat` request, the upstream's `chunks`, or the
        client's `events`.
        """
        _require(side, _RAW, "side")
        bodies = [body for record in _records(flows) for body in _bodies(record, side)]
        _write(path, b"\n".join(bodies))
        return f"{sum(map(len, bodies))} bytes written to {path}"

    @command.command("gateway.retranslate")
    def retranslate(self, flows: Sequence[flow.Flow]) -> Sequence[str]:
        """Run saved turns through today's code; shows what comes out differently, for both sides."""
        chosen = _turns(flows)
        if not chosen:
            raise exceptions.CommandError("none of these flows is a turn of the gateway")
        turns = sorted(_turns(_all(flows)), key=lambda turn: turn.metadata[TURN]["opened"])
        wanted = [at for at, turn in enumerate(turns) if turn in chosen]
        turns = turns[: wanted[-1] + 1]
        told = retranslate.report(
            _records(turns), self._runtime(chosen[0].client_conn.proxy_mode), self._learned, wanted
        )
        # In a thread of its own, because this one's event loop runs already.
        with ThreadPoolExecutor(1) as pool:
            return [one_line(line) for line in pool.submit(asyncio.run, told).result()]

    @command.command("gateway.stats")
    def stats(self) -> Sequence[str]:
        """Turns, errors, tokens, cache share, cost and speed of each model, since the start and of loaded flows."""
        return [one_line(line) for line in (*self._statistics.table(), *self._archived())]

    def _archived(self) -> list[str]:
        """What the archive lost."""
        counts = self._archiving.counts
        if counts is None or not counts.lost:
            return []
        return [f"archive: {counts.kept} turns kept, {counts.lost} lost: {counts.reason}"]

    def _session_of(self, flows: Sequence[flow.Flow]) -> Sequence[flow.Flow]:
        names = {record.facts["session"] for record in _records(flows) if record.facts["session"]}
        return [
            one
            for one in _all(flows)
            if (record := RecordedTurn.of(one.metadata)) is not None and record.facts["session"] in names
        ]


def _all(flows: Sequence[flow.Flow]) -> Sequence[flow.Flow]:
    """All flows that there are: `flows` when nothing else is kept."""
    view = ctx.master.addons.get("view")
    return flows if view is None else list(view.resolve("@all"))


def _turns(flows: Sequence[flow.Flow]) -> list[http.HTTPFlow]:
    return [one for one in flows if isinstance(one, http.HTTPFlow) and RecordedTurn.of(one.metadata) is not None]


def _records(flows: Sequence[flow.Flow]) -> list[RecordedTurn]:
    """The turns among `flows`. Raises CommandError when there are none."""
    records = [record for one in _turns(flows) if (record := RecordedTurn.of(one.metadata)) is not None]
    if not records:
        raise exceptions.CommandError("none of these flows is a turn of the gateway")
    return records


def _bodies(record: RecordedTurn, side: str) -> list[bytes]:
    match side:
        case "request":
            return [record.request or b""]
        case "chat":
            return [one["body"] for one in record.rounds]
        case "chunks":
            return [body_of(one["chunks"]) for one in record.rounds]
        case _:
            return [body_of(record.events)]


def _require(value: str, known: Sequence[str], name: str) -> None:
    if value not in known:
        raise exceptions.CommandError(f"unknown {name} {value!r}: one of {', '.join(known)}")


def _write(path: str, data: bytes) -> None:
    try:
        descriptor = os.open(Path(path).expanduser(), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
    except OSError as error:
        raise exceptions.CommandError(f"{path}: {error.strerror or error}") from error
