"""`/v1/conversations`: named lists of items that responses are added to."""

from typing import Any

from pydantic import TypeAdapter, ValidationError

from responses_gateway.endpoints.paging import page
from responses_gateway.endpoints.stored import read, write
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.http import Answer, Call
from responses_gateway.protocol.json import JsonObject
from responses_gateway.state.history import conversation_not_found
from responses_gateway.state.items import parsed_items, stored_items
from responses_gateway.state.storage import Storage
from responses_gateway.turn.runtime import Runtime

_METADATA = TypeAdapter(dict[str, str])
_MOST_ITEMS = 20
"""Items that one request may add, as in OpenAI's API."""


async def create(call: Call, runtime: Runtime) -> Answer:
    body = call.json()
    items = _items(body, runtime)
    conversation: JsonObject = {
        "id": runtime.new_id("conv"),
        "object": "conversation",
        "created_at": int(runtime.clock()),
        "metadata": _metadata(body),
    }
    storage, owner = _storage(runtime), call.owner
    await write(storage, lambda store: store.put_conversation(owner, conversation))
    if items:
        await write(storage, lambda store: store.append_items(owner, conversation["id"], items))
    return Answer.json(conversation)


async def retrieve(call: Call, runtime: Runtime, conversation_id: str) -> Answer:
    return Answer.json(await _found(call, runtime, conversation_id))


async def update(call: Call, runtime: Runtime, conversation_id: str) -> Answer:
    conversation = {**await _found(call, runtime, conversation_id), "metadata": _metadata(call.json())}
    await write(_storage(runtime), lambda store: store.put_conversation(call.owner, conversation))
    return Answer.json(conversation)


async def delete(call: Call, runtime: Runtime, conversation_id: str) -> Answer:
    if not await write(_storage(runtime), lambda store: store.delete_conversation(call.owner, conversation_id)):
        raise conversation_not_found(conversation_id)
    return Answer.json({"id": conversation_id, "object": "conversation.deleted", "deleted": True})


async def list_items(call: Call, runtime: Runtime, conversation_id: str) -> Answer:
    await _found(call, runtime, conversation_id)
    items = await read(_storage(runtime), lambda store: store.conversation_items(call.owner, conversation_id))
    return Answer.json(page(items, call))


async def add_items(call: Call, runtime: Runtime, conversation_id: str) -> Answer:
    items = _items(call.json(), runtime)
    if not await write(_storage(runtime), lambda store: store.append_items(call.owner, conversation_id, items)):
        raise conversation_not_found(conversation_id)
    return Answer.json(
        {
            "object": "list",
            "data": items,
            "first_id": items[0]["id"] if items else "",
            "last_id": items[-1]["id"] if items else "",
            "has_more": False,
        }
    )


async def retrieve_item(call: Call, runtime: Runtime, conversation_id: str, item_id: str) -> Answer:
    await _found(call, runtime, conversation_id)
    items = await read(_storage(runtime), lambda store: store.conversation_items(call.owner, conversation_id))
    found = next((item for item in items if item["id"] == item_id), None)
    if found is None:
        raise _item_not_found(item_id)
    return Answer.json(found)


async def delete_item(call: Call, runtime: Runtime, conversation_id: str, item_id: str) -> Answer:
    conversation = await _found(call, runtime, conversation_id)
    if not await write(_storage(runtime), lambda store: store.delete_item(call.owner, conversation_id, item_id)):
        raise _item_not_found(item_id)
    return Answer.json(conversation)


def _storage(runtime: Runtime) -> Storage:
    if runtime.state.storage is None:
        raise GatewayError("This gateway keeps no conversations.", 404, "not_found")
    return runtime.state.storage


async def _found(call: Call, runtime: Runtime, conversation_id: str) -> JsonObject:
    conversation = await read(_storage(runtime), lambda store: store.get_conversation(call.owner, conversation_id))
    if conversation is None:
        raise conversation_not_found(conversation_id)
    return conversation


def _metadata(body: JsonObject) -> dict[str, str]:
    value: Any = body.get("metadata")
    try:
        return _METADATA.validate_python({} if value is None else value, strict=True)
    except ValidationError:
        raise GatewayError(
            "Invalid value for 'metadata': an object with strings is expected.", code="invalid_value", param="metadata"
        ) from None


def _items(body: JsonObject, runtime: Runtime) -> list[JsonObject]:
    value = body.get("items")
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > _MOST_ITEMS:
        raise GatewayError(
            f"Invalid value for 'items': a list of at most {_MOST_ITEMS} items is expected.",
            code="invalid_value",
            param="items",
        )
    try:
        return stored_items(parsed_items(value), runtime.new_id)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise GatewayError(f"Invalid value for 'items': {first['msg']}", code="invalid_value", param="items") from None


def _item_not_found(item_id: str) -> GatewayError:
    return GatewayError(f"Item with id '{item_id}' not found.", 404, "item_not_found", param="item_id")
