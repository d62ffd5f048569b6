"""How many sessions are remembered, and which is forgotten first."""

from responses_gateway.turn.sessions import SESSION_LIMIT, Sessions


def test_the_session_that_was_not_used_for_longest_is_forgotten() -> None:
    sessions = Sessions()
    first = sessions.get("me", "0")
    known = [sessions.get("me", str(number)) for number in range(1, SESSION_LIMIT)]
    assert sessions.get("me", "0") is first
    sessions.get("me", "one too many")
    assert sessions.get("me", "0") is first
    assert sessions.get("me", "2") is known[1]
    assert sessions.get("me", "1") is not known[0]
