"""What the archive returns: plain values, ready to be shown. Texts are as clients and models wrote them."""

from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

from responses_gateway.inspection.recording.recorded_turn import RecordedTurn
from responses_gateway.protocol.json import loads


class Span(NamedTuple):
    """One item of an answer, as it streamed. Times are milliseconds since the turn was opened."""

    kind: str
    """The item's type, such as `reasoning`, `message`, `function_call`."""

    name: str
    """Of the tool, for calls."""

    start: int
    end: int
    """-1: it was never finished."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn, without its bytes. Times are milliseconds since `opened`; -1: not yet, or never."""

    id: str
    flow: str
    """Id of the mitmproxy flow."""

    session: str
    thread: str
    parent: str
    """Thread that made this one; empty for a session's own."""

    agent: str
    """Kind of the sub-agent, such as `collab_spawn`, `review`, `guardian`; empty for none."""

    kind: str
    """`turn`, `compaction`, `prewarm`, `title`, or what else the client calls it."""

    client: str
    version: str
    number: int
    """Of the turn in its thread, as the gateway counted it; 0: it did not."""

    model: str
    """As the client asked for it."""

    upstream_model: str
    provider: str
    url: str
    """Where the last request went; empty when none did."""

    opened: float
    """Seconds since the epoch."""

    sent: int
    """When the first request went to the upstream."""

    answered: int
    """When the head of the last answer came."""

    first_byte: int
    first_token: int
    first_text: int
    ended: int
    spans: list[Span]
    status: str
    """`in_progress`, `completed`, `incomplete`, `failed`, or `cut` when a connection or a process broke."""

    error: str
    title: str
    """First words of what the user said in this turn; empty when it only brings tools' results."""

    calls: int
    rounds: int
    """Requests to upstreams."""

    healed: int
    """Repairs, by the ledger."""

    changed: int
    """All entries of the ledger."""

    input_tokens: int
    cached_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost: float | None
    """US dollars; None when the price is not known."""

    prefix_common: int
    prefix_size: int
    prefix_changed: str
    """Path of the first value that broke the prefix; empty when nothing did."""

    size: int
    """Bytes of both requests and both streams."""

    stored: int
    """Bytes that they take in the archive."""

    @property
    def failed(self) -> bool:
        return self.status in ("failed", "cut")


COLUMNS = ", ".join(column.name for column in fields(Turn))
"""The columns of the table `turns` that a `Turn` is made from, in its order."""

_SPANS = [column.name for column in fields(Turn)].index("spans")


def turn_of(row: tuple[Any, ...]) -> Turn:
    """A `Turn` from a row of COLUMNS."""
    spans = [Span(*span) for span in loads(row[_SPANS])]
    values: list[Any] = [*row[:_SPANS], spans, *row[_SPANS + 1 :]]
    return Turn(*values)


@dataclass(frozen=True)
class WholeTurn:
    """One turn with every byte that was kept."""

    turn: Turn
    record: RecordedTurn
    """What `RecordedTurn.of(flow.metadata)` gives for the flow."""

    new: list[int]
    """Indexes of the input's items that came with this turn; the others were there before."""

    shell: bytes
    """For `flows.flow_of`."""


@dataclass(frozen=True, slots=True)
class Session:
    """The turns of a session that a filter leaves, summed up."""

    id: str
    title: str
    """First words of the user."""

    client: str
    version: str
    models: list[str]
    began: float
    """Seconds since the epoch, as is `ended`."""

    ended: float
    turns: int
    threads: int
    calls: int
    failed: int
    healed: int
    running: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost: float | None
    size: int
    stored: int


@dataclass(frozen=True, slots=True)
class Filter:
    """Which turns count. Nothing given: all."""

    query: str = ""
    """Words that were said in it: all of them, each as the beginning of a word; "…" is a phrase."""

    session: str = ""
    model: str = ""
    """As the client asked for it, or as the upstream knows it."""

    client: str = ""
    since: float | None = None
    """Seconds since the epoch; `until` is not included."""

    until: float | None = None
    failed: bool = False
    healed: bool = False
    kinds: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Hit:
    """A turn in which something was found."""

    turn: Turn
    before: str
    """Text in front of the words that were found."""

    words: str
    behind: str


@dataclass(frozen=True, slots=True)
class Total:
    """The turns of one model on one day (UTC, such as `2026-11-27`)."""

    day: str
    model: str
    turns: int
    failed: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost: float | None


@dataclass(frozen=True, slots=True)
class Values:
    """What there is to filter by, in alphabetical order."""

    models: list[str]
    clients: list[str]


@dataclass(frozen=True, slots=True)
class Size:
    """How full an archive is."""

    turns: int
    sessions: int
    bytes: int
    """That the file needs."""

    original: int
    """Bytes of the turns before they were packed."""
