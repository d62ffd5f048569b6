"""One client connection with many turns, whatever its upstream and the client do: a model of what may come of it."""

import itertools
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from e2e.gateway import GatewayProcess
from e2e.kept_client import TIMEOUT, Answer, KeptClient
from upstream.wire import Question, WireUpstream

OPTIONS = {
    "gateway_provider": "openai-compatible",  # nothing is found out about the upstream by connections of its own
    "gateway_retries": "0",
    "gateway_heartbeat": "0.2",
    "gateway_first_byte_timeout": "2",
    "gateway_idle_timeout": "2",
}

_numbers = itertools.count(1)

_FORM = {
    "number": st.builds(lambda: next(_numbers)),
    "trailers": st.booleans(),
    "shredded": st.booleans(),
    "interim": st.sampled_from([(), (100,), (102, 103)]),
    "pause": st.booleans(),
}
_FAULTS = st.sampled_from([*["close", "reset"] * 4, "stall"])
_ENDS = ["", "announced close", "close", "close soon", "reset", "bytes"]

ANSWERED = st.builds(Question, after=st.sampled_from(_ENDS), **_FORM)
LOST = st.builds(Question, fault=_FAULTS, faults=st.sampled_from([1, 9]), after=st.sampled_from(_ENDS), **_FORM)
CUT = st.builds(Question, cut=_FAULTS, **_FORM)
QUESTIONS = st.one_of(ANSWERED, ANSWERED, ANSWERED, LOST, CUT)
STRAYS = st.builds(Question, after=st.just("bytes soon"), **_FORM)


class Held(NamedTuple):
    """What the gateway holds."""

    tasks: int
    files: int
    slots: int
    clients: int

    def is_within(self, limits: "Held") -> bool:
        return all(one <= limit for one, limit in zip(self, limits, strict=True))


class Gateway(GatewayProcess):
    """A gateway that can be asked what it holds."""

    def __init__(self, upstream: str, home: Path) -> None:
        super().__init__(upstream, home, OPTIONS, ("-s", str(Path(__file__).with_name("census.py"))))
        self._censuses = itertools.count(1)

    def held(self) -> Held:
        number = next(self._censuses)
        self.send_signal(signal.SIGUSR1)
        found = self.wait_log(rf"census {number}: tasks=(\d+) files=(\d+) slots=(\d+) clients=(\d+)")
        return Held(*map(int, found.groups()))

    def comes_to_hold(self, most: Held) -> Held:
        """Wait until it holds no more than that, and return what it holds; after TIMEOUT seconds, whatever that is."""
        deadline = time.monotonic() + TIMEOUT
        while not (held := self.held()).is_within(most) and time.monotonic() < deadline:
            time.sleep(0.02)
        return held


class Conversation(RuleBasedStateMachine):
    """Asks questions, in every way that HTTP/1.1 allows, and reads what belongs to them."""

    def __init__(self, gateway: Gateway, wire: WireUpstream, at_rest: Held) -> None:
        super().__init__()
        self._gateway = gateway
        self._wire = wire
        self._at_rest = at_rest
        self._client = KeptClient(gateway.port)
        self._kept = False
        """Whether the next question goes to an upstream connection that has served before."""

    def _reconnect(self) -> None:
        self._kept = False
        self._client.close()
        self._client = KeptClient(self._gateway.port)

    def _read(self, question: Question, stream: bool) -> None:
        answer = self._client.answer()
        certain = not question.cut and not question.faults
        mended = self._kept and question.faults == 1 and question.fault != "stall"
        if certain or mended:
            assert answer == Answer(200, complete=True, text=question.text)
        elif answer.complete:
            assert question.fault != "stall"
            assert not question.cut
            assert answer.text == question.text
        else:
            assert question.text.startswith(answer.text)
        assert self._wire.asked[question.number] <= 2
        # A stream may be over for the client before it is for the upstream, whose connection is then not waited for.
        self._kept = answer.complete and not stream and not question.after

    @rule(question=QUESTIONS, stream=st.booleans())
    def ask(self, question: Question, stream: bool) -> None:
        self._client.send(question, stream=stream)
        self._read(question, stream)

    @rule(question=STRAYS, stream=st.booleans())
    def ask_before_bytes_stray(self, question: Question, stream: bool) -> None:
        self._client.send(question, stream=stream)
        self._read(question, stream)
        self._wire.wait_strayed(question.number)

    @rule(questions=st.lists(QUESTIONS, min_size=2, max_size=4), stream=st.booleans())
    def pipeline(self, questions: list[Question], stream: bool) -> None:
        self._client.send(*questions, stream=stream)
        for question in questions:
            self._read(question, stream)

    @rule(questions=st.lists(QUESTIONS, min_size=1, max_size=2), stream=st.booleans())
    def ask_for_the_last_time(self, questions: list[Question], stream: bool) -> None:
        self._client.send(*questions, stream=stream)
        self._client.end_requests()
        for question in questions:
            self._read(question, stream)
        assert self._client.ended()
        self._reconnect()

    @rule(question=QUESTIONS, stream=st.booleans(), waits=st.booleans())
    def leave(self, question: Question, stream: bool, waits: bool) -> None:
        self._client.send(question, stream=stream)
        if waits:
            self._wire.wait_asked(question.number)
        self._reconnect()

    @precondition(lambda self: self._wire.opened)
    @rule()
    def idle(self) -> None:
        """Between two questions there is one connection to the upstream, or none."""
        most = self._at_rest._replace(slots=1, clients=1, tasks=999, files=999)
        assert self._gateway.comes_to_hold(most).is_within(most)

    def teardown(self) -> None:
        self._client.close()
        held = self._gateway.comes_to_hold(self._at_rest)
        assert held.is_within(self._at_rest), (held, self._at_rest)
        self._wire.wait_open(0)


@pytest.fixture
def wire() -> Iterator[WireUpstream]:
    with WireUpstream() as upstream:
        yield upstream


@pytest.fixture
def gateway(wire: WireUpstream, tmp_path: Path) -> Iterator[Gateway]:
    with Gateway(wire.url, tmp_path) as process:
        yield process
        assert not process.faults(), process.log


def test_every_answer_belongs_to_its_question(gateway: Gateway, wire: WireUpstream) -> None:
    with KeptClient(gateway.port) as client:
        assert client.ask(Question(next(_numbers))).complete
    wire.wait_open(0)
    at_rest = gateway.comes_to_hold(Held(tasks=999, files=999, slots=0, clients=0))
    run_state_machine_as_test(
        lambda: Conversation(gateway, wire, at_rest),
        settings=settings(max_examples=20, stateful_step_count=12, suppress_health_check=list(HealthCheck)),
    )
