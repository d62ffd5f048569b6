"""What a store that is locked, hangs or loses things does to those who need it, and what it spares all others.

That no event loop waits for it, the watchdog of the gateways says.
"""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from openai import InternalServerError, NotFoundError, OpenAI

from e2e.gateway import GatewayProcess, StartGateway
from e2e.redis_server import RedisServer
from e2e.test_access import ask
from e2e.test_store_processes import connect
from upstream import Gate, Script, chunk, done, finish, reply, stream, usage


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another process's transaction that does not end."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


def others_are_served(gateway: GatewayProcess, client: OpenAI, script: Script) -> None:
    assert ask(gateway, "GET", "/healthz").status == 200
    assert client.responses.create(model=script.model, input="x", store=False).output_text == "Yes."
    events = list(client.responses.create(model=script.model, input="x", store=False, stream=True))
    assert events[-1].type == "response.completed"


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_a_locked_file(start_gateway: StartGateway, script: Script, tmp_path: Path, streamed: bool) -> None:
    gateway = start_gateway({"gateway_store_path": str(tmp_path / "store")})
    script.always(reply(text="Yes."))
    with connect(gateway) as client, ThreadPoolExecutor(3) as pool:
        first = client.responses.create(model=script.model, input="x")

        def turn() -> str:
            if not streamed:
                return client.responses.create(model=script.model, input="x").id
            return list(client.responses.create(model=script.model, input="x", stream=True))[-1].response.id  # type: ignore[union-attr]

        with locked(tmp_path / "store"):
            turns = [pool.submit(turn) for _ in range(3)]
            others_are_served(gateway, client, script)
            assert client.responses.retrieve(first.id).output_text == "Yes."
            unstored = [turn.result(30) for turn in turns]
            with pytest.raises(InternalServerError, match=r"locked|did not answer"):
                client.responses.delete(first.id)
        for response_id in unstored:
            with pytest.raises(NotFoundError):
                client.responses.retrieve(response_id)
        assert client.responses.retrieve(turn()).output_text == "Yes."
    assert gateway.log.count("Responses cannot be stored at the moment") == 1
    gateway.wait_log("3 could not be stored")
    gateway.wait_log("dropped store: the response could not be stored")


def test_a_redis_that_hangs(start_gateway: StartGateway, script: Script, redis_server: RedisServer) -> None:
    gateway = start_gateway({"gateway_store": redis_server.url})
    script.always(reply(text="Yes."))
    with connect(gateway) as client, ThreadPoolExecutor(1) as pool:
        first = client.responses.create(model=script.model, input="x")
        redis_server.hang()
        turn = pool.submit(client.responses.create, model=script.model, input="x")
        others_are_served(gateway, client, script)
        assert turn.result(30).output_text == "Yes."
        with pytest.raises(InternalServerError, match="the store"):
            client.responses.retrieve(first.id)
        with pytest.raises(InternalServerError, match="the store"):
            client.responses.create(model=script.model, input="x", previous_response_id=first.id)
    gateway.wait_log("dropped store: the response could not be stored")


def test_a_store_that_hangs_from_the_start(
    start_gateway: StartGateway, script: Script, redis_server: RedisServer
) -> None:
    redis_server.hang()
    gateway = start_gateway({"gateway_store": redis_server.url})
    script.always(reply(text="Yes."))
    with connect(gateway) as client, ThreadPoolExecutor(1) as pool:
        turn = pool.submit(client.responses.create, model=script.model, input="x")
        others_are_served(gateway, client, script)
        assert turn.result(30).output_text == "Yes."


def test_all_who_come_together_after_a_start_find_the_store(
    start_gateway: StartGateway, script: Script, tmp_path: Path
) -> None:
    options = {"gateway_store_path": str(tmp_path / "store")}
    script.always(reply(text="Yes."))
    with connect(start_gateway(options)) as client:
        first = client.responses.create(model=script.model, input="x")
    for _ in range(2):
        with connect(start_gateway(options)) as client, ThreadPoolExecutor(10) as pool:
            turns = [
                pool.submit(client.responses.create, model=script.model, input="y", previous_response_id=first.id)
                for _ in range(10)
            ]
            for turn in turns:
                assert client.responses.retrieve(turn.result(30).id).previous_response_id == first.id


@pytest.mark.parametrize("background", [False, True], ids=["waiting", "background"])
def test_a_response_can_be_continued_whose_parent_was_deleted_while_it_ran(
    start_gateway: StartGateway, script: Script, tmp_path: Path, background: bool
) -> None:
    gate = Gate()
    script.answer(
        reply(text="One."),
        stream(chunk({"content": "Two."}), gate, finish(), usage(), done()),
        reply(text="Three."),
    )
    with connect(start_gateway({"gateway_store_path": str(tmp_path / "store")})) as client:
        parent = client.responses.create(model=script.model, input="a")
        with client.responses.create(
            model=script.model, input="b", previous_response_id=parent.id, background=background, stream=True
        ) as events:
            gate.wait_reached()
            client.responses.delete(parent.id)
            gate.open()
            child = list(events)[-1].response  # type: ignore[union-attr]
        client.responses.create(model=script.model, input="c", previous_response_id=child.id)
        items = client.responses.input_items.list(child.id, order="asc").data
    assert [message["content"] for message in script.requests[2].messages] == ["a", "One.", "b", "Two.", "c"]
    assert [item.content[0].text for item in items] == ["a", "One.", "b"]  # type: ignore[union-attr]


def test_turns_that_run_when_the_store_changes_are_stored_where_they_began(
    start_gateway: StartGateway, script: Script, tmp_path: Path
) -> None:
    config = tmp_path / "config.yaml"
    store = f"store_path: {tmp_path / 'store'}\n"
    config.write_text(store)
    gateway = start_gateway({"gateway_config": str(config)})
    gate = Gate()
    script.answer(stream(chunk({"content": "One."}), gate, finish(), usage(), done()))
    with connect(gateway) as client:
        with client.responses.create(model=script.model, input="a", stream=True) as events:
            gate.wait_reached()
            config.write_text(f"{store}store_max_age: 20\n")
            while "was read again" not in gateway.log:
                ask(gateway, "GET", "/healthz")
            gate.open()
            response = list(events)[-1].response  # type: ignore[union-attr]
        assert client.responses.retrieve(response.id).output_text == "One."
