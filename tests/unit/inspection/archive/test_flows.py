"""Flows of mitmproxy go into the archive and come back, and leave mitmweb's list in the right order."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import flow as mitmproxy_flow
from mitmproxy import http
from mitmproxy.test import tflow

from responses_gateway.inspection.archive import flow_list_limit
from responses_gateway.inspection.archive.document import Document
from responses_gateway.inspection.archive.flow_list_limit import FlowListLimit
from responses_gateway.inspection.archive.flows import document_of, flow_of, write_flows
from responses_gateway.inspection.recording.recorded_turn import RecordedTurn
from responses_gateway.inspection.recording.stream_capture import content_of
from unit.inspection.archive.turns import Kept
from unit.inspection.turns import ANSWER, Gateway


def flow_that_is_over() -> http.HTTPFlow:
    flow = tflow.tflow(resp=True)
    flow.live = False
    return flow


def flow_with_a_turn() -> http.HTTPFlow:
    flow = flow_that_is_over()
    flow.metadata |= Gateway().turn({"input": "hi"}, ANSWER)
    record = RecordedTurn.of(flow.metadata)
    assert record is not None
    assert flow.response is not None
    flow.request.content = record.request
    flow.response.content = content_of(record.events)
    flow.comment = "a comment"
    flow.metadata["other"] = "addon"
    return flow


@pytest.mark.parametrize("edit", ["nothing", "request", "response", "no response"])
def test_a_flow_comes_back_as_it_was(tmp_path: Path, edit: str) -> None:
    flow = flow_with_a_turn()
    assert flow.response is not None
    match edit:
        case "request":
            flow.request.content = b"edited"
        case "response":
            flow.response.content = b"edited"
        case "no response":
            flow.response = None
    document = document_of(flow)
    assert document is not None
    assert len(document.shell) < 5000
    kept = Kept(tmp_path / "a.sqlite3")
    kept.put(document)
    whole = kept.archive().turn(document.id)
    assert whole is not None
    back = flow_of(whole)
    state, expected = back.get_state(), flow.get_state()
    assert state.pop("metadata").keys() == expected.pop("metadata").keys()
    assert state == expected
    assert write_flows([whole])


def test_other_flows_are_no_documents() -> None:
    assert document_of(tflow.tflow(resp=True)) is None


def test_a_document_does_not_change_with_its_flow() -> None:
    flow = flow_with_a_turn()
    document = document_of(flow)
    assert document is not None
    flow.metadata["gateway.turn"]["status"] = "other"
    flow.metadata["gateway.events"]["blocks"].clear()
    assert document.record.facts["status"] == "completed"
    assert document.record.events is not None
    assert document.record.events["blocks"]


class View:
    """As much of mitmproxy's list as is needed."""

    def __init__(self) -> None:
        self.flows: list[mitmproxy_flow.Flow] = []

    def resolve(self, flow_spec: str) -> Sequence[mitmproxy_flow.Flow]:
        return list(self.flows)

    def remove(self, flows: Sequence[mitmproxy_flow.Flow]) -> None:
        for one in flows:
            self.flows.remove(one)


@pytest.fixture
def view(monkeypatch: pytest.MonkeyPatch) -> Iterator[View]:
    monkeypatch.setattr(flow_list_limit, "DELAY", 0)
    return View()


def passed(view: View, kept: FlowListLimit, count: int, **state: Any) -> list[http.HTTPFlow]:
    """Turns that passed, are over and archived."""
    flows = []
    for _ in range(count):
        flow = flow_with_a_turn()
        for name, value in state.items():
            setattr(flow, name, value)
        view.flows.append(flow)
        kept.ended(flow, document_of(flow))
        kept.archived(flow)
        flows.append(flow)
    return flows


def settled(count: int, size: int, view: View, fill: Any) -> list[mitmproxy_flow.Flow]:
    """What stays in the list."""

    async def run() -> None:
        kept = FlowListLimit(view, count, size)
        fill(kept)
        while kept._timer is not None:  # noqa: ASYNC110 (there is nothing else to wait for)
            await asyncio.sleep(0)

    asyncio.run(run())
    return view.flows


def test_the_oldest_leave_and_marked_ones_last(view: View) -> None:
    flows: list[http.HTTPFlow] = []

    def fill(kept: FlowListLimit) -> None:
        flows.extend(passed(view, kept, 1, marked=":star:"))
        flows.extend(passed(view, kept, 3, marked=":x:"))
        flows.extend(passed(view, kept, 2))

    assert settled(3, 1 << 30, view, fill) == [flows[0], flows[4], flows[5]]


def test_marked_ones_leave_when_there_are_no_others(view: View) -> None:
    assert len(settled(2, 1 << 30, view, lambda kept: passed(view, kept, 5, marked=":star:"))) == 2


def test_bytes_count(view: View) -> None:
    flow = flow_with_a_turn()
    document = document_of(flow)
    assert document is not None
    assert flow.response is not None
    size = document.size + len(flow.response.content or b"")
    assert len(settled(100, 3 * size, view, lambda kept: passed(view, kept, 9))) == 3


def test_what_runs_was_loaded_or_is_not_archived_stays(view: View) -> None:
    live = tflow.tflow()
    live.live = True
    loaded, lost = flow_with_a_turn(), flow_with_a_turn()

    def fill(kept: FlowListLimit) -> None:
        view.flows += [live, loaded, lost]
        kept.ended(lost, Document("f", RecordedTurn({}, b"", [], None), b""))
        passed(view, kept, 4)

    assert settled(1, 1 << 30, view, fill) == [live, loaded, lost]


def test_flows_that_are_no_turns_leave_too(view: View) -> None:
    def fill(kept: FlowListLimit) -> None:
        for _ in range(5):
            flow = flow_that_is_over()
            view.flows.append(flow)
            kept.ended(flow, None)

    assert len(settled(2, 1 << 30, view, fill)) == 2
