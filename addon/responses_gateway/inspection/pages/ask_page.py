"""Serves the answers of several models to what one turn asked, side by side."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tornado.web import HTTPError

from responses_gateway.inspection.archive.file import ArchiveError
from responses_gateway.inspection.archive.rows import Turn, WholeTurn
from responses_gateway.inspection.asking import MOST, Asking, NotAskableError, session_of
from responses_gateway.inspection.pages.handler import Page
from responses_gateway.inspection.pages.items import Entry
from responses_gateway.inspection.pages.phases import end_of
from responses_gateway.inspection.pages.routes import turn_url
from responses_gateway.inspection.pages.source import NotThereError, Reading, Source
from responses_gateway.inspection.pages.turn_page import whole_turn
from responses_gateway.inspection.pages.turn_view import answer_entries
from responses_gateway.inspection.recording.summary import speed

SHOWN = 12
"""Answers side by side: the turn's own, and the latest."""


@dataclass(frozen=True)
class Column:
    """What one model said."""

    turn: Turn
    took: float
    """Seconds."""

    speed: float | None
    entries: list[Entry]
    refusal: str
    is_over: bool


class AskPage(Page):
    """`/sessions/ID/turns/TURN/ask`: GET shows what came, POST asks the models of its form."""

    def initialize(self, source: Source, asking: Asking) -> None:  # type: ignore[override]
        super().initialize(source)
        self._asking = asking

    async def get(self, session: str, turn: str) -> None:
        models = self._asking.models()

        def view(reading: Reading) -> dict[str, Any]:
            offered = list(dict.fromkeys([*models, *reading.archive.values().models]))
            return {**ask_values(reading, session, turn), "models": offered, "most": MOST}

        await self.show("ask.html", view)

    async def post(self, session: str, turn: str) -> None:  # type: ignore[override]
        models = [name for name in map(str.strip, self.get_body_arguments("model")) if name]
        if models:
            try:
                whole = await self.source.read(lambda reading: whole_turn(reading, session, turn))
                self._asking.ask(whole, models)
            except NotThereError:
                raise HTTPError(404) from None
            except (ArchiveError, NotAskableError):
                raise HTTPError(409) from None
        self.redirect(f"{turn_url(session, turn)}/ask", status=303)


def ask_values(reading: Reading, session: str, turn: str) -> Mapping[str, Any]:
    """The turn's own answer, and those of the models that were asked. Raises NotThereError and ArchiveError."""
    own = whole_turn(reading, session, turn)
    asked = reading.archive.turns(session_of(turn))[-(SHOWN - 1) :]
    others = [whole_turn(reading, one.session, one.id) for one in asked]
    return {"turn": own.turn, "columns": [_column(whole, reading.now) for whole in (own, *others)]}


def _column(whole: WholeTurn, now: float) -> Column:
    entries, refusal = answer_entries(whole)
    turn = whole.turn
    is_over = turn.status != "in_progress"
    return Column(turn, end_of(turn, now) / 1000, speed(whole.record.facts), entries, refusal, is_over)
