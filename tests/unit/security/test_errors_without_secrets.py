"""Secrets in what upstreams say, whole and in pieces, and in headers."""

import pytest

from responses_gateway.security.redaction import ErrorRedactor, Redactor

KEY = "sk-0123456789"


def redactor(*secrets: str) -> Redactor:
    made = Redactor()
    made.conceal(secrets or [KEY])
    return made


def in_pieces(text: bytes, size: int, *secrets: str) -> bytes:
    errors = ErrorRedactor(redactor(*secrets))
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    return b"".join(errors.feed(piece) for piece in pieces) + errors.finish()


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 100])
def test_lines_that_are_errors_are_cleaned_however_they_come(size: int) -> None:
    text = b'data: {"text": "sk-0123456789"}\n\ndata: {"error": "bad key sk-0123456789"}\n\ndata: sk-0123456789\n'
    cleaned = b'data: {"text": "sk-0123456789"}\n\ndata: {"error": "bad key [redacted]"}\n\ndata: sk-0123456789\n'
    assert in_pieces(text, size) == cleaned


@pytest.mark.parametrize("size", [1, 4, 100])
def test_a_secret_at_the_start_of_another_is_replaced_whole(size: int) -> None:
    told = in_pieces(b'{"error": "sk-0123456789abc, sk-0123456789"}', size, KEY, KEY + "abc")
    assert told.count(b"[redacted]") == 2
    assert b"abc" not in told or size < 100


def test_only_what_may_be_a_secret_is_held_back() -> None:
    errors = ErrorRedactor(redactor())
    assert errors.feed(b'{"error": "x sk-01') == b'{"error": "x '
    assert errors.feed(b"!") == b"sk-01!"
    assert errors.feed(b"s") == b""
    assert errors.finish() == b"s"
    assert errors.finish() == b""


@pytest.mark.parametrize(
    ("status", "body", "clean"),
    [
        (400, b"sk-0123456789", True),
        (399, b"sk-0123456789", False),
        (200, b'{"error": "sk-0123456789"}', True),
        (200, b'{"text": "sk-0123456789"}', False),
    ],
)
def test_whole_answers(status: int, body: bytes, clean: bool) -> None:
    assert (b"[redacted]" in ErrorRedactor(redactor()).whole(status, body)) is clean


@pytest.mark.parametrize(
    ("secret", "hidden"),
    [("12345678", True), ("1234567", False), ("not-needed", False), ("lm-studio", False)],
)
def test_what_is_no_secret_stays_in_texts(secret: str, hidden: bool) -> None:
    assert (redactor(secret).clean_text(f"<{secret}>") == "<[redacted]>") is hidden


def test_secret_headers_are_learnt_and_left_out() -> None:
    made = Redactor()
    made.conceal((), ["x-own"])
    made.conceal_headers(
        {
            "authorization": "Bearer abcdefghij",
            "cookie": "a=cookie-one; cookie-two",
            "user-agent": "an-agent-of-length",
            "idempotency-key": "a-nonce-of-length",
        }
    )
    assert made.clean_text("abcdefghij cookie-one cookie-two Bearer") == "[redacted] [redacted] [redacted] Bearer"
    assert made.clean_text("an-agent-of-length a-nonce-of-length") == "an-agent-of-length a-nonce-of-length"
    shown = made.headers([("Authorization", "x"), ("X-Own", "y"), ("Accept", "abcdefghij"), ("Max-Tokens", "5")])
    assert shown == [["Accept", "[redacted]"], ["Max-Tokens", "5"]]


@pytest.mark.parametrize(("data", "begun"), [(b"x", 0), (b"", 0), (b"sk-", 3), (b"ss", 1), (KEY.encode(), 0)])
def test_how_much_may_be_a_secret(data: bytes, begun: int) -> None:
    assert redactor().begun(data) == begun
    assert Redactor().begun(data) == 0
