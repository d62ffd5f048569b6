"""Serves one turn."""

from typing import Any

from responses_gateway.inspection.archive.rows import WholeTurn
from responses_gateway.inspection.asking import Asking
from responses_gateway.inspection.pages.handler import Page
from responses_gateway.inspection.pages.source import NotThereError, Reading, Source
from responses_gateway.inspection.pages.streams import streams_of
from responses_gateway.inspection.pages.turn_view import MORE, conversation_of, turn_view, with_record
from responses_gateway.inspection.pages.wires import body_text, client_body, rows_of

PARTS = {"": "Conversation", "requests": "Requests", "streams": "Streams"}
"""The parts of the page, by what the address says."""

OVER = "over"
"""Version of a turn that is over: nothing of it changes any more."""


class TurnPage(Page):
    """`/sessions/ID/turns/TURN`."""

    def initialize(self, source: Source, asking: Asking) -> None:  # type: ignore[override]
        super().initialize(source)
        self._asking = asking

    async def get(self, session: str, turn: str) -> None:
        if self.get_query_argument("fragment", None) == OVER:
            self.set_status(204)
            return
        part = self.get_query_argument("part", "")
        start = self.get_query_argument("from", "")
        shown_from = int(start) if start.isdecimal() and len(start) < 10 else None
        follows = self.get_query_argument("fragment", None) is not None
        models = self._asking.models()

        def view(reading: Reading) -> dict[str, Any]:
            values = turn_values(reading, whole_turn(reading, session, turn), part, shown_from, follows=follows)
            return {**values, "models": models}

        await self.show("turn.html", view)


def whole_turn(reading: Reading, session: str, turn: str) -> WholeTurn:
    """A turn of a session, as it is at this moment. Raises NotThereError and ArchiveError."""
    found = reading.archive.turn_row(turn)
    if found is None or found[0].session != session:
        raise NotThereError(turn)
    row, new = found
    record = reading.record(row.flow) if row.status == "in_progress" else None
    if record is not None and record.facts["opened"] == row.opened:
        return with_record(WholeTurn(row, record, new, b""), record)
    whole = reading.archive.turn(turn)
    if whole is None:
        raise NotThereError(turn)
    return whole


def turn_values(
    reading: Reading, whole: WholeTurn, part: str, shown_from: int | None, *, follows: bool = False
) -> dict[str, Any]:
    """What the template of a turn shows. `follows`: for a page that is there already, and gets what is new."""
    only_news = follows and whole.turn.status == "in_progress"
    view = turn_view(reading.archive, whole, reading.now, only_news=only_news)
    record = whole.record
    values: dict[str, Any] = {"view": view, "parts": PARTS, "part": part if part in PARTS else "", "more": MORE}
    values["only_news"] = only_news
    if values["part"] == "requests":
        values["rows"] = rows_of(record)
        values["bodies"] = [("The client's request", client_body(record))]
        values["bodies"] += [(f"Chat request {one['number']}", body_text(one["body"])) for one in record.rounds]
    elif values["part"] == "streams":
        values["streams"] = streams_of(record, round(view.took * 1000))
    else:
        values["talk"] = conversation_of(whole, shown_from, only_news=only_news)
    return values | ({"version": OVER} if view.is_over else {})
