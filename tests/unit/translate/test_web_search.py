"""The gateway's own calls in the stream machine, in history, and what they cite."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_gateway.catalogue.models.card import ModelCard
from responses_gateway.catalogue.providers.shipped import shipped
from responses_gateway.hosted.interface import Declaration, DeclaredTool
from responses_gateway.hosted.web_search import DeclaredSearch
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.responses import items_of
from responses_gateway.translate.answer.citations import citations
from responses_gateway.translate.answer.state_machine import AnswerStateMachine
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.reasoning import PLAIN_ENVELOPES, open_reasoning
from responses_gateway.translate.request.chat_request import translate_request
from responses_gateway.translate.request.hosted_results import restore_hosted_results
from responses_gateway.translate.tools.hosted import HostedResult, Source
from unit.machine import RUN, Json, call, check, delta, machine, output, request, spoken

SEARCH: Json = {"type": "web_search"}
PAGE = Source("https://example.org/a_(b)", "A")
OTHER = Source("https://other.example/", "B")


def searching_machine(*tools: Json, ledger: Ledger | None = None, **options: Any) -> AnswerStateMachine:
    return machine(SEARCH, *tools, ledger=ledger, web_search=True, **options)


def answer_calls(translator: AnswerStateMachine, *findings: HostedResult) -> list[Json]:
    events: list[Json] = []
    for pending, finding in zip(translator.hosted_calls, findings, strict=True):
        events += translator.add_hosted_result(pending, finding)
    return events


def test_a_search_waits_for_its_finding_and_asks_for_a_round() -> None:
    translator = searching_machine()
    events = translator.start() + translator.chunk(call(0, "web_search", '{"query": "x"}', "c1"))
    events += translator.chunk(delta("tool_calls")) + translator.finish(True)
    assert translator.finish(True) == []
    assert [pending.arguments for pending in translator.hosted_calls] == [{"query": "x"}]
    assert not translator.wants_round
    events += answer_calls(translator, HostedResult("found", [PAGE]))
    assert translator.wants_round
    translator.next_round()
    events += translator.chunk(delta("stop", content="See [A](https://example.org/a_(b)).")) + translator.finish(True)
    check(events)
    assert [item["type"] for item in output(events)] == ["web_search_call", "reasoning", "message"]
    [annotation] = output(events)[-1]["content"][0]["annotations"]
    assert (annotation["start_index"], annotation["end_index"]) == (4, 34)


@pytest.mark.parametrize("search_first", [True, False])
def test_calls_of_the_client_end_the_response(search_first: bool) -> None:
    translator = searching_machine(RUN)
    names = ["web_search", "run"] if search_first else ["run", "web_search"]
    events = translator.start()
    for index, name in enumerate(names):
        events += translator.chunk(call(index, name, '{"query": "x"}' if name == "web_search" else "{}", f"c{index}"))
    events += translator.finish(True) + answer_calls(translator, HostedResult("found"))
    check(events)
    kinds = ["web_search_call", "function_call"] if search_first else ["function_call", "web_search_call"]
    assert [item["type"] for item in output(events)] == [*kinds, "reasoning"]
    assert not translator.wants_round


def test_text_and_calls_in_any_order() -> None:
    translator = searching_machine()
    events = translator.start()
    for piece in (
        delta(content="I look."),
        call(0, "web_search", '{"query": "x"}', "c1"),
        delta(content="And:"),
        call(1, "open_page", "", "c2"),
        delta("tool_calls"),
    ):
        events += translator.chunk(piece)
    events += translator.finish(True)
    events += answer_calls(translator, HostedResult("one"), HostedResult("two", failed=True))
    assert translator.wants_round
    translator.next_round()
    events += translator.chunk(delta("stop", content="Done.")) + translator.finish(True)
    check(events)
    assert [spoken(item)[0] for item in output(events)] == [
        "message",
        "web_search_call",
        "message",
        "web_search_call",
        "reasoning",
        "message",
    ]
    assert [item["status"] for item in output(events) if item["type"] == "web_search_call"] == ["completed", "failed"]


def test_two_calls_glued_together() -> None:
    translator = searching_machine()
    events = translator.start() + translator.chunk(call(0, "web_search", '{"query": "x"}{"query": "y"}', "c1"))
    events += translator.finish(True)
    assert [pending.arguments for pending in translator.hosted_calls] == [{"query": "x"}, {"query": "y"}]
    events += answer_calls(translator, HostedResult("one"), HostedResult("two"))
    assert translator.wants_round


def test_results_come_in_any_order_but_items_are_shown_in_that_of_the_calls() -> None:
    translator = searching_machine(RUN)
    events = translator.start()
    for index, name in enumerate(["web_search", "run", "web_search", "web_search"]):
        arguments = "{}" if name == "run" else f'{{"query": "{index}"}}'
        events += translator.chunk(call(index, name, arguments, f"c{index}"))
    events += translator.chunk(delta(content="Wait.")) + translator.finish(True)
    first, second, third = translator.hosted_calls
    assert translator.add_hosted_result(third, HostedResult("late")) == []
    events += translator.add_hosted_result(first, HostedResult("early"))
    assert [event["item"]["type"] for event in events if event["type"] == "response.output_item.done"] == [
        "web_search_call",
        "function_call",
    ]
    events += translator.add_hosted_result(second, HostedResult("", failed=True))
    check(events)
    searches = [item for item in output(events) if item["type"] == "web_search_call"]
    assert [(item["action"]["query"], item["status"]) for item in searches] == [
        ("0", "completed"),
        ("2", "failed"),
        ("3", "completed"),
    ]
    carried = open_reasoning(output(events)[-1]["encrypted_content"])
    assert carried is not None
    assert [entry["text"] for entry in carried.hosted_results] == ["early", "", "late"]


def test_what_is_not_shown_when_an_answer_fails_is_in_its_last_event() -> None:
    translator = searching_machine()
    events = translator.start()
    for index in range(3):
        events += translator.chunk(call(index, "web_search", f'{{"query": "{index}"}}', f"c{index}"))
    events += translator.finish(True)
    events += translator.add_hosted_result(translator.hosted_calls[1], HostedResult("found"))
    events += translator.fail(GatewayError("no", 503, "server_error"))
    check(events)
    assert [item["status"] for item in output(events)] == ["completed", "incomplete", "incomplete"]


def test_a_search_that_a_limit_cut_off_is_not_carried_out() -> None:
    translator = searching_machine()
    events = translator.start() + translator.chunk(call(0, "web_search", '{"que', "c1"))
    events += translator.chunk(delta("length")) + translator.finish(True)
    assert not translator.hosted_calls
    check(events)
    assert events[-1]["type"] == "response.incomplete"
    assert output(events)[0]["status"] == "incomplete"


def test_a_failure_while_searching_ends_the_stream() -> None:
    translator = searching_machine()
    events = translator.start() + translator.chunk(call(0, "web_search", '{"query": "x"}', "c1"))
    events += translator.finish(True)
    [search] = translator.hosted_calls
    events += translator.fail(GatewayError("no", 503, "server_error"))
    check(events)
    assert translator.add_hosted_result(search, HostedResult("late")) == []


def test_without_a_search_engine_nothing_is_hosted() -> None:
    ledger = Ledger()
    translator = machine(SEARCH, RUN, ledger=ledger)
    translator.chunk(call(0, "web_search", "{}", "c1"))
    assert translator.finish(True)[-1]["response"]["output"][0]["type"] == "function_call"
    assert "dropped tools.web_search: no chat upstream runs this hosted tool" in map(str, ledger.entries)


def test_results_come_back_without_ids() -> None:
    translator = searching_machine(seal_reasoning=False)
    translator.chunk(call(0, "web_search", '{"query": "x"}', "c1"))
    translator.chunk(call(1, "web_search", '{"query": "y"}', "c2"))
    translator.finish(True)
    answer_calls(translator, HostedResult("one"), HostedResult("two"))
    items = [{name: value for name, value in item.items() if name != "id"} for item in translator.items]
    asked = request(input=[{"role": "user", "content": "hi"}, *items], tools=[SEARCH])
    messages = translate_request(
        asked,
        model="m",
        profile=shipped()["openai"],
        card=ModelCard(id="m"),
        ledger=Ledger(),
        hosted=[DeclaredSearch(DeclaredTool(asked, [Declaration("tools[0]", SEARCH)], "", None, Ledger(), str))],
    ).body["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "tool"]
    assert [one["function"]["arguments"] for one in messages[1]["tool_calls"]] == ['{"query": "x"}', '{"query": "y"}']
    assert [message["content"] for message in messages[2:]] == ["one", "two"]


def test_a_search_whose_results_are_lost_is_dropped() -> None:
    ledger = Ledger()
    items = items_of([{"type": "web_search_call", "id": "ws_1", "status": "completed"}])
    assert restore_hosted_results(items, PLAIN_ENVELOPES, ledger) == []
    assert "dropped input.web_search_call" in str(ledger.entries[0])


@pytest.mark.parametrize(
    ("text", "cited"),
    [
        ("[A](https://example.org/a_(b))", ["[A](https://example.org/a_(b))"]),
        ('[A](https://example.org/a_(b) "title")', ['[A](https://example.org/a_(b) "title")']),
        ("[A](<https://other.example>)", ["[A](<https://other.example>)"]),
        ("See https://other.example/.", ["https://other.example/"]),
        ("😀 so [1], and [2][1]", ["[1]", "[2]", "[1]"]),
        ("list[1] and [3] and [x](https://elsewhere.example)", []),
        ("【2†source】", ["【2†source】"]),
        ("[1](https://other.example/?utm_source=openai)", ["[1](https://other.example/?utm_source=openai)"]),
    ],
)
def test_citations(text: str, cited: list[str]) -> None:
    found = citations(text, [PAGE, OTHER])
    assert [text[one["start_index"] : one["end_index"]] for one in found] == cited


@given(st.text(alphabet="[]()12ahtps:/.e 【】†\n"))
def test_citations_of_anything(text: str) -> None:
    end = 0
    for one in citations(text, [Source("https://a.e", "A"), Source("https://t.e", "T")]):
        assert end <= one["start_index"] < one["end_index"] <= len(text)
        end = one["end_index"]
