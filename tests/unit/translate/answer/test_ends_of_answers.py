"""How answers end, and what the ledger says of all that is mended, moved or left out of them."""

from typing import Any

import pytest

from responses_gateway.translate.answer.citations import citations
from responses_gateway.translate.answer.usage import merge_usage, translate_usage
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.tools.hosted import Source
from unit.exchanges import DONE, events, exchange, frame
from unit.machine import PATCH, RUN, Json, call, check, delta, machine, output, spoken

STOP = delta("stop")
ESTIMATE = "added usage: an estimate: the upstream tells none"
LOOK: Json = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}


def answered(
    *chunks: Json, tools: tuple[Json, ...] = (RUN, LOOK), done: bool = True, **options: Any
) -> tuple[list[Json], list[str]]:
    """The events of a checked answer, and the ledger but for the estimate of its tokens."""
    ledger = Ledger()
    translator = machine(*tools, ledger=ledger, **options)
    made = translator.start()
    for chunk in chunks:
        made += translator.chunk(chunk)
    made += translator.finish(done)
    check(made)
    assert translator.finish(done) == []
    assert translator.heartbeat() == []
    return made, [str(entry) for entry in ledger.entries if str(entry) != ESTIMATE]


LIMITS = ["length", "max_tokens", "max_output_tokens", "model_length", "model_context_window_exceeded"]
FILTERS = ["content_filter", "sensitive", "safety"]
FAULTS = ["error", "abort", "network_error", "insufficient_system_resource"]


@pytest.mark.parametrize(
    ("reason", "status", "why"),
    [
        *((reason, "incomplete", "max_output_tokens") for reason in LIMITS),
        *((reason, "incomplete", "content_filter") for reason in FILTERS),
        *((reason, "failed", None) for reason in FAULTS),
        *((reason, "completed", None) for reason in ("stop", "tool_calls", "eos", "STOP")),
    ],
)
def test_each_reason_to_end(reason: str, status: str, why: str | None) -> None:
    made, ledger = answered(delta(content="Half"), delta(reason))
    response = made[-1]["response"]
    assert made[-1]["type"] == f"response.{status}"
    assert response["status"] == status
    assert response["incomplete_details"] == ({"reason": why} if why else None)
    assert response["completed_at"] == (2 if status == "completed" else None)
    if status == "failed":
        assert response["error"] == {
            "code": "server_error",
            "message": f"The upstream gave up: finish_reason {reason}.",
        }
    else:
        assert response["error"] is None
        assert response["output"][0]["status"] == status
    assert ledger == []


def test_a_stream_without_an_end_is_no_answer() -> None:
    made, _ = answered(delta(content="Half"), done=False)
    error = made[-1]["response"]["error"]
    assert "neither finish_reason nor [DONE]" in error["message"]
    made, ledger = answered(delta(content="All."), done=False, tolerate_eof=True)
    assert made[-1]["type"] == "response.completed"
    assert ledger == ["repaired output: the stream ended without finish_reason and [DONE]"]
    assert answered(delta(reasoning_content="Hm"), done=False, tolerate_eof=True)[0][-1]["type"] == "response.failed"
    half = answered(delta(content="All."), call(0, "run", '{"cmd"'), done=False, tolerate_eof=True)
    assert half[0][-1]["type"] == "response.failed"
    assert answered(delta(content="All."), done=True)[1] == []


@pytest.mark.parametrize(
    ("reason", "line", "why"),
    [
        ("length", "it reached a limit of the upstream's for output tokens", "max_output_tokens"),
        ("safety", "a content filter of the upstream's stopped it", "content_filter"),
    ],
)
def test_a_last_line_is_noted(reason: str, line: str, why: str) -> None:
    made, ledger = answered(delta(content="Half"), delta(reason), for_codex=True, incomplete_completes=True)
    text = output(made)[0]["content"][0]["text"]
    assert text == f"Half\n\n[The answer ends here: {line}.]"
    assert ledger == [f"added output.text: a last line, because the client would not tell: {why}"]


EMPTY = "repaired output.run.arguments: empty arguments -> {}"
GLUED = '{"cmd": "a"}{"cmd": "b"}'


@pytest.mark.parametrize(
    ("chunks", "items", "notes"),
    [
        (
            [call(0, "run", GLUED, "c1"), delta("tool_calls")],
            [("call", "run", '{"cmd": "a"}'), ("call", "run", '{"cmd": "b"}')],
            ["repaired output.run: two calls glued together are two calls"],
        ),
        (
            [call(0, "run", '{"cmd": "a"} and more', "c1"), delta("tool_calls")],
            [("call", "run", '{"cmd": "a"}')],
            ["dropped output.run.arguments: text behind the arguments"],
        ),
        (
            [call(0, "run", '{"cmd": "a"}', "c1"), call(0, None, " \n"), delta("tool_calls")],
            [("call", "run", '{"cmd": "a"}')],
            [],
        ),
        (
            [
                call(0, "multi_tool_use.parallel", '{"tool_uses": [{"recipient_name": "functions.run", '),
                call(0, None, '"parameters": {"cmd": "a"}}, {"recipient_name": "look", "parameters": {}}]}'),
                delta("tool_calls"),
            ],
            [("call", "run", '{"cmd":"a"}'), ("call", "look", "{}")],
            ["repaired output.multi_tool_use.parallel: taken apart into 2 calls"],
        ),
        (
            [delta(content='<tool_call>{"name": "run", "arguments": {"cmd": "a"}}</tool_call>'), STOP],
            [("call", "run", '{"cmd":"a"}')],
            ["repaired output.run: a call written as text (hermes)"],
        ),
        (
            [delta(reasoning_content="Hm."), delta(content=" \n"), STOP],
            [("reasoning", "Hm."), ("message", "Hm.")],
            [
                "dropped output.text: blank text without any other",
                "changed output.reasoning: shown as the answer, because nothing else came",
            ],
        ),
        ([delta(content=" \n"), STOP], [("message", " \n")], []),
        (
            [delta(content="\n"), call(0, "run", '{"cmd": "a"}', "c1"), delta("tool_calls")],
            [("call", "run", '{"cmd": "a"}')],
            ["dropped output.text: blank text without any other"],
        ),
        (
            [delta(images=[{"image_url": {"url": "https://a.example/p.png"}}]), STOP],
            [("message", "![](https://a.example/p.png)")],
            ["changed output.images: a link: the picture has an address instead of its data"],
        ),
        (
            [call(0, "Run", '{"cmd": "a"}', "c1"), delta("tool_calls")],
            [("call", "run", '{"cmd": "a"}')],
            ["repaired output.Run: the model meant run"],
        ),
        (
            [call(0, "nobody", "{}", "c1"), delta("tool_calls")],
            [("call", "nobody", "{}")],
            ["repaired output.nobody: no tool of this name was offered; passed on as it is"],
        ),
        ([call(0, "run", None, "c1"), delta("tool_calls")], [("call", "run", "{}")], [EMPTY]),
    ],
)
def test_what_is_mended_is_noted(chunks: list[Json], items: list[tuple[str, ...]], notes: list[str]) -> None:
    made, ledger = answered(*chunks)
    assert [spoken(item) for item in output(made)] == items
    assert ledger == notes


@pytest.mark.parametrize(
    "arguments",
    [
        '{"tool_uses": []}',
        '{"tool_uses": [{"recipient_name": "", "parameters": {}}]}',
        '{"tool_uses": [{"recipient_name": "run", "parameters": "x"}]}',
        '{"tool_uses": [{"parameters": {}}]}',
        '{"other": 1}',
    ],
)
def test_a_call_for_several_in_another_form_goes_on_as_it_is(arguments: str) -> None:
    made, _ = answered(call(0, "multi_tool_use.parallel", arguments, "c1"), delta("tool_calls"))
    [item] = output(made)
    assert (item["name"], item["arguments"]) == ("multi_tool_use.parallel", arguments)


def test_a_call_for_several_in_another_form_is_shown_at_once() -> None:
    translator = machine(RUN)
    translator.start()
    shown = translator.chunk(call(0, "multi_tool_use.parallel", '{"other": 1}', "c1"))
    assert [event["type"] for event in shown][-1] == "response.output_item.done"


SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


@pytest.mark.parametrize(
    ("text", "reason", "shown", "noted"),
    [
        ('{"a": 1}', "stop", ("output_text", '{"a": 1}'), False),
        ('```json\n{"a": 1}\n```', "stop", ("output_text", '{"a": 1}'), False),
        ('{"a": "x"}', "stop", ("refusal", "$.a: 'x' is not of type 'integer'"), True),
        ('{"a":', "length", ("output_text", '{"a":'), False),
    ],
)
def test_a_draft_is_shown_when_it_matches(text: str, reason: str, shown: tuple[str, str], noted: bool) -> None:
    made, ledger = answered(*(delta(content=piece) for piece in text), delta(reason), schema=SCHEMA)
    [item] = output(made)
    [part] = item["content"]
    assert part["type"] == shown[0]
    assert part.get("text", part.get("refusal", "")).endswith(shown[1])
    assert len(ledger) == noted
    deltas = [event for event in made if event["type"] == "response.output_text.delta"]
    assert len(deltas) == (0 if noted else 1)


def test_a_patch_without_its_input_is_whole_only_with_its_end() -> None:
    made, _ = answered(call(0, "apply_patch", '{"input": "*** Begin', "c1"), delta("length"), tools=(PATCH,))
    [item] = output(made)
    assert (item["status"], item["input"]) == ("incomplete", "*** Begin")


@pytest.mark.parametrize("codex", [True, False])
def test_what_stands_in_a_failed_answer(codex: bool) -> None:
    made, ledger = answered(
        delta(content="Half"), call(0, "run", '{"cmd": "a', "c1"), delta(content="late"), done=False, for_codex=codex
    )
    kinds = [(item["type"], item["status"]) for item in output(made)]
    assert kinds == [("message", "completed"), ("function_call", "incomplete")]
    assert ledger == ["dropped output: what came behind a call that the upstream did not finish"]


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"token": "a", "logprob": -1, "bytes": [97]}, {"token": "a", "logprob": -1.0, "bytes": [97]}),
        ({}, {"token": "", "logprob": 0.0, "bytes": []}),
        ({"token": 5, "logprob": "x", "bytes": "y"}, {"token": "5", "logprob": 0.0, "bytes": []}),
        ({"token": "a", "logprob": 1e301, "bytes": [97, "b"]}, {"token": "a", "logprob": 0.0, "bytes": [97]}),
    ],
)
def test_log_probabilities_in_the_form_of_the_client(entry: Json, told: Json) -> None:
    holder = {"content": [{**entry, "top_logprobs": [entry, "x"]}, "x"]}
    chunk = {"choices": [{"index": 0, "delta": {"content": "a"}, "logprobs": holder}]}
    made, _ = answered(chunk, STOP)
    [delta_event] = [event for event in made if event["type"] == "response.output_text.delta"]
    expected = [{**told, "top_logprobs": [told]}]
    assert delta_event["logprobs"] == expected
    assert output(made)[0]["content"][0]["logprobs"] == expected


def test_a_citation_may_come_before_the_text() -> None:
    cited = {"type": "url_citation", "url": "https://a.example", "title": "A", "start_index": 0, "end_index": 1}
    made, _ = answered(delta(annotations=[cited]), delta(content="a"), STOP)
    kinds = [event["type"].removeprefix("response.") for event in made if "content_index" in event]
    assert kinds == [
        "content_part.added",
        "output_text.annotation.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
    ]
    assert output(made)[0]["content"][0]["annotations"] == [cited]


def test_the_usage_of_rounds_adds_up() -> None:
    one = translate_usage({"prompt_tokens": 3, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 1}})
    assert merge_usage(one, one) == {
        "input_tokens": 6,
        "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 0},
        "output_tokens": 4,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 10,
    }
    assert merge_usage(one, None) == merge_usage(None, one) == one
    assert merge_usage(None, None) is None


@pytest.mark.parametrize(
    ("count", "told"), [(7, 7), (7.9, 7), (True, 0), (-1, 0), ("7", 0), (2**53, 0), (2**53 - 1, 2**53 - 1), (None, 0)]
)
def test_which_counts_are_counts(count: Any, told: int) -> None:
    assert translate_usage({"prompt_tokens": count})["input_tokens"] == told


A, B = Source("https://a.example/x", "A"), Source("https://b.example/y_(z)/", "B")


@pytest.mark.parametrize(
    ("text", "cited"),
    [
        ("see [A](https://a.example/x).", [("[A](https://a.example/x)", A)]),
        ("see [](<https://a.example/x>)", [("[](<https://a.example/x>)", A)]),
        ('see [B](https://b.example/y_(z) "title") x', [('[B](https://b.example/y_(z) "title")', B)]),
        ("https://a.example/x, and", [("https://a.example/x", A)]),
        ("https://a.example/x/?", [("https://a.example/x/", A)]),
        ("https://a.example/x#part", [("https://a.example/x#part", A)]),
        ("https://a.example/x?utm_source=openai.", [("https://a.example/x?utm_source=openai", A)]),
        ("so [1] and [2].", [("[1]", A), ("[2]", B)]),
        ("so 【1†source】", [("【1†source】", A)]),
        ("é [1]", [("[1]", A)]),
        ("[0] [3] [1234] a[1] [1](x)", []),
        ("[A](https://c.example/x) https://c.example/", []),
        ("[A](https://a.example/x", [("https://a.example/x", A)]),
    ],
)
def test_what_cites_a_source(text: str, cited: list[tuple[str, Source]]) -> None:
    found = citations(text, [A, B])
    assert [(text[one["start_index"] : one["end_index"]], one["url"], one["title"]) for one in found] == [
        (words, source.url, source.title) for words, source in cited
    ]
    assert {one["type"] for one in found} <= {"url_citation"}


@pytest.mark.parametrize(
    ("data", "note"),
    [
        (b"data: {broken\n\n", "dropped output: a line of the upstream's stream that is not JSON"),
        (b"data: 5\n\n", "dropped output: a line of the upstream's stream that is no JSON object"),
        (
            b'data: {"choices": [{"delta": {"content": "\xff"}}]}\n\n',
            "repaired output: bytes that are not UTF-8 are replaced",
        ),
    ],
)
def test_what_cannot_be_read_of_a_stream_is_noted(data: bytes, note: str) -> None:
    one = exchange()
    one.begin({})
    sent = one.feed(frame(delta(content="a")) + data + frame(STOP) + DONE) + one.close()
    assert events(sent)[-1]["type"] == "response.completed"
    assert [str(entry) for entry in one.ledger.entries if str(entry) != ESTIMATE] == [note]


def test_behind_the_end_nothing_is_noted() -> None:
    one = exchange()
    one.begin({})
    late = (
        frame(b"5")
        + frame({"error": {"message": "late"}})
        + frame({"usage": {"prompt_tokens": 3, "completion_tokens": 2}})
    )
    sent = one.feed(frame(delta(content="a")) + frame(STOP) + DONE) + one.feed(late) + one.close()
    assert events(sent)[-1]["response"]["usage"]["input_tokens"] == 3
    assert one.ledger.entries == []
