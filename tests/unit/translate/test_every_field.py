"""Nothing of the API's types is silent: it reaches the upstream, is served here, is in the ledger, or is refused.

The types are those of the installed openai-python, so that a field that a later one adds is seen here.
"""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

import pytest
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming

from responses_gateway.hosted.interface import Declaration
from responses_gateway.hosted.mcp.declaration import Permitted, declared_servers
from responses_gateway.hosted.search_declaration import search_settings
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.settings.settings import Settings
from responses_gateway.translate.ledger import Ledger
from unit.parameter_types import ABSENT, ParameterTypes, Variant, fields
from unit.world import open_exchange, runtime

Json = dict[str, Any]

HERE: Mapping[str, str] = {
    # The request.
    "background=*": "endpoints/responses.py answers at once, and goes on by turn/background.py",
    "conversation*": "state/history.py puts its items before the input",
    "previous_response_id": "state/history.py puts its items before the input",
    "include=reasoning.encrypted_content": "turn/opening.py seals reasoning",
    "include=web_search_call.action.sources": "hosted/web_search.py shows what was found",
    "include=message.input_image.image_url": "state/items.py keeps items as they came",
    "include=computer_call_output.output.image_url": "state/items.py keeps items as they came",
    "max_tool_calls": "hosted/calls.py counts them",
    "reasoning": "an empty object",
    "reasoning.summary=*": "the model's own reasoning is shown",
    "service_tier=auto": "what upstreams do anyway",
    "service_tier=default": "what upstreams do anyway",
    "store=*": "state/recorder.py stores the response",
    "stream=False": "the default",
    "stream_options": "an empty object",
    "stream_options.include_obfuscation=false": "events are not padded",
    "prompt_cache_options": "an empty object",
    "prompt_cache_options.prewarm=false": "the default",
    "text": "an empty object",
    "text.format[text]": "the default",
    "truncation=*": "translate/request/truncation.py cuts what does not fit",
    # Tools.
    "*.async=false": "the default",
    "*.defer_loading=false": "the default",
    "*.allowed_callers=direct": "the model calls every function",
    "tools[*custom].format[text]": "the default",
    "tools[shell].environment[local]": "the default",
    "tools[web_search*].external_web_access=true": "the default",
    "tools[web_search*].search_context_size=medium": "the default",
    "tools[web_search*].search_content_types=text": "the default",
    "tools[web_search*].user_location*.type=approximate": "no other one is known",
    "tools[web_search*].filters": "an empty object",
    "tools[web_search*].user_location": "an empty object",
    "tools[web_search_preview].user_location[approximate]": "an empty object",
    "tools[mcp].require_approval=always": "the default",
    "tools[mcp].require_approval": "an empty object",
    "tools[mcp].require_approval.*": "an empty filter",
    "tools[mcp].allowed_tools": "an empty filter",
    # Items.
    "input[*].id": "state/items.py keeps it",
    "input[*].status=completed": "the default",
    "input[*].type=message": "the default",
    "input[*].content[input_text]": "the same as a text without parts",
    "input[*].output[input_text]": "the same as a text without parts",
    "input[tool_search_*].execution=*": "the tool's own declaration says who searches",
    "input[tool_search_output].tools[custom]": "found tools are told by name, of whatever type",
    "input[message].content[refusal]": "its words are sent like any others",
    "input[tool_search_output].status=in_progress": "a search has ended when its tools are there",
    "input[file_search_call].status=searching": "a search has ended when its results are there",
    "input[code_interpreter_call].status=interpreting": "a program has ended when its outputs are there",
    "input[code_interpreter_call].container_id": "a place in the server that ran it",
    "input[program].fingerprint": "for the server that ran it",
    "input[computer_call].pending_safety_checks.*": "the client has answered them",
    "input[computer_call].status=incomplete": "its screenshot, or that there is none, says more",
    "input[configuration_update]": "an empty update",
    "input[configuration_update].reasoning": "an empty object",
    "input[configuration_update].text": "an empty object",
    "input[image_generation_call].status=*": "the picture, or that there is none, says more",
    "input[image_generation_call].error*": "told where there is no picture",
    "input[image_generation_call].action=*": "how the picture was made, which the model sees",
    "input[image_generation_call].background=*": "how the picture was made, which the model sees",
    "input[image_generation_call].output_format=*": "how the picture was made, which the model sees",
    "input[image_generation_call].quality=*": "how the picture was made, which the model sees",
    "input[image_generation_call].size*": "how the picture was made, which the model sees",
    "input[compaction].encrypted_content": "a note stands for whatever cannot be read",
    "input[mcp_list_tools]*": "hosted/mcp reads the list instead of asking the server again",
    "input[mcp_approval_response]*": "hosted/mcp carries out the call that was approved",
    "input[mcp_call].approval_request_id": "the call is the result of the request, when that is in the input",
    "input[mcp_call].error[*].code": "its message says more",
    "input[mcp_call].status=*": "its error says more",
}
"""What is served here without a word to the upstream, and by whom; `*` stands for anything."""

_HERE = {pattern: re.compile(re.escape(pattern).replace(r"\*", ".*")) for pattern in HERE}

PICTURE = "data:image/png;base64,AAAA"
RICHER: Mapping[str, Json] = {
    "input_image": {"image_url": PICTURE},
    "message": {"status": "completed"},
    "output_text": {"annotations": []},
    "local_shell_call": {"status": "completed"},
    "mcp": {"server_url": "https://mcp.example/mcp"},
}
TYPES = ParameterTypes(RICHER)
FIELDS = fields(ResponseCreateParamsNonStreaming)

WORLD = runtime(
    Settings.model_validate(
        {
            "upstream": "http://127.0.0.1:1/v1",
            "store": "none",
            "prompts": {
                "x": [
                    {"version": "x", "instructions": "Be brief."},
                    {"version": "y", "instructions": "Be {{made_up}}.", "variables": {"made_up": "kind"}},
                ]
            },
        }
    )
)

RUN: Json = {"type": "function", "name": "x"}
AROUND: Mapping[str, Json] = {"tool_choice": {"tools": [RUN]}, "parallel_tool_calls": {"tools": [RUN]}}
"""What else a request needs so that a field means anything."""

SAME_TOOLS = re.compile(r"input\[(additional_tools|tool_search_output)\]\.tools\[[a-z_]*\].")
"""Fields of tools in items, which are declared as those of the request are."""

MODELS = re.compile(r"model=|.*\.model=")


class Outcome(NamedTuple):
    sent: str
    read: str
    """What the gateway's own tools read."""

    ledger: frozenset[str]
    refused: bool


@cache
def outcome(body: str) -> Outcome:
    """What becomes of a request."""
    try:
        exchange = open_exchange(body.encode(), {}, WORLD)
        read = "".join(map(hosted, json.loads(body).get("tools", ())))
    except GatewayError as error:
        if error.param is None:
            raise AssertionError(error.message) from None
        return Outcome(f"{error.param}: {error.message}", "", frozenset(), True)
    entries = frozenset(f"{entry.action} {entry.field}" for entry in exchange.ledger.entries)
    return Outcome(json.dumps(exchange.upstream_request.body), read, entries, False)


def hosted(tool: Json) -> str:
    """What the gateway's own tools read of a declaration."""
    if tool["type"].startswith("web_search"):
        ledger = Ledger()
        return f"{search_settings(tool, ledger)} {ledger.entries}"
    servers = declared_servers([Declaration("tools[0]", tool)], Permitted({})) if tool["type"] == "mcp" else ()
    return "".join(f"{server} {server.address.headers}" for server in servers)


def request(field: str, value: Any) -> str:
    """A request that has `value` in a field."""
    body: Json = {"model": "m", "input": "hi", **AROUND.get(field, {})}
    if value is not ABSENT:
        body[field] = (
            [{"role": "user", "content": "hi"}, *value] if isinstance(value, list) and field == "input" else value
        )
    return json.dumps(body)


def of_request(name: str) -> Iterator[Variant]:
    """The variants of a field, without those of what is lost as a whole, which the ledger says."""
    lost: list[str] = []
    for variant in TYPES.variants(FIELDS[name][0]):
        path = f"{name}{variant.path}"
        if SAME_TOOLS.match(path) or MODELS.match(path) or path.startswith((*lost,)):
            continue
        with_it, without = outcome(request(name, variant.value)), outcome(request(name, variant.base))
        noted = with_it.ledger - without.ledger if with_it.read == without.read else ()
        if noted and (with_it.sent == without.sent or any(entry.startswith("dropped tools.") for entry in noted)):
            lost += [f"{path}.", f"{path}["]
        yield Variant(path, with_it, without)


def is_told(variant: Variant) -> bool:
    return bool(variant.value != variant.base or variant.value.refused)


@pytest.mark.parametrize("name", FIELDS)
def test_no_field_is_silent(name: str) -> None:
    silent = [
        variant.path
        for variant in of_request(name)
        if not is_told(variant) and not any(pattern.fullmatch(variant.path) for pattern in _HERE.values())
    ]
    assert silent == []


def test_what_is_served_here_has_not_become_another_field() -> None:
    silent = [variant.path for name in FIELDS for variant in of_request(name) if not is_told(variant)]
    assert [name for name, pattern in _HERE.items() if not any(map(pattern.fullmatch, silent))] == []


def test_the_types_are_walked_to_their_leaves() -> None:
    paths = {f"{name}{variant.path}" for name in ("tools", "input") for variant in TYPES.variants(FIELDS[name][0])}
    assert paths >= {
        "tools[function].strict=false",
        "tools[namespace].tools[custom].format[grammar].syntax=regex",
        "tools[shell].environment[local].skills.path",
        "input[user].content[input_file].filename",
        "input[shell_call_output].output.outcome[exit].exit_code",
        "input[function_call_output].output[input_image].detail=low",
    }


@pytest.mark.parametrize(
    "made_up",
    [
        {"made_up": 1},
        {"reasoning": {"made_up": 1}},
        {"text": {"made_up": 1}},
        {"tools": [{**RUN, "made_up": 1}]},
        {"tools": [{"type": "custom", "name": "x", "made_up": 1}]},
        {"tools": [{"type": "namespace", "name": "n", "tools": [RUN], "made_up": 1}]},
        {"tools": [{"type": "shell", "made_up": 1}]},
        {"tools": [{"type": "web_search", "made_up": 1}]},
        {"tools": [{"type": "made_up"}]},
        {"include": ["made_up"]},
        {"stream_options": {"made_up": 1}},
        {"input": [{"role": "user", "content": "hi", "made_up": 1}]},
        {"input": [{"role": "user", "content": [{"type": "input_text", "text": "hi", "made_up": 1}]}]},
        {"input": [{"role": "user", "content": "hi"}, {"type": "made_up"}]},
    ],
)
def test_what_no_type_has_yet_is_in_the_ledger(made_up: Json) -> None:
    body = json.dumps({"model": "m", "input": "hi", **made_up})
    assert any("made_up" in entry for entry in outcome(body).ledger)
