"""What a recorder hands to the store, and when followers are told; what stored items look like."""

import asyncio
import itertools
from typing import Any

import pytest

from responses_gateway.protocol.json import dumps
from responses_gateway.protocol.responses import items_of
from responses_gateway.protocol.sse import encode_all
from responses_gateway.settings.settings import Settings
from responses_gateway.state.items import parsed_items, stored_items
from responses_gateway.state.packing import events_in, pack
from responses_gateway.state.recorder import Recorder
from responses_gateway.state.state import State
from responses_gateway.translate.ledger import Ledger
from unit.state.records import ids, item

Json = dict[str, Any]


def event(number: int, kind: str, status: str | None = None) -> Json:
    response = {} if status is None else {"response": {"id": "resp", "status": status, "output": [item("out")]}}
    return {"type": kind, "sequence_number": number, **response}


class World:
    """One answer that is recorded."""

    def __init__(self, state: State, **fields: Any) -> None:
        assert state.storage is not None
        self.storage = state.storage
        self.told: list[Json] = []
        self.ledger = Ledger()
        own = [item("in")]
        self.recorder = Recorder(
            state, "me", self.ledger, self.storage, input=pack(own), own=own, follow=self.told.extend, **fields
        )

    def take(self, *events: Json) -> None:
        self.recorder.take(list(events), encode_all(list(events)))


def recorded(status: str, **fields: Any) -> tuple[World, dict[str, Any]]:
    """An answer that ends with a status, and what the store then has."""

    async def run() -> tuple[World, dict[str, Any]]:
        state = State(Settings(store="memory"))
        world = World(state, **fields)
        if fields.get("conversation") == "conv":
            await world.storage.write(lambda store: store.put_conversation("me", {"id": "conv"}))
        world.take(event(0, "response.created", "in_progress"))
        assert [one["sequence_number"] for one in world.told] == [0]
        assert not world.recorder.is_storing
        world.take()
        world.take(event(1, "response.output_text.delta"), event(2, f"response.{status}", status))
        assert world.recorder.is_storing
        assert len(world.told) == 1
        await world.recorder.stored()
        assert not world.recorder.is_storing
        assert [one["sequence_number"] for one in world.told] == [0, 1, 2]
        found = {
            "response": await world.storage.read(lambda store: store.get("me", "resp")),
            "replay": await world.storage.read(lambda store: store.find_replay("me", "key")),
            "conversation": await world.storage.read(lambda store: store.conversation_items("me", "conv")),
        }
        await state.close()
        return world, found

    return asyncio.run(run())


@pytest.mark.parametrize("status", ["completed", "incomplete", "failed"])
def test_an_answer_is_stored_with_its_events(status: str) -> None:
    world, found = recorded(status)
    assert found["response"].response["status"] == status
    assert [one["sequence_number"] for one in events_in(found["response"].events)] == [0, 1, 2]
    assert not world.ledger.entries


@pytest.mark.parametrize(("status", "kept"), [("completed", True), ("incomplete", False), ("failed", False)])
def test_only_what_was_completed_is_replayed(status: str, kept: bool) -> None:
    assert (recorded(status, replay_key="key")[1]["replay"] is not None) is kept


@pytest.mark.parametrize(
    ("status", "there"), [("completed", ["in", "out"]), ("incomplete", ["in", "out"]), ("failed", [])]
)
def test_a_conversation_goes_on_with_what_was_said(status: str, there: list[str]) -> None:
    assert ids(recorded(status, conversation="conv")[1]["conversation"]) == there


def test_a_conversation_that_is_gone_is_on_the_ledger() -> None:
    world, found = recorded("completed", conversation="gone")
    assert found["response"] is not None
    assert [str(entry) for entry in world.ledger.entries] == [
        "dropped store: the response could not be stored: the conversation gone is gone"
    ]


def test_who_does_not_wait_is_told_at_once() -> None:
    async def run() -> None:
        state = State(Settings(store="memory"))
        world = World(state)
        world.take(event(0, "response.completed", "completed"))
        assert world.told == []
        world.recorder.let_go()
        assert len(world.told) == 1
        assert not world.recorder.is_storing
        await state.close()

    asyncio.run(run())


def stored(*items: Json) -> list[Json]:
    numbers = itertools.count()
    made = stored_items(items_of([dict(one) for one in items]), lambda prefix: f"{prefix}_{next(numbers)}")
    assert dumps(stored_items(parsed_items(made), lambda _: "none")) == dumps(made)
    return made


@pytest.mark.parametrize(
    ("given", "prefix", "status"),
    [
        ({"role": "user", "content": "x"}, "msg", "completed"),
        ({"type": "function_call", "call_id": "c", "name": "n", "arguments": "{}"}, "fc", "completed"),
        ({"type": "function_call_output", "call_id": "c", "output": "x"}, "fco", "completed"),
        ({"type": "custom_tool_call", "call_id": "c", "name": "n", "input": "x"}, "ctc", None),
        ({"type": "custom_tool_call_output", "call_id": "c", "output": "x"}, "ctco", None),
        ({"type": "reasoning", "summary": []}, "rs", None),
        ({"type": "compaction", "encrypted_content": "x"}, "cmp", None),
        ({"type": "web_search_call"}, "item", "completed"),
    ],
)
def test_each_kind_has_its_id_and_status(given: Json, prefix: str, status: str | None) -> None:
    [made] = stored(given)
    assert made["id"] == f"{prefix}_0"
    assert made.get("status") == status
    [kept] = stored({**given, "id": "own"})
    assert kept["id"] == "own"


def test_a_status_that_was_sent_stays() -> None:
    [made] = stored({"type": "function_call", "call_id": "c", "name": "n", "arguments": "{", "status": "incomplete"})
    assert made["status"] == "incomplete"


def test_parts_are_complete() -> None:
    [asked] = stored({"role": "user", "content": [{"type": "input_image", "image_url": "data:x"}]})
    assert asked["content"] == [{"detail": "auto", "type": "input_image", "image_url": "data:x"}]
    [detailed] = stored({"role": "user", "content": [{"type": "input_image", "image_url": "data:x", "detail": "low"}]})
    assert detailed["content"][0]["detail"] == "low"
    [said] = stored({"role": "assistant", "content": "x"})
    assert said["content"] == [{"annotations": [], "logprobs": [], "type": "output_text", "text": "x"}]
    [text] = stored({"role": "user", "content": [{"type": "text", "text": "x"}]})
    assert text["content"] == [{"type": "input_text", "text": "x"}]


@pytest.mark.parametrize("output", ["x", [{"type": "input_image", "image_url": "data:x"}]])
def test_the_output_of_a_call_is_as_it_was_sent(output: Any) -> None:
    [made] = stored({"type": "function_call_output", "call_id": "c", "output": output})
    assert made["output"] == output
