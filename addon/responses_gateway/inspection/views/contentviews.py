"""The content views as mitmproxy's classes: thin shells around `views.py`."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Literal, NamedTuple

from mitmproxy import contentviews, http

from responses_gateway.inspection.recording.recorded_turn import RecordedTurn
from responses_gateway.inspection.views import views
from responses_gateway.security.terminal import lines

_EMPTY_LINES = re.compile(r"^$", re.MULTILINE)

type Render = Callable[[RecordedTurn], str]


class View(NamedTuple):
    name: str
    render: Render
    highlight: Literal["yaml", "none"]
    default_of: Literal["request", "response", None] = None
    """The side on which it is chosen when the user has chosen none."""


VIEWS = (
    View("Conversation", views.conversation, "none", "request"),
    View("Responses request", views.responses_request, "yaml"),
    View("Chat request", views.chat_request, "yaml"),
    View("Changes", views.changes, "none"),
    View("Answer", views.answer, "none", "response"),
    View("Responses events", views.responses_events, "yaml"),
    View("Upstream chunks", views.upstream_chunks, "yaml"),
)


class TurnView(contentviews.Contentview):
    """Shows one side of a turn, on whichever tab it is chosen."""

    def __init__(self, view: View) -> None:
        self._view = view

    @property
    def name(self) -> str:
        return self._view.name

    @property
    def syntax_highlight(self) -> contentviews.SyntaxHighlight:
        return self._view.highlight

    def prettify(self, data: bytes, metadata: contentviews.Metadata) -> str:
        record = _record(data, metadata)
        if record is None:
            raise ValueError("This flow is no turn of the gateway.")
        # mitmweb shows a line with nothing in it with no height.
        return _EMPTY_LINES.sub(" ", lines(self._view.render(record)))

    def render_priority(self, data: bytes, metadata: contentviews.Metadata) -> float:
        record = _record(data, metadata)
        if record is None or record.request is None or not isinstance(metadata.flow, http.HTTPFlow):
            return -1
        side = "request" if metadata.http_message is metadata.flow.request else "response"
        return 2 if self._view.default_of == side else 0


def _record(data: bytes, metadata: contentviews.Metadata) -> RecordedTurn | None:
    flow = metadata.flow
    record = RecordedTurn.of(flow.metadata) if isinstance(flow, http.HTTPFlow) else None
    if record is None or not isinstance(flow, http.HTTPFlow):
        return None
    if metadata.http_message is not flow.request or record.request is None:
        return record
    if any(data == one["body"] for one in record.rounds) or not flow.request.path.endswith("/responses"):
        return record
    # What the flow holds is the client's request, perhaps edited for a replay.
    return replace(record, request=data)


def register() -> None:
    """Add the views to mitmproxy's; does nothing when they are there already."""
    for view in VIEWS:
        if view.name.lower() not in contentviews.registry:
            contentviews.add(TurnView(view))
