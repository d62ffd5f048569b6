"""How long a turn may take: for each of its steps, without content, and altogether."""

import time
from typing import Literal, NamedTuple

from responses_gateway.proxy.contract import Failure, Limits, Turn

SETTLE = 1.0
"""Seconds for what an upstream still sends behind the end of its answer (token counts, the end of its message)."""

REFUSAL = 10.0
"""Seconds for the body of an error."""

LOOK = 0.1
"""Seconds between two looks at what the upstream's bytes are worth."""

NEVER = float("inf")
"""A time that does not come, as of time.monotonic()."""

type Step = Literal[
    "connecting", "waiting", "streaming", "taking", "refused", "between rounds", "running out", "over"
]  # fmt: skip


class Limit(NamedTuple):
    """When time is up, as of time.monotonic(), and what that means."""

    due: float
    failure: Failure


class Clock:
    """The times of one turn, as of time.monotonic()."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._began = self._since = self._spoke = time.monotonic()
        self._fed_at = self._look_at = self._content_at = self._alive_at = self._end_at = 0.0
        self._content = self._keep_alives = 0

    def next_step(self) -> None:
        """Something begins that has a limit of its own."""
        self._since = time.monotonic()

    def answer_begins(self, turn: Turn) -> None:
        """The upstream has sent the head of its answer."""
        self._since = self._content_at = self._alive_at = time.monotonic()
        self._end_at = 0.0
        self._content, self._keep_alives = turn.content, turn.keep_alives

    def spoke(self) -> None:
        """The client got something."""
        self._spoke = time.monotonic()

    def fed(self, turn: Turn, out: bytes) -> None:
        """The turn was fed, and the client gets `out`."""
        now = self._fed_at = time.monotonic()
        if out:
            self._spoke = now
        if now >= self._look_at:
            self._look_at = now + LOOK
            self.look(turn)

    def look(self, turn: Turn) -> None:
        """See whether what came since the last look belongs to an answer, or tells of a queue at least."""
        if (content := turn.content) != self._content:
            self._content = content
            self._content_at = self._alive_at = self._fed_at
        elif (keep_alives := turn.keep_alives) != self._keep_alives:
            self._keep_alives = keep_alives
            self._alive_at = self._fed_at

    def piece_came(self, data: bytes) -> None:
        """A piece of a body that is taken as a whole; blanks before it are what a queue sends."""
        self._alive_at = time.monotonic()
        if not data.isspace():
            self._content_at = self._alive_at

    def settles(self) -> bool:
        """The answer has come to its end; whether that is new."""
        is_new = not self._end_at
        if is_new:
            self._end_at = time.monotonic()
        return is_new

    @property
    def heartbeat_due(self) -> float:
        return self._spoke + self._limits.heartbeat if self._limits.heartbeat else NEVER

    def limit(self, step: Step, turn: Turn) -> Limit:
        """What comes if nothing else does."""
        if step == "running out":
            return Limit(self._end_at + SETTLE, Failure("idle_timeout"))
        limit = self._limit_of(step, turn)
        if self._limits.turn and self._began + self._limits.turn < limit.due:
            return Limit(self._began + self._limits.turn, Failure("turn_timeout", seconds=self._limits.turn))
        return limit

    def _limit_of(self, step: Step, turn: Turn) -> Limit:
        limits = self._limits
        match step:
            case "connecting":
                return Limit(self._since + limits.connect, Failure("connect_timeout", seconds=limits.connect))
            case "waiting":
                return Limit(self._since + limits.first_byte, Failure("first_byte_timeout", seconds=limits.first_byte))
            case "refused":
                return Limit(self._since + REFUSAL, Failure("idle_timeout", seconds=REFUSAL))
            case "streaming" if turn.settled:
                return Limit(max(self._end_at, self._content_at) + SETTLE, Failure("idle_timeout", seconds=SETTLE))
            case "streaming" | "taking":
                queue = max(limits.queue, limits.idle)
                silent = Limit(self._alive_at + limits.idle, Failure("idle_timeout", seconds=limits.idle))
                queued = Limit(self._content_at + queue, Failure("queue_timeout", seconds=queue))
                return queued if queued.due < silent.due else silent
        return Limit(NEVER, Failure("idle_timeout"))
