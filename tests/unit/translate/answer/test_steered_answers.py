"""Answers that the client steers: where they end, and what is kept of them."""

from typing import Any

import pytest

from responses_gateway.translate.answer.state_machine import AnswerStateMachine
from responses_gateway.translate.answer.steering import Steering
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.tools.hosted import HostedResult
from unit.machine import RUN, Json, call, check, delta, machine, spoken

SEARCH: Json = {"type": "web_search"}
QUERY = '{"query":"weather"}'


class Answer:
    """An answer that is made chunk by chunk; `steer` says that the client has more to say."""

    def __init__(self, *tools: Json, **options: Any) -> None:
        self.steering = Steering()
        self.ledger = Ledger()
        self.machine: AnswerStateMachine = machine(*tools, steering=self.steering, ledger=self.ledger, **options)
        self.events = self.machine.start()

    def steer(self) -> None:
        self.steering.wanted = True

    def take(self, *chunks: Json) -> None:
        for chunk in chunks:
            self.events += self.machine.chunk(chunk)

    def finish(self) -> None:
        self.events += self.machine.finish(True)

    @property
    def response(self) -> Json:
        check(self.events)
        response: Json = self.events[-1]["response"]
        return response

    @property
    def reason(self) -> str | None:
        details = self.response["incomplete_details"]
        return details["reason"] if details else None

    @property
    def said(self) -> list[tuple[str, ...]]:
        return [spoken(item) for item in self.response["output"]]


@pytest.mark.parametrize("codex", [False, True])
def test_ends_before_its_first_item(codex: bool) -> None:
    answer = Answer(incomplete_completes=codex)
    answer.steer()
    answer.take(delta(content="Never."))
    assert answer.events[-1]["type"] == "response.incomplete"
    assert (answer.response["status"], answer.reason, answer.said) == ("incomplete", "steered", [])
    assert answer.machine.chunk(delta(content="late")) == []


def test_ends_between_items() -> None:
    answer = Answer()
    answer.take(delta(reasoning_content="Hm."))
    answer.steer()
    answer.take(delta(reasoning_content=" Well."), delta(content="Never."))
    assert (answer.reason, answer.said) == ("steered", [("reasoning", "Hm. Well.")])
    assert any("steered" in str(entry) for entry in answer.ledger.entries)


def test_text_that_has_begun_is_finished() -> None:
    answer = Answer()
    answer.take(delta(content="A whole"))
    answer.steer()
    answer.take(delta(content=" sentence."), delta("stop"))
    answer.finish()
    assert (answer.response["status"], answer.said) == ("completed", [("message", "A whole sentence.")])


def test_no_call_begins_any_more() -> None:
    answer = Answer(RUN)
    answer.take(delta(content="I will look."))
    answer.steer()
    answer.take(call(0, "run", '{"cmd":"rm', "c1"))
    assert (answer.reason, answer.said) == ("steered", [("message", "I will look.")])


def test_calls_of_the_client_go_on_to_their_end() -> None:
    answer = Answer(RUN)
    answer.take(call(0, "run", '{"cmd":', "c1"))
    answer.steer()
    answer.take(call(0, None, '"a"}'), call(1, "run", '{"cmd":"b"}', "c2"), delta("tool_calls"))
    answer.finish()
    assert answer.response["status"] == "completed"
    assert answer.said == [("call", "run", '{"cmd":"a"}'), ("call", "run", '{"cmd":"b"}')]


@pytest.mark.parametrize("early", [True, False])
def test_hosted_calls_that_the_model_has_begun_to_make_are_carried_out(early: bool) -> None:
    answer = Answer(SEARCH, web_search=True)
    answer.take(call(0, "web_search", QUERY, "c1"))
    if early:
        answer.steer()
    answer.take(call(1, "web_search", QUERY, "c2"), delta("tool_calls"))
    answer.finish()
    answer.steer()
    first, second = answer.machine.hosted_calls
    for made in (second, first):
        answer.events += answer.machine.add_hosted_result(made, HostedResult("Sunny."))
    assert (answer.reason, answer.machine.wants_round) == ("steered", False)
    kinds = [item["type"] for item in answer.response["output"]]
    assert kinds == ["web_search_call", "web_search_call", "reasoning"]
    # What was found is the model's: it travels with the item.
    assert answer.response["output"][2]["encrypted_content"]


def test_the_model_is_not_asked_again_after_its_last_hosted_call() -> None:
    answer = Answer(SEARCH, web_search=True)
    answer.take(call(0, "web_search", QUERY, "c1"), delta("tool_calls"))
    answer.finish()
    answer.steer()
    [made] = answer.machine.hosted_calls
    answer.events += answer.machine.add_hosted_result(made, HostedResult("Sunny."))
    assert (answer.reason, answer.machine.wants_round) == ("steered", False)


def test_usage_is_estimated_where_the_answer_was_ended() -> None:
    answer = Answer()
    answer.machine.prompt_tokens = lambda: 12
    answer.steer()
    answer.take(delta(content="Never."))
    assert answer.response["usage"]["input_tokens"] == 12
