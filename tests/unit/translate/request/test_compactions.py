"""Compaction: what the upstream is asked, what the client gets, and what becomes of that in the next request."""

import json
from typing import Any

import pytest

from responses_gateway.protocol.errors import GatewayError
from unit.exchanges import DONE, events, exchange, frame
from unit.machine import RUN, delta

Json = dict[str, Any]
TRIGGER: Json = {"type": "compaction_trigger"}
HISTORY: list[Json] = [
    {"role": "user", "content": "Build it."},
    {"role": "assistant", "content": "Built."},
]


def compacted(*chunks: Json, **fields: Any) -> list[Json]:
    """The events of a compaction that the upstream answers with these chunks."""
    made = exchange(input=[*HISTORY, TRIGGER], **fields)
    made.begin({})
    sent = b"".join(made.feed(frame(chunk)) for chunk in chunks) + made.feed(DONE) + made.close()
    return events(sent)


def test_the_upstream_is_asked_for_a_summary_behind_the_same_start() -> None:
    asked = exchange(input=[*HISTORY, TRIGGER], tools=[RUN], text={"format": {"type": "json_object"}})
    plain = exchange(input=HISTORY, tools=[RUN])
    messages = asked.upstream_request.body["messages"]
    assert messages[:-1] == plain.upstream_request.body["messages"]
    assert messages[-1]["role"] == "user"
    assert "handoff" in messages[-1]["content"]
    assert asked.upstream_request.body["tools"] == plain.upstream_request.body["tools"]
    assert asked.upstream_request.body["tool_choice"] == "none"
    assert "response_format" not in asked.upstream_request.body


def test_without_tools_there_is_nothing_to_forbid() -> None:
    assert "tool_choice" not in exchange(input=[*HISTORY, TRIGGER]).upstream_request.body


def test_the_client_gets_one_item_in_place_of_the_text() -> None:
    found = compacted(delta(reasoning_content="hm"), delta(content="All "), delta(content="done."), delta("stop"))
    assert [event["type"] for event in found] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event["sequence_number"] for event in found] == [0, 1, 2, 3, 4]
    added, done, end = found[2:]
    assert added["output_index"] == done["output_index"] == 0
    assert added["item"] == done["item"] == end["response"]["output"][0]
    assert len(end["response"]["output"]) == 1
    assert end["response"]["status"] == "completed"
    assert done["item"]["type"] == "compaction"
    assert done["item"]["id"].startswith("cmp")
    assert "All done." not in json.dumps(found)


def test_the_next_request_reads_the_summary() -> None:
    [item] = compacted(delta(content="All done."), delta("stop"))[-1]["response"]["output"]
    after = exchange(input=[item, {"role": "user", "content": "Go on."}])
    text = json.dumps(after.upstream_request.body["messages"])
    assert "The earlier conversation was compacted" in text
    assert "All done." in text
    assert not after.ledger.entries


def test_a_summary_that_a_limit_cut_off_is_better_than_none() -> None:
    end = compacted(delta(content="Half"), delta("length"))[-1]
    assert end["type"] == "response.completed"
    assert end["response"]["status"] == "completed"
    assert end["response"]["incomplete_details"] is None


def test_without_a_summary_the_compaction_fails() -> None:
    end = compacted(delta(refusal="No."), delta("stop"))[-1]
    assert end["type"] == "response.failed"
    assert end["response"]["status"] == "failed"
    assert end["response"]["output"] == []
    assert end["response"]["completed_at"] is None
    assert end["response"]["error"]["code"] == "server_error"
    assert "no summary" in end["response"]["error"]["message"]


def test_a_failure_shows_nothing_of_the_text() -> None:
    made = exchange(input=[*HISTORY, TRIGGER])
    made.begin({})
    sent = made.feed(frame(delta(content="All do"))) + made.cut(GatewayError("It broke.", 502, "server_error"))
    end = events(sent)[-1]
    assert end["type"] == "response.failed"
    assert end["response"]["output"] == []
    assert end["response"]["error"]["message"] == "It broke."


@pytest.mark.parametrize("envelope", ["of another service", "rgw1:e30=", None])
def test_what_cannot_be_read_is_a_note(envelope: str | None) -> None:
    item = {"type": "compaction", "id": "cmp_1", "encrypted_content": envelope}
    made = exchange(input=[item, {"role": "user", "content": "Go on."}])
    assert "cannot be read here" in json.dumps(made.upstream_request.body["messages"])
    assert [str(entry).partition(":")[0] for entry in made.ledger.entries] == ["changed input.compaction"]
