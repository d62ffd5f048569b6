"""What a mark of a picture says when it is pointed at: plain text."""

from collections.abc import Sequence

from responses_gateway.inspection.archive.rows import Turn
from responses_gateway.inspection.pages.formats import clock, count, duration, money, share
from responses_gateway.inspection.pages.phases import NAMES, Phase
from responses_gateway.inspection.text import counted, percent

_LONGEST = 160
"""Characters of what people and upstreams wrote."""


def heading(turn: Turn) -> str:
    """Such as `Turn 7 · kimi-k2.6 · 14:03:07`."""
    number = f"Turn {turn.number}" if turn.number else "Turn"
    return f"{number} · {turn.model or '?'} · {clock(turn.opened)}"


def turn_tip(turn: Turn, phases: Sequence[Phase]) -> str:
    """All that a bar stands for."""
    lines = [heading(turn)]
    if turn.title:
        lines.append(f"“{_short(turn.title)}”")
    took = phases[-1].end if phases else 0
    lines.append(f"{'Runs for' if turn.status == 'in_progress' else 'Took'} {duration(took / 1000)}")
    lines += [f"  {NAMES[kind]}: {duration(spent / 1000)}" for kind, spent in spent_in(phases).items()]
    lines.append(tokens_line(turn))
    lines.append(f"{counted(turn.calls, 'call')} · {money(turn.cost)}")
    if turn.rounds > 1:
        lines.append(f"{turn.rounds} requests to the upstream")
    if turn.healed:
        lines.append(f"{counted(turn.healed, 'repair')}")
    if turn.failed or turn.status == "incomplete":
        lines.append(f"{turn.status}: {_short(turn.error)}" if turn.error else turn.status)
    return "\n".join(lines)


def spent_in(phases: Sequence[Phase]) -> dict[str, int]:
    """Milliseconds by phase, in the order of a turn."""
    spent = {kind: sum(one.end - one.start for one in phases if one.kind == kind) for kind in NAMES}
    return {kind: took for kind, took in spent.items() if took}


def tokens_line(turn: Turn) -> str:
    """Such as `41,000 tokens in (97% cached), 512 out`."""
    if not turn.input_tokens and not turn.output_tokens:
        return "no tokens counted"
    cached = share(turn.cached_tokens, turn.input_tokens)
    return f"{count(turn.input_tokens)} tokens in ({cached} cached), {count(turn.output_tokens)} out"


def context_tip(turn: Turn) -> str:
    """What a column of the context stands for."""
    new = turn.input_tokens - turn.cached_tokens
    lines = [
        heading(turn),
        f"{count(turn.cached_tokens)} tokens from the cache",
        f"{count(new)} new",
        f"{count(turn.output_tokens)} out, {count(turn.reasoning_tokens)} of them reasoning",
    ]
    return "\n".join(lines)


def break_tip(turn: Turn) -> str:
    """Where the prefix broke."""
    kept = percent(turn.prefix_common / turn.prefix_size) if turn.prefix_size else "nothing"
    return f"{heading(turn)}\nThe prefix breaks at {_short(turn.prefix_changed)}\n{kept} of the request was sent before"


def compaction_tip(turn: Turn) -> str:
    return f"{heading(turn)}\nThe client compacts its context\n{tokens_line(turn)}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return f"{line[:_LONGEST]}…" if len(line) > _LONGEST else line
