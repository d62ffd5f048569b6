"""The Responses API over WebSocket, against the Open Responses text and as Codex uses it."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mitmproxy.http import HTTPFlow
from mitmproxy.io import FlowReader
from openai.types.responses import ResponsesServerEvent
from pydantic import TypeAdapter
from websockets.exceptions import InvalidStatus

from e2e.codex import LATEST, Codex
from e2e.environment import API_KEY
from e2e.gateway import GatewayProcess, StartGateway
from e2e.relay import Relay
from e2e.socket_client import Socket, open_socket, said
from upstream import CUT, Gate, Request, Responder, Script, chunk, error, reply, stream, text

SERVER_EVENT: TypeAdapter[Any] = TypeAdapter(ResponsesServerEvent)


@pytest.fixture
def socket(gateway: GatewayProcess) -> Iterator[Socket]:
    with open_socket(gateway.url) as opened:
        yield opened


def test_turn_has_the_events_of_a_stream(socket: Socket, script: Script) -> None:
    script.answer(reply(text="Hello there."))
    events = socket.turn(model=script.model, input="hi", store=False)
    for event in events:
        SERVER_EVENT.validate_python(event)
    kinds = [event["type"] for event in events]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert said(events) == "Hello there."
    assert script.request.headers["authorization"] == f"Bearer {API_KEY}"


def test_nested_form(socket: Socket, script: Script) -> None:
    script.answer(reply(text="Nested."))
    assert said(socket.turn(response={"model": script.model, "input": "hi", "store": False})) == "Nested."


def test_continues_without_store(socket: Socket, script: Script) -> None:
    script.answer(*(reply(text=f"Answer {number}.") for number in range(5)))
    previous = None
    for number in range(5):
        events = socket.turn(
            model=script.model, input=f"Question {number}.", store=False, previous_response_id=previous
        )
        assert said(events) == f"Answer {number}."
        assert {event["response"]["previous_response_id"] for event in events if "response" in event} == {previous}
        previous = events[-1]["response"]["id"]
    for earlier, later in zip(script.requests, script.requests[1:], strict=False):
        assert later.messages[: len(earlier.messages)] == earlier.messages
    contents = [message["content"] for message in script.requests[-1].messages]
    assert contents == [piece for number in range(4) for piece in (f"Question {number}.", f"Answer {number}.")] + [
        "Question 4."
    ]


def test_warm_up_generates_nothing(socket: Socket, script: Script) -> None:
    script.answer(reply(text="Now."))
    warm = socket.turn(
        model=script.model, instructions="Be brief.", input=[message("Background.")], generate=False, store=False
    )
    for event in warm:
        SERVER_EVENT.validate_python(event)
    assert [event["type"] for event in warm] == ["response.created", "response.in_progress", "response.completed"]
    assert warm[-1]["response"]["usage"]["total_tokens"] == 0
    assert script.requests == []
    events = socket.turn(
        model=script.model, input=[message("Go.")], store=False, previous_response_id=warm[-1]["response"]["id"]
    )
    assert said(events) == "Now."
    assert [one["content"] for one in script.request.messages] == ["Background.", "Go."]


def test_memory_ends_with_the_connection(gateway: GatewayProcess, script: Script) -> None:
    script.answer(reply(text="One."))
    with open_socket(gateway.url) as first:
        known = first.turn(model=script.model, input="hi", store=False)[-1]["response"]["id"]
    with open_socket(gateway.url) as second:
        [event] = second.turn(model=script.model, input="more", store=False, previous_response_id=known)
    SERVER_EVENT.validate_python(event)
    assert event["type"] == "error"
    assert event["error"]["code"] == "previous_response_not_found"
    assert 400 <= event["status"] < 500


def test_stored_responses_outlive_the_connection(gateway: GatewayProcess, script: Script) -> None:
    script.answer(*(reply(text=f"Answer {number}.") for number in range(3)))
    with open_socket(gateway.url) as first:
        warm = first.turn(model=script.model, input=[message("Background.")], generate=False)[-1]["response"]["id"]
        stored = first.turn(model=script.model, input="One.", previous_response_id=warm)[-1]["response"]["id"]
    with open_socket(gateway.url) as second:
        unstored = second.turn(model=script.model, input="Two.", store=False, previous_response_id=stored)
        going_on = unstored[-1]["response"]["id"]
        events = second.turn(model=script.model, input="Three.", store=False, previous_response_id=going_on)
    assert events[-1]["response"]["previous_response_id"] == going_on
    contents = [one["content"] for one in script.requests[-1].messages]
    assert contents == ["Background.", "One.", "Answer 0.", "Two.", "Answer 1.", "Three."]


def test_failed_continuation_is_forgotten(socket: Socket, script: Script) -> None:
    script.answer(reply(text="One."), error(400, "no", code="invalid_prompt"))
    known = socket.turn(model=script.model, input="hi", store=False)[-1]["response"]["id"]
    going_on = {"model": script.model, "input": "more", "store": False, "previous_response_id": known}
    [refused] = socket.turn(**going_on)
    assert (refused["status"], refused["error"]["code"]) == (400, "invalid_prompt")
    [forgotten] = socket.turn(**going_on)
    assert forgotten["error"]["code"] == "previous_response_not_found"


def test_one_turn_at_a_time(socket: Socket, script: Script) -> None:
    gate = Gate()
    script.answer(stream(text("Slow"), gate, text(" answer."), chunk(finish_reason="stop")))
    socket.send(type="response.create", model=script.model, input="hi", store=False)
    socket.until("response.output_text.delta")
    [refused] = socket.turn(model=script.model, input="second", store=False)
    assert (refused["type"], refused["status"]) == ("error", 400)
    assert refused["error"]["code"] == "response_already_in_flight"
    gate.open()
    assert said(socket.until("response.completed")) == "Slow answer."


def test_cancel(socket: Socket, script: Script) -> None:
    gate = Gate()
    script.answer(stream(text("Never"), gate), reply(text="Next."))
    socket.send(type="response.create", model=script.model, input="hi", store=False)
    socket.until("response.output_text.delta")
    socket.send(type="response.cancel")
    assert socket.receive()["response"]["status"] == "cancelled"
    assert script.requests[0].wait_ending().name == "CLIENT_LEFT"
    assert said(socket.turn(model=script.model, input="again", store=False)) == "Next."


@pytest.mark.parametrize(
    ("sent", "code", "param"),
    [
        ("{", "invalid_json", None),
        ("[]", "invalid_type", None),
        ("{}", "missing_required_parameter", "type"),
        ('{"type": "session.update"}', "invalid_value", "type"),
        ('{"type": "response.cancel"}', "response_not_in_progress", None),
        ('{"type": "response.create", "response": 1}', "invalid_type", "response"),
        ('{"type": "response.create", "background": true}', "unsupported_parameter", "background"),
        ('{"type": "response.create", "input": 1}', "invalid_value", "input"),
        ('{"type": "response.create", "input": "hi", "temperature": 7}', "invalid_value", "temperature"),
    ],
)
def test_errors_leave_the_connection_open(socket: Socket, sent: str, code: str, param: str | None) -> None:
    for _ in range(2):
        socket.connection.send(sent)
        event = socket.receive()
        SERVER_EVENT.validate_python(event)
        assert (event["type"], event["status"]) == ("error", 400)
        assert (event["error"]["code"], event["error"]["param"]) == (code, param)


def test_messages_are_not_compressed_whatever_the_client_offers(gateway: GatewayProcess, script: Script) -> None:
    script.answer(reply(text="word " * 2000))
    with open_socket(gateway.url) as socket:
        assert socket.connection.response is not None
        assert "permessage-deflate" in socket.connection.request.headers["sec-websocket-extensions"]
        # A few hundred kilobytes of it can stand for gigabytes, and mitmproxy unpacks them before anybody can count.
        assert "sec-websocket-extensions" not in socket.connection.response.headers
        assert socket.connection.ping().wait(20)
        assert said(socket.turn(model=script.model, input="hi", store=False)).startswith("word word")


def test_upstream_that_breaks_off(socket: Socket, script: Script) -> None:
    script.answer(stream(text("Half"), CUT), reply(text="Whole."))
    assert socket.turn(model=script.model, input="hi", store=False)[-1]["type"] == "response.failed"
    assert said(socket.turn(model=script.model, input="hi", store=False)) == "Whole."


def test_client_that_leaves_stops_the_upstream(gateway: GatewayProcess, script: Script) -> None:
    script.answer(stream(text("Never"), Gate()))
    with open_socket(gateway.url) as socket:
        socket.send(type="response.create", model=script.model, input="hi", store=False)
        socket.until("response.output_text.delta")
    assert script.requests[0].wait_ending().name == "CLIENT_LEFT"


def test_disabled(start_gateway: StartGateway) -> None:
    gateway = start_gateway({"gateway_websocket": "false"})
    with pytest.raises(InvalidStatus) as refused, open_socket(gateway.url):
        pass
    assert refused.value.response.status_code == 426


def test_hundred_sockets_ten_turns(gateway: GatewayProcess, script: Script) -> None:
    script.always(lambda request: reply(text=f"{len(request.messages)} messages."))
    faults: list[str] = []

    def talk() -> None:
        with open_socket(gateway.url, compression=None) as socket:
            previous = None
            for number in range(10):
                events = socket.turn(model=script.model, input="hi", store=False, previous_response_id=previous)
                previous = events[-1].get("response", {}).get("id")
                if events[-1]["type"] != "response.completed" or said(events) != f"{2 * number + 1} messages.":
                    faults.append(json.dumps(events[-1]))

    threads = [threading.Thread(target=talk) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    assert len(script.requests) == 1000


def test_messages_are_saved_with_the_flow_and_keys_are_not(
    start_gateway: StartGateway, script: Script, tmp_path: Path
) -> None:
    saved = tmp_path / "flows"
    gateway = start_gateway(arguments=("-w", str(saved)))
    script.answer(reply(text="Seen."))
    with open_socket(gateway.url, headers={"x-api-key": "secret-key", "cookie": "secret=1"}) as socket:
        socket.turn(model=script.model, input="hi", store=False)
    gateway.wait_log("client disconnect")
    gateway.stop()
    with saved.open("rb") as file:
        flows = [flow for flow in FlowReader(file).stream() if isinstance(flow, HTTPFlow)]
    [upgrade] = [flow for flow in flows if flow.websocket is not None]
    [turn] = [flow for flow in flows if flow.websocket is None]
    assert turn.response is not None
    assert b"Seen." in (turn.response.content or b"")
    assert (upgrade.request.path, upgrade.comment) == ("/v1/responses", "GET /v1/responses")
    kinds = [json.loads(message.content)["type"] for message in upgrade.websocket.messages]
    assert (kinds[0], kinds[-1]) == ("response.create", "response.completed")
    assert not any(secret in str(upgrade.get_state()) for secret in (API_KEY, "secret-key", "secret=1"))


def test_shutting_down_ends_the_turn(start_gateway: StartGateway, script: Script) -> None:
    gateway = start_gateway()
    script.answer(stream(text("Never"), Gate()))
    with open_socket(gateway.url) as socket:
        socket.send(type="response.create", model=script.model, input="hi", store=False)
        socket.until("response.output_text.delta")
        gateway.stop()
        assert socket.until("response.failed")[-1]["response"]["status"] == "failed"


@pytest.fixture
def socket_codex(codex: Codex) -> Codex:
    codex.configure_provider("supports_websockets = true")
    return codex


def test_codex_text(socket_codex: Codex, script: Script, gateway: GatewayProcess) -> None:
    script.answer(reply(text="Over the socket.", prompt=120, completion=7, cached=64))
    run = socket_codex.exec("say hi", script.model).succeeded()
    assert run.messages == ["Over the socket."]
    assert (run.usage["input_tokens"], run.usage["cached_input_tokens"]) == (120, 64)
    assert script.request.text("user") == "say hi"
    assert script.request.headers["authorization"] == f"Bearer {API_KEY}"
    assert "Falling back" not in run.stderr


def test_codex_tool_loop(socket_codex: Codex, script: Script) -> None:
    script.answer(
        reply(
            text="I will look.", calls=[socket_codex.shell("echo one", "call_a"), socket_codex.shell("echo two", "b")]
        ),
        reply(calls=[socket_codex.shell("echo three", "call_c")]),
        reply(text="Done."),
    )
    run = socket_codex.exec("run three commands", script.model).succeeded()
    assert run.messages == ["I will look.", "Done."]
    assert len(run.items("command_execution")) == 3
    for earlier, later in zip(script.requests, script.requests[1:], strict=False):
        assert later.messages[: len(earlier.messages)] == earlier.messages


def test_codex_five_turns(socket_codex: Codex, script: Script) -> None:
    script.answer(*(reply(text=f"Turn {number}.") for number in range(5)))
    run = socket_codex.exec("Start.", script.model).succeeded()
    for number in range(1, 5):
        run = socket_codex.exec(f"Go on {number}.", script.model, resume=run.thread_id).succeeded()
        assert run.messages == [f"Turn {number}."]
    for earlier, later in zip(script.requests, script.requests[1:], strict=False):
        assert later.messages[: len(earlier.messages)] == earlier.messages


def test_codex_with_openai_base_url(gateway: GatewayProcess, script: Script, codex: Codex) -> None:
    """The built-in provider speaks WebSocket by itself."""
    script.answer(reply(text="Over the socket."))
    options = ("-c", 'model_provider="openai"', "-c", f'openai_base_url="{gateway.url}/v1"')
    run = codex.exec("say hi", script.model, *options)
    assert run.exit_code == 0, f"{run}"
    assert run.messages == ["Over the socket."]


RETRIES = ("-c", "model_providers.gateway.stream_max_retries=3")


def test_codex_goes_on_after_a_failed_response(socket_codex: Codex, script: Script) -> None:
    calling = reply(calls=[socket_codex.shell("echo one")])
    script.answer(calling, stream(text("Half an ans"), CUT), reply(text="After all."))
    run = socket_codex.exec("run a command", script.model, *RETRIES)
    assert run.exit_code == 0, f"{run}"
    assert run.messages[-1] == "After all."
    assert "one" in script.requests[-1].tool_result("call_1")


def test_codex_goes_on_after_a_dropped_socket(gateway: GatewayProcess, script: Script, tmp_path: Path) -> None:
    with Relay(gateway.port) as relay:
        codex = Codex(LATEST, relay.url, tmp_path / "codex")
        codex.configure_provider("supports_websockets = true")

        def drop(request: Request) -> Responder:
            relay.cut()
            return reply(text="Nobody hears this.")

        script.answer(reply(calls=[codex.shell("echo one")]), drop, reply(text="After all."))
        run = codex.exec("run a command", script.model, *RETRIES)
    assert run.exit_code == 0, f"{run}"
    assert run.messages[-1] == "After all."
    assert "one" in script.requests[-1].tool_result("call_1")
    assert "Falling back" not in run.stderr


def message(content: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": content}
