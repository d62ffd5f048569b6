"""What the settings say for every upstream: parameters, and tools that are denied or passed on."""

from typing import Any

import pytest

from responses_gateway.protocol.errors import GatewayError
from unit.machine import PATCH, RUN, call, delta
from unit.turn.rounds import Json, serve

HELLO = [delta("stop", content="Hello.")]
DESK = {
    "type": "namespace",
    "name": "mcp__desk",
    "description": "A desk.",
    "tools": [{**RUN, "name": "read"}, {**RUN, "name": "write"}],
}
SEARCH = {"type": "web_search", "search_context_size": "low"}


def names(body: Json) -> list[str]:
    return [tool["function"]["name"] for tool in body.get("tools", [])]


def test_extra_and_dropped_parameters() -> None:
    served = serve(
        HELLO,
        settings={
            "extra_parameters": {"top_k": 5, "temperature": 0.1},
            "drop_parameters": ["parallel_tool_calls", "seed"],
        },
        tools=[RUN],
        parallel_tool_calls=True,
        seed=3,
        temperature=0.5,
    )
    [body] = served.requests
    assert (body["top_k"], body["temperature"]) == (5, 0.5)
    assert "parallel_tool_calls" not in body
    assert "seed" not in body
    assert served.noted("dropped parallel_tool_calls")
    assert served.noted("dropped seed")


@pytest.mark.parametrize(
    ("deny", "offered"),
    [
        ("run", ["apply_patch", "mcp__desk__read", "mcp__desk__write", "local_shell"]),
        ("write", ["run", "apply_patch", "mcp__desk__read", "local_shell"]),
        ("mcp__desk__w*", ["run", "apply_patch", "mcp__desk__read", "local_shell"]),
        ("mcp__desk", ["run", "apply_patch", "local_shell"]),
        ("local_shell, apply_*", ["run", "mcp__desk__read", "mcp__desk__write"]),
        ("Run", ["run", "apply_patch", "mcp__desk__read", "mcp__desk__write", "local_shell"]),
        ("function", ["run", "apply_patch", "mcp__desk__read", "mcp__desk__write", "local_shell"]),
    ],
)
def test_denied_tools_are_not_offered(deny: str, offered: list[str]) -> None:
    served = serve(HELLO, settings={"deny_tools": deny}, tools=[RUN, PATCH, DESK, {"type": "local_shell"}])
    assert names(served.requests[0]) == offered
    assert served.noted("deny_tools forbids it") is (len(offered) < 5)


@pytest.mark.parametrize("name", ["run", "functions.run", "Run"])
def test_a_model_that_calls_a_denied_tool_all_the_same_is_asked_again(name: str) -> None:
    settings = {"deny_tools": "run"}
    calling = [call(0, name, '{"cmd": "rm"}', "c1"), delta("tool_calls")]
    served = serve(calling, HELLO, settings=settings, tools=[RUN, DESK])
    assert [item["type"] for item in served.output] == ["message"]
    assert served.requests[1]["messages"][-1]["content"] == f"There is no tool {name} here. Go on without it."
    assert names(served.requests[1]) == names(served.requests[0])
    assert served.noted(f"it calls {name}, which deny_tools forbids")
    again = serve(calling, calling, settings=settings, tools=[RUN, DESK])
    assert again.response["status"] == "failed"
    assert "deny_tools" in again.response["error"]["message"]
    assert again.output == []


@pytest.mark.parametrize("pieces", [[("run", "")], [("r", ""), ("un", ""), (None, "{}")]])
def test_a_denied_call_in_pieces_or_without_arguments_does_not_pass(pieces: list[tuple[str | None, str]]) -> None:
    chunks = [call(0, name, arguments, "c1") for name, arguments in pieces]
    served = serve([*chunks, delta("tool_calls")], HELLO, settings={"deny_tools": "run"}, tools=[RUN, DESK])
    assert [item["type"] for item in served.output] == ["message"]


def test_a_choice_of_a_denied_tool_is_refused() -> None:
    with pytest.raises(GatewayError, match="'run' is denied by the gateway's deny_tools") as refused:
        serve(HELLO, settings={"deny_tools": "run"}, tools=[RUN, DESK], tool_choice={"type": "function", "name": "run"})
    assert refused.value.param == "tool_choice"


@pytest.mark.parametrize(
    ("fields", "sent"),
    [
        ({"tools": [RUN, SEARCH]}, [SEARCH]),
        ({"tools": [SEARCH]}, [SEARCH]),
        ({"tools": [RUN, SEARCH, {"type": "file_search", "vector_store_ids": ["v"]}]}, [SEARCH]),
        (
            {"tools": [RUN, SEARCH], "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [SEARCH]}},
            [SEARCH],
        ),
        ({"tools": [RUN, SEARCH], "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [RUN]}}, []),
    ],
)
def test_hosted_tools_go_to_an_upstream_that_has_them(fields: dict[str, Any], sent: list[Json]) -> None:
    served = serve(HELLO, settings={"hosted_tools": "web_search"}, **fields)
    assert [tool for tool in served.requests[0]["tools"] if tool["type"] != "function"] == sent
    assert not served.noted("dropped tools.web_search: no chat upstream")


def test_a_provider_may_have_them_alone() -> None:
    provider = {"profile": {"name": "mine", "base_url": "http://127.0.0.1:2/v1", "tools": {"hosted": ["web_search"]}}}
    settings = {"upstream": None, "providers": {"mine": {"base": "openai-compatible", **provider}}}
    served = serve(HELLO, settings=settings, tools=[SEARCH])
    assert served.requests[0]["tools"] == [SEARCH]
    assert serve(HELLO, tools=[SEARCH]).noted("dropped tools.web_search: no chat upstream runs this hosted tool")
