"""Calls that a server or a computer carried out, on the pages and in transcripts: pictures are pictures, and nothing
that a model or an endpoint says becomes an element."""

from typing import Any

import pytest

from responses_gateway.inspection.pages.items import entries_of, entry_of
from responses_gateway.inspection.views.transcript import item_block
from upstream.images import PNG

Json = dict[str, Any]

SHOWN = f'<img class="picture" alt="An image of the conversation" src="data:image/png;base64,{PNG}">'
MADE: Json = {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": PNG}
ATTACK = "\"><script>alert('1')</script>"


def shown(item: Json) -> str:
    entry = entry_of(item)
    return "".join([*entry.blocks, *entry.results])


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ({**MADE, "revised_prompt": "A cat.", "output_format": "png"}, "A cat."),
        (
            {
                "type": "code_interpreter_call",
                "code": "plot()",
                "outputs": [
                    {"type": "logs", "logs": "done"},
                    {"type": "image", "url": f"data:image/png;base64,{PNG}"},
                ],
            },
            "plot()",
        ),
        (
            {
                "type": "computer_call_output",
                "call_id": "c1",
                "output": {"type": "computer_screenshot", "image_url": f"data:image/png;base64,{PNG}"},
            },
            "",
        ),
    ],
)
def test_pictures_are_seen(item: Json, words: str) -> None:
    html = shown(item)
    assert SHOWN in html
    assert words in html
    transcript = "\n".join(item_block(item))
    assert "[image: image/png, " in transcript
    assert PNG not in transcript
    assert words in transcript


def test_a_screenshot_stands_beside_its_call() -> None:
    call = {"type": "computer_call", "call_id": "c1", "actions": [{"type": "click", "x": 1, "y": 2}]}
    shot = {"type": "computer_call_output", "call_id": "c1", "output": {"image_url": f"data:image/png;base64,{PNG}"}}
    [entry] = entries_of([(0, call), (1, shot)])
    assert "click" in entry.line
    assert entry.results == [SHOWN]


def test_what_was_found() -> None:
    found = {"type": "file_search_call", "queries": ["ink"], "results": [{"filename": "a.txt", "text": "In the box."}]}
    assert "ink" in shown(found)
    assert "a.txt\nIn the box." in shown(found)
    refused = {**MADE, "result": None, "status": "failed", "error": {"message": "not allowed"}}
    assert "not allowed" in shown(refused)
    assert "not allowed" in "\n".join(item_block(refused))


@pytest.mark.parametrize(
    "item",
    [
        {**MADE, "result": ATTACK},
        {**MADE, "output_format": ATTACK, "result": "AAAA"},
        {**MADE, "result": "PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==", "output_format": "svg+xml"},
        {**MADE, "revised_prompt": ATTACK, "size": ATTACK},
        {**MADE, "revised_prompt": {"a": [ATTACK]}, "result": {"a": ATTACK}},
        {**MADE, "result": None, "error": {"message": ATTACK}},
        {"type": "computer_call", "actions": [ATTACK, {"type": ATTACK}]},
        {"type": "computer_call", "actions": ATTACK},
        {"type": "computer_call_output", "output": {"image_url": f"javascript:{ATTACK}"}},
        {"type": "computer_call_output", "output": {"image_url": f"data:text/html;base64,{PNG}"}},
        {"type": "computer_call_output", "output": {"image_url": f"https://evil.example/{ATTACK}"}},
        {"type": "code_interpreter_call", "code": ATTACK, "outputs": [ATTACK, {"type": "image", "url": ATTACK}]},
        {"type": "file_search_call", "queries": [ATTACK], "results": [ATTACK, {"filename": ATTACK, "text": ATTACK}]},
    ],
    ids=str,
)
def test_nothing_of_it_becomes_an_element(item: Json) -> None:
    html = shown(item)
    assert "<script" not in html
    assert "<img" not in html.replace(SHOWN, "")
    item_block(item)
