"""Every vendor, strictly: what the gateway sends is accepted over three turns, and what it answers is understood."""

import json
from typing import Any

import pytest

from responses_gateway.catalogue.providers.shipped import shipped
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import dumps
from responses_gateway.translate.repair.upstream_errors import error_in, upstream_error
from unit.world import open_exchange
from vendors.conversation import HEADERS, LONG_NAME, STEPS, converse, runtime
from vendors.ignorant import BODIES
from vendors.rules import Json, Rule
from vendors.table import VENDORS
from vendors.vendor import ABOUT_EFFORT, EFFORTS, Fault, Vendor

ROWS = [pytest.param(vendor, model, id=f"{vendor.profile}-{model}") for vendor in VENDORS for model in vendor.models]
RULES = [
    pytest.param(vendor, rule, id=f"{vendor.profile}-{vendor.models[0]}-{rule.words[:40]}")
    for vendor in VENDORS
    for rule in vendor.rules
]
LADDERS = [
    pytest.param(vendor, model, effort, said, id=f"{vendor.profile}-{model}-{effort}")
    for vendor in VENDORS
    for model in vendor.models
    for efforts, said in vendor.effort.items()
    for effort in efforts.split()
]
IN_CHAT = {
    "max_output_tokens": ("max_tokens", "max_completion_tokens"),
    "seed": ("seed", "random_seed"),
    "text.verbosity": ("verbosity",),
}
"""Parameters of the Responses API that may have another name in chat."""


def test_every_shipped_profile_has_its_vendor() -> None:
    assert {vendor.profile for vendor in VENDORS} == {*shipped()}


@pytest.mark.parametrize(("vendor", "model"), ROWS)
def test_the_address_or_the_server_chooses_the_profile(vendor: Vendor, model: str) -> None:
    assert runtime(vendor).router.resolve(model).profile.name == vendor.profile


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize(("vendor", "model"), ROWS)
def test_three_turns_are_accepted_and_understood(vendor: Vendor, model: str, stream: bool) -> None:
    thoughts: list[str] = []
    for number, (step, exchange, output) in enumerate(converse(vendor, model, stream=stream)):
        body = exchange.upstream_request.body
        assert vendor.complaints(body) == [], f"in step {number}"
        assert_given_back(thoughts, vendor.replay, body)
        speaks = step.says.reasoning if vendor.speech.reasoning else ""
        assert shown(output) == expected(step.says.text, speaks, step.says.calls)
        thoughts += [speaks] if speaks else []
        headers = exchange.upstream_request.headers(HEADERS)
        assert {name: headers.get(name) for name in vendor.headers} == vendor.headers
    assert number == len(STEPS) - 1


def shown(output: list[Json]) -> list[Any]:
    """What the client got, in short."""
    items: list[Any] = []
    for item in output:
        match item:
            case {"type": "reasoning", "summary": summary}:
                items += ["".join(part["text"] for part in summary)] if summary else []
            case {"type": "message", "content": content}:
                items.append("".join(part["text"] for part in content))
            case {"type": "custom_tool_call"}:
                items.append((item["name"], {"input": item["input"]}))
            case {"type": "function_call"}:
                items.append((item["name"], json.loads(item["arguments"])))
    return items


def expected(text: str, reasoning: str, calls: list[tuple[str, Json]]) -> list[Any]:
    return [*filter(None, (reasoning, text)), *calls]


def assert_given_back(thoughts: list[str], field: str | None, body: Json) -> None:
    """All earlier reasoning is in the history, in that field of assistant messages, and nowhere else."""
    history = [message for message in body["messages"] if message["role"] == "assistant"]
    for thought in thoughts:
        holders = [name for message in history for name, value in message.items() if thought in json.dumps(value)]
        assert holders == ([field] if field else []), f"{thought!r} is in {holders}"


@pytest.mark.parametrize(("vendor", "model"), ROWS)
def test_what_is_not_sent_as_it_was_asked_for_is_in_the_ledger(vendor: Vendor, model: str) -> None:
    everything = next(step for step in STEPS if "made_up" in step.wants).wants
    plain = {
        name: value for name, value in everything.items() if name not in ("reasoning", "text", "store", "truncation")
    }
    wanted = {**plain, "text.verbosity": "low"}
    exchange = next(exchange for step, exchange, _ in converse(vendor, model, stream=True) if step.wants is everything)
    sent = exchange.upstream_request.body
    if sent.get("tool_choice") == "any":
        sent["tool_choice"] = "required"
    told = {entry.field for entry in exchange.ledger.entries}
    for name, value in wanted.items():
        assert name in told or value in (sent.get(here) for here in IN_CHAT.get(name, (name,))), name


@pytest.mark.parametrize(("vendor", "model"), ROWS)
def test_each_request_begins_with_the_one_before(vendor: Vendor, model: str) -> None:
    before: list[Json] = []
    tools: list[Json] = []
    for step, exchange, _ in converse(vendor, model, stream=True):
        body = exchange.upstream_request.body
        assert body["messages"][: len(before)] == before
        before = body["messages"]
        if "format" in step.wants.get("text", {}) and "Answer with one JSON object" in before[-1]["content"]:
            before = before[:-1]  # told in words, which belong to this request only
        if not step.narrows:
            assert body["tools"] == (tools or body["tools"])
            tools = body["tools"]


@pytest.mark.parametrize(
    "vendor", [vendor for vendor in VENDORS if vendor.headers], ids=lambda vendor: vendor.models[0]
)
def test_headers_about_the_session_need_one(vendor: Vendor) -> None:
    exchange = open_exchange({"model": vendor.models[0], "input": "hi"}, {}, runtime(vendor))
    assert not vendor.headers.keys() & exchange.upstream_request.headers({}).keys()


@pytest.mark.parametrize("vendor", [vendor for vendor in VENDORS if vendor.replay == "reasoning_details"])
def test_reasoning_details_come_back_as_one_list_unmodified(vendor: Vendor) -> None:
    *_, (_, exchange, _) = converse(vendor, vendor.models[0], stream=True)
    first = next(m for m in exchange.upstream_request.body["messages"] if m["role"] == "assistant")
    detail = {"type": "reasoning.text", "id": "rs-1", "format": "vendor-v1", "index": 0, "text": "I should look first."}
    signed = {"signature": "sig I should look first."} if vendor.speech.reasoning == "details" else {}
    assert first["reasoning_details"] == [{**detail, **signed}]


def test_a_signature_comes_back_on_the_call_that_it_came_with() -> None:
    vendor = next(vendor for vendor in VENDORS if vendor.speech.signatures == "on the call")
    *_, (_, exchange, _) = converse(vendor, vendor.models[0], stream=True)
    batches = [m["tool_calls"] for m in exchange.upstream_request.body["messages"] if "tool_calls" in m]
    assert [[call.get("extra_content") for call in batch] for batch in batches] == [
        [{"google": {"thought_signature": f"sig-{number}"}}, *([None] * (len(step.says.calls) - 1))]
        for number, step in enumerate(STEPS)
        if step.says.calls
    ]


@pytest.mark.parametrize(("vendor", "rule"), RULES)
def test_each_rule_is_broken_by_who_does_not_know_it(vendor: Vendor, rule: Rule) -> None:
    assert any(rule.complaints(body) for body in BODIES)


@pytest.mark.parametrize(("vendor", "model", "effort", "said"), LADDERS)
def test_the_effort_is_said_in_the_vendors_words(vendor: Vendor, model: str, effort: str, said: Json) -> None:
    request: Json = {"model": model, "input": "hi"}
    if effort != "-":
        request["reasoning"] = {"effort": effort}
    body = open_exchange(request, {}, runtime(vendor)).upstream_request.body
    assert {name: body[name] for name in ABOUT_EFFORT if name in body} == said


@pytest.mark.parametrize("effort", EFFORTS)
@pytest.mark.parametrize(("vendor", "model"), ROWS)
def test_every_effort_is_accepted(vendor: Vendor, model: str, effort: str) -> None:
    request = {"model": model, "input": "hi", "prompt_cache_key": "k", "reasoning": {"effort": effort}}
    assert vendor.complaints(open_exchange(request, {}, runtime(vendor)).upstream_request.body) == []


def told(vendor: Vendor, status: int, body: object) -> GatewayError:
    """What the client is told of an error; some vendors send theirs with status 200."""
    error = error_in(body) if status == 200 else upstream_error(status, {}, dumps(body), upstream=vendor.profile)
    assert error is not None
    return error


@pytest.mark.parametrize(("vendor", "rule"), RULES)
def test_what_a_vendor_refuses_is_told_and_not_repeated(vendor: Vendor, rule: Rule) -> None:
    words = next(words for body in BODIES for words in rule.complaints(body))
    error = told(vendor, *vendor.error(words))
    assert (error.status, error.retry_after) == (400, None)
    assert error.code not in ("context_length_exceeded", "rate_limit_exceeded", "insufficient_quota", "model_not_found")
    assert words[:60] in error.message.replace("\\", "")


@pytest.mark.parametrize(
    ("vendor", "fault"),
    [
        pytest.param(vendor, fault, id=f"{vendor.profile}-{fault.status}-{fault.code}-{number}")
        for vendor in VENDORS
        for number, fault in enumerate(vendor.faults)
    ],
)
def test_other_faults_are_told_by_what_the_client_can_do(vendor: Vendor, fault: Fault) -> None:
    error = told(vendor, fault.status, fault.body)
    assert error.code == fault.code
    assert (error.retry_after is not None) == (fault.code == "rate_limit_exceeded")
    assert LONG_NAME not in error.message
