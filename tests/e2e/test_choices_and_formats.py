"""Several choices, and JSON from upstreams that cannot be held to a schema."""

import json
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI
from pydantic import BaseModel

from e2e.gateway import StartGateway
from e2e.openai_client import SyncClient
from upstream import Script, call, completion, error, reply
from upstream.answers import token_counts

CONFIG = """
providers:
  plain:
    base_url: {url}/v1
    parameters:
      response_format: json_object
models:
  "*":
    provider: plain
"""


class City(BaseModel):
    name: str
    people: int


@pytest.fixture
def plain(start_gateway: StartGateway, upstream: Any, tmp_path: Path) -> SyncClient:
    """A gateway for an upstream that knows json_object only."""
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.format(url=upstream.url))
    return SyncClient(start_gateway({"gateway_config": str(config)}).url)


def parsed(client: SyncClient, streamed: bool, **parameters: Any) -> Any:
    return client.stream(**parameters)[1] if streamed else client.parse(**parameters)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_json_that_matches(plain: SyncClient, script: Script, streamed: bool) -> None:
    script.answer(reply(reasoning="Hm.", text='```json\n{"name": "Oslo", "people": 700000}\n```'))
    response = parsed(plain, streamed, model=script.model, input="A city.", text_format=City)
    assert response.output_parsed == City(name="Oslo", people=700_000)
    assert response.output_text == '{"name": "Oslo", "people": 700000}'
    assert script.request.body["response_format"] == {"type": "json_object"}
    assert '"people"' in script.request.messages[-1]["content"]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_json_that_is_corrected(plain: SyncClient, script: Script, streamed: bool) -> None:
    script.answer(
        reply(reasoning="Hm.", text='{"name": "Oslo", "people": "many"}', prompt=10, completion=5),
        reply(text='{"name": "Oslo", "people": 700000}', prompt=20, completion=5),
    )
    response = parsed(plain, streamed, model=script.model, input="A city.", text_format=City)
    assert response.output_parsed == City(name="Oslo", people=700_000)
    assert response.usage.input_tokens == 30
    draft, correction = script.requests[1].messages[-2:]
    assert draft["content"] == '{"name": "Oslo", "people": "many"}'
    assert "people" in correction["content"]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_an_answer_that_never_matches_is_a_refusal(plain: SyncClient, script: Script, streamed: bool) -> None:
    script.answer(reply(text="Oslo!"), reply(text="Really, Oslo!"))
    response = parsed(plain, streamed, model=script.model, input="A city.", text_format=City)
    assert response.output_parsed is None
    assert response.output_text == ""
    [part] = response.output[-1].content
    assert part.type == "refusal"
    assert "format" in part.refusal


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_several_choices(gateway: Any, script: Script, streamed: bool) -> None:
    message = {"role": "assistant", "content": "Heads."}
    choices = [
        {"index": 0, "message": message, "finish_reason": "stop"},
        {"index": 1, "message": {**message, "content": "Tails."}, "finish_reason": "stop"},
    ]
    script.answer(completion({"object": "chat.completion", "choices": choices, "usage": token_counts()}))
    client = SyncClient(gateway.url)
    parameters: dict[str, Any] = {"model": script.model, "input": "Toss.", "extra_body": {"n": 2}}
    response = client.stream(**parameters)[1] if streamed else client.create(**parameters)
    assert [item.content[0].text for item in response.output] == ["Heads.", "Tails."]
    assert script.request.body["n"] == 2
    assert "stream" not in script.request.body


def test_one_choice_where_the_upstream_forbids_more(gateway: Any, script: Script) -> None:
    script.answer(error(400, "n must be 1: 'n' is not supported by this model", param="n"), reply(text="Heads."))
    client = SyncClient(gateway.url)
    response = client.create(model=script.model, input="Toss.", extra_body={"n": 2})
    assert response.output_text == "Heads."
    assert script.requests[1].body.get("n", 1) == 1


def test_log_probabilities(gateway: Any, script: Script) -> None:
    entry = {"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": []}
    message = {"role": "assistant", "content": "Hi"}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": {"content": [entry]}}
    script.answer(completion({"object": "chat.completion", "choices": [choice], "usage": token_counts()}))
    with OpenAI(api_key="k", base_url=f"{gateway.url}/v1") as client:
        raw = client.responses.with_raw_response.create(
            model=script.model, input="Hi.", include=["message.output_text.logprobs"], top_logprobs=1
        )
    [part] = json.loads(raw.text)["output"][0]["content"]
    assert part["logprobs"] == [entry]
    assert script.request.body["logprobs"] is True
    assert script.request.body["top_logprobs"] == 1


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_a_call_where_no_tool_is_offered_is_asked_for_text(plain: SyncClient, script: Script, streamed: bool) -> None:
    """An agent that was handed the conversation has no tools of its own, but its history calls some."""
    script.answer(reply(text="One moment.", calls=[call("transfer_to_sales", {})]), reply(text="Hello, this is Sales."))
    history = [
        {"role": "user", "content": "Sales, please."},
        {"type": "function_call", "call_id": "call_1", "name": "transfer_to_sales", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "You are Sales."},
    ]
    asked = {"model": script.model, "input": history}
    response = plain.stream(**asked)[1] if streamed else plain.create(**asked)
    assert [item.type for item in response.output] == ["message", "message"]
    assert response.output[-1].content[0].text == "Hello, this is Sales."
    first, second = script.requests
    assert list(first.tools) == ["transfer_to_sales"]
    assert "tools" not in second.body
    assert "tool_choice" not in second.body
    assert second.messages == first.messages
