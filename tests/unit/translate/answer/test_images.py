"""Pictures that a model makes become items that clients know."""

import pytest

from responses_gateway.translate.ledger import Ledger
from unit.machine import RUN, call, delta, output, run, spoken
from unit.turn.rounds import serve

PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}, "index": 0}
LINKED = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}


def test_a_picture_is_an_item_with_its_data() -> None:
    events = run([delta(images=[PICTURE]), delta("stop")])
    item = output(events)[0]
    assert (item["type"], item["status"], item["result"]) == ("image_generation_call", "completed", "AAAA")
    assert item["output_format"] == "png"
    kinds = [event["type"].removeprefix("response.image_generation_call.") for event in events]
    assert kinds[3:6] == ["in_progress", "generating", "completed"]


def test_pictures_stand_where_they_came() -> None:
    chunks = [
        delta(reasoning_content="Hm."),
        delta(content="Here: "),
        delta(images=[PICTURE, PICTURE]),
        delta(content="And there."),
        delta("stop"),
    ]
    kinds = [spoken(item)[0] for item in output(run(chunks))]
    assert kinds == ["reasoning", "message", "image_generation_call", "image_generation_call", "message"]


def test_a_picture_waits_for_the_end_of_a_call() -> None:
    chunks = [call(0, "run", '{"cmd"', "c"), delta(images=[PICTURE]), call(0, None, ': "ls"}'), delta("tool_calls")]
    assert [spoken(item)[0] for item in output(run(chunks, RUN))] == ["call", "image_generation_call"]


def test_a_picture_as_a_part_of_content() -> None:
    assert spoken(output(run([delta(content=[PICTURE]), delta("stop")]))[0]) == ("image_generation_call",)


def test_a_picture_with_an_address_is_a_link() -> None:
    ledger = Ledger()
    events = run([delta(images=[LINKED]), delta("stop")], ledger=ledger)
    assert spoken(output(events)[0]) == ("message", "![](https://example.com/a.png)")
    assert [entry.field for entry in ledger.entries] == ["output.images", "usage"]


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "data:text/html;base64,PHNjcmlwdD4=",
        "data:image/png,AAAA",
        "data:,AAAA",
        "data:image/png;base64,<script>",
        "data:image/png;base64,",
        "file:///etc/passwd",
        "AAAA",
        "data:image/" + "x" * 1000 + ";base64,AAAA",
    ],
)
def test_what_is_no_picture_is_no_link(url: str) -> None:
    ledger = Ledger()
    events = run([delta(images=[{"image_url": {"url": url}}]), delta("stop")], ledger=ledger)
    assert spoken(output(events)[0]) == ("message", "[A picture of the model's cannot be shown: it is none.]")
    assert str(ledger.entries[0]).startswith("dropped output.images")


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_a_picture_alone_is_an_answer(stream: bool) -> None:
    served = serve([delta("stop", content="", images=[PICTURE])], stream=stream)
    assert [item["type"] for item in served.output] == ["image_generation_call"]


@pytest.mark.parametrize("images", [None, 5, [None, 5, {}, {"image_url": None}, {"image_url": {"url": 5}}]])
def test_what_is_no_picture_is_passed_over(images: object) -> None:
    assert [spoken(item) for item in output(run([delta("stop", content="a", images=images)]))] == [("message", "a")]
