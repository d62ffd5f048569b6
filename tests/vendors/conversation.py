"""Three turns as Codex has them, with whatever else clients of the Responses API ask for, through the gateway's own
exchange and with one vendor at the other end."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from responses_gateway.catalogue.providers.shipped import shipped
from responses_gateway.settings.settings import Settings
from responses_gateway.turn.exchange import Exchange
from responses_gateway.turn.runtime import Runtime
from responses_gateway.upstream.server import Server
from unit import world
from vendors.rules import Json
from vendors.speech import Says
from vendors.vendor import Vendor

PNG = "data:image/png;base64,iVBORw0KGgo="
HEADERS = {"thread-id": "thread-1", "originator": "codex_cli_rs"}

AWKWARD: Json = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": "https://files.example/read",
    "type": "object",
    "properties": {
        "path": {"$ref": "#/$defs/path", "description": "Where it is."},
        "lines": {"type": ["integer", "null"], "default": None},
        "mode": {"anyOf": [{"const": "text"}, {"const": "bytes"}]},
        "const": {"type": "object", "patternProperties": {"^x": {"type": "string"}}, "additionalProperties": False},
    },
    "required": ["path"],
    "additionalProperties": False,
    "$defs": {"path": {"type": "string", "title": "Path"}},
}
UNION: Json = {
    "anyOf": [
        {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
        {"type": "object", "properties": {"glob": {"type": "string"}}, "required": ["glob"]},
    ]
}
ARRAY: Json = {"type": "object", "properties": {"tags": {"type": "array", "items": {"type": ["string", "number"]}}}}
LONG_NAME = "search_for_files_whose_content_matches_a_regular_expression_anywhere"


def _function(name: str, parameters: Json, **more: Any) -> Json:
    return {"type": "function", "name": name, "description": f"To {name}.", "parameters": parameters, **more}


EXEC = _function(
    "exec_command",
    {"type": "object", "properties": {"cmd": {"type": "string"}}, "required": ["cmd"], "additionalProperties": False},
    strict=False,
)
PLAN = _function("update_plan", {"type": "object", "properties": {}, "additionalProperties": False}, strict=True)
PATCH = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Patches files.",
    "format": {"type": "grammar", "syntax": "lark", "definition": 'start: "x"'},
}
FILES = {
    "type": "namespace",
    "name": "mcp__files",
    "description": "Files.",
    "tools": [
        _function("read", AWKWARD, strict=False),
        _function("find", UNION),
        _function("tag", ARRAY),
        _function(LONG_NAME, {}),
    ],
}
TOOLS = [EXEC, PLAN, PATCH, FILES, {"type": "web_search", "external_web_access": True}]


def said(role: str, text: str, *more: Json) -> Json:
    return {"type": "message", "role": role, "content": [{"type": "input_text", "text": text}, *more]}


def picture(url: str = PNG, detail: str = "original") -> Json:
    return {"type": "input_image", "image_url": url, "detail": detail}


@dataclass(frozen=True)
class Step:
    """One request: what the client asks for, and what the model answers. `asks` come behind the calls' results."""

    says: Says
    asks: tuple[Json, ...] = ()
    wants: Json = field(default_factory=dict)
    result: Any = "ok"
    """The result of every call of the answer before."""

    @property
    def narrows(self) -> bool:
        """Whether it offers fewer tools than the other steps."""
        choice = self.wants.get("tool_choice")
        return "tools" in self.wants or (isinstance(choice, dict) and choice["type"] == "allowed_tools")


SCHEMA_FORMAT = {
    "type": "json_schema",
    "name": "verdict",
    "schema": {"type": "object", "properties": {"ok": {"type": "boolean"}}, "additionalProperties": False},
    "strict": True,
}
STEPS = (
    Step(
        asks=(
            said("developer", "You are a coding agent."),
            said("developer", "<permissions>"),
            said("user", "What is in the picture?", picture(), picture("https://example.com/cat.png", "low")),
        ),
        says=Says("Let me look.", "I should look first.", [("exec_command", {"cmd": "ls"}), ("read", {"path": "a"})]),
    ),
    Step(
        result=[{"type": "input_text", "text": "a cat"}, picture()],
        says=Says(reasoning="Now the patch.", calls=[("apply_patch", {"input": "*** Begin Patch\n*** End Patch"})]),
    ),
    Step(
        result="",
        asks=(said("developer", "<environment changed>"),),
        says=Says("Done.", "It is done."),
    ),
    Step(
        asks=(
            said("developer", "<model switched>"),
            said(
                "user",
                "And now?",
                {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"},
            ),
            said("user", "Listen.", {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}),
        ),
        wants={
            "reasoning": {"effort": "high", "summary": "auto"},
            "tool_choice": "required",
            "temperature": 0.5,
            "top_p": 0.9,
            "presence_penalty": 0.1,
            "frequency_penalty": 0.1,
            "seed": 7,
            "stop": ["END"],
            "n": 1,
            "max_output_tokens": 10_000_000,
            "top_logprobs": 2,
            "user": "u",
            "metadata": {"a": "b"},
            "service_tier": "flex",
            "safety_identifier": "s",
            "prompt_cache_key": "klüger-schlüssel",
            "prompt_cache_retention": "24h",
            "text": {"verbosity": "low"},
            "truncation": "auto",
            "store": False,
            "made_up": 1,
        },
        says=Says(calls=[("exec_command", {"cmd": "date"})]),
    ),
    Step(
        wants={"tool_choice": {"type": "function", "name": "exec_command"}, "parallel_tool_calls": False},
        says=Says("It is late.", calls=[("exec_command", {"cmd": "date"})]),
    ),
    Step(
        asks=(said("user", "Find the file."),),
        wants={
            "reasoning": {"effort": "none"},
            "tool_choice": {"type": "custom", "name": "apply_patch"},
            "text": {"format": {"type": "json_object"}},
        },
        says=Says(calls=[("find", {"glob": "*"}), (LONG_NAME, {})]),
    ),
    Step(
        wants={"reasoning": {"effort": "xhigh"}, "tool_choice": "none", "text": {"format": SCHEMA_FORMAT}},
        says=Says('{"ok":true}', "A verdict."),
    ),
    Step(
        asks=(said("user", "Judge again."),),
        wants={
            "reasoning": {"effort": "minimal"},
            "tool_choice": {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "function", "name": "exec_command"}, {"type": "custom", "name": "apply_patch"}],
            },
            "text": {"format": SCHEMA_FORMAT, "verbosity": "high"},
        },
        says=Says('{"ok":false}', "Another one.", [("exec_command", {"cmd": "date"})]),
    ),
    Step(
        asks=(said("user", "Summarise the conversation for another model."),),
        wants={"tools": [], "reasoning": {"effort": "low"}, "text": {"format": SCHEMA_FORMAT}},
        says=Says('{"ok":true}', "What matters?"),
    ),
)


def runtime(vendor: Vendor) -> Runtime:
    """A gateway with nothing but the vendor behind it. A vendor without an address of its own has said what it is."""
    made = world.runtime(Settings(upstream=vendor.url, store="none"))
    if not shipped()[vendor.profile].hosts:
        [upstream] = made.router.upstreams()
        made.router.identify(upstream, Server(vendor.profile))
    return made


def requests(model: str, *, stream: bool) -> Iterator[tuple[Json, Step, list[Json]]]:
    """Each step's request, the step, and the conversation so far, which the caller adds the answer to."""
    items: list[Json] = []
    for step in STEPS:
        items += step.asks
        yield (
            {
                "model": model,
                "input": list(items),
                "tools": TOOLS,
                "tool_choice": "auto",
                "parallel_tool_calls": True,
                "reasoning": {"effort": "medium", "summary": "auto"},
                "include": ["reasoning.encrypted_content"],
                "prompt_cache_key": "thread-1",
                "stream": stream,
                **step.wants,
            },
            step,
            items,
        )


def history(output: list[Json], step: Step) -> Iterator[Json]:
    """What Codex keeps of an answer, and the results of its calls as the next step has them."""
    following = STEPS[STEPS.index(step) + 1].result if step is not STEPS[-1] else ""
    for item in output:
        yield {key: value for key, value in item.items() if key not in ("id", "status")}
    for item in output:
        if item["type"] in ("function_call", "custom_tool_call"):
            yield {"type": f"{item['type']}_output", "call_id": item["call_id"], "output": following}


def converse(vendor: Vendor, model: str, *, stream: bool) -> Iterator[tuple[Step, Exchange, list[Json]]]:
    """The conversation in this process: each step with its exchange and the items of its answer."""
    around = runtime(vendor)
    for number, (request, step, items) in enumerate(requests(model, stream=stream)):
        exchange = world.open_exchange(request, HEADERS, around)
        output = answered(exchange, vendor, in_wire_names(step.says, exchange.upstream_request.body), number)
        yield step, exchange, output
        items += history(output, step)


def in_wire_names(says: Says, body: Json) -> Says:
    """The same, with the calls' tools by the names that the upstream was told."""
    offered = [tool["function"]["name"] for tool in body.get("tools", ())]
    calls = [(_offered(name, offered), arguments) for name, arguments in says.calls]
    return Says(says.text, says.reasoning, [(name, arguments) for name, arguments in calls if name])


def _offered(name: str, offered: list[str]) -> str | None:
    found = [wire for wire in offered if wire == name or wire.endswith(f"__{name}") or f"__{name[:40]}" in wire]
    return found[0] if found else None


def answered(exchange: Exchange, vendor: Vendor, says: Says, number: int) -> list[Json]:
    """The output items that a client gets of an answer."""
    if not exchange.streams:
        return exchange.answer(200, {}, vendor.speech.completion(says, number))["output"]  # type: ignore[no-any-return]
    exchange.begin({"content-type": "text/event-stream"})
    body = exchange.feed(vendor.speech.stream(says, number)) + exchange.close()
    return completed_output(body)


def completed_output(body: bytes) -> list[Json]:
    """The output of a stream's last event, which has to be response.completed."""
    events = [json.loads(line[6:]) for line in body.decode().split("\n") if line.startswith("data: {")]
    assert events[-1]["type"] == "response.completed", events[-1]
    return events[-1]["response"]["output"]  # type: ignore[no-any-return]
