"""The stream on the wire: live, ended well whatever the upstream does, and given up when the client leaves."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from typing import Any

import pytest

from e2e.gateway import GatewayProcess
from upstream import CUT, RESET, Ending, Gate, Script, call_piece, chunk, done, finish, stream, text, usage
from upstream.answers import Cut, event

Event = dict[str, Any]


@contextmanager
def open_stream(gateway: GatewayProcess, model: str, **parameters: Any) -> Iterator[HTTPResponse]:
    """A streaming request; leaving the block closes the connection."""
    connection = HTTPConnection("127.0.0.1", gateway.port, timeout=60)
    body = json.dumps({"model": model, "input": "hi", "stream": True, **parameters})
    try:
        connection.request("POST", "/v1/responses", body, {"content-type": "application/json"})
        response = connection.getresponse()
        assert response.status == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        yield response
    finally:
        connection.close()


def events(response: HTTPResponse) -> Iterator[Event]:
    """Events as they arrive; ends with the stream."""
    for line in response:
        if line.startswith(b"data: ") and line != b"data: [DONE]\n":
            yield json.loads(line.removeprefix(b"data: "))


def until(response: Iterator[Event], kind: str) -> Event:
    return next(event for event in response if event["type"] == kind)


def ends(received: list[Event]) -> list[Event]:
    kinds = ("response.completed", "response.incomplete", "response.failed")
    return [one for one in received if one["type"] in kinds]


def test_deltas_arrive_while_the_upstream_still_writes(gateway: GatewayProcess, script: Script) -> None:
    first, second = Gate(), Gate()
    script.answer(stream(text("one"), first, text(" two"), second, finish(), usage(), done()))
    with open_stream(gateway, script.model) as response:
        received = events(response)
        assert until(received, "response.output_text.delta")["delta"] == "one"
        first.open()
        assert until(received, "response.output_text.delta")["delta"] == " two"
        second.open()
        assert until(received, "response.completed")["response"]["output"][0]["content"][0]["text"] == "one two"
        assert list(received) == []


def test_bytes_split_anywhere(gateway: GatewayProcess, script: Script) -> None:
    whole = event(text("grüße 🙂")[0]) + event(finish()) + event(usage()) + done()
    script.answer(stream([whole[at : at + 1] for at in range(len(whole))]))
    with open_stream(gateway, script.model) as response:
        received = list(events(response))
    assert ends(received)[0]["response"]["output"][0]["content"][0]["text"] == "grüße 🙂"


def test_client_that_leaves(gateway: GatewayProcess, script: Script) -> None:
    never = Gate()
    script.answer(stream(text("one"), never))
    with open_stream(gateway, script.model) as response:
        until(events(response), "response.output_text.delta")
    assert script.request.wait_ending() is Ending.CLIENT_LEFT


@pytest.mark.parametrize("cut", [CUT, RESET], ids=["fin", "rst"])
def test_upstream_that_breaks_off(gateway: GatewayProcess, script: Script, cut: Cut) -> None:
    gate = Gate()
    script.answer(stream(text("half an"), gate, cut))
    with open_stream(gateway, script.model) as response:
        received = events(response)
        seen = [until(received, "response.output_text.delta")]
        gate.open()
        seen += received
    [end] = ends(seen)
    assert end is seen[-1]
    assert end["type"] == "response.failed"
    assert end["response"]["error"]["message"]


def test_error_within_the_stream(gateway: GatewayProcess, script: Script) -> None:
    script.answer(stream(text("half an"), {"error": {"message": "the model fell over", "code": 500}}, done()))
    with open_stream(gateway, script.model) as response:
        received = list(events(response))
    [end] = ends(received)
    assert end["type"] == "response.failed"
    assert "the model fell over" in end["response"]["error"]["message"]


def test_stream_that_ends_without_saying_so(gateway: GatewayProcess, script: Script) -> None:
    script.answer(stream(text("half an")))
    with open_stream(gateway, script.model) as response:
        received = list(events(response))
    [end] = ends(received)
    assert end["type"] != "response.completed"


def test_unreadable_chunks(gateway: GatewayProcess, script: Script) -> None:
    script.answer(stream(b": comment\n\n", b"data: {broken\n\n", text("fine"), finish(), done()))
    with open_stream(gateway, script.model) as response:
        received = list(events(response))
    [end] = ends(received)
    assert received[-1] is end


def test_calls_whose_pieces_are_mixed(gateway: GatewayProcess, script: Script) -> None:
    heads = [
        {"index": index, "id": f"call_{index}", "type": "function", "function": {"name": "look", "arguments": ""}}
        for index in range(2)
    ]
    mixed = [call_piece(0, '{"at"'), call_piece(1, '{"at"'), call_piece(0, ": 0}"), call_piece(1, ": 1}")]
    script.answer(stream(chunk({"tool_calls": heads}), mixed, finish("tool_calls"), done()))
    look = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {"at": {}}}}
    with open_stream(gateway, script.model, tools=[look]) as response:
        received = list(events(response))
    done_items = [one["item"] for one in received if one["type"] == "response.output_item.done"]
    assert [(one["call_id"], json.loads(one["arguments"])) for one in done_items] == [
        ("call_0", {"at": 0}),
        ("call_1", {"at": 1}),
    ]
    order = [(one["type"], one["output_index"]) for one in received if "output_index" in one]
    assert [index for _, index in order] == sorted(index for _, index in order)


def test_upstream_headers_that_mislead_are_not_passed_on(gateway: GatewayProcess, script: Script) -> None:
    headers = {"openai-model": "another", "x-models-etag": "1", "set-cookie": "a=b"}
    script.answer(stream(text("hi"), finish(), done(), headers=headers))
    with open_stream(gateway, script.model) as response:
        assert not [name for name in headers if name in response.headers]
        assert ends(list(events(response)))
