"""All figures, side by side: each round measures every target once, so that a busy moment meets all of them."""

import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.load import RATE, Load, Streams
from benchmarks.processes import evict
from benchmarks.targets import GATEWAY, Running, Target
from benchmarks.workload import ROOT, as_chat, codex_request, stream_model

STREAM_REQUEST = 20_000
"""Bytes of the request that starts a stream: Codex's prompt and tools, hardly any history."""

_LATE = 0.1
"""Seconds: more than this for one delta in a hundred is more streams than a target can carry."""

PARTS = ("streams", "requests", "capacity", "processes")
"""What can be measured alone; `processes` are start-up and memory."""

type Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    rounds: int
    seconds: float
    streams: tuple[int, ...] = (1, 20, 100)
    sizes: tuple[int, ...] = (10_000, 100_000, 1_000_000, 5_000_000)
    requests: int = 15
    most_streams: int = 2000
    capacity_steps: int = 3
    memory_streams: tuple[int, int] = (20, 120)
    starts: int = 3
    turns: int = 10_000
    parts: frozenset[str] = frozenset(PARTS)


@dataclass(slots=True)
class Figures:
    """Of one target; seconds and bytes."""

    streams: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    requests: dict[int, dict[str, float | None]] = field(default_factory=dict)
    capacity: int | None = None
    """The most streams that were carried."""
    start: float | None = None
    cold_start: float | None = None
    """From a fresh checkout, with nothing of the Python environment in the page cache."""
    at_rest: int | None = None
    per_stream: float | None = None
    turns: dict[int, int] = field(default_factory=dict)
    """Resident memory after so many turns."""


class Benchmark:
    """Measures all targets."""

    def __init__(self, targets: list[Target], plan: Plan, load: Load, upstream: int, work: Path, say: Say) -> None:
        self._targets = targets
        self._plan = plan
        self._load = load
        self._upstream = upstream
        self._work = work
        self._say = say
        self.figures = {target.name: Figures() for target in targets}

    def run(self) -> None:
        parts = self._plan.parts
        with ExitStack() as stack:
            running = [stack.enter_context(self._start(target)) for target in self._targets]
            for server in running:
                self._warm_up(server)
            for number in range(self._plan.rounds if "streams" in parts else 0):
                for streams in self._plan.streams:
                    for server in running:
                        self._streams(server, streams, number)
            for size in self._plan.sizes if "requests" in parts else ():
                for server in running:
                    self._requests(server, size)
            for server in running if "capacity" in parts else ():
                self._capacity(server)
        for target in self._targets if "processes" in parts else ():
            if target.command:
                self._starts(target)
                self._memory(target)

    def _start(self, target: Target) -> Running:
        return Running(target, self._upstream, self._work)

    def _warm_up(self, target: Running) -> None:
        self._load.requests(target, _body(target.target, STREAM_REQUEST), 20)

    def _measure(self, target: Running, streams: int, seconds: float) -> Streams:
        return self._load.streams(target, lambda model: _body(target.target, STREAM_REQUEST, model), streams, seconds)

    def _streams(self, target: Running, streams: int, number: int) -> None:
        self._say(f"round {number + 1}: {target.target.name}, {streams} streams")
        measured = self._measure(target, streams, self._plan.seconds)
        self.figures[target.target.name].streams.setdefault(streams, []).append(asdict(measured))

    def _requests(self, target: Running, size: int) -> None:
        self._say(f"{target.target.name}, requests of {size // 1000:,} KB")
        result = self._load.requests(target, _body(target.target, size), self._plan.requests)
        if result.errors:
            raise RuntimeError(f"{target.target.name} failed a request of {size} bytes")
        self.figures[target.target.name].requests[size] = {
            "first_event": median(result.first_event),
            "first_delta": median(result.first_delta),
            "cpu": result.cpu,
        }

    def _capacity(self, target: Running) -> None:
        """Double until too many, then halve the distance a few times."""
        carried, streams, refused = 0, self._plan.streams[-1], None
        steps = self._plan.capacity_steps
        while streams <= self._plan.most_streams and (refused is None or steps > 0):
            steps -= refused is not None
            measured = self._measure(target, streams, 2)
            fits = measured.delay(0.99) < _LATE and not measured.errors and measured.missing < measured.deltas / 100
            self._say(f"{target.target.name}, {streams} streams: {'carried' if fits else 'too many'}")
            if fits:
                carried = streams
            else:
                refused = streams
            streams = (carried + refused) // 2 if refused else streams * 2
            time.sleep(0.5)
        self.figures[target.target.name].capacity = carried

    def _starts(self, target: Target) -> None:
        figures = self.figures[target.name]
        self._say(f"{target.name}, start-up")
        with tempfile.TemporaryDirectory() as directory:
            fresh = shutil.copytree(
                ROOT / "addon", Path(directory) / "addon", ignore=shutil.ignore_patterns("__pycache__")
            )
            command = tuple(word.replace(str(ROOT / "addon"), str(fresh)) for word in target.command)
            for path in (*Path(sys.prefix).rglob("*"), *fresh.rglob("*")):
                evict(path)
            figures.cold_start = self._start_time(replace(target, command=command))
        figures.start = median(self._start_time(target) for _ in range(self._plan.starts))

    def _start_time(self, target: Target) -> float:
        start = time.monotonic()
        with self._start(target):
            return time.monotonic() - start

    def _memory(self, target: Target) -> None:
        """Growth from few streams to many, in fresh processes, because mitmweb keeps flows; and over many turns."""
        self._say(f"{target.name}, memory")
        figures = self.figures[target.name]
        few, many = self._plan.memory_streams
        low, high = (self._memory_of(target, streams) for streams in (few, many))
        figures.per_stream = (high - low) / (many - few)
        with self._start(target) as running:
            assert running.child is not None
            time.sleep(1)
            figures.at_rest = running.child.memory()
            if target is GATEWAY:
                self._turns(running)

    def _memory_of(self, target: Target, streams: int) -> int:
        with self._start(target) as running:
            return self._measure(running, streams, 4).memory

    def _turns(self, running: Running) -> None:
        assert running.child is not None
        done = 0
        for turns in (self._plan.turns // 10, self._plan.turns // 2, self._plan.turns):
            self._say(f"{running.target.name}, {turns} turns")
            body = _body(running.target, STREAM_REQUEST)
            self._load.requests(running, body, (turns - done) // 10, connections=10)
            self.figures[running.target.name].turns[turns] = running.child.memory()
            done = turns


def _body(target: Target, size: int, model: str = stream_model(RATE, 1)) -> dict[str, Any]:
    """A request of `size` bytes in the target's wire format."""
    request = codex_request(size, model)
    return as_chat(request) if target.wire == "chat" else request
