"""The store between processes: a crash, a restart, two gateways on one store, and the choice of a store."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from openai import APIConnectionError, APIError, BadRequestError, DefaultHttpxClient, NotFoundError, OpenAI

from e2e.gateway import GatewayProcess, StartGateway
from upstream import Gate, Script, chunk, done, finish, reply, stream, usage
from upstream.request import Request


def connect(gateway: GatewayProcess) -> OpenAI:
    http = DefaultHttpxClient(trust_env=False)
    return OpenAI(api_key="sk-one", base_url=f"{gateway.url}/v1", timeout=30, max_retries=0, http_client=http)


def shared_store(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> dict[str, str]:
    """Options of gateways that share a store."""
    if kind == "sqlite":
        return {"gateway_store_path": str(tmp_path / "store")}
    return {"gateway_store": request.getfixturevalue("redis_server").url}


def test_a_crash_loses_at_most_the_turns_in_flight(start_gateway: StartGateway, script: Script, tmp_path: Path) -> None:
    options = {"gateway_store_path": str(tmp_path / "store")}
    gateway = start_gateway(options)
    gates: list[Gate] = []

    def answer(request: Request) -> object:
        if request.text("user").endswith("0"):
            gates.append(Gate())
            return stream(chunk({"content": "Half"}), gates[-1], finish(), usage(), done())
        return reply(text="Whole answer.")

    script.always(answer)  # type: ignore[arg-type]
    completed: list[str] = []
    begun: list[str] = []

    def ask(number: int) -> None:
        with suppress(APIError), connect(gateway) as client:
            for event in client.responses.create(model=script.model, input=f"Turn {number}", stream=True):
                if event.type == "response.created":
                    begun.append(event.response.id)
                if event.type == "response.completed":
                    completed.append(event.response.id)

    with ThreadPoolExecutor(50) as pool:
        turns = [pool.submit(ask, number) for number in range(100)]
        while len(completed) < 45:
            if not any(turn.running() for turn in turns):
                break
        os.kill(gateway.pid, signal.SIGKILL)
        for gate in gates:
            gate.open()
        for turn in turns:
            with suppress(APIConnectionError, Exception):
                turn.result(30)
    assert len(completed) >= 45
    again = start_gateway(options)
    with connect(again) as client:
        for response_id in completed:
            found = client.responses.retrieve(response_id)
            assert found.status == "completed"
            assert found.output_text == "Whole answer."
            assert [event.type for event in client.responses.retrieve(response_id, stream=True)][-1] == (
                "response.completed"
            )
        for response_id in set(begun) - set(completed):
            with suppress(NotFoundError):
                assert client.responses.retrieve(response_id).status == "completed"


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_a_chain_goes_on_at_another_gateway(
    start_gateway: StartGateway, script: Script, tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    options = shared_store(kind, tmp_path, request)
    one, other = start_gateway(options), start_gateway(options)
    script.answer(*(reply(text=f"Answer {number}.") for number in range(6)))
    previous = None
    for turn in range(6):
        with connect(one if turn % 2 == 0 else other) as client:
            response = client.responses.create(model=script.model, input=f"Turn {turn}.", previous_response_id=previous)
            previous = response.id
    assert len(script.requests[-1].messages) == 11
    with connect(one) as client:
        assert client.responses.retrieve(previous or "").output_text == "Answer 5."


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_a_background_response_is_followed_and_cancelled_at_another_gateway(
    start_gateway: StartGateway, script: Script, tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    options = shared_store(kind, tmp_path, request)
    one, other = start_gateway(options), start_gateway(options)
    gate, never = Gate(), Gate()
    script.answer(
        stream(chunk({"content": "One"}), gate, chunk({"content": " two."}), finish(), usage(), done()),
        stream(chunk({"content": "One"}), never),
    )
    with connect(one) as client, connect(other) as second:
        queued = client.responses.create(model=script.model, input="Count.", background=True)
        with second.responses.retrieve(queued.id, stream=True) as followed:
            events = []
            for event in followed:
                events.append(event)
                if event.type == "response.output_text.delta" and event.delta == "One":
                    assert second.responses.retrieve(queued.id).status == "in_progress"
                    gate.open()
        assert events[-1].type == "response.completed"
        assert [event.sequence_number for event in events] == list(range(len(events)))
        later = list(second.responses.retrieve(queued.id, stream=True, starting_after=2))
        assert [event.to_dict() for event in later] == [event.to_dict() for event in events[3:]]

        queued = client.responses.create(model=script.model, input="Count.", background=True)
        never.wait_reached()
        assert second.responses.cancel(queued.id).status == "cancelled"
        script.requests[1].wait_ending(5)
        assert client.responses.retrieve(queued.id).status == "cancelled"


@pytest.mark.parametrize("kind", ["memory", "none"])
def test_without_a_file(start_gateway: StartGateway, script: Script, kind: str) -> None:
    gateway = start_gateway({"gateway_store": kind})
    with connect(gateway) as client:
        script.answer(reply(text="One."))
        first = client.responses.create(model=script.model, input="a")
        if kind == "memory":
            script.answer(reply(text="Two."))
            second = client.responses.create(model=script.model, input="b", previous_response_id=first.id)
            assert second.output_text == "Two."
            return
        with pytest.raises(NotFoundError):
            client.responses.retrieve(first.id)
        with pytest.raises(BadRequestError) as refused:
            client.responses.create(model=script.model, input="b", previous_response_id=first.id)
        assert refused.value.code == "previous_response_not_found"
        with pytest.raises(BadRequestError):
            client.responses.create(model=script.model, input="b", background=True)


def test_two_gateways_with_one_secret_serve_one_session(
    start_gateway: StartGateway, script: Script, tmp_path: Path
) -> None:
    options = {"gateway_secret_file": str(tmp_path / "secret"), "gateway_store": "none"}
    one, other = start_gateway(options), start_gateway(options)
    stranger = start_gateway({**options, "gateway_secret_file": str(tmp_path / "another")})
    script.answer(reply(reasoning="Hm.", text="One."), reply(text="Two."), reply(text="Three."))
    with connect(one) as client:
        first = client.responses.create(
            model=script.model, input="a", include=["reasoning.encrypted_content"], store=False
        )
    [thought] = [item.to_dict() for item in first.output if item.type == "reasoning"]
    assert str(thought["encrypted_content"]).startswith("rgw2:")
    bare = {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": thought["encrypted_content"]}
    items = [{"role": "user", "content": "a"}, bare, first.output[-1].to_dict(), {"role": "user", "content": "b"}]
    for gateway in (other, stranger):
        with connect(gateway) as client:
            client.responses.create(model=script.model, input=items)  # type: ignore[arg-type]
    assert script.requests[1].last("assistant")["reasoning_content"] == "Hm."
    assert "reasoning_content" not in script.requests[2].last("assistant")
    stranger.wait_log("encrypted_content")


def test_identical_requests_are_replayed(start_gateway: StartGateway, script: Script) -> None:
    gateway = start_gateway({"gateway_replay": "on"})
    script.answer(reply(reasoning="Hm.", text="One two."), reply(text="Three."))
    with connect(gateway) as client:
        first = list(client.responses.create(model=script.model, input="Count.", stream=True))
        raw = client.responses.with_raw_response.create(model=script.model, input="Count.")
        again = list(client.responses.create(model=script.model, input="Count.", stream=True))
        another = client.responses.create(model=script.model, input="Count more.")
    assert raw.headers["x-responses-gateway-replayed"] == raw.parse().id
    assert [event.to_dict() for event in again] == [event.to_dict() for event in first]
    assert another.output_text == "Three."


@pytest.mark.parametrize(("mode", "asked"), [("on", 2), ("tools", 1)])
def test_requests_with_tools_are_replayed_when_asked_for(
    start_gateway: StartGateway, script: Script, mode: str, asked: int
) -> None:
    gateway = start_gateway({"gateway_replay": mode})
    script.always(reply(text="One."))
    tool = {"type": "function", "name": "run", "parameters": {"type": "object", "properties": {}}}
    with connect(gateway) as client:
        for _ in range(2):
            client.responses.create(model=script.model, input="Count.", tools=[tool])  # type: ignore[list-item]
    assert len(script.requests) == asked
