"""Parameters: what each becomes for an upstream and a model, and what the ledger says of it."""

from typing import Any

import pytest

from responses_gateway.catalogue.models.card import ModelCard
from responses_gateway.catalogue.providers.profile import ParametersProfile, Profile, ReasoningProfile
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.request.chat_request import Translation
from unit.machine import Json
from unit.translate.request.test_chat_request import translate

TOOL: Json = {"type": "function", "name": "run", "parameters": {"type": "object", "properties": {}}}


def sent(
    parameters: ParametersProfile | None = None,
    card: ModelCard | None = None,
    thinking: ReasoningProfile | None = None,
    **fields: Any,
) -> tuple[Json, list[str], Translation]:
    """What the upstream gets besides model, messages and tools; the ledger; and the translation."""
    ledger = Ledger()
    profile = Profile(name="p", parameters=parameters or ParametersProfile(), reasoning=thinking or ReasoningProfile())
    made = translate(profile, card, ledger, **{"input": "hi", **fields})
    body = {name: made.body[name] for name in made.body if name not in ("model", "messages", "tools")}
    return body, [str(entry) for entry in ledger.entries], made


def plain(*arguments: Any, **fields: Any) -> tuple[Json, list[str]]:
    return sent(*arguments, **fields)[:2]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", 0),
        ("top_p", 0.5),
        ("presence_penalty", 0.5),
        ("frequency_penalty", 0.5),
        ("stop", ["x"]),
        ("seed", 0),
        ("n", 1),
        ("user", "u"),
    ],
)
def test_what_both_wires_have_goes_through(name: str, value: Any) -> None:
    assert plain(**{name: value}) == ({name: value}, [])
    dropped, ledger = plain(ParametersProfile(drop=[name]), **{name: value})
    assert (dropped, ledger) == ({}, [f"dropped {name}: the upstream does not take it"])
    assert plain(ParametersProfile(rename={name: "other"}), **{name: value}) == ({"other": value}, [])


def test_a_stream_counts_its_tokens_where_that_is_known() -> None:
    assert plain(stream=True) == ({"stream": True, "stream_options": {"include_usage": True}}, [])
    assert plain(ParametersProfile(stream_usage=False), stream=True) == ({"stream": True}, [])
    assert plain(stream=False) == ({}, [])
    assert plain(stream=True, n=2) == ({"n": 2}, [])


@pytest.mark.parametrize(("wanted", "told"), [(9, 9), (10, 10), (11, 10)])
def test_the_limit_of_the_model_holds(wanted: int, told: int) -> None:
    card = ModelCard(id="m", max_output_tokens=10)
    note = ["capped max_output_tokens: 11 → 10: the model's limit"] if wanted > told else []
    assert plain(None, card, max_output_tokens=wanted) == ({"max_tokens": told}, note)
    other = ParametersProfile(max_tokens="max_completion_tokens")
    assert plain(other, card, max_output_tokens=wanted) == ({"max_completion_tokens": told}, note)
    assert plain(None, max_output_tokens=wanted) == ({"max_tokens": wanted}, [])


LOGPROBS = "message.output_text.logprobs"


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ({"top_logprobs": 2}, {"logprobs": True, "top_logprobs": 2}),
        ({"top_logprobs": 0}, {"logprobs": True}),
        ({"include": [LOGPROBS]}, {"logprobs": True}),
        ({"include": []}, {}),
        ({}, {}),
    ],
)
def test_log_probabilities(fields: Json, body: Json) -> None:
    assert plain(**fields) == (body, [])
    without = ParametersProfile(logprobs_with_tools=False)
    streamed, ledger = plain(without, stream=True, tools=[TOOL], **fields)
    assert "logprobs" not in streamed
    assert ledger == (["dropped top_logprobs: the upstream has none when streaming with tools"] if body else [])
    for more in ({"stream": True}, {"tools": [TOOL]}):
        assert ("logprobs" in plain(without, **more, **fields)[0]) is bool(body)


def effort(wanted: str | None) -> Json:
    return {"reasoning": {"effort": wanted}} if wanted else {}


@pytest.mark.parametrize(
    ("rule", "card", "wanted", "body", "note"),
    [
        (ReasoningProfile(), None, "high", {"reasoning_effort": "high"}, None),
        (ReasoningProfile(), None, None, {}, None),
        (ReasoningProfile(effort="reasoning"), None, "high", {"reasoning": {"effort": "high"}}, None),
        (
            ReasoningProfile(efforts={"xhigh": "max"}),
            None,
            "xhigh",
            {"reasoning_effort": "max"},
            "changed reasoning.effort: xhigh → max: what the upstream takes",
        ),
        (
            ReasoningProfile(effort="none"),
            None,
            "high",
            {},
            "dropped reasoning.effort: the upstream has no such switch",
        ),
        (ReasoningProfile(effort="none", when_on={"think": 1}), None, "high", {"think": 1}, None),
        (ReasoningProfile(effort="none", when_off={"think": 0}), None, "none", {"think": 0}, None),
        (
            ReasoningProfile(when_on={"think": 1}, by_effort={"low": {"budget": 5}}),
            None,
            "low",
            {"think": 1, "budget": 5, "reasoning_effort": "low"},
            None,
        ),
        (ReasoningProfile(when_unsaid={"think": 2}), None, None, {"think": 2}, None),
        (ReasoningProfile(when_unsaid={"think": 2}), ModelCard(id="m", reasoning=False), None, {}, None),
        (
            ReasoningProfile(),
            ModelCard(id="m", reasoning=False),
            "high",
            {},
            "dropped reasoning.effort: the model does not reason",
        ),
        *(
            (
                ReasoningProfile(),
                ModelCard(id="m", efforts=["low", "high"]),
                wanted,
                {"reasoning_effort": told},
                None if wanted == told else f"changed reasoning.effort: {wanted} → {told}: what the upstream takes",
            )
            for wanted, told in (
                ("low", "low"),
                ("minimal", "low"),
                ("medium", "high"),
                ("high", "high"),
                ("xhigh", "high"),
                ("max", "high"),
                ("ultra", "high"),
                ("none", "none"),
            )
        ),
        (
            ReasoningProfile(efforts={"xhigh": "xhigh"}),
            ModelCard(id="m", efforts=["low"]),
            "xhigh",
            {"reasoning_effort": "xhigh"},
            None,
        ),
    ],
)
def test_how_hard_to_think(
    rule: ReasoningProfile, card: ModelCard | None, wanted: str | None, body: Json, note: str | None
) -> None:
    assert plain(None, card, rule, **effort(wanted)) == (body, [note] if note else [])


SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
STRICT = {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True, "description": "d"}
OBJECT = {"type": "json_object"}
OWN = {"type": "json_schema", "json_schema": {"name": "n", "description": "d", "schema": SCHEMA, "strict": True}}
ANY = {"type": "json_schema", "json_schema": {"name": "object", "schema": {"type": "object"}}}
IN_WORDS = "changed text.format: not held by the upstream in this request; asked for in words"
WEAKER = "changed text.format: json_schema → json_object: what the upstream takes"
OTHER = "changed text.format: json_object → json_schema: what the upstream takes"


@pytest.mark.parametrize(
    ("rules", "card", "wanted", "fields", "rendered", "note"),
    [
        ({}, {}, STRICT, {}, OWN, None),
        ({}, {}, OBJECT, {}, OBJECT, None),
        ({}, {}, {"type": "text"}, {}, None, None),
        ({"response_format": "json_object"}, {}, STRICT, {}, OBJECT, WEAKER),
        ({"response_format": "json_object"}, {}, OBJECT, {}, OBJECT, None),
        ({"response_format": "none"}, {}, STRICT, {}, None, IN_WORDS),
        ({"response_format": "none"}, {}, OBJECT, {}, None, IN_WORDS),
        ({}, {"json_mode": "json_object"}, STRICT, {}, OBJECT, WEAKER),
        ({}, {"json_mode": "none"}, STRICT, {}, None, IN_WORDS),
        ({"json_object": False}, {}, OBJECT, {}, ANY, OTHER),
        ({"response_format_with_tools": "never"}, {}, STRICT, {"tools": [TOOL]}, None, IN_WORDS),
        ({"response_format_with_tools": "never"}, {}, STRICT, {}, OWN, None),
        ({"response_format_with_tools": "auto"}, {}, STRICT, {"tools": [TOOL]}, OWN, None),
        *(
            ({"response_format_with_tools": "auto"}, {}, STRICT, {"tools": [TOOL], "tool_choice": choice}, made, note)
            for choice, made, note in (("auto", OWN, None), ("none", OWN, None), ("required", None, IN_WORDS))
        ),
        ({"response_format_streaming": False}, {}, STRICT, {"stream": True}, None, IN_WORDS),
        ({"response_format_streaming": False}, {}, STRICT, {}, OWN, None),
        ({"drop": ["response_format"]}, {}, STRICT, {}, None, IN_WORDS),
        ({}, {"supported_parameters": ["response_format"]}, STRICT, {}, OWN, None),
    ],
)
def test_the_strongest_format_that_holds(
    rules: Json, card: Json, wanted: Json, fields: Json, rendered: Json | None, note: str | None
) -> None:
    body, ledger, made = sent(ParametersProfile(**rules), ModelCard(id="m", **card), text={"format": wanted}, **fields)
    assert body.get("response_format") == rendered
    assert ledger == ([note] if note else [])
    held = rendered["type"] if rendered else "none"
    asked = made.body["messages"][-1]["content"]
    assert asked.startswith("Answer with one JSON object and nothing else.") == (
        wanted["type"] != "text" and (held == "none" or (held == "json_object" and wanted is STRICT))
    )
    assert ('"a"' in asked) == (wanted is STRICT and held != "json_schema")
    exact = {"json_schema": SCHEMA, "json_object": {"type": "object"}, "text": None}[wanted["type"]]
    assert made.schema == (None if held == wanted["type"] or exact is None else exact)
    assert made.enforced_schema == (SCHEMA if rendered == OWN else None)


def test_only_a_strict_schema_is_a_promise() -> None:
    loose = {**STRICT, "strict": False}
    assert sent(text={"format": loose})[2].enforced_schema is None
    named = sent(text={"format": {"type": "json_schema", "schema": SCHEMA}})[0]["response_format"]
    assert named == {"type": "json_schema", "json_schema": {"name": "response", "schema": SCHEMA}}


def test_verbosity_goes_where_it_is_known() -> None:
    assert plain(ParametersProfile(accept=["verbosity"]), text={"verbosity": "low"}) == ({"verbosity": "low"}, [])
    assert plain(text={"verbosity": "low"}) == (
        {},
        ["dropped text.verbosity: the upstream is not known to take it"],
    )


def test_further_fields_go_where_they_are_known() -> None:
    rules = ParametersProfile(accept=["prompt_cache_key", "made_up"], ascii=["prompt_cache_key", "made_up"])
    body, ledger = plain(rules, prompt_cache_key="ü a", made_up=5, other=1, nothing=None)
    assert body == {"prompt_cache_key": "%C3%BC%20a", "made_up": 5}
    assert ledger == [
        "dropped other: the upstream is not known to take it",
        "changed prompt_cache_key: percent-encoded: the upstream takes ASCII only",
    ]


def test_what_is_merged_into_every_request() -> None:
    rules = ParametersProfile(extra={"a": 1, "temperature": 0.1})
    assert plain(rules) == ({"a": 1, "temperature": 0.1}, [])
    assert plain(rules, temperature=0.5)[0]["temperature"] == 0.5


@pytest.mark.parametrize(
    ("fields", "known", "body", "noted"),
    [
        ({"temperature": 1, "max_output_tokens": 5}, ["temperature"], {"temperature": 1}, ["max_output_tokens"]),
        ({"max_output_tokens": 5}, ["max_tokens"], {"max_tokens": 5}, []),
        ({"top_logprobs": 2}, [], {}, ["top_logprobs"]),
        ({"top_logprobs": 2}, ["logprobs", "top_logprobs"], {"logprobs": True, "top_logprobs": 2}, []),
    ],
)
def test_what_a_model_takes(fields: Json, known: list[str], body: Json, noted: list[str]) -> None:
    made, ledger = plain(None, ModelCard(id="m", supported_parameters=known), **fields)
    assert made == body
    assert [note.partition(" (")[0].partition(":")[0] for note in ledger] == [f"dropped {name}" for name in noted]


@pytest.mark.parametrize(
    ("name", "parameter", "fields"),
    [
        ("reasoning.effort", "reasoning_effort", {"reasoning": {"effort": "high"}}),
        ("max_output_tokens", "max_tokens", {"max_output_tokens": 5}),
        ("top_logprobs", "logprobs", {"include": [LOGPROBS]}),
    ],
)
def test_what_is_dropped_is_called_what_the_client_calls_it(name: str, parameter: str, fields: Json) -> None:
    assert plain(ParametersProfile(drop=[parameter]), **fields) == (
        {},
        [f"dropped {name}: the upstream does not take it"],
    )
