"""Reasoning that a client left out: it comes back before its calls, for the same owner, while it is kept."""

from typing import Any

import pytest

from responses_gateway.protocol.responses import items_of
from responses_gateway.state.state import state_directory
from responses_gateway.state.thoughts import ThoughtCache

Json = dict[str, Any]


def thought(text: str) -> Json:
    return {
        "type": "reasoning",
        "id": f"rs_{text}",
        "summary": [],
        "content": [{"type": "reasoning_text", "text": text}],
    }


def called(call_id: str) -> Json:
    return {"type": "function_call", "id": f"fc_{call_id}", "call_id": call_id, "name": "run", "arguments": "{}"}


def result(call_id: str) -> Json:
    return {"type": "function_call_output", "call_id": call_id, "output": "x"}


def restored(cache: ThoughtCache, *items: Json, owner: str = "me") -> list[str]:
    """The items, in short; the count is checked."""
    given = items_of([dict(item) for item in items])
    found, count = cache.restore(owner, given)
    assert count == len(found) - len(given)
    return [getattr(item, "call_id", None) or getattr(item, "id", None) or item.type or "" for item in found]


SAID: Json = {"type": "message", "role": "assistant", "id": "said", "content": "x"}
ASKED: Json = {"type": "message", "role": "user", "id": "asked", "content": "x"}


def test_reasoning_comes_back_before_its_calls() -> None:
    cache = ThoughtCache()
    cache.learn("me", [thought("a"), called("c1"), called("c2"), thought("b"), called("c3")])
    assert restored(cache, ASKED, called("c1"), called("c2"), result("c1"), result("c2"), called("c3")) == [
        *("asked", "rs_a", "c1", "c2", "c1", "c2", "rs_b", "c3")
    ]


def test_what_the_client_kept_is_not_doubled() -> None:
    cache = ThoughtCache()
    cache.learn("me", [thought("a"), called("c1")])
    assert restored(cache, thought("a"), called("c1")) == ["rs_a", "c1"]
    assert restored(cache, thought("a"), SAID, called("c1")) == ["rs_a", "said", "c1"]
    assert restored(cache, thought("a"), ASKED, called("c1")) == ["rs_a", "asked", "rs_a", "c1"]


def test_each_owner_has_thoughts_of_its_own() -> None:
    cache = ThoughtCache()
    cache.learn("me", [thought("a"), called("c1")])
    assert restored(cache, called("c1"), owner="you") == ["c1"]


def test_calls_without_reasoning_are_not_remembered() -> None:
    cache = ThoughtCache()
    cache.learn("me", [SAID, called("c1"), thought("late")])
    assert restored(cache, called("c1"), result("c1")) == ["c1", "c1"]


def test_the_oldest_go_first_unless_they_are_used() -> None:
    cache = ThoughtCache(count=2)
    cache.learn("me", [thought("a"), called("c1")])
    cache.learn("me", [thought("b"), called("c2")])
    assert restored(cache, called("c1")) == ["rs_a", "c1"]
    cache.learn("me", [thought("c"), called("c3")])
    assert restored(cache, called("c1")) == ["rs_a", "c1"]
    assert restored(cache, called("c2")) == ["c2"]


def test_their_size_is_bounded() -> None:
    cache = ThoughtCache(size=1600)
    for name in "abcd":
        cache.learn("me", [thought(name * 300), called(name)])
    assert [len(restored(cache, called(name))) for name in "abcd"] == [1, 2, 2, 2]
    for _ in range(9):
        # The same again takes no further room.
        cache.learn("me", [thought("d" * 300), called("d")])
    assert [len(restored(cache, called(name))) for name in "bcd"] == [2, 2, 2]


@pytest.mark.parametrize(
    ("environ", "path"),
    [
        ({"HOME": "/h"}, "/h/.local/state/responses-gateway"),
        ({"HOME": "/h", "XDG_STATE_HOME": "/s"}, "/s/responses-gateway"),
        ({"HOME": "/h", "XDG_STATE_HOME": ""}, "/h/.local/state/responses-gateway"),
    ],
)
def test_where_files_are_kept(environ: dict[str, str], path: str) -> None:
    assert str(state_directory(environ)) == path
