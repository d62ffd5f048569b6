"""How long a turn may take: each of its steps, the time without content, and all of it."""

import time
from typing import Literal, NamedTuple

from responses_gateway.proxy.contract import Failure, Limits, Turn

DRAIN_SECONDS = 1.0
"""For what an upstream still sends after the end of its answer (token counts, the end of the HTTP message)."""

ERROR_BODY_SECONDS = 10.0
"""For the body of an upstream's error response."""

PROGRESS_CHECK_SECONDS = 0.1
"""Between two checks whether what the upstream sends is content: they cost too much to be made for every piece."""

NEWS_SECONDS = 0.5
"""Between two looks for what the client can be told while the addon works between two rounds."""

NEVER = float("inf")
"""A time that does not come, as of time.monotonic()."""

type Step = Literal[
    "connecting",  # a connection to the upstream is being opened
    "awaiting answer",  # the request is sent, the head of the answer has not come
    "streaming",  # the answer is translated piece by piece
    "buffering",  # the body of an answer is collected, to be translated as a whole
    "buffering error",  # the same for the body of an error response
    "awaiting decision",  # the round is over; the addon decides whether there is another, or stores the answer
    "draining",  # the client has its whole answer; the upstream has not ended its message
    "done",
]
"""What a stream that serves a turn is doing."""


class Deadline(NamedTuple):
    """When time is up, as of time.monotonic(), and how the round has failed then."""

    due: float
    failure: Failure


class TurnTimer:
    """Notes when the things happened that the limits of one turn count from; times as of time.monotonic()."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._turn_began = self._step_began = self._client_got = time.monotonic()
        self._fed_at = self._next_check = self._content_at = self._alive_at = self._answer_ended = 0.0
        self._content = self._keep_alives = 0
        self.news_due = NEVER
        """When to look for what the client can be told, while the addon works between two rounds."""

    def awaits_news(self, turn: Turn) -> None:
        """The addon works, and the next look at what it did is due later; there is nothing to see while it stores."""
        self.news_due = NEVER if turn.is_storing else time.monotonic() + NEWS_SECONDS

    def next_step(self) -> None:
        """A step begins that has a limit of its own."""
        self._step_began = time.monotonic()
        self.news_due = NEVER

    def answer_begins(self, turn: Turn) -> None:
        """The upstream has sent the head of its answer."""
        self._step_began = self._content_at = self._alive_at = time.monotonic()
        self._answer_ended = 0.0
        self._content, self._keep_alives = turn.content, turn.keep_alives

    def sent_to_client(self) -> None:
        """The client was sent something."""
        self._client_got = time.monotonic()

    def fed(self, turn: Turn, out: bytes) -> None:
        """The turn was fed a piece of the upstream's body, and the client gets `out`."""
        now = self._fed_at = time.monotonic()
        if out:
            self._client_got = now
        if now >= self._next_check:
            self._next_check = now + PROGRESS_CHECK_SECONDS
            self.check_progress(turn)

    def check_progress(self, turn: Turn) -> None:
        """Note whether there was content since the last check, or keep-alives, which tell of a queue at least."""
        if (content := turn.content) != self._content:
            self._content = content
            self._content_at = self._alive_at = self._fed_at
        elif (keep_alives := turn.keep_alives) != self._keep_alives:
            self._keep_alives = keep_alives
            self._alive_at = self._fed_at

    def buffered(self, data: bytes) -> None:
        """A piece of a body that is collected has come. Blanks before such a body are keep-alives of a queue."""
        self._alive_at = time.monotonic()
        if not data.isspace():
            self._content_at = self._alive_at

    def answer_ends(self) -> bool:
        """The answer has come to its end, though the HTTP message may go on. Returns whether this is the first call."""
        is_first = not self._answer_ended
        if is_first:
            self._answer_ended = time.monotonic()
        return is_first

    @property
    def heartbeat_due(self) -> float:
        return self._client_got + self._limits.heartbeat if self._limits.heartbeat else NEVER

    def deadline(self, step: Step, turn: Turn) -> Deadline:
        """The nearest deadline, if nothing else happens."""
        if step == "draining":
            return Deadline(self._answer_ended + DRAIN_SECONDS, Failure("idle_timeout"))
        deadline = self._deadline_of(step, turn)
        whole = self._limits.turn
        if whole and self._turn_began + whole < deadline.due:
            return Deadline(self._turn_began + whole, Failure("turn_timeout", seconds=whole))
        return deadline

    def _deadline_of(self, step: Step, turn: Turn) -> Deadline:
        limits, began = self._limits, self._step_began
        match step:
            case "connecting":
                return Deadline(began + limits.connect, Failure("connect_timeout", seconds=limits.connect))
            case "awaiting answer":
                return Deadline(began + limits.first_byte, Failure("first_byte_timeout", seconds=limits.first_byte))
            case "buffering error":
                return Deadline(began + ERROR_BODY_SECONDS, Failure("idle_timeout", seconds=ERROR_BODY_SECONDS))
            case "streaming" if turn.settled:
                ended = max(self._answer_ended, self._content_at)
                return Deadline(ended + DRAIN_SECONDS, Failure("idle_timeout", seconds=DRAIN_SECONDS))
            case "streaming" | "buffering":
                queue = max(limits.queue, limits.idle)
                silent = Deadline(self._alive_at + limits.idle, Failure("idle_timeout", seconds=limits.idle))
                queued = Deadline(self._content_at + queue, Failure("queue_timeout", seconds=queue))
                return queued if queued.due < silent.due else silent
        return Deadline(NEVER, Failure("idle_timeout"))
