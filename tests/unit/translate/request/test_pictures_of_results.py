"""Pictures in the text of a tool result: which texts are read as content lists, and what becomes of their entries."""

import json
from typing import Any

import pytest

from responses_gateway.catalogue.models.card import ModelCard
from responses_gateway.catalogue.providers.shipped import shipped
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.request.chat_request import translate_request
from unit.machine import request

Json = dict[str, Any]
PICTURE: Json = {"type": "image", "data": "QUJD", "mimeType": "image/webp"}


def translated(output: str) -> list[Json]:
    """The messages behind a call whose result is `output`."""
    asked = request(
        input=[
            {"role": "user", "content": "look"},
            {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": output},
        ]
    )
    card = ModelCard(id="m", modalities=["text", "image"])
    made = translate_request(asked, model="m", profile=shipped()["openai"], card=card, ledger=Ledger())
    messages: list[Json] = made.body["messages"]
    return messages[2:]


def pictures(messages: list[Json]) -> list[str]:
    parts = [part for message in messages if isinstance(message["content"], list) for part in message["content"]]
    return [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]


@pytest.mark.parametrize(
    ("entry", "url"),
    [
        (PICTURE, "data:image/webp;base64,QUJD"),
        ({"type": "image", "data": "QUJD", "mime_type": "image/gif"}, "data:image/gif;base64,QUJD"),
        ({"type": "image", "data": "QUJD"}, "data:image/png;base64,QUJD"),
    ],
)
def test_a_picture_has_its_type(entry: Json, url: str) -> None:
    assert pictures(translated(json.dumps([entry]))) == [url]


def test_what_stands_beside_a_picture_stays() -> None:
    entries = [{"type": "text", "text": "seen"}, PICTURE, {"type": "resource", "uri": "file:x"}, {"type": "text"}]
    messages = translated("Wall time: 1 s\n\n" + json.dumps(entries))
    shown = json.dumps(messages)
    assert len(pictures(messages)) == 1
    assert "Wall time: 1 s" in shown
    assert '\\n\\n["' not in shown
    assert "seen" in shown
    assert json.dumps('{"type":"resource","uri":"file:x"}').strip('"') in shown
    assert json.dumps('{"type":"text"}').strip('"') in shown


@pytest.mark.parametrize(
    "output",
    [
        json.dumps([{"type": "text", "text": "the word image"}]),
        json.dumps([{"type": "image", "data": 5}]),
        json.dumps([{"kind": "image", "data": "QUJD"}]),
        json.dumps({"content": [PICTURE]}),
        json.dumps([PICTURE])[:-1],
        json.dumps([PICTURE]) + " and more",
        '[{"type": "image"',
        '["image"]',
        "[{" * 5000 + '"image"',
    ],
)
def test_other_text_stays_text(output: str) -> None:
    [message] = translated(output)
    assert message["content"] == output
