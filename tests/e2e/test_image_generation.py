"""Pictures that models order, with a scripted endpoint and openai-python as the client."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import APIStatusError

from e2e.gateway import GatewayProcess, StartGateway
from e2e.openai_client import SyncClient
from upstream import Script, call, reply
from upstream.images import PNG, Handler, ScriptedImages, png, streamed

KEY = "key-of-the-endpoint-0001"
TOOL = {"type": "image_generation", "partial_images": 2, "size": "1024x1024", "quality": "low"}
SEEN = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}


@pytest.fixture
def images() -> Iterator[ScriptedImages]:
    with ScriptedImages() as server:
        yield server


@pytest.fixture
def gateway(images: ScriptedImages, tmp_path: Path, start_gateway: StartGateway) -> GatewayProcess:
    config = tmp_path / "gateway.yaml"
    config.write_text(
        json.dumps({"image_generation": {"url": images.url, "model": "flux", "api_key_env": "IMAGES_KEY"}})
    )
    options = {"gateway_config": str(config), "gateway_heartbeat": "0"}
    return start_gateway(options, environment={"IMAGES_KEY": KEY})


def ordering(prompt: str, id: str) -> Any:
    return call("image_generation", {"prompt": prompt}, id)


def test_a_conversation_with_pictures(gateway: GatewayProcess, images: ScriptedImages, script: Script) -> None:
    """A picture in the first turn, a change of it in the second, which only refers to it."""
    client = SyncClient(gateway.url)
    images.answers = [streamed(partial=2)]
    script.answer(reply(calls=[ordering("A cat.", "c1")]), reply(text="Here it is."))
    events = client.create_streamed(model=script.model, input="Draw a cat.", tools=[TOOL])
    kinds = [event.type.removeprefix("response.image_generation_call.") for event in events]
    assert [kind for kind in kinds if "response" not in kind] == [
        "in_progress",
        "generating",
        *["partial_image"] * 2,
        "completed",
    ]
    partial = next(event for event in events if event.type == "response.image_generation_call.partial_image")
    assert (partial.partial_image_index, partial.partial_image_b64) == (0, PNG)
    made = events[-1].response.output[0]
    assert (made.type, made.status, made.result, made.revised_prompt) == (
        "image_generation_call",
        "completed",
        PNG,
        "A cat.",
    )
    [asked] = images.requests
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert (asked.json["model"], asked.json["size"], asked.json["quality"]) == ("flux", "1024x1024", "low")
    first, second = script.requests
    assert set(first.tools) == {"image_generation"}
    assert second.messages[-1]["content"][1] == SEEN

    script.answer(reply(calls=[ordering("A blue cat.", "c2")]), reply(text="Now it is blue."))
    reference: Any = [
        *[item.model_dump(exclude_none=True) for item in events[-1].response.output if item.type != made.type],
        {"type": "image_generation_call", "id": made.id},
        {"role": "user", "content": "In blue."},
    ]
    changed = client.create(model=script.model, input=reference, tools=[{**TOOL, "partial_images": 0}])
    assert images.requests[1].path == "/v1/images/edits"
    assert base64.b64decode(PNG) in images.requests[1].body
    assert changed.output[0].type == "image_generation_call"
    script.answer(reply(text="A cat, then a blue one."))
    client.create(
        model=script.model, input="What did you draw?", previous_response_id=changed.id, tools=[TOOL], store=False
    )
    third, _, last = script.requests[2:]
    assert last.messages[: len(third.messages)] == third.messages
    assert KEY not in gateway.log


def test_partial_pictures_come_while_the_rest_is_made(
    gateway: GatewayProcess, images: ScriptedImages, script: Script
) -> None:
    def answer(handler: Handler) -> None:
        streamed(partial=1, end=False)(handler)
        images.released.wait(60)
        last = json.dumps({"type": "image_generation.completed", "b64_json": PNG})
        handler.wfile.write(f"data: {last}\n\n".encode())

    images.answers = [answer]
    script.answer(reply(calls=[ordering("A cat.", "c1")]), reply(text="Here it is."))
    for event in SyncClient(gateway.url).iterate(model=script.model, input="Draw.", tools=[TOOL], store=False):
        if event.type == "response.image_generation_call.partial_image":
            images.released.set()
    assert event.type == "response.completed"


def test_a_picture_of_ten_megabytes(gateway: GatewayProcess, images: ScriptedImages, script: Script) -> None:
    """The client gets it whole; for the model it is too large to be sent again and again."""
    large = base64.b64encode(png() + bytes(10 << 20)).decode()
    images.answers = [lambda handler: handler.plain(200, json.dumps({"data": [{"b64_json": large}]}).encode())]
    script.answer(reply(calls=[ordering("A cat.", "c1")]), reply(text="Here it is."))
    response = SyncClient(gateway.url).create(model=script.model, input="Draw.", tools=[TOOL], store=False)
    assert response.output[0].result == large
    assert "too large to be sent in every round" in script.requests[1].tool_result("c1")


def test_without_an_endpoint(start_gateway: StartGateway, script: Script) -> None:
    client = SyncClient(start_gateway({}).url)
    script.answer(reply(text="I cannot draw."))
    assert client.create(model=script.model, input="Draw.", tools=[TOOL]).output_text == "I cannot draw."
    with pytest.raises(APIStatusError) as refused:
        client.create(model=script.model, input="Draw.", tools=[TOOL], tool_choice={"type": "image_generation"})
    assert (refused.value.status_code, refused.value.param) == (400, "tool_choice")
