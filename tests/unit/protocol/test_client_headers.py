"""Where a client says which thread and session a request belongs to."""

from typing import Any

import pytest

from responses_gateway.protocol.client_headers import IDENTITY_HEADERS, PARENT_THREAD, SESSION, THREAD, ClientFields


@pytest.mark.parametrize(
    ("headers", "metadata"),
    [
        ({"thread-id": "t"}, None),
        ({"thread_id": "t"}, None),
        ({}, {"thread-id": "t"}),
        ({}, {"thread_id": "t"}),
        ({"x-codex-turn-metadata": '{"thread_id": "t"}'}, None),
        ({}, {"x-codex-turn-metadata": '{"thread-id": "t"}'}),
        ({"thread-id": "t", "thread_id": "late"}, {"thread_id": "later"}),
        ({"thread-id": ""}, {"thread_id": "t", "x-codex-turn-metadata": '{"thread_id": "late"}'}),
    ],
)
def test_every_place_and_spelling_is_read_in_order(headers: dict[str, str], metadata: object) -> None:
    assert ClientFields(headers, metadata).get(THREAD) == "t"


def test_an_earlier_name_wins_wherever_it_stands() -> None:
    said = ClientFields({"session-id": "s", "parent-thread-id": "old"}, {"x-codex-parent-thread-id": "new"})
    assert said.get(*PARENT_THREAD) == "new"
    assert said.get(THREAD, SESSION) == "s"


@pytest.mark.parametrize("turn", ["", "{", "[" * 10_000, "1", '"t"', "\ud800", '{"thread_id": 1}'])
@pytest.mark.parametrize("metadata", [None, 1, [], {"thread_id": {}}])
def test_anything_else_says_nothing(turn: str, metadata: Any) -> None:
    assert ClientFields({"x-codex-turn-metadata": turn, "thread-id": ""}, metadata).get(THREAD) == ""


def test_a_request_in_the_place_of_the_clients_can_take_over_both_spellings() -> None:
    assert {"thread-id", "thread_id", "session-id", "session_id", "x-codex-turn-metadata"} < set(IDENTITY_HEADERS)
