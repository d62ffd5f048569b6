"""Turns rows of the archive into what the list of sessions shows."""

from dataclasses import dataclass

from responses_gateway.inspection.archive.reader import Archive
from responses_gateway.inspection.archive.rows import Hit, Session, Values
from responses_gateway.inspection.pages.filtering import Choice
from responses_gateway.inspection.pages.formats import share
from responses_gateway.inspection.pages.totals import Totals, totals_of

PER_PAGE = 50
HITS = 20
"""Places that are shown of those where words were found."""

_MODELS = 3
"""Models that are named in a row."""


@dataclass(frozen=True, slots=True)
class Row:
    """One session of the list."""

    session: Session
    took: float
    """Seconds from its first turn to its last, or until now."""

    models: str
    all_models: str
    agents: int
    cache_share: str

    @classmethod
    def of(cls, session: Session, now: float) -> "Row":
        more = len(session.models) - _MODELS
        models = ", ".join(session.models[:_MODELS]) + (f" +{more}" if more > 0 else "")
        took = (now if session.running else session.ended) - session.began
        cached = share(session.cached_tokens, session.input_tokens)
        return cls(session, max(0.0, took), models, ", ".join(session.models), session.threads - 1, cached)


@dataclass(frozen=True, slots=True)
class SessionsView:
    """The list, and what it adds up to."""

    choice: Choice
    values: Values
    rows: list[Row]
    totals: Totals
    hits: list[Hit]
    has_more: bool


def sessions_view(archive: Archive, choice: Choice, now: float) -> SessionsView:
    """Read what the page shows. Raises ArchiveError."""
    which = choice.filter
    sessions = archive.sessions(which, limit=PER_PAGE + 1, offset=PER_PAGE * (choice.page - 1))
    return SessionsView(
        choice,
        archive.values(),
        [Row.of(session, now) for session in sessions[:PER_PAGE]],
        totals_of(archive.totals(which)),
        archive.search(choice.q, which, limit=HITS) if choice.q else [],
        len(sessions) > PER_PAGE,
    )
