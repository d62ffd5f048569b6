"""Stored state over HTTP: chains, retrieval, conversations, background, compaction."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from openai import BadRequestError, DefaultHttpxClient, NotFoundError, OpenAI
from openai.types.responses import Response, ResponseItemList, ResponseStreamEvent
from pydantic import TypeAdapter

from e2e.gateway import GatewayProcess
from upstream import Gate, Script, call, chunk, done, error, finish, reply, stream, usage

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
WEATHER: dict[str, Any] = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


def connect(gateway: GatewayProcess, key: str = "sk-one") -> OpenAI:
    http = DefaultHttpxClient(trust_env=False)
    return OpenAI(api_key=key, base_url=f"{gateway.url}/v1", timeout=60, max_retries=0, http_client=http)


@pytest.fixture
def client(gateway: GatewayProcess) -> Iterator[OpenAI]:
    with connect(gateway) as made:
        yield made


def wait_status(client: OpenAI, response_id: str, *statuses: str) -> Response:
    deadline = time.monotonic() + 60
    while (response := client.responses.retrieve(response_id)).status not in statuses:
        assert time.monotonic() < deadline, f"{response_id} is {response.status}"
        time.sleep(0.05)
    return response


def test_a_chain_with_tools_and_reasoning(client: OpenAI, script: Script) -> None:
    script.answer(
        reply(reasoning="I look.", calls=[call("get_weather", {"city": "Oslo"}, "call_w")]),
        reply(text="It snows."),
        reply(text="Yes, it snows."),
        reply(text="No."),
    )
    first = client.responses.create(model=script.model, input="Weather in Oslo?", tools=[WEATHER])  # type: ignore[list-item]
    second = client.responses.create(
        model=script.model,
        previous_response_id=first.id,
        input=[{"type": "function_call_output", "call_id": "call_w", "output": "snow"}],
        tools=[WEATHER],  # type: ignore[list-item]
    )
    third = client.responses.create(
        model=script.model, previous_response_id=second.id, input="Sure?", instructions="Be brief."
    )
    assert third.previous_response_id == second.id
    branch = client.responses.create(model=script.model, previous_response_id=second.id, input="Rain?")
    assert branch.output_text == "No."
    assert script.requests[1].roles() == ["user", "assistant", "tool"]
    assert script.requests[1].last("assistant")["reasoning_content"] == "I look."
    assert script.requests[2].roles() == ["system", "user", "assistant", "tool", "assistant", "user"]
    assert script.requests[3].roles() == ["user", "assistant", "tool", "assistant", "user"]
    assert script.requests[3].text("user") == "Rain?"
    newest = client.responses.input_items.list(second.id, limit=1).data[0]
    assert newest.to_dict()["output"] == "snow"


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_retrieval(client: OpenAI, script: Script, streamed: bool) -> None:
    script.answer(reply(text="One two three."))
    if streamed:
        events = list(client.responses.create(model=script.model, input="Count.", stream=True))
        made = events[-1].response  # type: ignore[union-attr]
    else:
        made = client.responses.create(model=script.model, input="Count.")
    found = client.responses.retrieve(made.id)
    assert found.to_dict() == made.to_dict()
    again = list(client.responses.retrieve(made.id, stream=True))
    assert [event.sequence_number for event in again] == list(range(len(again)))
    if streamed:
        assert [event.to_dict() for event in again] == [event.to_dict() for event in events]
    rest = list(client.responses.retrieve(made.id, stream=True, starting_after=4))
    assert [event.sequence_number for event in rest] == list(range(5, len(again)))
    client.responses.delete(made.id)
    with pytest.raises(NotFoundError):
        client.responses.retrieve(made.id)
    with pytest.raises(NotFoundError):
        client.responses.delete(made.id)


def test_nothing_is_kept_with_store_false(client: OpenAI, script: Script) -> None:
    script.answer(reply(text="Hello."))
    made = client.responses.create(model=script.model, input="Hi.", store=False)
    with pytest.raises(NotFoundError):
        client.responses.retrieve(made.id)
    with pytest.raises(BadRequestError) as refused:
        client.responses.create(model=script.model, input="Hi.", previous_response_id=made.id)
    assert refused.value.code == "previous_response_not_found"
    assert refused.value.param == "previous_response_id"


def test_another_key_sees_nothing(gateway: GatewayProcess, client: OpenAI, script: Script) -> None:
    script.answer(reply(text="Hello."))
    made = client.responses.create(model=script.model, input="Hi.")
    with connect(gateway, "sk-two") as other:
        with pytest.raises(NotFoundError):
            other.responses.retrieve(made.id)
        with pytest.raises(NotFoundError):
            other.responses.input_items.list(made.id)
        with pytest.raises(BadRequestError):
            other.responses.create(model=script.model, input="Hi.", previous_response_id=made.id)
        item = {"type": "item_reference", "id": made.output[0].id}
        with pytest.raises(NotFoundError):
            other.responses.create(model=script.model, input=[item])  # type: ignore[list-item]


def test_input_items(client: OpenAI, script: Script) -> None:
    script.answer(reply(text="One."), reply(text="Two."))
    first = client.responses.create(
        model=script.model,
        input=[
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b"},
            {"role": "user", "content": "c"},
        ],
    )
    second = client.responses.create(model=script.model, input="d", previous_response_id=first.id)
    raw = client.responses.input_items.with_raw_response.list(second.id, order="asc").http_response.json()
    ResponseItemList.model_validate(raw)
    texts = [item["content"][0]["text"] for item in raw["data"]]
    assert texts == ["a", "b", "c", "One.", "d"]
    newest = client.responses.input_items.list(second.id, limit=2)
    assert newest.has_more
    assert [item.content[0].text for item in newest.data] == ["d", "One."]  # type: ignore[union-attr]
    assert [item.content[0].text for item in newest][-1] == "a"  # type: ignore[union-attr]
    with pytest.raises(BadRequestError):
        client.responses.input_items.list(second.id, limit=101)


def test_item_references(client: OpenAI, script: Script) -> None:
    script.answer(reply(text="One."), reply(text="Two."))
    first = client.responses.create(model=script.model, input="a")
    items: Any = [
        {"role": "user", "content": "a"},
        {"type": "item_reference", "id": first.output[0].id},
        {"role": "user", "content": "b"},
    ]
    client.responses.create(model=script.model, input=items)
    assert [message["content"] for message in script.requests[1].messages] == ["a", "One.", "b"]
    with pytest.raises(NotFoundError):
        client.responses.create(model=script.model, input=[{"type": "item_reference", "id": "msg_nobody"}])
    with pytest.raises(BadRequestError, match="Duplicate item found") as error:
        client.responses.create(model=script.model, input=[items[1], items[0], items[1]])
    assert (error.value.code, error.value.param) == ("duplicate_item", "input[2].id")


def test_conversations(client: OpenAI, script: Script) -> None:
    script.answer(reply(text="One."), reply(text="Two."))
    conversation = client.conversations.create(
        metadata={"a": "b"}, items=[{"type": "message", "role": "user", "content": "before"}]
    )
    assert client.conversations.retrieve(conversation.id).metadata == {"a": "b"}
    response = client.responses.create(model=script.model, input="x", conversation=conversation.id)
    assert response.conversation is not None
    assert response.conversation.id == conversation.id
    client.responses.create(model=script.model, input="y", conversation={"id": conversation.id})
    assert [message["content"] for message in script.requests[1].messages] == ["before", "x", "One.", "y"]
    items = list(client.conversations.items.list(conversation.id, order="asc"))
    assert [item.content[0].text for item in items] == ["before", "x", "One.", "y", "Two."]  # type: ignore[union-attr]
    item_id = items[0].id
    assert item_id is not None
    assert client.conversations.items.retrieve(item_id, conversation_id=conversation.id).id == item_id
    client.conversations.items.delete(item_id, conversation_id=conversation.id)
    with pytest.raises(NotFoundError):
        client.conversations.items.retrieve(item_id, conversation_id=conversation.id)
    added = client.conversations.items.create(
        conversation.id, items=[{"type": "message", "role": "user", "content": "z"}]
    )
    assert len(added.data) == 1
    assert client.conversations.update(conversation.id, metadata={"c": "d"}).metadata == {"c": "d"}
    assert client.conversations.delete(conversation.id).deleted
    with pytest.raises(NotFoundError):
        client.conversations.retrieve(conversation.id)
    with pytest.raises(NotFoundError):
        client.responses.create(model=script.model, input="x", conversation=conversation.id)


def test_input_tokens(client: OpenAI, script: Script) -> None:
    short = client.responses.input_tokens.count(model=script.model, input="word " * 10)
    long = client.responses.input_tokens.count(model=script.model, input="word " * 1000)
    assert 10 <= short.input_tokens < 40
    assert 1000 <= long.input_tokens < 2000
    assert long.to_dict()["estimated"] is True
    waiting: Any = {"type": "function", "name": "later", "description": "word " * 9_000, "defer_loading": True}
    search: Any = {"type": "tool_search"}
    deferred = client.responses.input_tokens.count(model=script.model, input="Hi.", tools=[waiting, search])
    assert deferred.input_tokens < 1000


def test_compact(client: OpenAI, script: Script) -> None:
    script.answer(reply(reasoning="Hm.", text="They greeted."), reply(text="Hello again."))
    compacted = client.responses.compact(
        model=script.model,
        input=[{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hello."}],
    )
    assert compacted.object == "response.compaction"
    [item] = compacted.output
    assert item.type == "compaction"
    client.responses.create(
        model=script.model,
        input=[item.to_dict(), {"role": "user", "content": "And?"}],  # type: ignore[list-item]
    )
    assert "They greeted." in script.requests[1].messages[0]["content"]
    assert script.requests[1].text("user") == "And?"
    with pytest.raises(BadRequestError):
        client.post("/responses/compact", body={"input": "x"}, cast_to=object)


def test_compaction_trigger(client: OpenAI, script: Script) -> None:
    script.answer(reply(text="A summary."))
    items: Any = [{"role": "user", "content": "Hi."}, {"type": "compaction_trigger"}]
    events = list(client.responses.create(model=script.model, input=items, tools=[WEATHER], stream=True))  # type: ignore[list-item]
    assert [event.type for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == [0, 1, 2, 3, 4]
    assert [item.type for item in events[-1].response.output] == ["compaction"]  # type: ignore[union-attr]
    assert script.request.body["tool_choice"] == "none"
    assert len(script.request.body["tools"]) == 1


def test_a_foreign_compaction_becomes_a_note(client: OpenAI, script: Script) -> None:
    script.answer(reply(text="Hello."))
    items: Any = [{"type": "compaction", "encrypted_content": "gAAAA"}, {"role": "user", "content": "Hi."}]
    client.responses.create(model=script.model, input=items)
    assert "cannot be read" in script.request.messages[0]["content"]


def test_background(client: OpenAI, script: Script) -> None:
    gate = Gate()
    script.answer(stream(chunk({"content": "One"}), gate, chunk({"content": " two."}), finish(), usage(), done()))
    queued = client.responses.create(model=script.model, input="Count.", background=True)
    assert queued.status == "queued"
    assert queued.background
    gate.wait_reached()
    assert client.responses.retrieve(queued.id).status in ("queued", "in_progress")
    with client.responses.retrieve(queued.id, stream=True) as followed:
        events = [next(followed) for _ in range(5)]
        gate.open()
        events += list(followed)
    for event in events:
        EVENT.validate_python(event.to_dict())
    assert [event.type for event in events[:3]] == ["response.created", "response.queued", "response.in_progress"]
    assert events[-1].type == "response.completed"
    finished = wait_status(client, queued.id, "completed")
    assert finished.output_text == "One two."
    later = list(client.responses.retrieve(queued.id, stream=True, starting_after=2))
    assert [event.to_dict() for event in later] == [event.to_dict() for event in events[3:]]
    script.answer(reply(text="Three."))
    third = client.responses.create(model=script.model, input="More.", previous_response_id=queued.id)
    assert third.output_text == "Three."


def test_background_survives_its_client(client: OpenAI, script: Script) -> None:
    gate = Gate()
    script.answer(stream(chunk({"content": "One"}), gate, chunk({"content": " two."}), finish(), usage(), done()))
    started = client.responses.create(model=script.model, input="Count.", background=True, stream=True)
    response_id = next(started).response.id  # type: ignore[union-attr]
    started.close()
    gate.wait_reached()
    gate.open()
    assert wait_status(client, response_id, "completed").output_text == "One two."


def test_background_can_be_cancelled(client: OpenAI, script: Script) -> None:
    gate = Gate()
    script.answer(stream(chunk({"content": "One"}), gate))
    queued = client.responses.create(model=script.model, input="Count.", background=True)
    gate.wait_reached()
    assert client.responses.cancel(queued.id).status == "cancelled"
    script.request.wait_ending()
    assert client.responses.retrieve(queued.id).status == "cancelled"
    assert client.responses.cancel(queued.id).status == "cancelled"


def test_background_that_fails(client: OpenAI, script: Script) -> None:
    script.answer(error(400, "not today"))
    queued = client.responses.create(model=script.model, input="Count.", background=True)
    failed = wait_status(client, queued.id, "failed")
    assert failed.error is not None
    assert "not today" in failed.error.message


def test_a_synchronous_response_cannot_be_cancelled(client: OpenAI, script: Script) -> None:
    script.answer(reply(text="Hello."))
    made = client.responses.create(model=script.model, input="Hi.")
    with pytest.raises(BadRequestError):
        client.responses.cancel(made.id)


def test_reasoning_that_the_client_drops(client: OpenAI, script: Script) -> None:
    script.answer(
        reply(reasoning="I look.", calls=[call("get_weather", {"city": "Oslo"}, "call_1")]), reply(text="It snows.")
    )
    items: list[Any] = [{"role": "user", "content": "Weather?"}]
    first = client.responses.create(model=script.model, input=items, tools=[WEATHER], store=False)  # type: ignore[list-item]
    items += [item.to_dict() for item in first.output if item.type == "function_call"]
    items.append({"type": "function_call_output", "call_id": "call_1", "output": "snow"})
    client.responses.create(model=script.model, input=items, tools=[WEATHER], store=False)  # type: ignore[list-item]
    assert script.requests[1].last("assistant")["reasoning_content"] == "I look."
