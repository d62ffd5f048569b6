"""The history of a request: the items of the response or conversation that it continues, then its own."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import JsonObject
from responses_gateway.protocol.responses import ImageGenerationCall, Item, ItemReference, ResponsesRequest
from responses_gateway.state.items import parsed_items, stored_items
from responses_gateway.state.native_ids import NativeIds
from responses_gateway.state.state import State
from responses_gateway.state.store import Store, StoreError
from responses_gateway.translate.answer.items import NewId

_MANY = 200
"""Number of items from which they are prepared in a thread, because other streams would stutter."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A request with its whole history as input."""

    request: ResponsesRequest
    own: list[JsonObject]
    """The request's own items as they are stored; empty when nothing is to be stored."""

    conversation: str | None
    before: Sequence[Item] = ()
    """What the request continues: the first items of the input."""


async def resolve(request: ResponsesRequest, owner: str, state: State, new_id: NewId) -> Turn:
    """Look up what `request` refers to. Raises GatewayError for what is not there."""
    conversation = _conversation_id(request)
    if conversation is not None and request.previous_response_id is not None:
        raise GatewayError(
            "Mutually exclusive parameters: 'previous_response_id' and 'conversation'. Use one of them.",
            code="mutually_exclusive_parameters",
            param="previous_response_id",
        )
    refers = conversation is not None or request.previous_response_id is not None
    if not refers and not any(_referred(item) for item in request.input):
        if len(request.input) < _MANY:
            return Turn(request, _own(request, request.input, state, new_id), None)
        return Turn(request, await asyncio.to_thread(_own, request, request.input, state, new_id), None)

    def look_up(store: Store | None) -> Turn:
        history = _history(request, conversation, owner, store, state.native_ids)
        own = _dereferenced(request.input, history, owner, store)
        before = parsed_items(history)
        whole = request.model_copy(update={"input": [*before, *own]})
        return Turn(whole, _own(request, own, state, new_id), conversation, before)

    if state.storage is None:
        return look_up(None)
    try:
        return await state.storage.read(look_up)
    except StoreError as error:
        raise GatewayError(f"{error}", 503, "server_error", type="server_error") from None


def _own(request: ResponsesRequest, items: list[Item], state: State, new_id: NewId) -> list[JsonObject]:
    return [] if request.store is False or state.storage is None else stored_items(items, new_id)


def _conversation_id(request: ResponsesRequest) -> str | None:
    value = request.conversation
    found = value.get("id") if isinstance(value, dict) else value
    if value is not None and not isinstance(found, str):
        raise GatewayError(
            "Invalid value for 'conversation': it has no id.", code="invalid_value", param="conversation"
        )
    return found


def _history(
    request: ResponsesRequest, conversation: str | None, owner: str, store: Store | None, native_ids: NativeIds
) -> list[JsonObject]:
    without = " This gateway keeps no responses: send the whole conversation as input." if store is None else ""
    if request.previous_response_id is not None:
        history = store.history(owner, request.previous_response_id) if store else None
        if history is None:
            keeper = native_ids.provider(owner, request.previous_response_id, store)
            theirs = (
                f" It is kept by the provider {keeper}, and this model is asked by chat/completions: continue it with "
                "a model of that provider, or send the whole conversation as input."
            )
            raise previous_not_found(request.previous_response_id, theirs if keeper is not None else without)
        return history
    if conversation is None:
        return []
    if store is None or store.get_conversation(owner, conversation) is None:
        raise conversation_not_found(conversation, without)
    return store.conversation_items(owner, conversation)


def previous_not_found(response_id: str, more: str = "") -> GatewayError:
    return GatewayError(
        f"Previous response with id '{response_id}' not found.{more}",
        code="previous_response_not_found",
        param="previous_response_id",
    )


def conversation_not_found(conversation: str, more: str = "") -> GatewayError:
    return GatewayError(f"Conversation with id '{conversation}' not found.{more}", 404, "conversation_not_found")


def _dereferenced(items: list[Item], history: list[JsonObject], owner: str, store: Store | None) -> list[Item]:
    """`items` with references replaced by the items that they name. What the history holds already is not repeated."""
    wanted = [item_id for item in items if (item_id := _referred(item))]
    there = {item["id"] for item in history}
    found = store.items(owner, [item_id for item_id in wanted if item_id not in there]) if store and wanted else {}
    own: list[Item] = []
    seen: set[str] = set()
    for position, item in enumerate(items):
        item_id = _referred(item)
        if item_id is None:
            own.append(item)
        elif item_id in seen:
            # A small request could stand for any amount of text.
            raise GatewayError(
                f"Duplicate item found with id '{item_id}'. Remove duplicate items from your input and try again.",
                code="duplicate_item",
                param=f"input[{position}].id",
            )
        elif item_id in found:
            seen.add(item_id)
            own += parsed_items([found[item_id]])
        elif item_id not in there:
            raise GatewayError(
                f"Item with id '{item_id}' not found.", 404, "item_not_found", param=f"input[{position}].id"
            )
    return own


def _referred(item: Item) -> str | None:
    """The id of the item that `item` only stands for: a picture may be named without any reference, too."""
    if isinstance(item, ItemReference) or (isinstance(item, ImageGenerationCall) and item.is_reference):
        return item.id
    return None
