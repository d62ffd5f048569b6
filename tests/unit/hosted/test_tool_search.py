"""Hosted tool_search: what it finds, what clients and models see of it, and that the prompt's prefix holds."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from responses_gateway.hosted.interface import Declaration, DeclaredTool
from responses_gateway.hosted.tool_search import ToolSearch
from responses_gateway.protocol.json import dumps
from responses_gateway.protocol.responses import parse_request
from responses_gateway.settings.settings import Settings
from responses_gateway.translate.ledger import Ledger
from responses_gateway.turn.exchange import Exchange
from unit.exchanges import events
from unit.hosted.test_calls import served
from unit.machine import RUN, Json, call, check, delta, output
from unit.work import grows_linearly
from unit.world import open_exchange, runtime

SEARCH: Json = {"type": "tool_search"}


def function(name: str, description: str = "", **properties: str) -> Json:
    schema = {name: {"type": "string", "description": about} for name, about in properties.items()}
    parameters = {"type": "object", "properties": schema}
    return {
        "type": "function",
        "name": name,
        "description": description,
        "parameters": parameters,
        "defer_loading": True,
    }


def group(name: str, about: str, *tools: Json) -> Json:
    return {"type": "namespace", "name": name, "description": about, "tools": list(tools)}


CRM = group(
    "crm",
    "Customers and their orders.",
    function("get_customer", "Fetch a customer's profile.", customer_id="The customer's number."),
    function("list_open_orders", "List the open orders of a customer.", customer_id="The customer's number."),
)
MAIL = group("mail", "", function("send", "Send an e-mail.", to="Address"), function("searchInbox", "Look for mails."))
WEATHER = function("get_weather", "The weather of a city.", city="Name of the city")
TOOLS = [RUN, CRM, MAIL, WEATHER, SEARCH]


def searched(*tools: Json, **arguments: Any) -> list[Json]:
    """The declarations that a search finds."""
    request = parse_request(dumps({"model": "m", "input": "hi", "tools": [*tools, SEARCH]}))
    search = ToolSearch(DeclaredTool(request, [Declaration("tools", SEARCH)], "", None, Ledger(), str))
    details = search.recalled("tool_search", arguments, "").details
    assert details is not None
    found: list[Json] = details["tools"]
    return found


def names(tools: list[Json]) -> list[str]:
    return [
        ".".join(filter(None, (tool["name"] if tool["type"] == "namespace" else "", child["name"])))
        for tool in tools
        for child in tool.get("tools", [tool])
    ]


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ({"paths": ["crm"]}, ["crm.get_customer", "crm.list_open_orders"]),
        ({"paths": "crm"}, ["crm.get_customer", "crm.list_open_orders"]),
        ({"paths": ["mail.send", "crm__get_customer"]}, ["mail.send", "crm.get_customer"]),
        ({"paths": ["get_weather", "crm"]}, ["get_weather", "crm.get_customer", "crm.list_open_orders"]),
        ({"query": "get_weather"}, ["get_weather"]),
        ({"query": "open orders"}, ["crm.list_open_orders"]),
        ({"query": "customers and orders"}, ["crm.list_open_orders", "crm.get_customer"]),
        ({"query": "send mails"}, ["mail.send", "mail.searchInbox"]),
        ({"query": "inbox"}, ["mail.searchInbox"]),
        ({"query": "CITY"}, ["get_weather"]),
        ({"query": "查询"}, ["天气"]),
        ({"paths": ["天气"]}, ["天气"]),
        ({"paths": ["...", "翻译"]}, []),
        ({"paths": ["the weather"]}, ["get_weather"]),
        ({"query": "nonsense"}, []),
        ({"query": ""}, []),
        ({"query": 7, "paths": [7, None]}, []),
        ({}, []),
    ],
)
def test_what_is_found(arguments: Json, found: list[str]) -> None:
    assert names(searched(RUN, CRM, MAIL, WEATHER, function("天气", "天气查询"), **arguments)) == found


def test_found_tools_are_declarations() -> None:
    [found] = searched(CRM, paths=["get_customer"])
    assert found == {**CRM, "tools": [CRM["tools"][0]]}
    custom = {"type": "custom", "name": "note", "description": "Notes.", "format": {"type": "text"}}
    assert searched({**custom, "defer_loading": True}, query="notes") == [{**custom, "defer_loading": True}]


def test_a_search_is_bounded() -> None:
    many = group("many", "", *(function(f"tool_{number}", "The same.") for number in range(500)))
    assert len(names(searched(many, query="the same"))) == 8
    assert len(names(searched(many, paths=["many"]))) == 40
    huge = [function(f"huge_{number}", "x" * 150_000) for number in range(5)]
    assert len(names(searched(*huge, query="huge"))) == 1


def test_many_tools_cost_in_proportion() -> None:
    def work(size: int) -> Callable[[], object]:
        count = size // 4
        tools = [function(f"tool_{number}", "Something of the kind. ", one="x", two="y") for number in range(count)]
        return lambda: searched(*tools, query="some kind of tool 17")

    assert grows_linearly(work)


# A turn ---------------------------------------------------------------------------------------------------------------


def opened(settings: Json | None = None, **fields: Any) -> Exchange:
    known = {"upstream": "http://127.0.0.1:1/v1", "store": "none", **(settings or {})}
    around = runtime(Settings.model_validate(known))
    request = {"model": "m", "input": "hi", "stream": True, "tools": TOOLS, **fields}
    asked = parse_request(dumps(request))
    hosted = asyncio.run(around.hosted.open(asked, "", None, Ledger()))
    return open_exchange(request, {}, around, hosted)


def offered(exchange: Exchange) -> list[str]:
    return [tool["function"]["name"] for tool in exchange.upstream_request.body["tools"]]


def searching(query: str, at: int = 0) -> Json:
    return call(at, "tool_search", json.dumps({"query": query}), f"c{query}")


def test_a_turn() -> None:
    exchange = opened()
    assert offered(exchange) == ["run", "tool_search"]
    about = exchange.upstream_request.body["tools"][1]["function"]["description"]
    for told in ("crm (group): Customers and their orders.", "mail (group)", "get_weather: The weather of a city."):
        assert told in about
    before = exchange.upstream_request.body
    search = [searching("customers and orders"), delta("tool_calls")]
    use = [call(0, "crm__list_open_orders", '{"customer_id": "7"}', "c2"), delta("tool_calls")]
    seen = events(served(exchange, search, use))
    check(seen)
    made, found, *_, used = output(seen)
    assert {**made, "id": ""} == {
        "id": "",
        "type": "tool_search_call",
        "status": "completed",
        "call_id": None,
        "execution": "server",
        "arguments": {"query": "customers and orders"},
    }
    assert {**found, "id": ""} == {
        "id": "",
        "type": "tool_search_output",
        "status": "completed",
        "call_id": None,
        "execution": "server",
        "tools": [{**CRM, "tools": CRM["tools"][::-1]}],
    }
    assert (used["type"], used["namespace"], used["name"]) == ("function_call", "crm", "list_open_orders")
    after = exchange.upstream_request.body
    assert offered(exchange) == ["run", "tool_search", "crm__list_open_orders", "crm__get_customer"]
    assert after["tools"][:2] == before["tools"]
    assert after["messages"][: len(before["messages"])] == before["messages"]
    assert after["messages"][-1]["content"].startswith("These tools can be called now:\n- crm__list_open_orders: List")
    assert "Customers and their orders." in after["tools"][2]["function"]["description"]


def test_what_can_be_found_is_told_within_limits() -> None:
    many = [function(f"tool_{number}", "x" * 5_000) for number in range(1_000)]
    about = opened(tools=[*many, SEARCH]).upstream_request.body["tools"][0]["function"]["description"]
    assert len(about) < 7_000
    assert "tool_0: xxx" in about
    assert " more, which only a query finds" in about


def test_several_searches_at_once_belong_to_their_results() -> None:
    exchange = opened()
    seen = events(
        served(
            exchange,
            [searching("weather"), searching("nonsense", 1), searching("send", 2), delta("tool_calls")],
            [delta("stop", content="Done.")],
        )
    )
    check(seen)
    kinds = [item["type"] for item in output(seen)]
    assert kinds == ["tool_search_call"] * 3 + ["tool_search_output"] * 3 + ["message"]
    results = [
        message["content"] for message in exchange.upstream_request.body["messages"] if message["role"] == "tool"
    ]
    assert "get_weather" in results[0]
    assert results[1] == "No tools were found."
    assert "mail__send" in results[2]


def test_what_was_found_is_no_answer() -> None:
    seen = events(served(opened(), [searching("weather"), delta("tool_calls")], [delta("stop")], [delta("stop")]))
    check(seen)
    assert seen[-1]["type"] == "response.failed"


def test_searches_count_as_calls() -> None:
    exchange = opened(max_tool_calls=1)
    rounds = [[searching(word), delta("tool_calls")] for word in ("weather", "send")]
    seen = events(served(exchange, *rounds, [delta("stop", content="Done.")]))
    check(seen)
    statuses = [(item["type"], item["status"]) for item in output(seen)]
    assert statuses[2:4] == [("tool_search_call", "incomplete"), ("tool_search_output", "incomplete")]
    assert "The limit of tool searches" in exchange.upstream_request.body["messages"][-1]["content"]
    assert offered(exchange) == ["run", "tool_search", "get_weather"]


def test_a_deferred_tool_can_be_called_without_a_search() -> None:
    exchange = opened()
    seen = events(served(exchange, [call(0, "get_weather", '{"city": "Ulm"}', "c1"), delta("tool_calls")]))
    check(seen)
    [used] = output(seen)
    assert (used["type"], used["namespace"], used["name"]) == ("function_call", "get_weather", "get_weather")
    result = {"type": "function_call_output", "call_id": "c1", "output": "rain"}
    later = opened(input=[{"role": "user", "content": "hi"}, used, result])
    assert offered(later) == ["run", "tool_search", "get_weather"]
    [asked] = later.upstream_request.body["messages"][1]["tool_calls"]
    assert asked["function"]["name"] == "get_weather"
    without = opened(input=[{"role": "user", "content": "hi"}, used, result], tools=[WEATHER])
    assert without.upstream_request.body["messages"][1]["tool_calls"] == [asked]


@pytest.mark.parametrize(
    ("choice", "chosen"),
    [
        ({"type": "function", "name": "get_weather"}, "get_weather"),
        ({"type": "tool_search"}, "tool_search"),
    ],
)
def test_a_tool_choice(choice: Json, chosen: str) -> None:
    exchange = opened(tool_choice=choice)
    assert exchange.upstream_request.body["tool_choice"]["function"]["name"] == chosen
    assert chosen in offered(exchange)


def test_allowed_tools_are_offered_though_they_are_deferred() -> None:
    named = [{"type": "function", "name": "get_weather"}, {"type": "function", "name": "run"}]
    exchange = opened(tool_choice={"type": "allowed_tools", "mode": "auto", "tools": named})
    assert offered(exchange) == ["run", "get_weather"]


def test_nothing_is_deferred_without_a_search() -> None:
    names = ["run", "crm__get_customer", "crm__list_open_orders", "mail__send", "mail__searchInbox", "get_weather"]
    assert offered(opened(tools=TOOLS[:-1])) == names
    assert offered(opened(n=2)) == names
    assert offered(opened(tools=[*TOOLS[:-1], {**SEARCH, "execution": "client"}])) == [*names, "tool_search"]


def test_a_tool_that_is_denied_is_not_found() -> None:
    exchange = opened(settings={"deny_tools": ["get_*", "mail"]})
    find = [searching("weather mail customer"), delta("tool_calls")]
    check(events(served(exchange, find, [delta("stop", content="Done.")])))
    assert offered(exchange) == ["run", "tool_search", "crm__list_open_orders"]
    assert "get_" not in exchange.upstream_request.body["messages"][-1]["content"]


def test_a_search_that_the_upstream_carries_out_itself() -> None:
    exchange = opened(settings={"hosted_tools": ["tool_search"]}, tools=[WEATHER, SEARCH])
    weather, search = exchange.upstream_request.body["tools"]
    assert weather["function"]["name"] == "get_weather"
    assert search == SEARCH


def test_a_search_of_nothing_is_not_offered() -> None:
    exchange = opened(tools=[RUN, SEARCH])
    assert offered(exchange) == ["run"]


def test_a_function_of_the_client_that_is_named_like_the_search() -> None:
    own = {**RUN, "name": "tool_search"}
    exchange = opened(tools=[own, WEATHER, SEARCH])
    first, second = offered(exchange)
    assert first == "tool_search"
    seen = events(
        served(
            exchange, [call(0, second, '{"query": "city"}', "c1"), delta("tool_calls")], [delta("stop", content="x")]
        )
    )
    check(seen)
    assert output(seen)[0]["type"] == "tool_search_call"
    assert offered(exchange) == [first, second, "get_weather"]


@pytest.mark.parametrize("arguments", ["[1]", '"weather"', "{", "", '{"query": null, "paths": {}}', '{"paths": [[]]}'])
def test_arguments_that_mean_nothing(arguments: str) -> None:
    exchange = opened()
    seen = events(
        served(exchange, [call(0, "tool_search", arguments, "c1"), delta("tool_calls")], [delta("stop", content="x")])
    )
    check(seen)
    assert output(seen)[1]["tools"] == []
    assert exchange.upstream_request.body["messages"][-1]["content"] == "No tools were found."


@pytest.mark.parametrize(
    "tools",
    [[{}], [{"type": "namespace", "name": 7, "tools": [1, None, {"name": []}]}], [{"type": "mcp", "tools": {}}]],
)
def test_odd_results_in_the_input(tools: list[Any]) -> None:
    found = {"type": "tool_search_output", "call_id": None, "execution": "server", "status": "completed"}
    exchange = opened(input=[{"role": "user", "content": "hi"}, {**found, "tools": tools}])
    assert offered(exchange) == ["run", "tool_search"]


def test_a_tool_that_is_not_declared_any_more_stays_away() -> None:
    found = {"type": "tool_search_output", "id": "o", "call_id": None, "execution": "server", "status": "completed"}
    history = [
        {"role": "user", "content": "hi"},
        {"type": "tool_search_call", "id": "c", "call_id": None, "execution": "server", "arguments": {"query": "x"}},
        {**found, "tools": [WEATHER, function("gone")]},
    ]
    exchange = opened(input=history)
    assert offered(exchange) == ["run", "tool_search", "get_weather"]
    [asked, result] = exchange.upstream_request.body["messages"][1:]
    assert asked["tool_calls"][0]["id"] == result["tool_call_id"]
    assert "- gone" in result["content"]


@pytest.mark.parametrize("with_ids", [True, False])
@pytest.mark.parametrize("with_reasoning", [True, False])
def test_ten_turns_keep_their_prefix(with_ids: bool, with_reasoning: bool) -> None:
    """Each turn begins with what the last round of the turn before was asked, tools included."""
    history: list[Json] = [{"role": "user", "content": "go"}]
    before: Json | None = None
    wanted = ["weather", "orders", "mail", "nonsense", "customer"]
    for turn in range(10):
        exchange = opened({"provider": "gemini"}, input=history)
        first = exchange.upstream_request.body
        if before is not None:
            assert first["messages"][: len(before["messages"])] == before["messages"]
            assert first["tools"][: len(before["tools"])] == before["tools"]
        thinks = [delta(reasoning_content=f"think {turn}")] if turn % 2 and with_reasoning else []
        searches = [searching(wanted[(turn + at) % 5], at) for at in range(turn % 3 + 1)]
        if with_reasoning and with_ids:
            entry = searches[0]["choices"][0]["delta"]["tool_calls"][0]
            entry["extra_content"] = {"google": {"thought_signature": f"s{turn}"}}
        last = [call(0, "run", "{}", f"r{turn}"), delta("tool_calls")]
        if turn % 4 == 3:
            last = [delta("stop", content=f"answer {turn}")]
        seen = events(served(exchange, [*thinks, *searches, delta("tool_calls")], last))
        check(seen)
        before = exchange.upstream_request.body
        assert before["messages"][: len(first["messages"])] == first["messages"]
        assert before["tools"][: len(first["tools"])] == first["tools"]
        answered = [item for item in output(seen) if with_reasoning or item["type"] != "reasoning"]
        history += [item if with_ids else {**item, "id": None} for item in answered]
        if turn % 4 == 3:
            history.append({"role": "user", "content": f"and {turn}"})
        else:
            history.append({"type": "function_call_output", "call_id": f"r{turn}", "output": f"ran {turn}"})
    assert before is not None
    signatures = [
        call["extra_content"]["google"]["thought_signature"]
        for message in before["messages"]
        for call in message.get("tool_calls", ())
        if "extra_content" in call
    ]
    assert ("s9" in signatures) == (with_reasoning and with_ids)
