"""What a request names that is kept here, put into the request itself: its target, which keeps its own, cannot know it.

An id says whose it is: what is not found here is the target's, and stays as it is, unless it was made for another
client.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from pydantic import ValidationError

from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import JsonObject
from responses_gateway.state.continued_conversation import ContinuedConversation
from responses_gateway.state.history import conversation_not_found, previous_not_found
from responses_gateway.state.items import parsed_items, stored_items
from responses_gateway.state.state import State
from responses_gateway.state.storage import Storage
from responses_gateway.state.store import Store, StoreError, is_name
from responses_gateway.translate.answer.items import NewId
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.reasoning import EnvelopeCodec
from responses_gateway.translate.request.compaction import expanded

_OWN_ENVELOPES = ("rgw1:", "rgw2:")
"""How `encrypted_content` begins that was sealed here, and that no upstream can read."""


class Inlined(NamedTuple):
    """A request for a target that keeps nothing of ours."""

    body: JsonObject
    """The same object as was given when nothing in it is kept here."""

    conversation: ContinuedConversation | None = None


class _Found(NamedTuple):
    history: list[JsonObject] | None
    """The items of the response or conversation that is kept here; None when neither is."""

    is_conversation: bool
    items: dict[str, JsonObject]


async def inlined(
    body: JsonObject,
    owner: str,
    state: State,
    compactions: EnvelopeCodec,
    ledger: Ledger,
    new_id: NewId,
    *,
    is_shared: bool = True,
) -> Inlined:
    """`body` with what the owner's ids of this gateway stand for.

    `compactions` opens what was sealed in compaction items. `is_shared`: the target cannot tell the clients of this
    gateway apart. Raises GatewayError when the store cannot answer, for what was made for another client, and for a
    conversation that cannot be continued at the target.
    """
    items = body.get("input")
    own: list[Any] = items if isinstance(items, list) else []
    references = [item["id"] for item in own if _is_reference(item)]
    previous, conversation = _id(body.get("previous_response_id")), _conversation_id(body.get("conversation"))
    if not (references or previous or conversation):
        return Inlined(_readable(body, compactions, ledger))

    def look_up(store: Store | None) -> _Found:
        items = store.items(owner, references) if store and references else {}
        if store and conversation and store.get_conversation(owner, conversation) is not None:
            return _Found(store.conversation_items(owner, conversation), True, items)
        history = store.history(owner, previous) if store and previous else None
        theirs = [previous if history is None else None, conversation]
        for their_id in filter(None, theirs if is_shared else ()):
            if state.native_ids.is_anothers(owner, their_id, store):
                raise previous_not_found(their_id) if their_id == previous else conversation_not_found(their_id)
        return _Found(history, False, items)

    history, is_conversation, found = await _asked(state.storage, look_up, after_writes=conversation is not None)
    if history is None and not found:
        return Inlined(_readable(body, compactions, ledger))
    there = {item["id"] for item in history or ()}
    given = [{"role": "user", "content": items}] if isinstance(items, str) else own
    given = [item for item in given if not (_is_reference(item) and item["id"] in there)]
    kept = [found.get(item["id"]) if _is_reference(item) else None for item in given]
    sent = [item if ours is None else _foreign(ours) for item, ours in zip(given, kept, strict=True)]
    changed = {**body, "input": [*_replayable(history or (), ledger), *sent]}
    if history is None:
        return Inlined(_readable(changed, compactions, ledger))
    if not is_conversation or conversation is None or state.storage is None:
        del changed["previous_response_id"]
        ledger.add("changed", "previous_response_id", "kept by this gateway: its items are sent instead", loss=False)
        return Inlined(_readable(changed, compactions, ledger))
    _refuse_unkept(body)
    del changed["conversation"]
    ledger.add("changed", "conversation", "kept by this gateway: its items are sent instead", loss=False)
    continued = None
    if body.get("store") is not False:
        new = _storable([item if ours is None else ours for item, ours in zip(given, kept, strict=True)], new_id)
        continued = ContinuedConversation(state.storage, owner, conversation, history, new, new_id)
    return Inlined(_readable(changed, compactions, ledger), continued)


async def _asked[Result](
    storage: Storage | None, question: Callable[[Store | None], Result], *, after_writes: bool
) -> Result:
    """What `question` says of the store. `after_writes`: the turn before this one may still be on its way to it."""
    if storage is None:
        return question(None)
    try:
        return await (storage.write(question) if after_writes else storage.read(question))
    except StoreError as error:
        raise GatewayError(str(error), 503, "server_error", type="server_error") from None


def _refuse_unkept(body: JsonObject) -> None:
    """Raise GatewayError for what a conversation of ours cannot go with, because its answer would never come here."""
    if body.get("previous_response_id") is not None:
        raise GatewayError(
            "Mutually exclusive parameters: 'previous_response_id' and 'conversation'. Use one of them.",
            code="mutually_exclusive_parameters",
            param="previous_response_id",
        )
    if body.get("background"):
        raise GatewayError(
            "The conversation is kept by this gateway, and the model's provider keeps its background responses: it "
            "could not be continued with the answer. Use one of both.",
            code="unsupported_parameter",
            param="conversation",
        )


def _storable(items: Sequence[Any], new_id: NewId) -> list[JsonObject]:
    try:
        return stored_items(parsed_items(items), new_id)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise GatewayError(
            f"An item of the input cannot be kept in a conversation of this gateway: {first['msg']}",
            code="invalid_value",
            param="input",
        ) from None


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
    return isinstance(item, dict) and item.get("type") == "item_reference" and _id(item.get("id")) is not None


def _conversation_id(conversation: object) -> str | None:
    return _id(conversation.get("id") if isinstance(conversation, dict) else conversation)


def _id(value: object) -> str | None:
    """An id that can be one of ours."""
    return value if isinstance(value, str) and is_name(value) else None


def _replayable(items: Sequence[JsonObject], ledger: Ledger) -> list[JsonObject]:
    """Stored items for a service that does not know their ids: reasoning that only its id stands for is left out."""
    sent = []
    for item in items:
        if item.get("type") == "reasoning" and not (item.get("encrypted_content") or item.get("content")):
            ledger.add("dropped", "input.reasoning", "only its maker knows what it holds")
        else:
            sent.append(_foreign(item))
    return sent


def _foreign(item: JsonObject) -> JsonObject:
    """A stored item for a service that does not know its id."""
    return {name: value for name, value in item.items() if name != "id"}
