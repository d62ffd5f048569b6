"""Web searches that the gateway carries out, with scripted engines and pages."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.codex import LATEST, Codex
from e2e.gateway import GatewayProcess, StartGateway
from e2e.openai_client import SyncClient
from e2e.socket_client import open_socket
from upstream import Gate, Script, call, chunk, reply, stream
from upstream.search import ScriptedWeb, answer, redirect, zipped

RESULTS = [
    {"title": "The Eiffel Tower", "url": "https://example.org/eiffel", "text": "It is 330 metres high."},
    {"title": "Paris", "url": "https://paris.example/", "text": "Capital of France."},
]
ANSWER = "It is 330 m high ([The Eiffel Tower](https://example.org/eiffel)), in Paris [2]. See https://paris.example."
SEARCH = {"type": "web_search"}
RUN = {"type": "function", "name": "run", "parameters": {"type": "object", "properties": {"cmd": {"type": "string"}}}}


@pytest.fixture
def web() -> Iterator[ScriptedWeb]:
    with ScriptedWeb(results=list(RESULTS)) as scripted:
        yield scripted


@pytest.fixture
def brave(web: ScriptedWeb, start_gateway: StartGateway) -> GatewayProcess:
    return start_with(start_gateway, web)


def start_with(start_gateway: StartGateway, web: ScriptedWeb, **options: str) -> GatewayProcess:
    return start_gateway(
        {
            "gateway_search": "brave",
            "gateway_search_url": web.url,
            "gateway_search_private_hosts": web.host,
            "gateway_search_timeout": "3",
            **{f"gateway_{name}": value for name, value in options.items()},
        },
        environment={"BRAVE_SEARCH_API_KEY": "brave-key"},
    )


def searching(query: str = "eiffel tower height", id: str = "call_1") -> Any:
    return call("web_search", {"query": query}, id)


def opening(url: str) -> Any:
    return call("open_page", {"url": url})


def items_of(events: list[Any]) -> list[dict[str, Any]]:
    return [item.model_dump() for item in events[-1].response.output]


def test_search_turn(brave: GatewayProcess, web: ScriptedWeb, script: Script) -> None:
    script.answer(reply(calls=[searching()], prompt=100, completion=10), reply(text=ANSWER, prompt=200, completion=20))
    events = SyncClient(brave.url).create_streamed(
        model=script.model, input="How high is it?", tools=[SEARCH], include=["web_search_call.action.sources"]
    )
    kinds = [event.type for event in events if "web_search_call" in event.type or "annotation" in event.type]
    assert kinds == [
        "response.web_search_call.in_progress",
        "response.web_search_call.searching",
        "response.web_search_call.completed",
        *["response.output_text.annotation.added"] * 3,
    ]
    search = next(item for item in items_of(events) if item["type"] == "web_search_call")
    assert search["status"] == "completed"
    assert search["action"] == {
        "type": "search",
        "query": "eiffel tower height",
        "queries": ["eiffel tower height"],
        "sources": [{"type": "url", "url": result["url"]} for result in RESULTS],
    }
    message = items_of(events)[-1]
    [part] = message["content"]
    cited = [(ANSWER[one["start_index"] : one["end_index"]], one["url"]) for one in part["annotations"]]
    assert cited == [
        ("[The Eiffel Tower](https://example.org/eiffel)", "https://example.org/eiffel"),
        ("[2]", "https://paris.example/"),
        ("https://paris.example", "https://paris.example/"),
    ]
    usage = events[-1].response.usage
    assert (usage.input_tokens, usage.output_tokens) == (300, 30)
    [request] = web.requests
    assert request.path == "/res/v1/web/search"
    assert request.query["q"] == "eiffel tower height"
    assert request.headers["x-subscription-token"] == "brave-key"
    first, second = script.requests
    assert second.messages[: len(first.messages)] == first.messages
    assert second.body["tools"] == first.body["tools"]
    assert "It is 330 metres high." in second.tool_result("call_1")


def test_whole_answer(brave: GatewayProcess, script: Script) -> None:
    script.answer(reply(calls=[searching()]), reply(text=ANSWER))
    response = SyncClient(brave.url).create(model=script.model, input="How high is it?", tools=[SEARCH])
    assert response.output_text == ANSWER
    assert [item.type for item in response.output] == ["web_search_call", "reasoning", "message"]


def test_history_keeps_the_prefix(brave: GatewayProcess, script: Script) -> None:
    script.answer(
        reply(reasoning="Look it up.", calls=[searching()]), reply(text=ANSWER), reply(text="You are welcome.")
    )
    client = SyncClient(brave.url)
    asked = {"role": "user", "content": "How high is it?"}
    first = client.create(model=script.model, input=[asked], tools=[SEARCH], store=False)
    back = [item.model_dump(exclude_none=True) for item in first.output]
    thanks = {"role": "user", "content": "Thanks."}
    client.create(model=script.model, input=[asked, *back, thanks], tools=[SEARCH], store=False)
    second, third = script.requests[1:]
    assert third.messages[: len(second.messages)] == second.messages
    assert third.roles()[-2:] == ["assistant", "user"]


def test_searches_and_client_tools_in_one_answer(brave: GatewayProcess, script: Script) -> None:
    both = [searching(), call("run", {"cmd": "ls"}, "call_2")]
    script.answer(reply(calls=both), reply(text="Done."))
    client = SyncClient(brave.url)
    asked = {"role": "user", "content": "Do both."}
    events = client.create_streamed(model=script.model, input=[asked], tools=[SEARCH, RUN], store=False)
    items = items_of(events)
    assert [item["type"] for item in items] == ["web_search_call", "function_call", "reasoning"]
    back = [{name: value for name, value in item.items() if value is not None} for item in items]
    output = {"type": "function_call_output", "call_id": "call_2", "output": "a.txt"}
    client.create(model=script.model, input=[asked, *back, output], tools=[SEARCH, RUN], store=False)
    second = script.requests[1]
    assert [one["id"] for one in second.last("assistant")["tool_calls"]] == ["call_1", "call_2"]
    assert "330 metres" in second.tool_result("call_1")
    assert second.tool_result("call_2") == "a.txt"


def test_two_searches_in_one_answer(brave: GatewayProcess, web: ScriptedWeb, script: Script) -> None:
    script.answer(reply(calls=[searching("one", "call_1"), searching("two", "call_2")]), reply(text="Both."))
    events = SyncClient(brave.url).create_streamed(model=script.model, input="Two.", tools=[SEARCH])
    assert [item["action"]["query"] for item in items_of(events) if item["type"] == "web_search_call"] == ["one", "two"]
    assert sorted(request.query["q"] for request in web.requests) == ["one", "two"]
    assert script.requests[1].roles()[-3:] == ["assistant", "tool", "tool"]


def test_rounds_are_limited(web: ScriptedWeb, start_gateway: StartGateway, script: Script) -> None:
    gateway = start_with(start_gateway, web, search_rounds="2")
    script.answer(*(reply(calls=[searching(id=f"call_{number}")]) for number in range(3)), reply(text="Enough."))
    response = SyncClient(gateway.url).create(model=script.model, input="Go.", tools=[SEARCH])
    assert response.output_text == "Enough."
    assert len(web.requests) == 2
    assert "limit" in script.requests[-1].tool_result("call_2")
    gateway.wait_log("capped output.web_search_call")


def test_heartbeats_while_searching(web: ScriptedWeb, start_gateway: StartGateway, script: Script) -> None:
    released = threading.Event()

    def slow(handler: Any) -> None:
        released.wait(60)
        answer(200, b'{"web": {"results": []}}', "application/json")(handler)

    web.search = slow
    gateway = start_with(start_gateway, web, heartbeat="0.2", search_timeout="20")
    script.answer(reply(calls=[searching()]), reply(text="Nothing found."))
    client = SyncClient(gateway.url)
    kinds = []
    for event in client.iterate(model=script.model, input="Go.", tools=[SEARCH]):
        kinds.append(event.type)
        if event.type == "response.in_progress" and kinds.count(event.type) == 4:
            assert "response.web_search_call.searching" in kinds
            assert "response.web_search_call.completed" not in kinds
            released.set()
    assert kinds[-1] == "response.completed"


@pytest.mark.parametrize(
    ("page", "told"),
    [
        (answer(429, b'{"error": "slow down"}'), "answered 429"),
        (answer(500, b""), "answered 500"),
        (answer(200, b"<html>no JSON</html>"), "did not answer with a JSON object"),
        (answer(200, b'{"web": {"results": [1, {"url": "javascript:x"}]}}'), "Nothing was found"),
        (lambda handler: handler.connection.close(), "cannot be reached"),
    ],
    ids=["rate limit", "error", "no JSON", "nonsense", "closed"],
)
def test_engine_that_fails(
    brave: GatewayProcess, web: ScriptedWeb, script: Script, page: Callable[[Any], None], told: str
) -> None:
    web.search = page
    script.answer(reply(calls=[searching()]), reply(text="Without it."))
    response = SyncClient(brave.url).create(model=script.model, input="Go.", tools=[SEARCH])
    assert response.output_text == "Without it."
    assert told in script.requests[1].tool_result("call_1")


def test_engine_that_is_down_or_slow(web: ScriptedWeb, start_gateway: StartGateway, script: Script) -> None:
    waiting = threading.Event()
    web.search = lambda handler: waiting.wait(60) and None
    gateway = start_with(start_gateway, web, search_timeout="0.3")
    script.answer(reply(calls=[searching()]), reply(text="Without it."))
    assert SyncClient(gateway.url).create(model=script.model, input="Go.", tools=[SEARCH]).output_text == "Without it."
    gateway.wait_log("dropped output.web_search_call: web_search failed: no answer within 0.3 seconds")
    waiting.set()
    down = start_gateway({"gateway_search": "searxng", "gateway_search_url": "http://127.0.0.1:9"})
    script.answer(reply(calls=[searching()]), reply(text="Without it."))
    assert SyncClient(down.url).create(model=script.model, input="Go.", tools=[SEARCH]).output_text == "Without it."
    down.wait_log("dropped output.web_search_call: web_search failed: SearXNG cannot be reached")


ARTICLE = (
    b"<html><head><title>Towers</title><script>steal()</script></head><body><nav>Menu</nav><main><h1>Towers</h1>"
    b"<p>The tower is <b>330</b> metres high.</p><script>more()</script></main><footer>Imprint</footer></body></html>"
)


def test_open_and_find(brave: GatewayProcess, web: ScriptedWeb, script: Script) -> None:
    web.pages = {"/article": zipped(ARTICLE)}
    url = f"{web.url}/article"
    finding = call("find_in_page", {"url": url, "pattern": "TOWER IS"}, "call_2")
    script.answer(reply(calls=[opening(url)]), reply(calls=[finding]), reply(text="330 m."))
    events = SyncClient(brave.url).create_streamed(model=script.model, input="Read it.", tools=[SEARCH])
    actions = [item["action"] for item in items_of(events) if item["type"] == "web_search_call"]
    assert [action["type"] for action in actions] == ["open_page", "find_in_page"]
    assert actions[1]["pattern"] == "TOWER IS"
    assert script.requests[1].tool_result("call_1") == "Towers\nThe tower is 330 metres high."
    assert "The tower is 330" in script.requests[2].tool_result("call_2")
    assert len(web.requests) == 1


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/to-loopback", "is not on the public internet"),
        ("/to-file", "is not the address of a web page"),
        ("/loop", "more than 5 redirects"),
        ("/picture", "is no text but image/png"),
        ("/gone", "answered 404"),
        ("/deep", "is too much to read"),
    ],
)
def test_pages_that_cannot_be_read(
    brave: GatewayProcess, web: ScriptedWeb, script: Script, path: str, told: str
) -> None:
    with ScriptedWeb() as hidden:
        web.pages = {
            "/to-loopback": redirect(f"{hidden.url}/secret"),
            "/to-file": redirect("file:///etc/passwd"),
            "/loop": redirect("/loop"),
            "/picture": answer(200, b"\x89PNG", "image/png"),
            "/deep": zipped(b"<div>" * 200_000),
        }
        script.answer(reply(calls=[opening(web.url + path)]), reply(text="Without it."))
        response = SyncClient(brave.url).create(model=script.model, input="Read it.", tools=[SEARCH])
        assert hidden.requests == []
    assert response.output_text == "Without it."
    result = script.requests[1].tool_result("call_1")
    assert told in result or (path == "/deep" and "did not answer within" in result)
    brave.wait_log("dropped output.web_search_call: open_page failed")


def test_huge_pages_are_cut(brave: GatewayProcess, web: ScriptedWeb, script: Script) -> None:
    web.pages = {
        "/huge": answer(200, b"<p>word word word</p>\n" * 500_000),
        "/bomb": zipped(b"word " * 20_000_000),
    }
    for path in web.pages:
        script.answer(reply(calls=[opening(web.url + path)]), reply(text="Read."))
        response = SyncClient(brave.url).create(model=script.model, input="Read it.", tools=[SEARCH])
        assert response.output_text == "Read."
        result = script.requests[-1].tool_result("call_1")
        assert result.startswith("word word")
        assert len(result) < 13_000
    brave.wait_log("capped output.web_search_call")


def test_settings_of_the_tool(brave: GatewayProcess, web: ScriptedWeb, script: Script) -> None:
    tool = {
        "type": "web_search_preview",
        "search_context_size": "low",
        "user_location": {"type": "approximate", "city": "Paris", "country": "FR", "timezone": "Europe/Paris"},
        "filters": {"allowed_domains": ["example.org"]},
        "external_web_access": False,
    }
    script.answer(reply(calls=[searching()]), reply(text="Found."))
    SyncClient(brave.url).create(model=script.model, input="Go.", tools=[tool], tool_choice={"type": tool["type"]})
    [request] = web.requests
    assert request.query == {
        "q": "eiffel tower height site:example.org",
        "count": "3",
        "country": "FR",
        "text_decorations": "false",
    }
    assert (request.headers["x-loc-city"], request.headers["x-loc-timezone"]) == ("Paris", "Europe/Paris")
    first, second = script.requests
    assert set(first.tools) == {"web_search"}
    assert first.body["tool_choice"] == {"type": "function", "function": {"name": "web_search"}}
    assert second.body["tool_choice"] == "auto"
    assert "paris.example" not in second.tool_result("call_1")


@pytest.mark.parametrize("engine", ["searxng", "tavily"])
def test_other_engines(web: ScriptedWeb, start_gateway: StartGateway, script: Script, engine: str) -> None:
    gateway = start_gateway(
        {"gateway_search": engine, "gateway_search_url": web.url}, environment={"TAVILY_API_KEY": "tavily-key"}
    )
    script.answer(reply(calls=[searching()]), reply(text="Found."))
    tool = {**SEARCH, "filters": {"allowed_domains": ["example.org"]}}
    SyncClient(gateway.url).create(model=script.model, input="Go.", tools=[tool])
    [request] = web.requests
    if engine == "tavily":
        assert request.headers["authorization"] == "Bearer tavily-key"
        assert request.body["include_domains"] == ["example.org"]
        assert request.body["max_results"] == 5
    else:
        assert request.query == {"q": "eiffel tower height site:example.org", "format": "json"}
    assert "330 metres" in script.requests[1].tool_result("call_1")


def test_without_an_engine_the_tool_is_dropped(gateway: GatewayProcess, script: Script) -> None:
    script.answer(reply(text="No search."))
    SyncClient(gateway.url).create(model=script.model, input="Go.", tools=[SEARCH])
    assert "tools" not in script.request.body
    gateway.wait_log("dropped tools.web_search")


@pytest.mark.parametrize("websockets", [False, True], ids=["http", "websocket"])
def test_codex(brave: GatewayProcess, script: Script, tmp_path: Path, websockets: bool) -> None:
    codex = Codex(LATEST, brave.url, tmp_path / "codex")
    codex.configure_provider(f"supports_websockets = {str(websockets).lower()}")
    both = [searching(), codex.shell("echo hello", "call_2")]
    script.answer(reply(calls=[searching("first")]), reply(calls=both), reply(text=ANSWER), reply(text="Again."))
    run = codex.exec("How high is it?", script.model).succeeded()
    assert run.messages == [ANSWER]
    assert [item["query"] for item in run.items("web_search")] == ["first", "eiffel tower height"]
    run = codex.exec("And again?", script.model, resume=run.thread_id).succeeded()
    assert run.messages == ["Again."]
    for earlier, later in zip(script.requests, script.requests[1:], strict=False):
        assert later.messages[: len(earlier.messages)] == earlier.messages


def test_a_search_is_finished_when_the_client_steers(brave: GatewayProcess, script: Script) -> None:
    gate = Gate()
    script.answer(
        stream(*searching().chunks(0), gate, chunk(finish_reason="tool_calls")), reply(text="In metres: 330.")
    )
    with open_socket(brave.url) as socket:
        socket.send(type="response.create", model=script.model, input="How high?", tools=[SEARCH], store=False)
        target = socket.until("response.web_search_call.in_progress")[0]["response"]["id"]
        socket.send(type="response.steer", previous_response_id=target, input="In metres.")
        socket.until("response.steer.accepted")
        gate.open()
        steered = socket.until("response.incomplete")[-1]["response"]
        successor = socket.until("response.completed")[-1]["response"]
    assert [item["type"] for item in steered["output"]] == ["web_search_call", "reasoning"]
    assert successor["output"][-1]["content"][0]["text"] == "In metres: 330."
    # The model has its call, and what was found, and then the new input.
    messages = script.requests[-1].messages
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "user"]
    assert "330 metres" in messages[2]["content"]
