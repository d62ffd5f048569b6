"""Measures the archive and its pages: a session of 200 turns, each with its whole history again, growing to 1.1 MB.

Run it with the project's environment: .venv-test/bin/python scripts/bench_archive.py [TURNS]. The history is made of
Codex's own prompt and tools, and of the standard library's source text as what its tools bring. It prints the share of
its bytes that the session takes, and milliseconds of CPU (median, 95th percentile, worst) of writing, of opening, and
of making each page: the last turn's, what a page that follows it gets while it runs, the session's, and the list's of
10,000 turns in 51 sessions; of the list also the first time, before SQLite has read anything. It fails when the share
exceeds 5 %, opening a turn takes 50 ms, or a page takes longer than LIMITS, in the median.
"""

import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "addon"), str(ROOT / "tests")]

from responses_gateway.inspection.archive.document import Document  # noqa: E402
from responses_gateway.inspection.archive.file import opened_to_write  # noqa: E402
from responses_gateway.inspection.archive.reader import Archive  # noqa: E402
from responses_gateway.inspection.archive.rows import WholeTurn  # noqa: E402
from responses_gateway.inspection.archive.writer import Writer  # noqa: E402
from responses_gateway.inspection.pages.filtering import Choice  # noqa: E402
from responses_gateway.inspection.pages.session_view import session_view  # noqa: E402
from responses_gateway.inspection.pages.sessions_view import sessions_view  # noqa: E402
from responses_gateway.inspection.pages.source import Reading  # noqa: E402
from responses_gateway.inspection.pages.templating import prepare, render, render_part  # noqa: E402
from responses_gateway.inspection.pages.turn_page import turn_values, whole_turn  # noqa: E402
from responses_gateway.protocol.json import loads  # noqa: E402
from unit.inspection.turns import DONE, Gateway, call, chunk  # noqa: E402

LARGEST = 1_100_000
"""Bytes of the last request."""

SHARE, OPENING = 0.05, 50.0
LIMITS = {"list": 200.0, "session": 1000.0, "turn": 300.0, "news": 30.0}
"""Milliseconds. A page that follows a turn takes 3 % of a processor: news that take longer come late."""

LISTED = 10_000
COPIES = """
WITH RECURSIVE copy (nth) AS (SELECT 1 UNION ALL SELECT nth + 1 FROM copy WHERE nth < ?)
INSERT INTO turns ({names}) SELECT {values} FROM turns, copy
"""
MAKINGS = 20
COMMON: dict[str, Any] = {"form_key": "", "version": "", "now": time.time()}
HEADERS = {"session-id": "s", "thread-id": "t", "user-agent": "codex_exec/0.169.0"}
PROMPT = ROOT / "tests/unit/captures/codex-0.169.0-body_gpt-6-astra.json"


def documents(turns: int) -> Iterator[Document]:
    """The turns of one session, one call each."""
    dice = random.Random(1)  # noqa: S311
    text = "".join(path.read_text("utf-8") for path in sorted(Path(random.__file__).parent.glob("*.py"))[:80])
    request = loads(PROMPT.read_bytes())
    items: list[Any] = request["input"]
    gateway = Gateway()
    size = (LARGEST - len(PROMPT.read_bytes())) // turns - 700
    for number in range(turns):
        identity = f"call_{number:024x}"
        words = text[dice.randrange(len(text) - 2000) :][:1200].split(" ")
        said = [chunk(reasoning_content=word + " ") for word in words[:40]]
        chunks = [*said, *call("exec_command", '{"cmd": "cat ', f'file_{number}.py"', "}", id=identity)]
        chunks += [chunk(finish="tool_calls", usage={"prompt_tokens": 1000 * number, "completion_tokens": 90}), DONE]
        record = gateway.record(request | {"input": items}, chunks, headers=HEADERS)
        yield Document(f"flow-{number}", record, f"a flow {dice.random()}".encode() * 30)
        at = dice.randrange(len(text) - size)
        arguments = f'{{"cmd": "cat file_{number}.py"}}'
        items.append(
            {
                "type": "reasoning",
                "id": f"rs_{number}",
                "summary": [{"type": "summary_text", "text": " ".join(words[:40])}],
            }
        )
        items.append({"type": "function_call", "name": "exec_command", "call_id": identity, "arguments": arguments})
        items.append({"type": "function_call_output", "call_id": identity, "output": text[at : at + size]})


def pages(path: Path) -> dict[str, list[float]]:
    """Seconds of making each page, over and over."""
    archive = Archive(path)
    [last] = archive.find(limit=1)
    reading = Reading(archive, {}, last.opened + 60)
    whole = whole_turn(reading, last.session, last.id)
    facts = {**whole.record.facts, "ended": -1, "status": "in_progress"}
    running = replace(whole, turn=replace(last, status="in_progress"), record=replace(whole.record, facts=facts))

    def turn(found: WholeTurn, *, follows: bool = False) -> str:
        values = turn_values(reading, found, "", None, follows=follows)
        return (render_part if follows else render)("turn.html", **{**COMMON, "models": [], **values})

    def session() -> str:
        return render("session.html", view=session_view(archive, last.session, {}, last.opened + 60), **COMMON)

    def sessions() -> str:
        with closing(Archive(path)) as opened:
            choice = Choice.of(lambda _: "")
            return render("sessions.html", view=sessions_view(opened, choice, last.opened + 60), **COMMON)

    taken = {
        "turn": _made(lambda: turn(whole_turn(reading, last.session, last.id))),
        "news": _made(lambda: turn(running, follows=True)),
        "session": _made(session),
    }
    _copy_turns(path)
    prepare()
    return taken | {"list": _made(sessions)}


def _made(make: Callable[[], str]) -> list[float]:
    taken = []
    for _ in range(MAKINGS):
        began = time.thread_time()
        make()
        taken.append(time.thread_time() - began)
    return taken


def _copy_turns(path: Path) -> None:
    """More sessions, for the list, which looks at rows only."""
    with closing(opened_to_write(path)) as connection:
        columns = [name for _, name, *_ in connection.execute("PRAGMA table_info(turns)") if name != "row"]
        [turns] = connection.execute("SELECT count(*) FROM turns").fetchone()
        changed = {
            "id": "id || '-' || nth",
            "session": "session || '-' || nth",
            "opened": "opened - 3600 * nth",
            "model": "'model ' || (nth % 5)",
        }
        values = ", ".join(changed.get(name, name) for name in columns)
        connection.execute(COPIES.format(names=", ".join(columns), values=values), (LISTED // turns,))


def main() -> int:
    turns = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "archive.sqlite3"
        writer = Writer(opened_to_write(path))
        writing, ids = [], []
        for document in documents(turns):
            began = time.thread_time()
            writer.put(document)
            writing.append(time.thread_time() - began)
            ids.append(document.id)
            largest = len(document.record.request or b"")
        archive = Archive(path)
        opening = []
        for identity in ids:
            began = time.thread_time()
            archive.turn(identity)
            opening.append(time.thread_time() - began)
        size = archive.size()
        taken = pages(path)
    share = size.bytes / size.original
    print(f"{turns} turns, the last request {largest / 1e6:.2f} MB; {size.original / 1e6:.1f} MB altogether")
    print(f"archive   {size.bytes / 1e6:.2f} MB, {share:.2%}")
    print(f"writing   {_figures(writing)}")
    print(f"opening   {_figures(opening)}")
    for name, seconds in taken.items():
        print(
            f"{name:<10}{_figures(seconds)}" + (f"  {1000 * seconds[0]:.1f} the first time" if name == "list" else "")
        )
    slow = [name for name, seconds in taken.items() if 1000 * median(seconds) > LIMITS[name]]
    return int(share > SHARE or max(opening) * 1000 >= OPENING or bool(slow))


def _figures(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    shown = (median(ordered), ordered[int(len(ordered) * 0.95)], ordered[-1])
    return "  ".join(f"{1000 * value:6.1f}" for value in shown) + "  ms"


if __name__ == "__main__":
    sys.exit(main())
