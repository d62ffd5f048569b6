"""Truncation: which items go when the window is too small."""

from typing import Any

import pytest

from responses_gateway.catalogue.models.card import ModelCard
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import dumps
from responses_gateway.protocol.responses import parse_request
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.request.truncation import fit

LONG = "word " * 400  # about 500 tokens


def said(role: str, name: str, text: str = LONG) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": text, "id": name}


def called(name: str, text: str = LONG) -> dict[str, Any]:
    return {"type": "function_call", "name": "run", "arguments": text, "call_id": name, "id": name}


def result(name: str, text: str = LONG) -> dict[str, Any]:
    return {"type": "function_call_output", "output": text, "call_id": name, "id": f"{name}_result"}


def kept(items: list[dict[str, Any]], window: int | None, truncation: str | None = "auto") -> tuple[list[str], Ledger]:
    ledger = Ledger()
    request = parse_request(dumps({"model": "m", "input": items, "truncation": truncation}))
    fitted = fit(request, ModelCard(id="m", context_window=window), ledger)
    return [getattr(item, "id", None) or "" for item in fitted.input], ledger


TURNS = [
    said("developer", "base"),
    said("user", "u1"),
    called("c1"),
    result("c1"),
    said("assistant", "a1"),
    said("user", "u2"),
    said("assistant", "a2"),
    said("user", "u3"),
]
ALL = [item["id"] for item in TURNS]


@pytest.mark.parametrize(("window", "truncation"), [(None, "auto"), (100_000, "auto"), (100, None)])
def test_nothing_goes_without_need(window: int | None, truncation: str | None) -> None:
    ids, ledger = kept(TURNS, window, truncation)
    assert ids == ALL
    assert ledger.entries == []


def test_tools_that_wait_for_a_search_take_no_room() -> None:
    waiting = {"type": "function", "name": "long", "description": "x" * 100_000, "defer_loading": True}
    tools = [waiting, {"type": "namespace", "name": "n", "description": "", "tools": [waiting]}]
    search = {"type": "tool_search"}
    for more, fits in (([search], True), ([], False), ([{**search, "execution": "client"}], False)):
        body = {"model": "m", "input": "hi", "tools": [*tools, *more], "truncation": "disabled"}
        asked = parse_request(dumps(body))
        if fits:
            assert fit(asked, ModelCard(id="m", context_window=1_000), Ledger()) is asked
        else:
            with pytest.raises(GatewayError):
                fit(asked, ModelCard(id="m", context_window=1_000), Ledger())


def test_whole_turns_go_oldest_first() -> None:
    ids, ledger = kept(TURNS, 3000)
    assert ids == ["base", "u2", "a2", "u3"]
    [entry] = ledger.entries
    assert entry.action == "dropped"
    assert kept(TURNS, 1500)[0] == ["base", "u3"]


def test_steps_of_the_last_turn_go_with_their_results() -> None:
    items = [said("user", "u"), *(step for n in "123" for step in (called(n), result(n)))]
    assert kept(items, 2300)[0] == ["u", "3", "3_result"]
    assert kept(items, 3000)[0] == ["u", "2", "2_result", "3", "3_result"]


def test_a_late_result_goes_with_its_call() -> None:
    items = [
        said("user", "u1"),
        called("c"),
        said("user", "u2"),
        result("c"),
        said("assistant", "a"),
        said("user", "u3"),
    ]
    assert kept(items, 1300)[0] == ["u3"]


def test_what_cannot_be_made_to_fit_is_refused() -> None:
    with pytest.raises(GatewayError) as refused:
        kept([said("user", "u")], 400)
    assert (refused.value.status, refused.value.code, refused.value.param) == (400, "context_length_exceeded", "input")
    assert "(400 tokens)" in refused.value.message
    with pytest.raises(GatewayError) as refused:
        kept(TURNS, 3000, "disabled")
    assert refused.value.code == "context_length_exceeded"


def test_pictures_do_not_count_by_their_bytes() -> None:
    picture = {"type": "input_image", "image_url": "data:image/png;base64," + "A" * 100_000}
    items = [{"type": "message", "role": "user", "content": [picture], "id": "u"}]
    assert kept(items, 2000)[0] == ["u"]


def fits(window: int, items: list[dict[str, Any]], truncation: str = "auto", **fields: Any) -> list[str] | None:
    """What is kept of a request; None when it is refused."""
    card = ModelCard(id="m", context_window=window, max_output_tokens=fields.pop("most", None))
    request = parse_request(dumps({"model": "m", "input": items, "truncation": truncation, **fields}))
    try:
        return [getattr(item, "id", None) or "" for item in fit(request, card, Ledger()).input]
    except GatewayError:
        return None


def least(items: list[dict[str, Any]], truncation: str = "auto", **fields: Any) -> int:
    """The smallest window in which all items stay."""
    low, high = 1, 1_000_000
    while low < high:
        middle = (low + high) // 2
        whole = fits(middle, items, truncation, **dict(fields)) == [item["id"] for item in items]
        low, high = (low, middle) if whole else (middle + 1, high)
    return low


ITEMS = [said("user", "u1"), said("assistant", "a1"), said("user", "u2")]


def test_what_just_fits_stays() -> None:
    window = least(ITEMS)
    assert fits(window, ITEMS) == ["u1", "a1", "u2"]
    assert fits(window - 1, ITEMS) == ["u2"]
    disabled = least(ITEMS, "disabled")
    assert disabled == window
    assert fits(disabled - 1, ITEMS, "disabled") is None
    assert fits(least(ITEMS[2:]) - 1, ITEMS) is None


def test_room_for_the_answer_is_kept() -> None:
    window = least(ITEMS)
    assert least(ITEMS, max_output_tokens=100) == least(ITEMS, most=100) == window + 100
    assert least(ITEMS, max_output_tokens=10, most=100) == window + 10
    assert least(ITEMS, "disabled", max_output_tokens=100) == window
    assert least(ITEMS, max_output_tokens=10**6) == pytest.approx(window / 0.75, abs=2)


def test_instructions_and_tools_take_room() -> None:
    window = least(ITEMS)
    assert least(ITEMS, instructions="x" * 400) == pytest.approx(window + 100, abs=2)
    tool = {"type": "function", "name": "run", "description": "x" * 400}
    assert window + 100 < least(ITEMS, tools=[tool]) < window + 125
    assert least(ITEMS, "disabled", instructions="x" * 400) == pytest.approx(window + 100, abs=2)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "input_image", "image_url": "data:image/png;base64," + "A" * 9000},
        {"type": "input_file", "file_data": "data:application/pdf;base64," + "A" * 9000},
        {"type": "input_audio", "input_audio": {"data": "A" * 9000, "format": "wav"}},
        {"type": "input_video", "video_url": "data:video/mp4;base64," + "A" * 9000},
    ],
)
def test_media_count_alike(part: dict[str, Any]) -> None:
    for item in (
        {"type": "message", "role": "user", "content": [part], "id": "x"},
        {"type": "function_call_output", "output": [part], "call_id": "c", "id": "x"},
    ):
        assert 1000 < least([said("user", "u"), item]) - least([said("user", "u")]) < 1040


def test_what_the_model_does_not_read_takes_no_room() -> None:
    thought = {"type": "reasoning", "summary": [], "id": "x", "encrypted_content": "x" * 4000, "status": "completed"}
    assert least([*ITEMS, thought]) - least(ITEMS) < 20


@pytest.mark.parametrize("role", ["system", "developer"])
def test_what_the_client_rules_stays(role: str) -> None:
    items = [said("user", "u1"), said(role, "rule"), said("assistant", "a1"), said("user", "u2")]
    assert fits(least(items) - 1, items) == ["rule", "u2"]
    more = {"type": "additional_tools", "tools": [{"type": "function", "name": "run"}], "id": "more"}
    kept_ids = fits(least([*items, more]) - 1, [items[0], more, *items[1:]])
    assert kept_ids is not None
    assert len(kept_ids) == 3


def test_a_step_goes_with_all_its_calls_and_results() -> None:
    items = [said("user", "u"), called("1"), called("2"), result("1"), result("2"), called("3"), result("3")]
    assert fits(least(items) - 1, items) == ["u", "3", "3_result"]
    late = [said("user", "u"), called("1"), called("3"), result("3"), called("4"), result("1"), result("4")]
    assert fits(least(late) - 1, late) == ["u", "4", "4_result"]
