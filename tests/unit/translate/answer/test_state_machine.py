"""The stream machine: what upstreams send, and the events that come of it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_gateway.protocol.errors import GatewayError
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.reasoning import unseal
from responses_gateway.translate.repair.upstream_errors import error_in
from unit.machine import ECHO, PATCH, RUN, SEARCH, Json, call, check, delta, machine, output, run, spoken

STOP = delta(finish_reason="stop")
CALLS = delta(finish_reason="tool_calls")

ODDITIES: dict[str, tuple[list[Json], list[tuple[str, ...]]]] = {
    "text": ([delta(content="a"), delta(content="b"), STOP], [("message", "ab")]),
    "nulls everywhere": (
        [
            {"choices": None},
            {"choices": [None, {"delta": None, "index": None}]},
            delta(role="assistant", content=None, tool_calls=None, reasoning_content=None, refusal=None),
            delta(content="a"),
            STOP,
        ],
        [("message", "a")],
    ),
    "content and finish in one chunk": ([delta(content="a", finish_reason="stop")], [("message", "a")]),
    "content after the finish": ([delta(content="a", finish_reason="stop"), delta(content="b")], [("message", "ab")]),
    "an empty finish_reason ends nothing": (
        [delta(content="a", finish_reason=""), delta(content="b", finish_reason="stop")],
        [("message", "ab")],
    ),
    "an unknown finish_reason": ([delta(content="a", finish_reason="eos")], [("message", "a")]),
    "wrapped in data": ([{"data": delta(content="a")}, {"data": STOP}], [("message", "a")]),
    "a message instead of a delta": (
        [{"choices": [{"message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}]}],
        [("message", "a")],
    ),
    "content parts with thinking": (
        [
            delta(
                content=[
                    {"type": "thinking", "thinking": [{"type": "text", "text": "t"}]},
                    {"type": "text", "text": "a"},
                ]
            ),
            STOP,
        ],
        [("reasoning", "t"), ("message", "a")],
    ),
    "reasoning, then text": (
        [delta(reasoning_content="t"), delta(content="a"), STOP],
        [("reasoning", "t"), ("message", "a")],
    ),
    "a think block over chunk borders": (
        [delta(content="<thi"), delta(content="nk>\nt</th"), delta(content="ink>\n\na"), STOP],
        [("reasoning", "t"), ("message", "a")],
    ),
    "a think block that never ends": ([delta(content="<think>t"), delta(finish_reason="length")], [("reasoning", "t")]),
    "text that only looks like a think block": (
        [delta(content="<th"), delta(content="at>"), STOP],
        [("message", "<that>")],
    ),
    "blank text before a call": (
        [delta(content="\n\n"), call(0, "run", '{"cmd":"ls"}', "c1"), CALLS],
        [("call", "run", '{"cmd":"ls"}')],
    ),
    "a call in pieces": (
        [call(0, "run", "", "c1"), call(0, None, '{"cm'), call(0, None, 'd":"ls"}'), CALLS],
        [("call", "run", '{"cmd":"ls"}')],
    ),
    "a call in one chunk": ([call(0, "run", '{"cmd":"ls"}', "c1"), CALLS], [("call", "run", '{"cmd":"ls"}')]),
    "arguments as an object": ([call(0, "run", {"cmd": "ls"}, "c1"), CALLS], [("call", "run", '{"cmd":"ls"}')]),
    "no arguments at all": ([call(0, "run", None, "c1"), CALLS], [("call", "run", "{}")]),
    "empty arguments, then braces": (
        [call(0, "run", "", "c1"), call(0, None, "{}"), CALLS],
        [("call", "run", "{}")],
    ),
    "a name in pieces": ([call(0, "ru", "", "c1"), call(0, "n"), call(0, None, "{}"), CALLS], [("call", "run", "{}")]),
    "the name again in every delta": (
        [call(0, "run", '{"cmd":', "c1"), call(0, "run", '"ls"}', "c1"), CALLS],
        [("call", "run", '{"cmd":"ls"}')],
    ),
    "an empty name in later deltas": (
        [call(0, "run", '{"cmd":', "c1"), call(0, "", '"ls"}'), CALLS],
        [("call", "run", '{"cmd":"ls"}')],
    ),
    "no index": (
        [call(None, "run", '{"cmd":', "c1"), call(None, None, '"a"}'), call(None, "run", '{"cmd":"b"}', "c2"), CALLS],
        [("call", "run", '{"cmd":"a"}'), ("call", "run", '{"cmd":"b"}')],
    ),
    "neither index nor id": (
        [call(None, "run", '{"cmd":"a"}'), call(None, "run", '{"cmd":"b"}'), CALLS],
        [("call", "run", '{"cmd":"a"}'), ("call", "run", '{"cmd":"b"}')],
    ),
    "index 0 for all": (
        [call(0, "run", '{"cmd":"a"}', "c1"), call(0, "run", '{"cmd":"b"}', "c2"), CALLS],
        [("call", "run", '{"cmd":"a"}'), ("call", "run", '{"cmd":"b"}')],
    ),
    "gaps between indexes": (
        [call(3, "run", '{"cmd":"a"}', "c1"), call(7, "run", '{"cmd":"b"}', "c2"), CALLS],
        [("call", "run", '{"cmd":"a"}'), ("call", "run", '{"cmd":"b"}')],
    ),
    "one id for two calls": (
        [call(0, "run", '{"cmd":"a"}', "c1"), call(1, "run", '{"cmd":"b"}', "c1"), CALLS],
        [("call", "run", '{"cmd":"a"}'), ("call", "run", '{"cmd":"b"}')],
    ),
    "two calls glued together": (
        [call(0, "run", '{"cmd":"a"}{"cmd":"b"}', "c1"), CALLS],
        [("call", "run", '{"cmd":"a"}'), ("call", "run", '{"cmd":"b"}')],
    ),
    "two calls that take turns": (
        [
            call(0, "run", "", "c1"),
            call(1, "run", "", "c2"),
            call(0, None, '{"cmd":'),
            call(1, None, '{"cmd":'),
            call(0, None, '"a"}'),
            call(1, None, '"b"}'),
            CALLS,
        ],
        [("call", "run", '{"cmd":"a"}'), ("call", "run", '{"cmd":"b"}')],
    ),
    "text while a call is incomplete": (
        [call(0, "run", '{"cmd":', "c1"), delta(content="so"), call(0, None, '"a"}'), CALLS],
        [("call", "run", '{"cmd":"a"}'), ("message", "so")],
    ),
    "the legacy function_call": (
        [
            delta(function_call={"name": "run", "arguments": '{"cmd":'}),
            delta(function_call={"arguments": '"a"}'}),
            CALLS,
        ],
        [("call", "run", '{"cmd":"a"}')],
    ),
    "a call in both forms, in every delta": (
        [
            delta(
                tool_calls=[{"index": 0, "id": "c1", "function": {"name": name, "arguments": text}}],
                function_call={"name": name, "arguments": text},
            )
            for name, text in (("run", ""), ("run", '{"cmd":'), ("run", '"a"}'))
        ]
        + [delta("function_call")],
        [("call", "run", '{"cmd":"a"}')],
    ),
    "a whole call in both forms": (
        [
            delta(
                "tool_calls",
                tool_calls=[{"id": "c1", "type": "function", "function": {"name": "run", "arguments": '{"cmd":"a"}'}}],
                function_call={"name": "run", "arguments": '{"cmd":"a"}'},
            )
        ],
        [("call", "run", '{"cmd":"a"}')],
    ),
    "broken arguments are passed on": ([call(0, "run", '{"cmd":', "c1"), CALLS], [("call", "run", '{"cmd":')]),
    "an unknown tool is passed on": ([call(0, "fly", "{}", "c1"), CALLS], [("call", "fly", "{}")]),
    "a float for an integer": ([call(0, "run", '{"ms":1000.0}', "c1"), CALLS], [("call", "run", '{"ms":1000}')]),
    "only reasoning": ([delta(reasoning_content="t"), STOP], [("reasoning", "t"), ("message", "t")]),
    "a refusal": ([delta(refusal="no"), STOP], [("message", "no")]),
    "[DONE] without finish_reason": ([delta(content="a")], [("message", "a")]),
    "a finish_reason stop with calls": ([call(0, "run", "{}", "c1"), STOP], [("call", "run", "{}")]),
}


@pytest.mark.parametrize("name", ODDITIES)
def test_oddities_of_chunks(name: str) -> None:
    chunks, expected = ODDITIES[name]
    assert [spoken(item) for item in output(run(chunks, RUN))] == expected


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "reasoning_text", "thinking", "thought"])
def test_reasoning_is_read_from_every_alias(field: str) -> None:
    events = run([delta(**{field: "t"}), delta(content="a"), STOP])
    assert [spoken(item) for item in output(events)] == [("reasoning", "t"), ("message", "a")]


def test_reasoning_details_are_kept_for_the_round_trip() -> None:
    details = [
        {"type": "reasoning.text", "text": "t", "index": 0},
        {"type": "reasoning.text", "signature": "s", "index": 0},
    ]
    events = run([delta(reasoning_details=details[:1]), delta(reasoning_details=details[1:]), delta(content="a"), STOP])
    sealed = unseal(output(events)[0]["encrypted_content"])
    assert sealed is not None
    assert sealed.details == [{"type": "reasoning.text", "text": "t", "index": 0, "signature": "s"}]


def test_reasoning_that_repeats_itself_is_shown_once() -> None:
    chunks = [
        delta(reasoning_content=text, reasoning_details=[{"type": "x", "text": text}]) for text in ("a", "ab", "abc")
    ]
    events = run([*chunks, delta(content="so"), STOP], reasoning_snapshots=True)
    assert spoken(output(events)[0]) == ("reasoning", "abc")
    sealed = unseal(output(events)[0]["encrypted_content"])
    assert sealed is not None
    assert sealed.details == [{"type": "x", "text": "abc"}]


def test_a_signature_that_comes_with_a_call_is_kept() -> None:
    chunk = call(0, "run", "{}", "c1")
    chunk["choices"][0]["delta"]["tool_calls"][0]["extra_content"] = {"google": {"thought_signature": "s"}}
    items = output(run([chunk, CALLS], RUN))
    sealed = unseal(items[-1]["encrypted_content"])
    assert sealed is not None
    assert sealed.calls == {"c1": {"google": {"thought_signature": "s"}}}


@pytest.mark.parametrize(
    ("form", "kinds"),
    [
        ("summary", {"response.reasoning_summary_text.delta"}),
        ("text", {"response.reasoning_text.delta"}),
        ("both", {"response.reasoning_summary_text.delta", "response.reasoning_text.delta"}),
        ("none", set()),
    ],
)
def test_reasoning_is_streamed_in_the_wanted_form(form: str, kinds: set[str]) -> None:
    events = run([delta(reasoning_content="t"), delta(content="a"), STOP], reasoning=form)
    assert {
        event["type"] for event in events if "reasoning" in event["type"] and event["type"].endswith("delta")
    } == kinds


def test_a_complete_call_is_done_before_the_next_chunk() -> None:
    translator = machine(RUN)
    translator.start()
    events = translator.chunk(call(0, "run", '{"cmd":"ls"}', "c1"))
    assert events[-1]["type"] == "response.output_item.done"


def test_a_custom_call_is_raised_and_streams_decoded() -> None:
    patch = "*** Begin Patch\n*** Add File: é\n+x\n*** End Patch\n"
    chunks = [call(0, "apply_patch", '{"input":"*** Begin Patch\\n*** Add', "c1")]
    chunks += [call(0, None, piece) for piece in (" File: \\u00", "e9\\n+", 'x\\n*** End Patch\\n"}')]
    events = run([*chunks, CALLS], PATCH)
    assert [spoken(item) for item in output(events)] == [("custom", "apply_patch", patch)]
    assert sum(event["type"] == "response.custom_tool_call_input.delta" for event in events) > 1


def test_a_patch_that_was_cut_off_is_not_completed() -> None:
    events = run(
        [
            call(0, "apply_patch", '{"input":"*** Begin Patch\\n*** Add File: a\\n+x', "c1"),
            delta(finish_reason="length"),
        ],
        PATCH,
    )
    assert output(events)[0]["status"] == "incomplete"
    assert "End Patch" not in output(events)[0]["input"]


@pytest.mark.parametrize(
    "name", ["mcp__echo__echo", "echo", "mcp__echo.echo", "mcp__echo/echo", "functions.mcp__echo__echo"]
)
def test_a_namespace_is_restored(name: str) -> None:
    item = output(run([call(0, name, "{}", "c1"), CALLS], ECHO))[0]
    assert (item["namespace"], item["name"]) == ("mcp__echo", "echo")


def test_a_tool_search_has_object_arguments() -> None:
    item = output(run([call(0, "tool_search", '{"query":"x"}', "c1"), CALLS], SEARCH))[0]
    assert (item["type"], item["arguments"], item["execution"]) == ("tool_search_call", {"query": "x"}, "client")


def test_further_choices_become_further_messages() -> None:
    chunks = [
        {"choices": [{"index": index, "delta": {"content": text}}]} for index, text in ((0, "a"), (1, "x"), (0, "b"))
    ]
    assert [spoken(item) for item in output(run([*chunks, STOP]))] == [("message", "ab"), ("message", "x")]


def test_logprobs_are_passed_on() -> None:
    entry = {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}
    chunk = {"choices": [{"index": 0, "delta": {"content": "a"}, "logprobs": {"content": [entry]}}]}
    events = run([chunk, STOP])
    assert output(events)[0]["content"][0]["logprobs"] == [entry]


@pytest.mark.parametrize("number", [10**400, -(10**400), 1e999, "x", None, True])
def test_a_logprob_that_is_none_costs_no_answer(number: Any) -> None:
    chunk = {"choices": [{"index": 0, "delta": {"content": "a"}, "logprobs": {"content": [{"logprob": number}]}}]}
    events = run([chunk, STOP])
    assert output(events)[0]["content"][0]["text"] == "a"


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}, (10, 0, 2, 0, 12)),
        (
            {"prompt_tokens": 10, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 8},
             "completion_tokens_details": {"reasoning_tokens": 3}},
            (10, 8, 4, 3, 14),
        ),
        ({"prompt_tokens": 10, "completion_tokens": 1, "prompt_cache_hit_tokens": 7}, (10, 7, 1, 0, 11)),
        (
            {"prompt_tokens": 4643, "completion_tokens": 1187, "total_tokens": 6690,
             "completion_tokens_details": {"reasoning_tokens": 860}},
            (4643, 0, 2047, 860, 6690),
        ),
    ],
)  # fmt: skip
def test_usage(usage: Json, expected: tuple[int, ...]) -> None:
    final = run([delta(content="a"), STOP, {"choices": [], "usage": usage}])[-1]["response"]["usage"]
    assert (
        final["input_tokens"],
        final["input_tokens_details"]["cached_tokens"],
        final["output_tokens"],
        final["output_tokens_details"]["reasoning_tokens"],
        final["total_tokens"],
    ) == expected


def test_an_answer_cut_by_length_is_incomplete() -> None:
    chunks = [delta(content="a"), delta(finish_reason="length")]
    final = run(chunks)[-1]
    assert final["type"] == "response.incomplete"
    assert final["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
    for_codex = run(chunks, incomplete_completes=True)[-1]
    assert (for_codex["type"], for_codex["response"]["status"]) == ("response.completed", "incomplete")


@pytest.mark.parametrize(
    ("error", "code", "for_codex"),
    [
        ({"message": "m", "code": "tool_use_failed", "type": "x"}, "server_error", "server_error"),
        ({"message": "m", "code": 400}, "invalid_prompt", "invalid_prompt"),
        ({"message": "m", "code": 401}, "invalid_prompt", "invalid_prompt"),
        (
            {"message": "maximum context length is 10", "code": 400},
            "context_length_exceeded",
            "context_length_exceeded",
        ),
        ({"message": "insufficient_quota", "code": 400}, "invalid_prompt", "insufficient_quota"),
        ({"message": "Rate limit reached", "code": 429}, "rate_limit_exceeded", "rate_limit_exceeded"),
    ],
)
def test_a_failed_response_has_a_code_that_its_reader_knows(error: Json, code: str, for_codex: str) -> None:
    fault = error_in({"error": error})
    assert fault is not None
    assert machine().fail(fault)[-1]["response"]["error"]["code"] == code
    assert machine(for_codex=True).fail(fault)[-1]["response"]["error"]["code"] == for_codex


@pytest.mark.parametrize("kind", ["message", "reasoning"])
def test_what_codex_is_told_by_halves_is_never_done(kind: str) -> None:
    """It keeps what is done in its history, and asks again."""
    half = delta(content="so far") if kind == "message" else delta(reasoning_content="so far")
    done = [delta(content="Look."), call(0, "run", "{}", "c")]
    events = run([*done, half, {"error": "boom"}], RUN, for_codex=True)
    finished = [event["item"]["type"] for event in events if event["type"] == "response.output_item.done"]
    assert finished == ["message", "function_call"]
    assert [spoken(item) for item in output(events)][2:] == [(kind, "so far")]
    assert output(events)[-1]["status"] == "incomplete"


def test_a_stream_that_just_stops_fails() -> None:
    assert run([delta(content="a")], done=False)[-1]["type"] == "response.failed"
    assert run([delta(content="a")], done=False, tolerate_eof=True)[-1]["type"] == "response.completed"


def test_an_answer_with_nothing_in_it_fails() -> None:
    assert run([STOP])[-1]["type"] == "response.failed"


def test_an_incomplete_call_of_a_failed_answer_is_not_done() -> None:
    events = run([call(0, "run", '{"cmd":', "c1"), {"error": "boom"}], RUN)
    assert "response.output_item.done" not in {event["type"] for event in events}
    assert output(events)[0]["status"] == "incomplete"


def test_a_call_without_a_name_fails_loudly() -> None:
    events = run([call(0, None, "{}", "c1"), CALLS], RUN)
    assert "without a name" in events[-1]["response"]["error"]["message"]


KEYS = ["choices", "delta", "content", "tool_calls", "function", "index", "usage"]


def test_a_nameless_call_of_a_further_choice_is_left_out() -> None:
    chunk = call(0, None, "{}", "c1")
    chunk["choices"][0]["index"] = 1
    assert [spoken(item) for item in output(run([delta(content="a"), chunk, STOP], RUN))] == [("message", "a")]


TEXT = st.text(alphabet='ab <>{}"\\/|\n\té😀think', max_size=6)
CHUNK = st.one_of(
    st.builds(lambda text: delta(content=text), TEXT),
    st.builds(lambda text: delta(reasoning_content=text), TEXT),
    st.builds(lambda text: delta(refusal=text), TEXT),
    st.builds(
        call,
        st.sampled_from([0, 1, 2, None]),
        st.sampled_from([None, "", "run", "apply_patch", "mcp__echo__echo", "tool_search", "fly"]),
        st.sampled_from([None, "", "{", "}", "{}", '{"cmd":', '"a"}', '{"input":"x', '\\n"}', "[", "null", {"cmd": 1}]),
        st.sampled_from([None, "", "c1", "c2"]),
    ),
    st.builds(lambda reason: delta(finish_reason=reason), st.sampled_from(["stop", "length", "tool_calls", "", "odd"])),
    st.just({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    ).filter(lambda value: isinstance(value, dict)),
)  # fmt: skip


@given(st.lists(CHUNK, max_size=25), st.booleans(), st.booleans(), st.sampled_from(["summary", "text", "both", "none"]))
def test_any_chunks_make_a_valid_stream(chunks: list[Json], done: bool, fails: bool, form: Any) -> None:
    translator = machine(RUN, PATCH, ECHO, SEARCH, ledger=Ledger(), reasoning=form)
    events = translator.start()
    for chunk in chunks:
        events += translator.chunk(chunk)
    events += translator.fail(GatewayError("cut", 502, "server_error")) if fails else translator.finish(done)
    check(events)
    assert translator.chunk(delta(content="late")) == translator.finish(True) == []


@given(st.text(alphabet="a<think>/\n ", max_size=30), st.data())
def test_the_chunking_of_text_changes_nothing(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    whole, cut = (run([*(delta(content=piece) for piece in pieces), STOP]) for pieces in ([text], pieces))
    assert [spoken(item) for item in output(whole)] == [spoken(item) for item in output(cut)]


@given(st.permutations([0, 0, 0, 1, 1, 1, 2, 2, 2]), st.booleans())
def test_calls_may_take_turns_in_any_order(order: list[int], named_first: bool) -> None:
    pieces = [['{"cmd":', '"é😀"', "}"] for _ in range(3)]
    chunks = [call(index, "run", "", f"c{index}") for index in range(3)] if named_first else []
    for index in order:
        first = len(pieces[index]) == 3 and not named_first
        chunks.append(call(index, "run" if first else None, pieces[index].pop(0), f"c{index}" if first else None))
    items = output(run([*chunks, CALLS], RUN))
    assert sorted(item["call_id"] for item in items) == ["c0", "c1", "c2"]
    assert {item["arguments"] for item in items} == {'{"cmd":"é😀"}'}
