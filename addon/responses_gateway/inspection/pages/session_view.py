"""Turns rows of the archive into what the page of a session shows."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from responses_gateway.inspection.archive.reader import Archive
from responses_gateway.inspection.archive.rows import Session, Turn
from responses_gateway.inspection.pages.axis import TICKS, Axis, Break, Tick
from responses_gateway.inspection.pages.context import Context, context_of
from responses_gateway.inspection.pages.phases import NAMES, end_of, phases_of, up_to_date
from responses_gateway.inspection.pages.source import NotThereError
from responses_gateway.inspection.pages.threads import Thread, threads_of, turns_in_order
from responses_gateway.inspection.pages.tips import turn_tip
from responses_gateway.inspection.pages.waterfall import Lane, Part, lanes_of
from responses_gateway.protocol.json import JsonObject

ZOOMS = (1, 2, 4, 8, 16)
"""Widths of the picture, in windows."""

LISTED = 500
"""Turns that the table has, unless all are asked for; the last ones."""


class Line(NamedTuple):
    """One turn in the table."""

    turn: Turn
    thread: Thread
    took: float
    """Seconds."""

    parts: list[Part]
    """Its phases; the longest turn takes the whole width."""

    tip: str

    @property
    def did(self) -> str:
        """What the turn did, when no user said anything in it: such as `exec_command ×2, apply_patch`."""
        if self.turn.status == "in_progress":
            return "…"
        called = Counter(
            span.name or span.kind for span in self.turn.spans if span.kind not in ("reasoning", "message")
        )
        names = [f"{name} ×{times}" if times > 1 else name for name, times in called.items()]
        return ", ".join(names) or (
            "answer" if any(span.kind == "message" for span in self.turn.spans) else "no answer"
        )


@dataclass(frozen=True, slots=True)
class SessionView:
    """One session."""

    session: Session
    took: float
    threads: list[Thread]
    chosen: Thread
    """Whose context is shown."""

    zoom: int
    zooms: Sequence[int]
    lanes: list[Lane]
    ticks: list[Tick]
    breaks: list[Break]
    height: int
    """Of all lanes, in pixels."""

    context: Context
    spent: list[tuple[str, str, float]]
    """Phase, its name, and the seconds that all turns spent in it."""

    lines: list[Line]
    left_out: int
    """Turns that the table does not show."""


def session_view(
    archive: Archive,
    session: str,
    running: Mapping[str, JsonObject],
    now: float,
    *,
    thread: str = "",
    zoom: int = 1,
    whole: bool = False,
) -> SessionView:
    """Read a session. Raises NotThereError, and ArchiveError.

    `running` is what is known of turns that run; `thread` the id of the one whose context is shown; `whole`: list all
    turns.
    """
    found = archive.session(session)
    turns = [up_to_date(turn, running) for turn in archive.turns(session)]
    if found is None or not turns:
        raise NotThereError
    return view_of(found, turns, now, thread=thread, zoom=zoom, whole=whole)


def view_of(
    session: Session, turns: Sequence[Turn], now: float, *, thread: str = "", zoom: int = 1, whole: bool = False
) -> SessionView:
    """The same from rows: `turns` are in the order in which they began, and at least one."""
    threads = threads_of(turns)
    chosen = next((one for one in threads if one.id == thread), threads[0])
    axis = Axis((turn.opened, turn.opened + end_of(turn, now) / 1000) for turn in turns)
    lanes = lanes_of(threads, axis, now)
    lines = _lines(threads, now)
    shown = lines if whole else lines[-LISTED:]
    return SessionView(
        session=session,
        took=(now if session.running else session.ended) - session.began,
        threads=threads,
        chosen=chosen,
        zoom=zoom,
        zooms=ZOOMS,
        lanes=lanes,
        ticks=axis.ticks(TICKS * zoom),
        breaks=axis.breaks,
        height=sum(lane.height for lane in lanes),
        context=context_of(chosen.turns, turns, axis, now),
        spent=_spent(turns, lanes, now),
        lines=shown,
        left_out=len(lines) - len(shown),
    )


def _lines(threads: Sequence[Thread], now: float) -> list[Line]:
    ordered = list(turns_in_order(threads))
    longest = max(1, *(end_of(turn, now) for _, turn in ordered))
    lines = []
    for thread, turn in ordered:
        phases = phases_of(turn, now)
        parts = [Part(one.kind, 100 * one.start / longest, 100 * (one.end - one.start) / longest) for one in phases]
        lines.append(Line(turn, thread, end_of(turn, now) / 1000, parts, turn_tip(turn, phases)))
    return lines


def _spent(turns: Sequence[Turn], lanes: Sequence[Lane], now: float) -> list[tuple[str, str, float]]:
    spent: Counter[str] = Counter()
    for turn in turns:
        for phase in phases_of(turn, now):
            spent[phase.kind] += phase.end - phase.start
    for lane in lanes:
        spent["tools"] += sum(tools.milliseconds for tools in lane.tools)
    return [(kind, name, spent[kind] / 1000) for kind, name in NAMES.items()]
