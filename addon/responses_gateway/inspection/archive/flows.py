"""Makes documents of mitmproxy's flows, and flows of documents."""

from collections.abc import Iterable
from io import BytesIO
from typing import Any

from mitmproxy import http
from mitmproxy.io import FlowWriter, tnetstring

from responses_gateway.inspection.archive.document import Document
from responses_gateway.inspection.archive.rows import WholeTurn
from responses_gateway.inspection.recording.recorded_turn import RecordedTurn
from responses_gateway.inspection.recording.stream_capture import CapturedStream, content_of
from responses_gateway.inspection.recording.turn_recorder import EVENTS, KEYS, REQUEST, ROUNDS, TURN


def document_of(flow: http.HTTPFlow, *, streamed: bool = False) -> Document | None:
    """The turn in a flow, as it is at this moment; None when it is none, or its bytes were not kept.

    `streamed`: its response is known to be what the record has captured of its events.
    """
    record = RecordedTurn.of(flow.metadata)
    if record is None or record.request is None:
        return None
    rounds = [{**one, "chunks": _copied(one["chunks"])} for one in record.rounds]
    events = _copied(record.events) if record.events else None
    taken = RecordedTurn(dict(record.facts), record.request, rounds, events)
    return Document(flow.id, taken, _shell(flow, taken, streamed=streamed) if record.facts["ended"] >= 0 else b"")


def _copied(stream: CapturedStream) -> CapturedStream:
    return {**stream, "blocks": list(stream["blocks"]), "marks": list(stream["marks"])}


def _shell(flow: http.HTTPFlow, record: RecordedTurn, *, streamed: bool) -> bytes:
    """The flow's state, without what the record has."""
    metadata = flow.metadata
    flow.metadata = {name: value for name, value in metadata.items() if name not in KEYS}
    try:
        state: dict[str, Any] = flow.get_state()
    finally:
        flow.metadata = metadata
    state["backup"] = None
    if state["request"]["content"] == record.request:
        state["request"]["content"] = None
    response = state["response"]
    events = record.events
    if response is not None and events is not None and (streamed or response["content"] == content_of(events)):
        response["content"] = None
    packed: bytes = tnetstring.dumps(state)
    return packed


def write_flows(wholes: Iterable[WholeTurn]) -> bytes:
    """A file of flows for `mitmweb -r`; turns that are not over are left out."""
    file = BytesIO()
    writer = FlowWriter(file)
    for whole in wholes:
        if whole.shell:
            writer.add(flow_of(whole))
    return file.getvalue()


def flow_of(whole: WholeTurn) -> http.HTTPFlow:
    """The flow that a turn was in, as a saved flow gives it. Raises ValueError for a turn that is not over."""
    if not whole.shell:
        raise ValueError("the turn is not over")
    state: Any = tnetstring.loads(whole.shell)
    record = whole.record
    if state["request"]["content"] is None:
        state["request"]["content"] = record.request
    response = state["response"]
    if response is not None and response["content"] is None and record.events is not None:
        response["content"] = content_of(record.events)
    state["metadata"] |= {TURN: record.facts, REQUEST: record.request, ROUNDS: record.rounds, EVENTS: record.events}
    flow = http.HTTPFlow.from_state(state)
    assert isinstance(flow, http.HTTPFlow)  # noqa: S101 (its state says so)
    return flow
