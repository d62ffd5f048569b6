"""Which session a request belongs to."""

import pytest

from responses_gateway.turn.sessions import session_id
from unit.machine import Json, request

SHARED = {"session-id": "shared", "session_id": "shared"}


@pytest.mark.parametrize(
    ("headers", "fields", "expected"),
    [
        ({"thread-id": "own"}, {}, "own"),
        ({"thread_id": "own"}, {}, "own"),
        ({}, {"client_metadata": {"thread_id": "own"}}, "own"),
        ({}, {}, "shared"),
    ],
)
def test_a_thread_is_a_session_of_its_own(headers: dict[str, str], fields: Json, expected: str) -> None:
    """Codex's sub-agents share everything else with their parent."""
    assert session_id(request(prompt_cache_key="shared", **fields), SHARED | headers) == expected


def test_other_clients_tell_by_their_cache_key() -> None:
    assert session_id(request(prompt_cache_key="mine"), {}) == "mine"
    assert session_id(request(), {}) is None
