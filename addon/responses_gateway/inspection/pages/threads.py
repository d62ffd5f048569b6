"""The threads of a session as a tree: sub-agents under the thread, and the turn, that made them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from responses_gateway.inspection.archive.rows import Turn
from responses_gateway.inspection.names import short_name

_SPAWN = "spawn"
"""In the kind of those of Codex's agents that were spawned (`collab_spawn`), and in the tool's name (`spawn_agent`)."""


@dataclass(slots=True)
class Thread:
    """One thread, its turns in order."""

    id: str
    turns: list[Turn] = field(default_factory=list)
    children: list["Thread"] = field(default_factory=list)
    """In the order in which they began."""

    depth: int = 0
    origin: Turn | None = None
    """The turn during or after which it was made; None for a session's own."""

    @property
    def label(self) -> str:
        """What it does, such as `collab_spawn`, `review`, `title`; `main` for a session's own."""
        first = self.turns[0]
        if first.agent or first.parent:
            return first.agent or "sub-agent"
        return "main" if first.kind in ("turn", "compaction", "prewarm") else first.kind

    @property
    def name(self) -> str:
        return short_name(self.id)


def threads_of(turns: Sequence[Turn]) -> list[Thread]:
    """All threads, parents before their children; `turns` are in the order in which they began."""
    threads: dict[str, Thread] = {}
    for turn in turns:
        threads.setdefault(turn.thread, Thread(turn.thread)).turns.append(turn)
    roots = []
    for thread in threads.values():
        parent = threads.get(thread.turns[0].parent)
        if parent is None or _is_below(parent, thread, threads):
            roots.append(thread)
        else:
            parent.children.append(thread)
            thread.origin = _origin(parent.turns, thread.turns[0])
    return [one for root in sorted(roots, key=_rank) for one in _walk(root)]


def _is_below(one: Thread, other: Thread, threads: dict[str, Thread]) -> bool:
    """Whether `one` descends from `other`, or from itself: clients may say anything."""
    seen: set[str] = set()
    at: Thread | None = one
    while at is not None and at.id not in seen:
        if at is other:
            return True
        seen.add(at.id)
        at = threads.get(at.turns[0].parent)
    return at is not None


def _rank(thread: Thread) -> tuple[bool, float]:
    """The session's own thread first, what names it after it."""
    return thread.label != "main", thread.turns[0].opened


def _origin(turns: Sequence[Turn], first: Turn) -> Turn:
    """The one of a thread's `turns` that made another thread, whose `first` turn is given.

    It is the last that began before. A parent that spawns an agent may go on before the agent begins: then it is the
    last that called a tool to spawn one.
    """
    before = [turn for turn in turns if turn.opened <= first.opened] or list(turns[:1])
    spawned = [turn for turn in before if any(_SPAWN in span.name for span in turn.spans)]
    return spawned[-1] if _SPAWN in first.agent and spawned else before[-1]


def _walk(root: Thread) -> Iterator[Thread]:
    """A thread, and all that it made, directly or not."""
    stack = [root]
    while stack:
        thread = stack.pop()
        yield thread
        for child in reversed(thread.children):
            child.depth = thread.depth + 1
            stack.append(child)


def turns_in_order(threads: Sequence[Thread]) -> Iterator[tuple[Thread, Turn]]:
    """All turns of `threads_of`: those of a sub-agent follow the turn that made it."""
    stack = [iter([(root, turn) for turn in root.turns]) for root in reversed(threads) if root.origin is None]
    while stack:
        found = next(stack[-1], None)
        if found is None:
            stack.pop()
            continue
        yield found
        thread, turn = found
        made = [child for child in thread.children if child.origin is turn]
        stack += [iter([(child, turn) for turn in child.turns]) for child in reversed(made)]
