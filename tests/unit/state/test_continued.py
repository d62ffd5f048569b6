"""What a request continues or refers to, and what it is told when that is not there."""

import asyncio
from typing import Any

import pytest

from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import dumps
from responses_gateway.protocol.responses import parse_request
from responses_gateway.settings.settings import Settings
from responses_gateway.state.history import Turn, resolve
from responses_gateway.state.state import State
from responses_gateway.state.store import Store, StoreError
from unit.state.records import item, record


def fill(store: Store) -> None:
    store.put(record("a"))
    store.put(record("b", "a"))
    store.put(record("theirs", owner="you"))
    store.put_conversation("me", {"id": "conv"})
    store.append_items("me", "conv", [item("said", "before")])
    store.put_conversation("you", {"id": "conv_of_you"})


def resolved(store: str = "memory", broken: bool = False, **fields: Any) -> Turn:
    """The turn of a request of `me`. Raises GatewayError."""

    async def run() -> Turn:
        state = State(Settings(store=store))
        try:
            if state.storage is not None:
                await state.storage.write(fill)
                if broken:
                    await state.storage.write(_break)
            request = parse_request(dumps({"model": "m", "input": "next", **fields}))
            return await resolve(request, "me", state, lambda prefix: f"{prefix}_new")
        finally:
            await state.close()

    return asyncio.run(run())


def _break(store: Store) -> None:
    def history(*_: object, **__: object) -> None:
        raise StoreError("not now")

    store.history = history  # type: ignore[method-assign, assignment]


def inputs(turn: Turn) -> list[str | None]:
    return [getattr(one, "id", None) for one in turn.request.input]


def refused(**fields: Any) -> GatewayError:
    with pytest.raises(GatewayError) as raised:
        resolved(**fields)
    return raised.value


def test_a_request_of_its_own_is_itself() -> None:
    turn = resolved()
    assert len(turn.request.input) == 1
    assert [one["type"] for one in turn.own] == ["message"]
    assert list(turn.before) == []
    assert turn.conversation is None


def test_what_is_not_to_be_stored_is_not_prepared() -> None:
    assert resolved(store="none").own == []
    assert asyncio.run(_unstored()) == []


async def _unstored() -> list[Any]:
    state = State(Settings(store="memory"))
    request = parse_request(b'{"model": "m", "input": "next", "store": false}')
    turn = await resolve(request, "me", state, lambda prefix: prefix)
    await state.close()
    return turn.own


@pytest.mark.parametrize("count", [199, 200, 201])
def test_long_inputs_are_prepared_alike(count: int) -> None:
    turn = resolved(input=[{"role": "user", "content": str(number)} for number in range(count)])
    assert [one["content"][0]["text"] for one in turn.own] == [str(number) for number in range(count)]
    assert len(turn.request.input) == count


def test_a_response_continues_all_before_it() -> None:
    turn = resolved(previous_response_id="b")
    assert inputs(turn)[:4] == ["in_a", "out_a", "in_b", "out_b"]
    assert len(turn.request.input) == 5
    assert len(turn.before) == 4
    assert len(turn.own) == 1


@pytest.mark.parametrize("conversation", ["conv", {"id": "conv"}])
def test_a_conversation_goes_on(conversation: Any) -> None:
    turn = resolved(conversation=conversation)
    assert turn.conversation == "conv"
    assert inputs(turn)[:1] == ["said"]
    assert len(turn.before) == 1


@pytest.mark.parametrize("name", ["nobody", "theirs"])
def test_an_unknown_response(name: str) -> None:
    error = refused(previous_response_id=name)
    assert (error.status, error.code, error.param) == (400, "previous_response_not_found", "previous_response_id")
    assert f"'{name}'" in error.message
    assert "keeps no responses" not in error.message


@pytest.mark.parametrize("name", ["nobody", "conv_of_you"])
def test_an_unknown_conversation(name: str) -> None:
    error = refused(conversation=name)
    assert (error.status, error.code) == (404, "conversation_not_found")
    assert f"'{name}'" in error.message


@pytest.mark.parametrize("conversation", [{}, {"id": 5}])
def test_a_conversation_without_an_id(conversation: Any) -> None:
    error = refused(conversation=conversation)
    assert (error.status, error.param) == (400, "conversation")


def test_one_cannot_continue_both() -> None:
    error = refused(conversation="conv", previous_response_id="a")
    assert (error.status, error.code, error.param) == (400, "mutually_exclusive_parameters", "previous_response_id")


def test_without_a_store_one_is_told_so() -> None:
    for fields in ({"previous_response_id": "a"}, {"conversation": "conv"}):
        assert "keeps no responses" in refused(store="none", **fields).message


def test_a_store_that_fails_is_no_missing_response() -> None:
    error = refused(broken=True, previous_response_id="a")
    assert (error.status, error.code, error.type) == (503, "server_error", "server_error")
    assert "not now" in error.message


def reference(name: str) -> dict[str, Any]:
    return {"type": "item_reference", "id": name}


def test_a_reference_becomes_what_it_refers_to() -> None:
    turn = resolved(input=[{"role": "user", "content": "x"}, reference("out_a"), reference("said")])
    assert inputs(turn)[1:] == ["out_a", "said"]
    assert len(turn.own) == 3


def test_a_picture_is_named_by_its_id() -> None:
    """Without its data, an item stands for the one that is stored; one that failed stands for itself."""
    named = {"type": "image_generation_call", "id": "out_a"}
    assert inputs(resolved(input=[named])) == ["out_a"]
    error = refused(input=[{**named, "id": "nothing"}])
    assert (error.status, error.code, error.param) == (404, "item_not_found", "input[0].id")
    failed = {**named, "id": "nothing", "status": "failed", "result": None}
    assert inputs(resolved(input=[failed])) == ["nothing"]


def test_what_the_history_has_is_not_repeated() -> None:
    turn = resolved(previous_response_id="a", input=[reference("out_a"), {"role": "user", "content": "x"}])
    assert inputs(turn)[:2] == ["in_a", "out_a"]
    assert len(turn.request.input) == 3


def test_a_reference_may_stand_once() -> None:
    error = refused(input=[reference("out_a"), reference("out_a")])
    assert (error.status, error.code, error.param) == (400, "duplicate_item", "input[1].id")


@pytest.mark.parametrize("store", ["memory", "none"])
@pytest.mark.parametrize("name", ["nothing", "out_theirs"])
def test_a_reference_to_nothing(name: str, store: str) -> None:
    error = refused(store=store, input=[{"role": "user", "content": "x"}, reference(name)])
    assert (error.status, error.code, error.param) == (404, "item_not_found", "input[1].id")
