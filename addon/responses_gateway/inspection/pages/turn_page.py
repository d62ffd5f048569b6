"""Serves one turn."""

from dataclasses import fields
from typing import Any

from responses_gateway.inspection.archive.rows import Turn
from responses_gateway.inspection.pages.handler import Page
from responses_gateway.inspection.pages.source import NotThereError, Reading


class TurnPage(Page):
    """`/sessions/ID/turns/TURN`."""

    async def get(self, session: str, turn: str) -> None:
        def view(reading: Reading) -> dict[str, Any]:
            whole = reading.archive.turn(turn)
            if whole is None or whole.turn.session != session:
                raise NotThereError
            return {"turn": whole.turn, "facts": facts_of(whole.turn)}

        await self.show("turn.html", view)


def facts_of(turn: Turn) -> list[tuple[str, Any]]:
    """Everything that the archive's columns tell of a turn, by name."""
    return [(field.name.replace("_", " "), getattr(turn, field.name)) for field in fields(turn)]
