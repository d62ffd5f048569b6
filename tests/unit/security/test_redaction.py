"""What counts as a secret, and that it is found however it comes."""

import pytest

from responses_gateway.security.redaction import ErrorRedactor, Redactor, is_secret

SECRET = "sk-upstream-0123456789"


@pytest.mark.parametrize(
    "name",
    [
        "authorization",
        "proxy-authorization",
        "cookie",
        "set-cookie",
        "x-api-key",
        "openai-api-key",
        "x-litellm-api-key",
        "x-goog-api-key",
        "ocp-apim-subscription-key",
        "cf-access-client-secret",
        "cf-access-jwt-assertion",
        "cf-access-token",
        "x-auth-token",
        "x-amz-security-token",
        "x-forwarded-access-token",
        "chatgpt-account-id",
    ],
)
def test_headers_that_are_never_kept(name):
    redactor = Redactor()
    redactor.conceal_headers({name: f"id={SECRET}" if "cookie" in name else SECRET})
    assert is_secret(name)
    assert redactor.headers([(name.title(), SECRET), ("x-echo", f"<{SECRET}>")]) == [["x-echo", "<[redacted]>"]]


@pytest.mark.parametrize(
    "name",
    [
        "user-agent",
        "session-id",
        "thread-id",
        "www-authenticate",
        "x-ratelimit-remaining-tokens",
        "sec-websocket-key",
        "idempotency-key",
        "keep-alive",
        "x-request-id",
    ],
)
def test_headers_that_are_kept(name):
    assert not is_secret(name)


@pytest.mark.parametrize("word", ["ollama", "none", "-", "", "lm-studio", "not-needed"])
def test_a_key_that_is_a_word_cuts_nothing_out(word):
    redactor = Redactor()
    redactor.conceal([word])
    text = "model not found, try pulling it first: ollama pull x (lm-studio, none, not-needed)"
    assert redactor.clean_text(text) == text


def test_every_cookie_is_a_secret():
    redactor = Redactor()
    redactor.conceal_headers({"cookie": "a=first-secret; b=second-secret"})
    assert redactor.clean(b"second-secret first-secret") == b"[redacted] [redacted]"


def test_a_secret_that_begins_with_another_is_replaced_whole():
    redactor = Redactor()
    redactor.conceal(["sk-12345678", "sk-12345678-rest"])
    assert redactor.clean(b"sk-12345678-rest") == b"[redacted]"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 21, 22, 23, 1000])
def test_an_error_whose_secret_is_cut_into_pieces(size):
    redactor = Redactor()
    redactor.conceal([SECRET])
    errors = ErrorRedactor(redactor)
    said = f'data: {{"content": "{SECRET} \\"error\\" {SECRET}"}}\n\n'.encode()
    fault = f'data: {{"error": "sk-sk-up {SECRET[:10]} {SECRET}{SECRET}, s"}}\n\n'.encode()
    data = said + fault + said
    out = b"".join(errors.feed(data[at : at + size]) for at in range(0, len(data), size)) + errors.finish()
    assert out == said + fault.replace(SECRET.encode(), b"[redacted]") + said


def test_a_secret_that_ends_as_it_begins_is_not_cut():
    redactor = Redactor()
    redactor.conceal(["sk-0123456-sk-"])
    errors = ErrorRedactor(redactor)
    assert errors.feed(b'{"error": "sk-0123456-sk-') + errors.feed(b'"}') == b'{"error": "[redacted]"}'


def test_what_cannot_be_a_secret_is_not_held_back():
    redactor = Redactor()
    redactor.conceal([SECRET])
    assert ErrorRedactor(redactor).feed(b"data: {}\n\n") == b"data: {}\n\n"


def test_whole_answers_that_are_errors():
    redactor = Redactor()
    redactor.conceal([SECRET])
    errors = ErrorRedactor(redactor)
    assert errors.whole(401, SECRET.encode()) == b"[redacted]"
    assert errors.whole(200, f'{{"error": "{SECRET}"}}'.encode()) == b'{"error": "[redacted]"}'
    assert errors.whole(200, f'{{"content": "{SECRET}"}}'.encode()) == f'{{"content": "{SECRET}"}}'.encode()
