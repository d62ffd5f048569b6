"""What a connection says and begins: lanes, steering, limits."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.responses import ResponsesServerEvent
from pydantic import TypeAdapter

from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import dumps
from responses_gateway.websocket.lanes import MOST_LANES, MOST_RUNNING, MOST_WAITING
from responses_gateway.websocket.session import SocketSession
from responses_gateway.websocket.steering import MOST_STEERS
from responses_gateway.websocket.turn import SocketTurn
from unit.machine import RUN, Json, call, delta, machine

SERVER_EVENT: TypeAdapter[Any] = TypeAdapter(ResponsesServerEvent)
ENDS = {"response.completed", "response.incomplete", "response.failed", "response.cancelled"}
LIMIT = 100_000


class Talk:
    """A session with a client that notes what it is told, and with an upstream for each turn."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.session = SocketSession(limit)
        self.heard: list[Json] = []
        self.turns: list[SocketTurn] = []
        self._machines: dict[SocketTurn, Any] = {}

    def _hear(self, frames: list[bytes]) -> list[Json]:
        events = [json.loads(frame) for frame in frames]
        self.heard += events
        self.turns += self.session.take_begun()
        for turn in self.session.take_stopped():
            self.turns.remove(turn)
        return events

    def send(self, kind: str, **fields: Any) -> list[Json]:
        return self._hear(self.session.receive(json.dumps({"type": kind, **fields})))

    def create(self, lane: str | None = None, **fields: Any) -> list[Json]:
        name = {} if lane is None else {"stream_id": lane}
        return self.send("response.create", **name, **{"input": "hi", "model": "m", "store": False, **fields})

    def steer(self, turn: SocketTurn | str, text: Any = "Shorter.") -> list[Json]:
        target = turn if isinstance(turn, str) else turn.response_id
        return self.send("response.steer", previous_response_id=target, input=text)

    def give(self, turn: SocketTurn, events: list[Json]) -> list[Json]:
        heard: list[Json] = []
        for event in events:
            if turn in self.turns:
                heard += self._hear(self.session.event(turn, dumps(event)))
                if turn.ended:
                    self.turns.remove(turn)
        return heard

    def start(self, turn: SocketTurn) -> list[Json]:
        """The upstream's response is created."""
        machine_ = machine(RUN, steering=turn.steering, response_id=f"resp_{len(self._machines)}")
        self._machines[turn] = machine_
        return self.give(turn, machine_.start())

    def started(self, turn: SocketTurn) -> bool:
        return turn in self._machines

    def chunk(self, turn: SocketTurn, chunk: Json) -> list[Json]:
        return self.give(turn, self._machines[turn].chunk(chunk))

    def finish(self, turn: SocketTurn) -> list[Json]:
        return self.give(turn, self._machines[turn].finish(True))

    def answer(self, turn: SocketTurn, *chunks: Json) -> list[Json]:
        """All of an answer."""
        heard = [] if self.started(turn) else self.start(turn)
        for chunk in chunks or (delta("stop", content="Fine."),):
            heard += self.chunk(turn, chunk)
        return heard + self.finish(turn)

    def fail(self, turn: SocketTurn) -> list[Json]:
        return self.give(turn, self._machines[turn].fail(GatewayError("no", code="server_error")))

    def refuse(self, turn: SocketTurn) -> list[Json]:
        self.turns.remove(turn)
        return self._hear(self.session.refused(turn, GatewayError("no", code="invalid_prompt")))


def kinds(events: list[Json]) -> list[str]:
    return [event["type"] for event in events]


def code(event: Json) -> str:
    found: str = event["error"]["code"]
    return found


# Lanes ----------------------------------------------------------------------------------------------------------------


def test_lanes_run_side_by_side_and_say_so_in_every_event() -> None:
    talk = Talk()
    talk.create("a")
    talk.create("b")
    talk.create()
    first, second, plain = talk.turns
    assert "stream_id" not in first.body
    for turn in (first, second, plain):
        talk.start(turn)
    for turn in (second, first, plain):
        talk.answer(turn)
    assert {event.get("stream_id") for event in talk.heard} == {"a", "b", None}
    for name in ("a", "b", None):
        events = [event for event in talk.heard if event.get("stream_id") == name]
        assert events[-1]["type"] == "response.completed"
        for event in events:
            SERVER_EVENT.validate_python(event)


def test_a_lane_answers_one_request_after_the_other() -> None:
    talk = Talk()
    talk.create("a", input="one")
    talk.create("a", input="two")
    assert len(talk.turns) == 1
    assert "response.completed" in kinds(talk.answer(talk.turns[0]))
    [second] = talk.turns
    assert second.body["input"][0]["content"] == "two"


def test_without_a_name_one_response_runs_at_a_time() -> None:
    talk = Talk()
    talk.create()
    [refused] = talk.create()
    assert code(refused) == "response_already_in_flight"
    assert "stream_id" not in refused


def test_a_lane_may_go_on_from_a_response_of_another_one() -> None:
    talk = Talk()
    talk.create("a", input="Background.")
    [turn] = talk.turns
    talk.answer(turn)
    talk.create("b", input="Go.", previous_response_id=turn.response_id)
    [fork] = talk.turns
    assert fork.body["input"][0]["content"] == "Background."
    talk.refuse(fork)
    talk.create("a", input="On.", previous_response_id=turn.response_id)
    assert len(talk.turns[0].body["input"]) == 3


def test_an_error_stays_in_its_lane() -> None:
    talk = Talk()
    talk.create("a")
    talk.create("b")
    failing, other = talk.turns
    talk.start(other)
    [refused] = talk.refuse(failing)
    assert (refused["stream_id"], code(refused)) == ("a", "invalid_prompt")
    assert kinds(talk.answer(other))[-1] == "response.completed"


@pytest.mark.parametrize("name", ["", "x" * 257, "bad name!", "é", 5, ["a"], {}])
def test_names_of_lanes(name: Any) -> None:
    talk = Talk()
    [refused] = talk.send("response.create", stream_id=name, input="hi")
    assert (code(refused), refused["error"]["param"]) == ("invalid_stream_id", "stream_id")
    assert "stream_id" not in refused


def test_lanes_are_limited_and_more_responses_wait() -> None:
    talk = Talk()
    for number in range(MOST_LANES):
        assert talk.create(f"lane{number}") == []
    [refused] = talk.create("one_more")
    assert (code(refused), refused["stream_id"]) == ("websocket_stream_limit_reached", "one_more")
    assert len(talk.turns) == MOST_RUNNING
    while talk.turns:
        talk.answer(talk.turns[0])
    assert kinds(talk.heard).count("response.completed") == MOST_LANES


def test_what_waits_is_limited() -> None:
    talk = Talk()
    for _ in range(MOST_WAITING + 1):
        assert talk.create("a") == []
    [refused] = talk.create("a")
    assert (code(refused), refused["status"]) == ("too_many_waiting_requests", 429)
    assert talk.create("b") != []
    small = Talk(limit=1000)
    small.create("a")
    [refused] = small.create("a", input="x" * 2000)
    assert code(refused) == "too_many_waiting_requests"


def test_one_lane_is_cancelled() -> None:
    talk = Talk()
    talk.create("a")
    talk.create("a", input="next")
    talk.create("b")
    first, other = talk.turns
    talk.start(first)
    talk.start(other)
    [refused] = talk.send("response.cancel")
    assert code(refused) == "response_not_in_progress"
    [cancelled] = talk.send("response.cancel", stream_id="a")
    assert (cancelled["type"], cancelled["stream_id"]) == ("response.cancelled", "a")
    assert [turn.body["input"][0]["content"] for turn in talk.turns] == ["hi", "next"]
    [cancelled] = talk.send("response.cancel", response_id=other.response_id)
    assert cancelled["stream_id"] == "b"


def test_what_only_prepares_is_answered_at_once() -> None:
    talk = Talk()
    events = talk.create("a", generate=False)
    assert kinds(events) == ["response.created", "response.in_progress", "response.completed"]
    assert events[-1]["response"]["output"] == []
    assert talk.turns == []
    for event in events:
        assert event["stream_id"] == "a"
        SERVER_EVENT.validate_python(event)
    talk.create("a", input="Go.", previous_response_id=events[-1]["response"]["id"])
    assert [item["content"] for item in talk.turns[0].body["input"]] == ["hi", "Go."]


def test_a_prompt_that_is_to_be_read_ahead_is_posted() -> None:
    talk = Talk()
    talk.create("a", generate=False, prompt_cache_options={"prewarm": True})
    assert talk.turns[0].body["prompt_cache_options"] == {"prewarm": True}


# Steering -------------------------------------------------------------------------------------------------------------


def test_a_steered_response_is_followed_by_another_one() -> None:
    talk = Talk()
    talk.create("a", instructions="Be kind.", temperature=0.5)
    [turn] = talk.turns
    talk.start(turn)
    talk.chunk(turn, delta(reasoning_content="Hm."))
    [accepted] = talk.steer(turn)
    assert (accepted["type"], accepted["stream_id"]) == ("response.steer.accepted", "a")
    talk.chunk(turn, delta(content="Never."))
    assert talk.heard[-1]["response"]["incomplete_details"] == {"reason": "steered"}
    [successor] = talk.turns
    assert (successor.body["instructions"], successor.body["temperature"]) == ("Be kind.", 0.5)
    assert [item.get("content") for item in successor.body["input"][::2]] == ["hi", "Shorter."]
    talk.answer(successor)
    created = next(event for event in talk.heard if event["type"] == "response.created" and event is not talk.heard[0])
    assert created["response"]["previous_response_id"] == turn.response_id
    for event in talk.heard:
        SERVER_EVENT.validate_python(event)


def test_events_are_counted_on_behind_those_of_steering() -> None:
    talk = Talk()
    talk.create()
    [turn] = talk.turns
    talk.start(turn)
    talk.steer(turn, "One.")
    talk.chunk(turn, {"choices": []})
    talk.steer(turn, [{"role": "user", "content": [{"type": "input_text", "text": "Two."}]}])
    talk.steer(turn, [])
    talk.answer(turn)
    numbers = [event["sequence_number"] for event in talk.heard]
    assert numbers == list(range(len(numbers)))
    [successor] = talk.turns
    assert [item["content"] for item in successor.body["input"][1:]] == [
        "One.",
        [{"type": "input_text", "text": "Two."}],
    ]


def test_a_response_that_was_complete_is_followed_too() -> None:
    talk = Talk()
    talk.create(store=True)
    [turn] = talk.turns
    talk.start(turn)
    talk.chunk(turn, delta(content="All"))
    talk.steer(turn)
    assert kinds(talk.answer(turn))[-1] == "response.completed"
    [successor] = talk.turns
    assert successor.body["previous_response_id"] == turn.response_id
    assert len(successor.body["input"]) == 1


def test_input_waits_for_results_of_the_client() -> None:
    talk = Talk()
    talk.create("a")
    [turn] = talk.turns
    talk.start(turn)
    talk.chunk(turn, call(0, "run", '{"cmd":"a"}', "c1"))
    talk.steer(turn, "One.")
    talk.steer(turn, "Two.")
    *_, completed, first, second = talk.answer(turn, delta("tool_calls"))
    assert completed["type"] == "response.completed"
    for pending in (first, second):
        SERVER_EVENT.validate_python(pending)
        assert (pending["type"], pending["reason"]) == ("response.steer.pending", "waiting_for_required_input")
        assert pending["required_input"] == [{"type": "function_call_output", "call_id": "c1", "name": "run"}]
    assert talk.turns == []
    results = [{"type": "function_call_output", "call_id": "c1", "output": "done"}]
    talk.create("b", input=results, previous_response_id=turn.response_id)
    assert len(talk.turns[0].body["input"]) == 3
    talk.create("a", input=results, previous_response_id=turn.response_id, temperature=1)
    going_on = talk.turns[1]
    assert going_on.body["temperature"] == 1
    assert [item.get("content", item["type"]) for item in going_on.body["input"]] == [
        *("hi", "function_call", "One.", "Two.", "function_call_output")
    ]
    talk.answer(going_on)
    talk.create("a", input=results, previous_response_id=turn.response_id)
    assert len(talk.turns[1].body["input"]) == 3


def test_input_is_given_back_when_its_response_is_not_created() -> None:
    talk = Talk()
    talk.create("a")
    [turn] = talk.turns
    talk.start(turn)
    [accepted] = talk.steer(turn)
    talk.answer(turn)
    [failed] = talk.refuse(talk.turns[0])
    SERVER_EVENT.validate_python(failed)
    assert (failed["type"], code(failed), failed["stream_id"]) == (
        *("response.steer.failed", "successor_creation_failed", "a"),
    )
    assert failed["steer"] == {**accepted["steer"], "input": "Shorter."}
    talk.create("a", input="Shorter.", previous_response_id=turn.response_id)
    assert [item["content"] for item in talk.turns[0].body["input"]] == ["hi", "Shorter."]


@pytest.mark.parametrize("ending", ["failed", "cancelled", "broke"])
def test_input_for_a_response_that_fails_is_given_back(ending: str) -> None:
    talk = Talk()
    talk.create()
    [turn] = talk.turns
    talk.start(turn)
    talk.steer(turn)
    match ending:
        case "failed":
            events = talk.fail(turn)
        case "cancelled":
            events = talk.send("response.cancel")
        case _:
            events = talk.refuse(turn)
    assert code(events[-1]) == "response_not_active"
    assert talk.turns == []
    assert code(talk.steer(turn)[0]) == "response_not_active"


def test_only_what_runs_on_the_connection_is_steered() -> None:
    talk = Talk()
    talk.create()
    [turn] = talk.turns
    assert code(talk.steer("resp_of_somebody_else")[0]) == "response_not_found"
    talk.answer(turn)
    [refused] = talk.steer(turn)
    SERVER_EVENT.validate_python(refused)
    assert code(refused) == "response_already_completed"
    assert refused["steer"] == {"previous_response_id": turn.response_id, "input": "Shorter."}


@pytest.mark.parametrize("fields", [{"conversation": "conv_1"}, {"context_management": [{"type": "compaction"}]}])
def test_what_cannot_be_steered(fields: Json) -> None:
    talk = Talk()
    talk.create(**fields)
    [turn] = talk.turns
    talk.start(turn)
    assert code(talk.steer(turn)[0]) == "steering_not_supported"
    assert not turn.steering.wanted


def test_a_flood_of_steers_is_bounded() -> None:
    talk = Talk()
    talk.create()
    [turn] = talk.turns
    talk.start(turn)
    for _ in range(MOST_STEERS):
        assert kinds(talk.steer(turn)) == ["response.steer.accepted"]
    assert code(talk.steer(turn)[0]) == "too_many_pending_steers"
    small = Talk(limit=1000)
    small.create()
    small.start(small.turns[0])
    assert code(small.steer(small.turns[0], "x" * 2000)[0]) == "too_many_pending_steers"


@pytest.mark.parametrize(
    "given",
    [
        "",
        [],
        [5],
        [{"role": "system", "content": "Obey."}],
        [{"role": "user", "content": 5}],
        [{"role": "user", "content": []}],
        [{"role": "user", "content": [{"type": "output_text", "text": "x"}]}],
        [{"role": "user", "content": [{"type": "input_text"}]}],
        [{"role": "user", "content": "x", "phase": "commentary"}],
        [{"type": "function_call_output", "call_id": "c1", "output": "x"}],
    ],
)
def test_invalid_input_is_given_back(given: Any) -> None:
    talk = Talk()
    talk.create()
    [turn] = talk.turns
    talk.start(turn)
    [refused] = talk.steer(turn, given)
    assert (code(refused), refused["steer"]["input"]) == ("invalid_input", given)
    assert not turn.steering.wanted


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": "x"}, "previous_response_id"),
        ({"previous_response_id": "resp_0"}, "input"),
        ({"previous_response_id": 5, "input": "x"}, "previous_response_id"),
        ({"previous_response_id": "resp_0", "input": 5}, "input"),
        ({"previous_response_id": "resp_0", "input": {"role": "user"}}, "input"),
    ],
)
def test_what_no_answer_could_name_is_an_error(fields: Json, param: str) -> None:
    [error] = Talk().send("response.steer", **fields)
    SERVER_EVENT.validate_python(error)
    assert (error["type"], error["error"]["param"]) == ("error", param)


def test_a_steer_takes_nothing_else() -> None:
    talk = Talk()
    talk.create("a")
    [turn] = talk.turns
    talk.start(turn)
    [refused] = talk.send("response.steer", previous_response_id=turn.response_id, input="x", stream_id="a")
    assert code(refused) == "invalid_input"


def test_events_of_other_servers_are_counted_on_too() -> None:
    talk = Talk()
    talk.create("a")
    [turn] = talk.turns
    talk.start(turn)
    talk.steer(turn)
    payload = b'{"delta": "x", "sequence_number": 2, "type": "response.output_text.delta"}'
    [event] = [json.loads(frame) for frame in talk.session.event(turn, payload)]
    assert (event["sequence_number"], event["stream_id"]) == (3, "a")


@pytest.mark.parametrize("payload", [b"{}", b"[1]", b"no JSON", b'{"type": "keepalive"} '])
def test_what_upstreams_send_besides_events_passes(payload: bytes) -> None:
    talk = Talk()
    talk.create("a")
    [turn] = talk.turns
    talk.start(turn)
    talk.steer(turn)
    [frame] = talk.session.event(turn, payload)
    assert frame == payload if payload[:1] != b"{" else json.loads(frame)["stream_id"] == "a"


# Any order ------------------------------------------------------------------------------------------------------------

CHUNK = st.sampled_from(
    [
        delta(content="text"),
        delta(reasoning_content="Hm."),
        call(0, "run", '{"cmd":', "c0"),
        call(0, None, '"a"}'),
        call(1, "run", '{"cmd":"b"}', "c1"),
        delta("stop"),
        delta("length"),
    ]
)
STEP = st.one_of(
    st.tuples(st.just("create"), st.sampled_from([None, "a", "b"])),
    st.tuples(st.just("go on"), st.sampled_from([None, "a", "b"])),
    st.tuples(st.just("steer"), st.integers(0, 9)),
    st.tuples(st.just("cancel"), st.sampled_from([None, "a", "b"])),
    st.tuples(st.just("chunk"), st.tuples(st.integers(0, 9), CHUNK)),
    st.tuples(st.just("finish"), st.integers(0, 9)),
    st.tuples(st.just("refuse"), st.integers(0, 9)),
)


@settings(max_examples=60)
@given(st.lists(STEP, max_size=30))
def test_any_order_of_messages_and_chunks_gives_valid_lanes(steps: list[tuple[str, Any]]) -> None:
    talk = Talk()
    for kind, value in steps:
        _step(talk, kind, value)
    while talk.turns:
        talk.answer(talk.turns[0], delta("stop", content="End."))
    for name in (None, "a", "b"):
        _check_lane([event for event in talk.heard if event.get("stream_id") == name])
    accepted = {event["steer"]["id"] for event in talk.heard if event["type"] == "response.steer.accepted"}
    failed = [event["steer"].get("id") for event in talk.heard if event["type"] == "response.steer.failed"]
    assert set(filter(None, failed)) <= accepted
    assert len(set(filter(None, failed))) == len([one for one in failed if one])
    assert not talk.session.busy


def _step(talk: Talk, kind: str, value: Any) -> None:
    if kind == "create":
        talk.create(value)
        return
    if kind == "go on":
        ended = [event["response"] for event in talk.heard if event["type"] in ENDS]
        results = [{"type": "function_call_output", "call_id": "c0", "output": "x"}]
        talk.create(value, input=results, previous_response_id=ended[-1]["id"] if ended else None)
        return
    if kind == "cancel":
        talk.send("response.cancel", **({} if value is None else {"stream_id": value}))
        return
    if not talk.turns:
        return
    number, chunk = value if kind == "chunk" else (value, None)
    turn = talk.turns[number % len(talk.turns)]
    if kind == "refuse" and not talk.started(turn):
        talk.refuse(turn)
        return
    if not talk.started(turn):
        talk.start(turn)
    match kind:
        case "steer":
            talk.steer(turn)
        case "chunk":
            talk.chunk(turn, chunk)
        case "refuse":
            talk.fail(turn)
        case _:
            talk.finish(turn)


def _check_lane(events: list[Json]) -> None:
    """Each response is created, counts its events, and ends; none begins before the last one has ended."""
    running: str | None = None
    number = -1
    for event in events:
        kind = event["type"]
        if kind == "error":
            continue
        if kind == "response.created":
            assert running is None
            running, number = event["response"]["id"], -1
        if kind.startswith("response.steer."):
            SERVER_EVENT.validate_python(event)
            assert running is not None or kind != "response.steer.accepted"
        if running is not None:
            assert event["sequence_number"] == number + 1
            number += 1
        else:
            # Of a response that was not created, or has ended.
            assert kind.startswith("response.steer.") or kind == "response.cancelled"
        if kind in ENDS and running is not None:
            assert event["response"]["id"] == running
            running = None
    assert running is None
