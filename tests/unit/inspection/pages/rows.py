"""Rows of an archive for the tests of what shows them."""

from dataclasses import replace
from typing import Any

from responses_gateway.inspection.archive.rows import Session, Span, Turn

NOON = 1_800_000_000.0

_TURN = Turn(
    id="turn",
    flow="flow",
    session="session",
    thread="main",
    parent="",
    agent="",
    kind="turn",
    client="codex_exec",
    version="0.169.0",
    number=1,
    model="kimi-k2.6",
    upstream_model="moonshotai/kimi-k2.6",
    provider="openrouter",
    url="https://llm.example/v1/chat/completions",
    opened=NOON,
    sent=10,
    answered=300,
    first_byte=310,
    first_token=1000,
    first_text=2000,
    ended=4000,
    spans=[
        Span("reasoning", "", 1000, 2000),
        Span("message", "", 2000, 3000),
        Span("function_call", "shell", 3000, 3900),
    ],
    status="completed",
    error="",
    title="Fix the bug",
    calls=1,
    rounds=1,
    healed=0,
    changed=0,
    input_tokens=10_000,
    cached_tokens=9000,
    output_tokens=500,
    reasoning_tokens=100,
    cost=0.01,
    prefix_common=900,
    prefix_size=1000,
    prefix_changed="",
    size=1000,
    stored=100,
)
_SESSION = Session(
    id="session",
    title="Fix the bug",
    client="codex_exec",
    version="0.169.0",
    models=["kimi-k2.6"],
    began=NOON,
    ended=NOON + 100,
    turns=3,
    threads=2,
    calls=4,
    failed=1,
    healed=1,
    running=0,
    input_tokens=30_000,
    cached_tokens=20_000,
    output_tokens=1500,
    cost=0.03,
    size=3000,
    stored=300,
)  # fmt: skip


def turn(at: float = 0.0, **changes: Any) -> Turn:
    """A turn of four seconds that begins `at` seconds after NOON."""
    return replace(_TURN, **{"id": f"turn-{at}", "opened": NOON + at, **changes})


def session(**changes: Any) -> Session:
    return replace(_SESSION, **changes)
