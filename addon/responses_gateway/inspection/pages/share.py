"""A session or a turn as one file of HTML, which opens anywhere: no scripts, nothing loaded, nothing that is secret.

What it shows was redacted when it was recorded. Headers and addresses of upstreams are left out.
"""

from collections.abc import Callable, Sequence
from typing import Any

from markupsafe import Markup
from tornado.web import HTTPError

from responses_gateway.inspection.archive.file import ArchiveError
from responses_gateway.inspection.archive.reader import Archive
from responses_gateway.inspection.archive.rows import Turn
from responses_gateway.inspection.names import short_name
from responses_gateway.inspection.pages.handler import Page
from responses_gateway.inspection.pages.source import NotThereError, Reading
from responses_gateway.inspection.pages.templating import ASSETS, render
from responses_gateway.inspection.pages.turn_page import whole_turn
from responses_gateway.inspection.pages.turn_view import conversation_of, turn_view
from responses_gateway.version import __version__

MOST_TURNS = 300
"""Of a session, the latest: a file that a browser still opens."""

_STYLES = Markup("".join(ASSETS[name][0].decode() for name in ("pages.css", "turn.css")))  # noqa: S704 (our own files)


class _Shared(Page):
    """Answers with a file to keep."""

    async def send(self, name: str, make: Callable[[Reading], str]) -> None:
        try:
            html = await self.source.read(make)
        except NotThereError:
            raise HTTPError(404) from None
        except ArchiveError:
            raise HTTPError(503) from None
        self.set_header("Content-Disposition", f'attachment; filename="{name.replace("#", "")}.html"')
        self._finish(html)


class ShareTurn(_Shared):
    """`/sessions/ID/turns/TURN/share`."""

    async def get(self, session: str, turn: str) -> None:
        def make(reading: Reading) -> str:
            found = whole_turn(reading, session, turn).turn
            return shared(reading.archive, session, [found], reading.now)

        await self.send(f"turn-{short_name(turn)}", make)


class ShareSession(_Shared):
    """`/sessions/ID/share`."""

    async def get(self, session: str) -> None:
        def make(reading: Reading) -> str:
            turns = reading.archive.turns(session)
            if not turns:
                raise NotThereError(session)
            return shared(reading.archive, session, turns, reading.now)

        await self.send(f"session-{short_name(session)}", make)


def shared(archive: Archive, session: str, turns: Sequence[Turn], now: float) -> str:
    """The file; `turns` are of one session, in order."""
    shown = [part for turn in turns[-MOST_TURNS:] if (part := _part(archive, turn.id, now)) is not None]
    title = next((turn.title for turn in turns if turn.title), "") or f"Session {short_name(session)}"
    return render(
        "share.html",
        title=title,
        parts=shown,
        left_out=len(turns) - len(shown),
        styles=_STYLES,
        version=__version__,
        now=now,
    )


def _part(archive: Archive, turn: str, now: float) -> dict[str, Any] | None:
    whole = archive.turn(turn)
    if whole is None:
        return None
    return {"view": turn_view(archive, whole, now), "talk": conversation_of(whole)}
