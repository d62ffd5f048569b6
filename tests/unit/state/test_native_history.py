"""An id says whose it is: what is kept here is put into the request, anything else goes on as it is."""

import asyncio
import itertools
from typing import Any, NamedTuple

import pytest

from responses_gateway.protocol.errors import GatewayError
from responses_gateway.settings.settings import Settings
from responses_gateway.state.native_history import inlined
from responses_gateway.state.packing import pack
from responses_gateway.state.state import State
from responses_gateway.state.store import Record
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.reasoning import PLAIN_ENVELOPES

Json = dict[str, Any]

ASKED = {"type": "message", "id": "msg_in", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}
THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": PLAIN_ENVELOPES.seal({"text": "hm"})}
SAID = {"type": "message", "id": "msg_out", "role": "assistant", "content": [{"type": "output_text", "text": "yes"}]}
HIDDEN = {"type": "reasoning", "id": "rs_hidden", "summary": []}
OURS = {"id": "resp_ours", "object": "response", "status": "completed", "output": [THOUGHT, SAID]}


class Asked(NamedTuple):
    body: Json
    """As it goes on."""

    noted: list[str]
    kept: list[Json]
    """The items of the conversation, after an answer with SAID and THOUGHT."""


def asked(body: Json, owner: str = "one", store: str = "memory", *, is_shared: bool = True) -> Asked:
    """With a response and a conversation of `one` in the store, and a response that a provider keeps for `one`."""

    async def run() -> Asked:
        state, ledger, numbers = State(Settings(store=store)), Ledger(), itertools.count()
        state.native_ids.remember("one", "resp_theirs", "native", lasting=True)
        if state.storage is not None:
            await state.storage.write(lambda kept: kept.put(Record("one", OURS, pack([ASKED]))))
            await state.storage.write(lambda kept: kept.put_conversation("one", {"id": "conv_ours"}))
            await state.storage.write(lambda kept: kept.append_items("one", "conv_ours", [ASKED, HIDDEN, SAID]))

        def new_id(prefix: str) -> str:
            return f"{prefix}_{next(numbers)}"

        kept: list[Json] = []
        try:
            changed, conversation = await inlined(
                body, owner, state, PLAIN_ENVELOPES, ledger, new_id, is_shared=is_shared
            )
            if conversation is not None and state.storage is not None:
                output = [{**SAID, "id": "msg_new"}, SAID, {"type": "new_thing", "id": "\ud800"}]
                for status in ("failed", "completed", "completed"):
                    conversation.add({"status": status}, output, ledger)
                    await conversation.stored(ledger)
                kept = await state.storage.read(lambda stored: stored.conversation_items("one", "conv_ours"))
        finally:
            await state.close()
        return Asked(changed, [str(entry) for entry in ledger.entries], kept)

    return asyncio.run(run())


def without_id(item: Json) -> Json:
    return {name: value for name, value in item.items() if name != "id"}


def test_a_response_that_is_kept_here_is_sent_as_its_items() -> None:
    changed, noted, _ = asked({"model": "m", "input": "on", "previous_response_id": "resp_ours", "new": 1})
    assert changed == {
        "model": "m",
        "input": [*map(without_id, (ASKED, SAID)), {"role": "user", "content": "on"}],
        "new": 1,
    }
    assert any("previous_response_id" in note for note in noted)
    assert any("input.reasoning" in note for note in noted)


@pytest.mark.parametrize(("owner", "store"), [("two", "memory"), ("one", "none")])
def test_what_is_not_the_clients_here_is_the_targets(owner: str, store: str) -> None:
    body = {"input": [{"type": "item_reference", "id": "msg_out"}], "previous_response_id": "resp_ours"}
    assert asked(body, owner, store).body is body


@pytest.mark.parametrize("odd", ["\ud800", "x" * 10_000, 7, None, [], {}])
def test_what_can_be_no_id_goes_on_as_it_is(odd: object) -> None:
    body = {"input": [{"type": "item_reference", "id": odd}], "conversation": {"id": odd}, "previous_response_id": odd}
    assert asked(body).body is body


def test_unknown_ids_go_on_as_they_are() -> None:
    body = {"input": [{"type": "item_reference", "id": "msg_theirs"}], "conversation": {"id": "conv_theirs"}}
    assert asked(body).body is body


def test_a_reference_to_an_item_that_is_kept_here_is_replaced() -> None:
    theirs = {"type": "item_reference", "id": "msg_theirs"}
    changed, *_ = asked({"input": [{"type": "item_reference", "id": "msg_out"}, theirs]})
    assert changed["input"] == [without_id(SAID), theirs]


def test_a_conversation_that_is_kept_here_is_sent_as_its_items_and_gets_the_turn() -> None:
    body = {"input": [{"type": "item_reference", "id": "msg_out"}, "new"], "conversation": {"id": "conv_ours"}}
    body["input"][1] = {"type": "new_thing", "id": "x_1", "deep": [1.0]}
    changed, noted, kept = asked(body)
    assert changed == {"input": [*map(without_id, (ASKED, SAID)), body["input"][1]]}
    assert any("conversation" in note for note in noted)
    assert any("input.reasoning" in note for note in noted)
    assert [item["id"] for item in kept] == ["msg_in", "rs_hidden", "msg_out", "x_1", "msg_new", "item_0", "item_1"]
    assert kept[3]["deep"] == [1.0]


def test_a_conversation_stays_as_it_is_where_nothing_is_to_be_stored() -> None:
    changed, _, kept = asked({"input": "hi", "conversation": "conv_ours", "store": False})
    assert [item["role"] for item in changed["input"]] == ["user", "assistant", "user"]
    assert kept == []


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"background": True}, "conversation"),
        ({"previous_response_id": "resp_theirs"}, "previous_response_id"),
        ({"previous_response_id": "resp_ours"}, "previous_response_id"),
        ({"input": [{"type": "message", "role": 5, "content": {}}]}, "input"),
    ],
)
def test_what_a_conversation_cannot_go_with_is_refused(fields: Json, param: str) -> None:
    with pytest.raises(GatewayError) as refused:
        asked({"input": "hi", "conversation": "conv_ours", **fields})
    assert refused.value.param == param


@pytest.mark.parametrize("store", ["memory", "none"])
def test_what_was_made_for_another_client_is_not_found(store: str) -> None:
    body = {"input": "hi", "previous_response_id": "resp_theirs"}
    assert asked(body, "one", store).body is body
    with pytest.raises(GatewayError, match="resp_theirs") as refused:
        asked(body, "two", store)
    assert refused.value.code == "previous_response_not_found"
    # Where each client's own key is sent, the upstream itself tells them apart.
    assert asked(body, "two", store, is_shared=False).body is body


def test_what_was_sealed_here_is_not_sent() -> None:
    sealed = PLAIN_ENVELOPES.seal({"summary": "We wrote a parser."})
    foreign = {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "gAAAAA"}
    changed, *_ = asked({"input": [{"type": "compaction", "encrypted_content": sealed}, THOUGHT, foreign]})
    summary, kept = changed["input"]
    assert summary["role"] == "user"
    assert summary["content"].endswith("We wrote a parser.")
    assert kept == foreign
