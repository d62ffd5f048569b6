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
    assert refused.value.code == "context_length_exceeded"
    with pytest.raises(GatewayError) as refused:
        kept(TURNS, 3000, "disabled")
    assert refused.value.code == "context_length_exceeded"


def test_pictures_do_not_count_by_their_bytes() -> None:
    picture = {"type": "input_image", "image_url": "data:image/png;base64," + "A" * 100_000}
    items = [{"type": "message", "role": "user", "content": [picture], "id": "u"}]
    assert kept(items, 2000)[0] == ["u"]
