"""Responses that are steered, and lanes, with openai-python's own connection; every event is valid by its types."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openai import DefaultHttpxClient, OpenAI
from openai.types.responses import ResponsesServerEvent
from pydantic import TypeAdapter

from e2e.environment import API_KEY
from e2e.gateway import GatewayProcess
from upstream import Gate, Script, call, chunk, error, reasoning, reply, stream, text

SERVER_EVENT: TypeAdapter[Any] = TypeAdapter(ResponsesServerEvent)
RUN = {"type": "function", "name": "run", "parameters": {"type": "object", "properties": {"cmd": {"type": "string"}}}}
ENDS = ("response.completed", "response.incomplete", "response.failed")


class Connection:
    """`client.responses.connect()`, with what came over it."""

    def __init__(self, connection: Any, model: str) -> None:
        self._connection = connection
        self._model = model
        self.events: list[Any] = []

    def create(self, **fields: Any) -> None:
        self._connection.response.create(**{"model": self._model, "input": "hi", "store": False, **fields})

    def steer(self, target: str, given: Any = "Shorter.") -> None:
        self._connection.response.steer(previous_response_id=target, input=given)

    def until(self, *kinds: str) -> Any:
        """The first event of these types."""
        while True:
            event = SERVER_EVENT.validate_python(json.loads(self._connection.recv_bytes()))
            self.events.append(event)
            if event.type in kinds:
                return event


@pytest.fixture
def connection(gateway: GatewayProcess, script: Script) -> Iterator[Connection]:
    http = DefaultHttpxClient(trust_env=False)
    client = OpenAI(api_key=API_KEY, base_url=f"{gateway.url}/v1", http_client=http)
    with client.responses.connect(websocket_connection_options={"proxy": None}) as connection:
        yield Connection(connection, script.model)


def contents(script: Script) -> list[Any]:
    return [message["content"] for message in script.requests[-1].messages]


def test_a_running_answer_is_steered(connection: Connection, script: Script, gateway: GatewayProcess) -> None:
    gate = Gate()
    script.answer(
        stream(*reasoning("Long", " thought."), gate, text("Never said."), Gate()),
        reply(text="Short."),
        reply(text="More."),
    )
    connection.create(input="Tell a story.", store=True)
    first = connection.until("response.created").response
    connection.until("response.reasoning_summary_text.delta")
    connection.steer(first.id)
    accepted = connection.until("response.steer.accepted")
    assert accepted.steer.previous_response_id == first.id
    gate.open()
    steered = connection.until(*ENDS).response
    assert (steered.status, steered.incomplete_details.reason) == ("incomplete", "steered")
    assert [item.type for item in steered.output] == ["reasoning"]
    assert script.requests[0].wait_ending().name == "CLIENT_LEFT"
    successor = connection.until(*ENDS).response
    assert (successor.output_text, successor.previous_response_id) == ("Short.", first.id)
    assert contents(script) == ["Tell a story.", "Shorter."]
    numbers = [event.sequence_number for event in connection.events]
    start = next(at for at, event in enumerate(connection.events) if at and event.type == "response.created")
    assert numbers == [*range(start), *range(len(numbers) - start)]
    client = OpenAI(api_key=API_KEY, base_url=f"{gateway.url}/v1", http_client=DefaultHttpxClient(trust_env=False))
    assert client.responses.retrieve(first.id).incomplete_details == steered.incomplete_details
    client.responses.create(model=script.model, input="And?", previous_response_id=successor.id)
    assert contents(script) == ["Tell a story.", "Shorter.", "Short.", "And?"]


def test_steering_waits_for_the_results_of_calls(connection: Connection, script: Script) -> None:
    gate = Gate()
    script.answer(
        stream(*call("run", {"cmd": "a"}).chunks(0), gate, chunk(finish_reason="tool_calls")), reply(text="Ok.")
    )
    connection.create(tools=[RUN])
    target = connection.until("response.created").response.id
    connection.until("response.function_call_arguments.delta")
    connection.steer(target)
    connection.until("response.steer.accepted")
    gate.open()
    connection.until("response.completed")
    [stub] = connection.until("response.steer.pending").required_input
    result = {**stub.model_dump(), "output": "done"}
    connection.create(tools=[RUN], input=[result], previous_response_id=target)
    assert connection.until(*ENDS).response.output_text == "Ok."
    roles = [(message["role"], message["content"]) for message in script.requests[-1].messages]
    assert roles == [("user", "hi"), ("assistant", None), ("tool", "done"), ("user", "Shorter.")]


def test_steering_is_given_back(connection: Connection, script: Script) -> None:
    gate = Gate()
    script.answer(
        stream(text("Half"), gate, text("."), chunk(finish_reason="stop")), error(400, "no", code="invalid_prompt")
    )
    connection.create()
    target = connection.until("response.created").response.id
    connection.steer(target)
    connection.until("response.steer.accepted")
    gate.open()
    assert connection.until(*ENDS).type == "response.completed"
    failed = connection.until("response.steer.failed")
    assert (failed.error.code, failed.steer.input) == ("successor_creation_failed", "Shorter.")
    connection.steer(target)
    assert connection.until("response.steer.failed").error.code == "response_already_completed"


def test_lanes_run_side_by_side(connection: Connection, script: Script) -> None:
    gate = Gate()
    script.answer(stream(text("Slow"), gate, text("."), chunk(finish_reason="stop")), reply(text="Fast."))
    connection.create(stream_id="slow")
    connection.until("response.output_text.delta")
    connection.create(stream_id="fast")
    fast = connection.until(*ENDS)
    assert (fast.stream_id, fast.response.output_text) == ("fast", "Fast.")
    gate.open()
    slow = connection.until(*ENDS)
    assert (slow.stream_id, slow.response.output_text) == ("slow", "Slow.")


def test_nothing_is_generated_to_prepare(connection: Connection, script: Script, gateway: GatewayProcess) -> None:
    client = OpenAI(api_key=API_KEY, base_url=f"{gateway.url}/v1", http_client=DefaultHttpxClient(trust_env=False))
    script.answer(reply(text="Now."))
    fields: dict[str, Any] = {"model": script.model, "input": "Background."}
    prepared = client.responses.create(**fields, prompt_cache_options={"prewarm": True})
    streamed = list(client.responses.create(**fields, extra_body={"generate": False}, stream=True))
    connection.create(input="Background.", prompt_cache_options={"prewarm": True})
    over_socket = connection.until(*ENDS)
    for response in (prepared, streamed[-1].response, over_socket.response):
        assert (response.status, response.output, response.usage.total_tokens) == ("completed", [], 0)
    assert script.requests == []
    client.responses.create(model=script.model, input="Go.", previous_response_id=prepared.id)
    assert contents(script) == ["Background.", "Go."]
