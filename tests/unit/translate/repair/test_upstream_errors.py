"""Errors of upstreams, as they were seen, and what the client is told: status and code decide what it does next."""

# ruff: noqa: E501 (a row of a table is one line)

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_gateway.protocol.errors import GatewayError
from responses_gateway.translate.repair.upstream_errors import (
    DEFAULT_RETRY_AFTER,
    classify,
    error_in,
    failed_response_error,
    told_wait,
    upstream_error,
)
from responses_gateway.turn.error_response import error_response

CONTEXT = (400, "context_length_exceeded")
LIMITED = (429, "rate_limit_exceeded")
QUOTA = (429, "insufficient_quota")
NO_MODEL = (400, "model_not_found")
KEY = (400, "invalid_api_key")
BUSY = (503, "server_error")
BROKEN = (502, "server_error")


def openai(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": None, "param": None, "code": None, **more}}


REFUSALS: list[tuple[str, int, Any, tuple[int, str]]] = [
    ("openai context", 400, openai("This model's maximum context length is 128000 tokens. However, your messages resulted in 130000 tokens.", code="context_length_exceeded"), CONTEXT),
    ("anthropic context", 400, openai("prompt is too long: 210000 tokens > 200000 maximum"), CONTEXT),
    ("gemini context", 400, [openai("The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).", code=400, status="INVALID_ARGUMENT")], CONTEXT),
    ("dashscope context", 400, openai("<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 129024]", code="invalid_parameter_error"), CONTEXT),
    ("kimi context", 400, openai("Invalid request: Your request exceeded model token limit: 262144", type="invalid_request_error"), CONTEXT),
    ("glm context", 400, openai("Prompt exceeds max length", code="1261"), CONTEXT),
    ("xai context", 400, {"code": "Client specified an invalid argument", "error": "This model's maximum prompt length is 131072 but the request contains 537812 tokens."}, CONTEXT),
    ("mistral context", 400, {"object": "error", "message": "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length", "type": "invalid_request_error", "code": "3051"}, CONTEXT),
    ("cerebras context", 400, {"message": "Please reduce the length of the messages or completion. Current length is 9000 while limit is 8192", "type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded"}, CONTEXT),
    ("vllm context", 400, {"object": "error", "message": "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens in the messages", "type": "BadRequestError", "param": None, "code": 400}, CONTEXT),
    ("sglang context", 400, {"object": "error", "message": "The input (5000 tokens) is longer than the model's context length (4096 tokens).", "type": "BadRequestError", "code": 400}, CONTEXT),
    ("llama.cpp context", 400, {"error": {"code": 400, "message": "request (120013 tokens) exceeds the available context size (8192 tokens), try increasing it", "type": "exceed_context_size_error"}}, CONTEXT),
    ("lm studio context", 400, {"error": "Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens."}, CONTEXT),
    ("ollama context", 400, openai("the input length exceeds the context length"), CONTEXT),
    ("bedrock context", 400, openai("Input is too long for requested model."), CONTEXT),
    ("copilot context", 400, openai("prompt token count of 130000 exceeds the limit of 128000", code="model_max_prompt_tokens_exceeded"), CONTEXT),
    ("openrouter context", 400, openai("This endpoint's maximum context length is 131072 tokens. However, you requested about 140000 tokens", code=400), CONTEXT),
    ("litellm context", 400, openai("litellm.ContextWindowExceededError: litellm.BadRequestError: OpenAIException - request (120013 tokens) exceeds the available context size", code="400"), CONTEXT),
    ("minimax context", 200, {"base_resp": {"status_code": 2013, "status_msg": "invalid params, context window exceeds limit"}}, CONTEXT),
    ("together context", 422, openai("Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193. Given: 9000 `inputs` tokens"), CONTEXT),
    ("openai limit", 429, openai("Rate limit reached for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000. Please try again in 1.2s.", code="rate_limit_exceeded"), LIMITED),
    ("groq limit as 413", 413, openai("Request too large for model `llama` on tokens per minute (TPM): Limit 6000, Requested 9000, please reduce your message size and try again.", code="rate_limit_exceeded"), LIMITED),
    ("gemini limit that speaks of quota", 429, [openai("You exceeded your current quota, please check your plan and billing details. Please retry in 34.07s.", code=429, status="RESOURCE_EXHAUSTED")], LIMITED),
    ("minimax limit", 200, {"base_resp": {"status_code": 1002, "status_msg": "rate limit"}}, LIMITED),
    ("minimax limit in words of its own", 200, {"base_resp": {"status_code": 1039, "status_msg": "token exceeded"}}, LIMITED),
    ("plain limit", 429, "Too Many Requests", LIMITED),
    ("kimi limit", 429, openai("Your account request reached max organization concurrency limit: 3", type="rate_limit_reached_error"), LIMITED),
    ("dashscope limit", 429, openai("Requests rate limit exceeded, please try again later.", code="limit_burst_rate"), LIMITED),
    ("openai quota", 429, openai("You exceeded your current quota, please check your plan and billing details.", code="insufficient_quota"), QUOTA),
    ("deepseek balance", 402, openai("Insufficient Balance", type="unknown_error", code="invalid_request_error"), QUOTA),
    ("kimi balance", 429, openai("Your account is suspended, please check your plan and billing details", type="exceeded_current_quota_error"), QUOTA),
    ("minimax balance", 200, {"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}, QUOTA),
    ("new-api balance", 403, openai("用户额度不足", code="insufficient_user_quota"), QUOTA),
    ("openrouter credits", 402, openai("This request requires more credits, or fewer max_tokens.", code=402), QUOTA),
    ("openai model", 404, openai("The model `gpt-9` does not exist or you do not have access to it.", code="model_not_found"), NO_MODEL),
    ("deepseek model", 400, openai("Model Not Exist", code="invalid_request_error"), NO_MODEL),
    ("openrouter model", 400, openai("nobody/nothing is not a valid model ID", code=400), NO_MODEL),
    ("ollama model", 404, openai('model "llama9" not found, try pulling it first'), NO_MODEL),
    ("vllm model", 404, {"object": "error", "message": "The model `x` does not exist.", "type": "NotFoundError", "code": 404}, NO_MODEL),
    ("litellm model", 400, openai("/chat/completions: Invalid model name passed in model=x. Call `/v1/models` to view available models", code="400"), NO_MODEL),
    ("transformers model", 400, {"detail": "Server is pinned to './hf'; requested 'no-such-model'."}, NO_MODEL),
    ("wrong path", 404, {"detail": "Not Found"}, (400, "not_found")),
    ("openai key", 401, openai("Incorrect API key provided.", code="invalid_api_key"), KEY),
    ("forbidden", 403, "<html><body>Forbidden</body></html>", KEY),
    ("minimax key", 200, {"base_resp": {"status_code": 1004, "status_msg": "login fail"}}, KEY),
    ("anthropic overload", 529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, BUSY),
    ("nginx", 503, "<html><head><title>503</title></head><body>Service Temporarily Unavailable</body></html>", BUSY),
    ("nim worker", 500, openai("Worker local total request limit reached (33/32)"), BUSY),
    ("overload as 500", 500, openai("The model is overloaded. Please try again later."), BUSY),
    ("cloudflare", 502, "<html><title>502 Bad Gateway</title><body>Bad gateway</body></html>", BROKEN),
    ("bare 500", 500, openai("Internal Server Error"), BROKEN),
    ("minimax unknown", 200, {"base_resp": {"status_code": 1000, "status_msg": "unknown error"}}, BROKEN),
    ("llama.cpp template", 500, {"error": {"code": 500, "message": "Failed to parse tools: Missing tool function", "type": "server_error"}}, (400, "invalid_request_error")),
    ("llama.cpp image", 500, {"error": {"code": 500, "message": "image input is not supported", "type": "server_error"}}, (400, "invalid_request_error")),
    ("mistral extra", 422, {"object": "error", "message": {"detail": [{"type": "extra_forbidden", "loc": ["body", "messages", 2, "assistant", "reasoning_content"]}]}, "type": "invalid_request_error", "code": "3001"}, (400, "invalid_request_error")),
    ("fastapi", 422, {"detail": [{"type": "missing", "loc": ["body"], "msg": "Field required"}]}, (400, "missing")),
    ("lm studio", 400, {"error": "'response_format.type' must be 'json_schema' or 'text'"}, (400, "invalid_request_error")),
    ("cerebras", 400, {"message": "body.x: property 'x' is unsupported", "type": "invalid_request_error", "param": "validation_error", "code": "wrong_api_format"}, (400, "wrong_api_format")),
    ("dashscope", 400, openai("<400> InternalError.Algo.InvalidParameter: The tool_choice parameter does not support being set to required", code="invalid_parameter_error"), (400, "invalid_parameter_error")),
    ("empty body", 400, "", (400, "invalid_request_error")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "body", "expected"), [entry[1:] for entry in REFUSALS], ids=[e[0] for e in REFUSALS]
)
def test_refusals(status: int, body: Any, expected: tuple[int, str]) -> None:
    raw = body if isinstance(body, str) else json.dumps(body)
    if status == 200:
        error = error_in(body)
        assert error is not None
    else:
        error = upstream_error(
            status, {}, raw.encode(), upstream="acme", credential="the key from ACME_KEY", codex=True
        )
    assert (error.status, error.code) == expected
    assert error.message
    if error.code == "rate_limit_exceeded":
        assert error.retry_after
        assert "try again in" in error.message or "retry in" in error.message


@pytest.mark.parametrize(
    ("status", "body", "expected"), [entry[1:] for entry in REFUSALS], ids=[e[0] for e in REFUSALS]
)
def test_the_same_within_a_stream(status: int, body: Any, expected: tuple[int, str]) -> None:
    """What tells is in the words; where only the status tells, a stream has no status."""
    error = error_in(body if not isinstance(body, str) else {"error": {"message": body or "x", "code": status}})
    assert error is not None
    if expected[1] in ("context_length_exceeded", "rate_limit_exceeded"):
        assert error.code == expected[1]


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (401, openai("Incorrect API key provided."), "invalid_api_key"),
        (403, openai("Not allowed."), "invalid_api_key"),
        (404, openai("The model `x` does not exist."), "model_not_found"),
        (404, {"detail": "Not Found"}, "not_found"),
    ],
)
def test_sdks_have_an_exception_for_it(status: int, body: Any, code: str) -> None:
    error = upstream_error(status, {}, json.dumps(body).encode(), upstream="acme")
    assert (error.status, error.code) == (status, code)


@pytest.mark.parametrize("status", [408, 425])
def test_a_timeout_of_the_upstream_is_no_fault_of_the_request(status: int) -> None:
    error = upstream_error(status, {}, b"", upstream="acme")
    assert (error.status, error.code) == (503, "server_error")


def test_no_error() -> None:
    for body in (
        {"choices": []},
        {"choices": [{"delta": {"content": "error"}}]},
        {"choices": [], "base_resp": {"status_code": 0, "status_msg": ""}},
        {"choices": None, "object": "chat.completion.chunk", "usage": {}},
        {"error": None, "choices": []},
        [],
        "text",
        None,
    ):
        assert error_in(body) is None


def test_the_key_is_named_and_the_words_are_kept() -> None:
    error = upstream_error(401, {}, b'{"error":"no such key"}', upstream="acme", credential="the key from ACME_KEY")
    assert "ACME_KEY" in error.message
    assert "acme" in error.message
    assert "no such key" in error.message


def test_html_is_shown_as_text() -> None:
    page = b"<html><head><style>p{}</style></head><body><h1>It broke</h1></body></html>"
    assert upstream_error(502, {}, page, upstream="acme").message == "acme answered HTTP 502: It broke"


@pytest.mark.parametrize(
    ("headers", "message", "seconds"),
    [
        ({"retry-after": "3"}, "", 3.0),
        ({"retry-after": "0.5"}, "", 0.5),
        ({"retry-after-ms": "250", "retry-after": "1"}, "", 0.25),
        ({"retry-after": "Sat, 21 Nov 2026 03:00:07 GMT", "date": "Sat, 21 Nov 2026 03:00:00 GMT"}, "", 7.0),
        ({"retry-after": "soon"}, "Please try again in 20ms.", 0.02),
        ({}, "Please try again in 1m2.5s", 62.5),
        ({}, "try again in 1h0m1s", 3601.0),
        ({}, "Please retry after 3 seconds.", 3.0),
        ({}, "try again in 2 minutes", 120.0),
        ({}, '"retryDelay": "34s"', 34.0),
        ({}, "try again later", None),
        ({"retry-after": "-1"}, "", None),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], message: str, seconds: float | None) -> None:
    assert told_wait(headers, message) == seconds


def test_a_limit_without_a_time_gets_one() -> None:
    error = classify(429, "slow down", "")
    assert error.retry_after == DEFAULT_RETRY_AFTER
    assert error.message == "slow down. Please try again in 10s."


HOSTILE = [
    *("9" * digits for digits in (1, 20, 400, 4_301, 100_000)),
    *("nan", "inf", "-inf", "1e999", "-1", "0", "٣٣", "²", "", "1" * 400 + ".5"),
]
NUMBERS = st.sampled_from(HOSTILE) | st.from_regex(r"[0-9]{1,30}(\.[0-9]{1,5})?", fullmatch=True)
UNITS = st.sampled_from(["", "s", "ms", "m", "h", "minutes", "seconds", "m5s", "h1m2s", "h" + "9" * 400 + "m1s"])
DATES = st.builds(
    "Mon, 01 Jan {} {}:00:00 {}".format, NUMBERS, NUMBERS, st.sampled_from(["GMT", "+9999", "-" + "9" * 30])
)
VALUES = NUMBERS | DATES | st.integers() | st.floats() | st.integers(10**399, 10**400) | st.none()


@given(
    status=st.sampled_from([302, 400, 429, 500, 503]),
    headers=st.fixed_dictionaries(
        {}, optional=dict.fromkeys(["retry-after", "retry-after-ms", "date"], NUMBERS | DATES)
    ),
    message=st.builds("rate limit, try again in {}{}".format, NUMBERS, UNITS),
    code=VALUES,
    shape=st.sampled_from(["error", "base_resp", "flat"]),
)
def test_numbers_of_any_kind_make_no_fault(
    status: int, headers: dict[str, str], message: str, code: Any, shape: str
) -> None:
    payload: Any = {
        "error": {"error": {"message": message, "code": code}},
        "base_resp": {"base_resp": {"status_code": code, "status_msg": message}},
        "flat": {"message": message, "code": code, "type": "x"},
    }[shape]
    body = json.dumps(payload).encode()
    errors = [upstream_error(status, headers, body, upstream="u"), error_in(payload)]
    for error in filter(None, errors):
        assert 400 <= error.status < 600
        assert error_response(error).status_code == error.status
        assert (told_wait(headers, error.message) or 0) < 86400


@pytest.mark.parametrize(
    ("payload", "message", "code"),
    [
        ({"error": {"msg": "m"}}, "m", "server_error"),
        ({"error": {"detail": "m"}}, "m", "server_error"),
        ({"error": {"status_msg": "m"}}, "m", "server_error"),
        ({"error": {"message": "m", "msg": "other"}}, "m", "server_error"),
        ({"error": {"message": {"a": 1}}}, '{"a":1}', "server_error"),
        ({"error": {"message": ["a"]}}, '["a"]', "server_error"),
        ({"error": {"a": 1}}, '{"a":1}', "server_error"),
        ({"error": {"message": "m", "metadata": {"raw": "more"}}}, "m: more", "server_error"),
        ({"error": {"message": "m", "metadata": {"raw": 5}}}, "m", "server_error"),
        ({"error": {"message": "m", "metadata": "raw"}}, "m", "server_error"),
        ({"error": {"message": "m", "code": 400}}, "m", "invalid_request_error"),
        ({"error": {"message": "m", "code": "400", "type": "odd"}}, "m", "odd"),
        ({"error": {"message": "m", "code": 400, "status": "ODD", "type": "other"}}, "m", "ODD"),
        ({"error": {"message": "m", "code": "c", "status": "ODD"}}, "m", "server_error"),
        ({"error": {"message": "m", "code": 4000}}, "m", "server_error"),
        ({"error": {"message": "m", "code": 399}}, "m", "server_error"),
        ({"error": {"message": "m", "code": 499}}, "m", "invalid_request_error"),
        ({"error": ["a", {"message": "b", "code": "x"}]}, "a; b", "server_error"),
        ({"error": 5}, "5", "server_error"),
        ({"choices": [{"delta": {}}, {"error": {"message": "m"}}]}, "m", "server_error"),
        ({"choices": None, "detail": "m"}, "m", "server_error"),
        ({"detail": [{"msg": "a"}, {"msg": "b"}]}, "a; b", "server_error"),
        ({"object": "error", "message": "m", "code": None}, "m", "server_error"),
        ({"message": "m", "type": "odd"}, "m", "server_error"),
        ({"message": {"detail": "x"}, "type": "odd"}, '{"detail":"x"}', "server_error"),
        ({"base_resp": {"status_code": 7}}, "unknown error", "server_error"),
        ([{"choices": []}, {"error": "m"}], "m", "server_error"),
    ],
)
def test_where_an_error_stands(payload: Any, message: str, code: str) -> None:
    error = error_in(payload)
    assert error is not None
    assert (error.message, error.code) == (message, code)


@pytest.mark.parametrize(
    "payload",
    [
        {"choices": [{"delta": {}}], "error": None},
        {"choices": [{"error": None}, "x"]},
        {"choices": "x", "detail": "m"},
        {"object": "chat.completion.chunk", "detail": "m"},
        {"object": "list", "message": "m", "code": 1},
        {"message": "m"},
        {"message": 5, "code": 1},
        {"base_resp": {"status_code": "0"}},
        {"base_resp": {"status_code": None}},
        {"base_resp": "x"},
    ],
)
def test_what_is_no_error(payload: Any) -> None:
    assert error_in(payload) is None


@pytest.mark.parametrize(
    ("code", "status", "name"),
    [
        *((code, 502, "server_error") for code in (1000, 1001, 1013, 1024)),
        (1033, 503, "server_error"),
        *((code, 429, "rate_limit_exceeded") for code in (1002, 1039, 1041, 2045, 2056)),
        *((code, 400, "invalid_api_key") for code in (1004, 2049)),
        (1008, 429, "insufficient_quota"),
        *((code, 400, str(code)) for code in (1042, 1026, 1027, 2013)),
    ],
)
@pytest.mark.parametrize("as_text", [True, False])
def test_the_numbers_of_minimax(code: int, status: int, name: str, as_text: bool) -> None:
    error = error_in({"base_resp": {"status_code": str(code) if as_text else code, "status_msg": "m"}})
    assert error is not None
    assert (error.status, error.code) == (status, name)


@pytest.mark.parametrize(
    ("status", "message", "code", "told"),
    [
        (400, "maximum context length", "", (400, "context_length_exceeded", "input", "invalid_request_error", None)),
        (429, "x", "context_length_exceeded", (400, "context_length_exceeded", "input", "invalid_request_error", None)),
        (413, "maximum context length", "", (400, "context_length_exceeded", "input", "invalid_request_error", None)),
        (422, "maximum context length", "", (400, "context_length_exceeded", "input", "invalid_request_error", None)),
        (500, "maximum context length", "", (400, "context_length_exceeded", "input", "invalid_request_error", None)),
        (502, "maximum context length", "", (502, "server_error", None, "server_error", None)),
        (429, "maximum context length", "", (429, "rate_limit_exceeded", None, "rate_limit_error", 10.0)),
        (400, "max_tokens is too large for the maximum context length", "", (400, "invalid_request_error", None, "invalid_request_error", None)),
        (402, "x", "", (429, "insufficient_quota", None, "insufficient_quota", None)),
        (429, "quota: billing", "", (429, "insufficient_quota", None, "insufficient_quota", None)),
        (429, "billing, try again in 3s", "", (429, "rate_limit_exceeded", None, "rate_limit_error", 3.0)),
        (400, "no such model", "", (400, "model_not_found", "model", "invalid_request_error", None)),
        (404, "the MODEL is gone", "", (400, "model_not_found", "model", "invalid_request_error", None)),
        (404, "gone", "", (400, "not_found", None, "invalid_request_error", None)),
        (401, "x", "", (400, "invalid_api_key", None, "authentication_error", None)),
        (403, "x", "", (400, "invalid_api_key", None, "authentication_error", None)),
        (408, "x", "", (503, "server_error", None, "server_error", None)),
        (503, "x", "", (503, "server_error", None, "server_error", None)),
        (529, "x", "", (503, "server_error", None, "server_error", None)),
        (500, "overloaded", "", (503, "server_error", None, "server_error", None)),
        (400, "overloaded", "", (400, "invalid_request_error", None, "invalid_request_error", None)),
        (499, "x", "odd", (400, "odd", None, "invalid_request_error", None)),
        (500, "x is required", "odd", (400, "invalid_request_error", None, "invalid_request_error", None)),
        (501, "x is required", "odd", (502, "server_error", None, "server_error", None)),
        (302, "x", "odd", (502, "server_error", None, "server_error", None)),
    ],
)  # fmt: skip
def test_what_clients_are_told_to_do(status: int, message: str, code: str, told: tuple[Any, ...]) -> None:
    error = classify(status, message, code)
    assert (error.status, error.code, error.param, error.type, error.retry_after) == told


@pytest.mark.parametrize(("status", "kept"), [(503, 7.0), (502, 7.0), (429, 7.0), (400, None)])
def test_a_told_wait_is_kept_where_waiting_helps(status: int, kept: float | None) -> None:
    assert classify(status, "x", "", 7.0).retry_after == kept


def test_a_time_that_is_told_in_words_is_not_told_twice() -> None:
    assert classify(429, "slow down, try again in 3s", "").message == "slow down, try again in 3s"
    assert classify(429, "slow down. ", "", 2.5).message == "slow down. Please try again in 2.5s."


def test_long_words_are_cut() -> None:
    assert classify(500, "x" * 3000, "").message == "x" * 2000
    page = upstream_error(500, {}, b"y" * 3000, upstream="acme")
    assert page.message == "acme answered HTTP 500: " + "y" * 2000


@pytest.mark.parametrize(
    ("page", "text"),
    [
        (b"<html><head><title>T</title></head><body>a<br>b</body></html>", "a b"),
        (b"<!doctype html><HTML><script>x<y</script>a</HTML>", "a"),
        (b"<html><style>p{}</style>a<script>never closed", "a"),
        (b"  <p>a</p>\n\n <b>b</b>", "a b"),
        (b"a < b", "a < b"),
        (b"\xff", "\ufffd"),
        (b"a\n\n  b", "a b"),
    ],
)
def test_pages_are_read_as_text(page: bytes, text: str) -> None:
    assert upstream_error(500, {}, page, upstream="acme").message == f"acme answered HTTP 500: {text}"


@pytest.mark.parametrize(
    ("error", "public", "for_codex"),
    [
        (GatewayError("m", 502), "server_error", "server_error"),
        (GatewayError("m", 502, "server_error"), "server_error", "server_error"),
        (GatewayError("m", 429, "rate_limit_exceeded"), "rate_limit_exceeded", "rate_limit_exceeded"),
        (GatewayError("m", 400, "context_length_exceeded"), "context_length_exceeded", "context_length_exceeded"),
        (GatewayError("m", 400, "invalid_prompt"), "invalid_prompt", "invalid_prompt"),
        (GatewayError("m", 429, "insufficient_quota"), "invalid_prompt (insufficient_quota)", "insufficient_quota"),
        (GatewayError("m", 400, "model_not_found"), "invalid_prompt (model_not_found)", "model_not_found"),
        (GatewayError("m", 400, "odd"), "invalid_prompt", "invalid_prompt"),
        (GatewayError("m", 499, "odd"), "invalid_prompt", "invalid_prompt"),
        (GatewayError("m", 399, "odd"), "server_error", "server_error"),
        (GatewayError("m", 500, "odd"), "server_error", "server_error"),
    ],
)
def test_the_code_of_a_failed_response(error: GatewayError, public: str, for_codex: str) -> None:
    for codex, told in ((False, public), (True, for_codex)):
        code, _, rest = told.partition(" ")
        assert failed_response_error(error, codex=codex) == {"code": code, "message": f"m {rest}".strip()}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"x-ratelimit-reset-after": "4"}, 4.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "86399"}, 86399.0),
        ({"retry-after": "86400"}, None),
        ({"retry-after-ms": "x", "retry-after": "2"}, 2.0),
        ({"retry-after": "Sat, 21 Nov 2026 03:00:00 GMT", "date": "Sat, 21 Nov 2026 03:00:07 GMT"}, None),
        ({"retry-after": "Sat, 21 Nov 2026 03:00:00 GMT", "date": "Sat, 21 Nov 2026 03:00:00 GMT"}, 0.0),
        ({"retry-after": "Sun, 22 Nov 2026 03:00:00 GMT", "date": "Sat, 21 Nov 2026 03:00:00 GMT"}, None),
        ({"retry-after": "Sat, 21 Nov 2026 03:00:00 GMT"}, None),
    ],
)
def test_which_headers_tell_how_long(headers: dict[str, str], seconds: float | None) -> None:
    assert told_wait(headers, "") == seconds


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("try again in 1h2m3s", 3723.0),
        ("retry in 500 milliseconds", 0.5),
        ("retry after: 2 mins", 120.0),
        ("try again in 23h59m59s", 86399.0),
        ("try again in 24h0m0s", None),
        ("retryDelay: 3 secs", 3.0),
    ],
)
def test_which_words_tell_how_long(words: str, seconds: float | None) -> None:
    assert told_wait({}, words) == seconds
