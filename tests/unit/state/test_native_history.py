"""An id says whose it is: what is kept here is put into the request, anything else goes on as it is."""

import asyncio
from typing import Any

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
OURS = {"id": "resp_ours", "object": "response", "status": "completed", "output": [THOUGHT, SAID]}


def asked(body: Json, owner: str = "one", store: str = "memory") -> tuple[Json, list[str]]:
    """The body as it goes on, with a response of `one` in the store, and what the ledger says."""

    async def run() -> tuple[Json, list[str]]:
        state, ledger = State(Settings(store=store)), Ledger()
        if state.storage is not None:
            await state.storage.write(lambda kept: kept.put(Record("one", OURS, pack([ASKED]))))
            await state.storage.write(lambda kept: kept.put_conversation("one", {"id": "conv_ours"}))
        try:
            changed = await inlined(body, owner, state, PLAIN_ENVELOPES, ledger)
        finally:
            await state.close()
        return changed, [str(entry) for entry in ledger.entries]

    return asyncio.run(run())


def without_id(item: Json) -> Json:
    return {name: value for name, value in item.items() if name != "id"}


def test_a_response_that_is_kept_here_is_sent_as_its_items() -> None:
    changed, noted = asked({"model": "m", "input": "on", "previous_response_id": "resp_ours", "new": 1})
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
    assert asked(body, owner, store)[0] is body


def test_unknown_ids_go_on_as_they_are() -> None:
    body = {"input": [{"type": "item_reference", "id": "msg_theirs"}], "conversation": {"id": "conv_theirs"}}
    assert asked(body)[0] is body


def test_a_reference_to_an_item_that_is_kept_here_is_replaced() -> None:
    theirs = {"type": "item_reference", "id": "msg_theirs"}
    changed, _ = asked({"input": [{"type": "item_reference", "id": "msg_out"}, theirs]})
    assert changed["input"] == [without_id(SAID), theirs]


def test_a_conversation_that_is_kept_here_is_refused() -> None:
    with pytest.raises(GatewayError, match="conv_ours") as refused:
        asked({"input": "hi", "conversation": "conv_ours"})
    assert refused.value.param == "conversation"


def test_what_was_sealed_here_is_not_sent() -> None:
    sealed = PLAIN_ENVELOPES.seal({"summary": "We wrote a parser."})
    foreign = {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "gAAAAA"}
    changed, _ = asked({"input": [{"type": "compaction", "encrypted_content": sealed}, THOUGHT, foreign]})
    summary, kept = changed["input"]
    assert summary["role"] == "user"
    assert summary["content"].endswith("We wrote a parser.")
    assert kept == foreign
