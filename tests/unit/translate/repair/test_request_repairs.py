"""Each repair of a request: what it makes of one, which requests it leaves alone, and how it is told."""

from typing import Any

import pytest

from responses_gateway.translate.repair.request_healing import MOST_READ, heal
from responses_gateway.translate.repair.request_repairs import (
    FILE_LEFT_OUT,
    IGNORES_SCHEMA,
    IMAGE_LEFT_OUT,
    apply,
    as_object,
    describe,
    known,
)

Json = dict[str, Any]


def user(content: Any = "hi") -> Json:
    return {"role": "user", "content": content}


def called(arguments: str = "{}", **more: Any) -> Json:
    function = {"name": "f", "arguments": arguments}
    return {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "function": function}], **more}


def text(words: str) -> Json:
    return {"type": "text", "text": words}


def tool(parameters: Any, **more: Any) -> Json:
    return {"type": "function", "function": {"name": "f", "parameters": parameters, **more}}


IMAGE = {"type": "image_url", "image_url": {"url": "data:", "detail": "low"}}
FILE = {"type": "file", "file": {"file_data": "data:"}}
SYSTEM, DEVELOPER = {"role": "system", "content": "s"}, {"role": "developer", "content": "d"}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
STRICT = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}
ASKED = "Answer with one JSON object and nothing else."
IN_WORDS = user(
    f'{ASKED} It must match this JSON Schema:\n{{"type":"object","properties":{{"a":{{"type":"string"}}}}}}'
)

REPAIRS: list[tuple[str, Json, Json]] = [
    ("drop:seed", {"seed": 0, "n": 1}, {"n": 1}),
    ("rename:a:b", {"a": 1, "c": 2}, {"b": 1, "c": 2}),
    ("rename:a:b", {"a": 1, "b": 2}, {"b": 2}),
    ("cap:max_tokens:5", {"max_tokens": 6}, {"max_tokens": 5}),
    ("set:tool_choice:auto", {"tool_choice": "none"}, {"tool_choice": "auto"}),
    (
        "effort_with_tools:none",
        {"messages": [user()], "tools": [tool({})]},
        {"tools": [tool({})], "reasoning_effort": "none", "messages": [user()]},
    ),
    (
        "role:developer:system",
        {"messages": [DEVELOPER, user()]},
        {"messages": [{**DEVELOPER, "role": "system"}, user()]},
    ),
    ("message_drop:name", {"messages": [{**user(), "name": "x"}, user()]}, {"messages": [user(), user()]}),
    (
        "message_rename:reasoning:thoughts",
        {"messages": [called(reasoning="r"), user()]},
        {"messages": [called(thoughts="r"), user()]},
    ),
    (
        "reasoning:calls",
        {"messages": [user(), called(), {"role": "assistant", "content": "a"}, called(reasoning_content="r")]},
        {
            "messages": [
                user(),
                called(reasoning_content=" "),
                {"role": "assistant", "content": "a"},
                called(reasoning_content="r"),
            ]
        },
    ),
    (
        "reasoning:all",
        {"messages": [user(), called(reasoning="r"), {"role": "assistant", "content": "a"}]},
        {
            "messages": [
                user(),
                called(reasoning_content="r"),
                {"role": "assistant", "content": "a", "reasoning_content": " "},
            ]
        },
    ),
    (
        "system_first",
        {"messages": [SYSTEM, DEVELOPER, user()]},
        {"messages": [{**SYSTEM, "content": "s\n\nd"}, user()]},
    ),
    (
        "system_first",
        {"messages": [DEVELOPER, user(), SYSTEM, DEVELOPER]},
        {"messages": [DEVELOPER, user(), {**SYSTEM, "role": "user"}, {**DEVELOPER, "role": "user"}]},
    ),
    ("images", {"messages": [user([IMAGE, FILE])]}, {"messages": [user([text(IMAGE_LEFT_OUT), FILE])]}),
    ("images", {"messages": [user([text("a"), IMAGE])]}, {"messages": [user(f"a\n{IMAGE_LEFT_OUT}")]}),
    ("files", {"messages": [user([FILE])]}, {"messages": [user(FILE_LEFT_OUT)]}),
    (
        "detail:high",
        {"messages": [user([IMAGE, text("a")])]},
        {"messages": [user([{"type": "image_url", "image_url": {"url": "data:", "detail": "high"}}, text("a")])]},
    ),
    (
        "detail:",
        {"messages": [user([IMAGE])]},
        {"messages": [user([{"type": "image_url", "image_url": {"url": "data:"}}])]},
    ),
    (
        "flatten",
        {"messages": [user([text("a"), text("b")]), user([IMAGE])]},
        {"messages": [user("a\nb"), user([IMAGE])]},
    ),
    ("content", {"messages": [called(), user("a")]}, {"messages": [{**called(), "content": ""}, user("a")]}),
    (
        "arguments",
        {"messages": [called("ls"), called(""), called('{"a": 1}'), user()]},
        {"messages": [called('{"arguments":"ls"}'), called("{}"), called('{"a": 1}'), user()]},
    ),
    ("strict", {"tools": [tool({}, strict=True)]}, {"tools": [tool({})]}),
    (
        "schema_drop:format",
        {
            "tools": [
                tool(
                    {
                        "format": "x",
                        "properties": {"format": {"format": "uri"}},
                        "$defs": {"format": {"format": "uri"}},
                        "definitions": {"format": [{"format": "uri"}]},
                        "anyOf": [{"format": "x"}, {"enum": [{"format": "x"}]}],
                        "default": {"format": "x"},
                    }
                )
            ]
        },
        {
            "tools": [
                tool(
                    {
                        "properties": {"format": {}},
                        "$defs": {"format": {}},
                        "definitions": {"format": [{}]},
                        "anyOf": [{}, {"enum": [{"format": "x"}]}],
                        "default": {"format": "x"},
                    }
                )
            ]
        },
    ),
    ("schema_drop:const", {"tools": [tool({"const": {"const": 1}})]}, {"tools": [tool({})]}),
    (
        "format:json_object",
        {"response_format": STRICT, "messages": [user()]},
        {"response_format": {"type": "json_object"}, "messages": [user(), IN_WORDS]},
    ),
    (
        "format:words",
        {"response_format": {"type": "json_object"}, "messages": [user()]},
        {"messages": [user(), user(ASKED)]},
    ),
    (
        "format:json_schema",
        {"response_format": {"type": "json_object"}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "response", "schema": {"type": "object"}}}},
    ),
]


@pytest.mark.parametrize(("repair", "before", "after"), REPAIRS)
def test_what_a_repair_changes(repair: str, before: Json, after: Json) -> None:
    repaired = apply(before, repair)
    assert repaired == after
    assert list(repaired) == list(after)
    assert apply(after, repair) is None
    assert known([repair]) == [repair]


@pytest.mark.parametrize(
    ("repair", "body"),
    [
        ("drop:seed", {"n": 1}),
        ("rename:a:b", {"c": 1}),
        ("cap:max_tokens:5", {"max_tokens": 5}),
        ("cap:max_tokens:5", {"max_tokens": "6"}),
        ("cap:max_tokens:5", {}),
        ("set:tool_choice:auto", {}),
        ("set:tool_choice:auto", {"tool_choice": "auto"}),
        ("effort_with_tools:none", {"tools": [], "reasoning_effort": "high"}),
        ("reasoning:calls", {"messages": [{"role": "assistant", "content": "a"}, user()]}),
        ("system_first", {"messages": [SYSTEM, user()]}),
        ("system_first", {"messages": [{"role": "system", "content": [text("a")]}, SYSTEM]}),
        ("images", {"messages": [user("a")]}),
        ("detail:high", {"messages": [user([{"type": "image_url", "image_url": {"url": "data:"}}])]}),
        ("detail:high", {"messages": [user([{"type": "image_url", "image_url": "data:"}])]}),
        ("format:json_object", {"response_format": {"type": "json_object"}}),
        ("format:words", {"response_format": "x"}),
        ("strict", {"tools": []}),
        (IGNORES_SCHEMA, {"response_format": STRICT}),
    ],
)
def test_what_a_repair_leaves_alone(repair: str, body: Json) -> None:
    assert apply(body, repair) is None


@pytest.mark.parametrize(
    ("repair", "field", "told"),
    [
        ("drop:seed", "seed", "left out"),
        ("rename:max_tokens:max_completion_tokens", "max_tokens", "sent as max_completion_tokens"),
        ("cap:max_tokens:5", "max_tokens", "at most 5"),
        ("set:tool_choice:auto", "tool_choice", "sent as auto"),
        ("role:developer:system", "messages.role", "developer sent as system"),
        ("message_drop:name", "messages.name", "left out"),
        ("message_rename:a:b", "messages.a", "sent as b"),
        ("reasoning:calls", "messages.reasoning_content", "sent with every assistant message calls"),
        ("effort_with_tools:none", "reasoning_effort", "sent as none with tools"),
        (IGNORES_SCHEMA, "response_format", "taken by the upstream, and ignored"),
        ("detail:high", "messages.content.image_url.detail", "sent as high"),
        ("detail:", "messages.content.image_url.detail", "left out"),
        ("schema_drop:format", "tools.parameters.format", "left out"),
        ("format:words", "response_format", "sent as words"),
        ("images", "messages.content.image_url", "replaced by a note"),
        ("files", "messages.content.file", "replaced by a note"),
        ("system_first", "messages.role", "later system messages sent as user messages"),
        ("flatten", "messages.content", "sent as one string"),
        ("strict", "tools.strict", "left out"),
        ("arguments", "messages.tool_calls.arguments", "sent as JSON objects"),
        ("content", "messages.content", "sent as text where it was null"),
        ("of:a:later:version", "of:a:later:version", "changed"),
    ],
)
def test_how_a_repair_is_told(repair: str, field: str, told: str) -> None:
    assert describe(repair) == (field, told)


def test_what_is_kept_of_a_file_of_repairs() -> None:
    assert known(["drop:seed", 5, None, "explode:x", "strict", ""]) == ["drop:seed", "strict"]


@pytest.mark.parametrize(
    ("arguments", "made"),
    [("", "{}"), (" ", "{}"), ("ls", '{"arguments":"ls"}'), ("[1]", '{"arguments":"[1]"}'), ('{"a": 1}', '{"a": 1}')],
)
def test_arguments_become_an_object(arguments: str, made: str) -> None:
    assert as_object(arguments) == made


# Which repair is chosen.


@pytest.mark.parametrize(
    ("refusal", "limit"),
    [
        ("max_tokens must be in [1, 8192]", 8192),
        ("max_tokens: 4096 or 8192 at most", 8192),
        ("max_tokens: at most 99999, or 100000, not 100001", 99999),
        ("max_tokens: at most 100", 100),
        ("max_tokens: at most 9999999, better 1000", 1000),
    ],
)
def test_the_largest_limit_below_the_value_is_taken(refusal: str, limit: int) -> None:
    healed = heal({"max_tokens": 100_000}, refusal)
    assert healed is not None
    assert healed.repair == f"cap:max_tokens:{limit}"


@pytest.mark.parametrize("refusal", ["max_tokens: at most 99", "at most 8192 tokens", "max_tokens: v1.8192.3"])
def test_other_numbers_are_no_limit(refusal: str) -> None:
    healed = heal({"max_tokens": 100_000}, refusal)
    assert healed is None or not healed.repair.startswith("cap")


@pytest.mark.parametrize(("before", "read"), [(MOST_READ - 40, True), (MOST_READ + 1, False)])
def test_so_much_of_a_refusal_is_read(before: int, read: bool) -> None:
    assert (heal({"seed": 1}, "x" * before + " unknown parameter 'seed'") is not None) is read


@pytest.mark.parametrize(
    ("refusal", "repair"),
    [
        ("Unknown parameter: 'seed'.", "drop:seed"),
        ("unsupported option seed", "drop:seed"),
        ("not supported: seed", "drop:seed"),
        ("seed is not supported", "drop:seed"),
        ("'seed' cannot be used: unavailable", "drop:seed"),
        ('invalid; {"param": "seed"}', "drop:seed"),
        ('forbidden; {"loc": ["body", "seed"]}', "drop:seed"),
        ("Unsupported field: `name`", "message_drop:name"),
        ("Unknown parameter: 'other'", None),
        ("Unknown parameter: 'model'", None),
        ("Unknown parameter: 'stream'", None),
        ("Unknown parameter: 'role'", None),
        ("'seed' is fine", None),
    ],
)
def test_the_field_that_a_refusal_names_is_left_out(refusal: str, repair: str | None) -> None:
    healed = heal({"model": "m", "stream": True, "seed": 1, "messages": [{**user(), "name": "n"}]}, refusal)
    assert (healed.repair if healed else None) == repair


def test_an_empty_list_of_tools_is_left_out() -> None:
    for tools, repair in (([], "drop:tools"), ([tool({})], None)):
        healed = heal({"model": "m", "tools": tools}, "Invalid value for 'tools': must be longer")
        assert (healed.repair if healed else None) == repair


def test_what_was_tried_is_not_tried_again() -> None:
    body, refusal = {"tool_choice": "required"}, "tool_choice is not supported"
    repairs: list[str] = []
    while (healed := heal(body, refusal, repairs)) is not None:
        body, repairs = healed.body, [*repairs, healed.repair]
    assert repairs == ["set:tool_choice:auto", "drop:tool_choice"]
