"""What a request names that is kept here, put into the request itself: its target, which keeps its own, cannot know it.

An id says whose it is: what is not found here is the target's, and stays as it is.
"""

from typing import Any

from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import JsonObject
from responses_gateway.state.state import State
from responses_gateway.state.store import Store, StoreError
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.reasoning import EnvelopeCodec
from responses_gateway.translate.request.compaction import expanded

_OWN_ENVELOPES = ("rgw1:", "rgw2:")
"""How `encrypted_content` begins that was sealed here, and that no upstream can read."""


async def inlined(body: JsonObject, owner: str, state: State, compactions: EnvelopeCodec, ledger: Ledger) -> JsonObject:
    """`body` with what the owner's ids of this gateway stand for; the same object when it names none.

    `compactions` opens what was sealed in compaction items. Raises GatewayError when the store cannot answer, and for a
    conversation that is kept here.
    """
    items = body.get("input")
    own: list[Any] = items if isinstance(items, list) else []
    references = [item["id"] for item in own if _is_reference(item)]
    previous, conversation = body.get("previous_response_id"), _id_of(body.get("conversation"))
    storage = state.storage
    if storage is None or not (references or isinstance(previous, str) or conversation):
        return _readable(body, compactions, ledger)

    def look_up(store: Store) -> tuple[list[JsonObject] | None, bool, dict[str, JsonObject]]:
        history = store.history(owner, previous) if isinstance(previous, str) else None
        is_ours = conversation is not None and store.get_conversation(owner, conversation) is not None
        return history, is_ours, store.items(owner, references)

    try:
        history, is_ours, found = await storage.read(look_up)
    except StoreError as error:
        raise GatewayError(str(error), 503, "server_error", type="server_error") from None
    if is_ours:
        raise GatewayError(
            f"The conversation {conversation!r} is kept by this gateway, and the model's provider keeps its own. Use "
            "previous_response_id, or a model that is asked by chat/completions.",
            code="unsupported_parameter",
            param="conversation",
        )
    if history is None and not found:
        return _readable(body, compactions, ledger)
    given = [{"role": "user", "content": items}] if isinstance(items, str) else own
    given = [_foreign(found[item["id"]]) if _is_reference(item) and item["id"] in found else item for item in given]
    changed = {**body, "input": [*map(_foreign, history or ()), *given]}
    if history is not None:
        del changed["previous_response_id"]
        ledger.add("changed", "previous_response_id", "kept by this gateway: its items are sent instead", loss=False)
    return _readable(changed, compactions, ledger)


def _readable(body: JsonObject, compactions: EnvelopeCodec, ledger: Ledger) -> JsonObject:
    """Without what was sealed here, which the target would refuse: summaries are opened, reasoning is left out.

    The same object when there is none.
    """
    items = body.get("input")
    if not isinstance(items, list) or not any(map(_is_sealed, items)):
        return body
    kept = []
    for item in items:
        if not _is_sealed(item):
            kept.append(item)
        elif (summary := expanded(item["encrypted_content"], compactions)) is not None:
            ledger.add("changed", f"input.{item.get('type')}", "its summary is sent as text", loss=False)
            kept.append({"role": "user", "content": summary})
        else:
            ledger.add("dropped", f"input.{item.get('type')}", "sealed by this gateway for another model")
    return {**body, "input": kept}


def _is_sealed(item: object) -> bool:
    sealed = item.get("encrypted_content") if isinstance(item, dict) else None
    return isinstance(sealed, str) and sealed.startswith(_OWN_ENVELOPES)


def _is_reference(item: object) -> bool:
    return isinstance(item, dict) and item.get("type") == "item_reference" and isinstance(item.get("id"), str)


def _id_of(conversation: object) -> str | None:
    found = conversation.get("id") if isinstance(conversation, dict) else conversation
    return found if isinstance(found, str) else None


def _foreign(item: JsonObject) -> JsonObject:
    """A stored item for a service that does not know its id."""
    return {name: value for name, value in item.items() if name != "id"}
