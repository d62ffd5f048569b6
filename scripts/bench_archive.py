"""Measures the archive: a session of 200 turns, each with its whole history again, growing to 1.1 MB.

Run it with the project's environment: .venv-test/bin/python scripts/bench_archive.py [TURNS]. The history is made of
Codex's own prompt and tools, and of the standard library's source text as what its tools bring. It prints the share of
its bytes that the session takes, and milliseconds of CPU (median, 95th percentile, worst) of writing and opening; it
fails when the share exceeds 5 % or opening any turn takes 50 ms.
"""

import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "addon"), str(ROOT / "tests")]

from responses_gateway.inspection.archive.document import Document  # noqa: E402
from responses_gateway.inspection.archive.file import opened_to_write  # noqa: E402
from responses_gateway.inspection.archive.reader import Archive  # noqa: E402
from responses_gateway.inspection.archive.writer import Writer  # noqa: E402
from responses_gateway.protocol.json import loads  # noqa: E402
from unit.inspection.turns import DONE, Gateway, call, chunk  # noqa: E402

LARGEST = 1_100_000
"""Bytes of the last request."""

SHARE, OPENING = 0.05, 50.0
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
    share = size.bytes / size.original
    print(f"{turns} turns, the last request {largest / 1e6:.2f} MB; {size.original / 1e6:.1f} MB altogether")
    print(f"archive   {size.bytes / 1e6:.2f} MB, {share:.2%}")
    print(f"writing   {_figures(writing)}")
    print(f"opening   {_figures(opening)}")
    return int(share > SHARE or max(opening) * 1000 >= OPENING)


def _figures(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    shown = (median(ordered), ordered[int(len(ordered) * 0.95)], ordered[-1])
    return "  ".join(f"{1000 * value:6.1f}" for value in shown) + "  ms"


if __name__ == "__main__":
    sys.exit(main())
