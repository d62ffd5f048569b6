"""Measures the SQLite store: appending to, looking up in and evicting from a store of 100,000 responses.

Run it with the project's environment: .venv-test/bin/python scripts/bench_store.py [RESPONSES]. It prints milliseconds
and fails when the 99th percentile of any operation has two digits.
"""

import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "addon"))

from responses_gateway.protocol import sse
from responses_gateway.state.packing import EventLog, pack
from responses_gateway.state.sqlite import SqliteStore
from responses_gateway.state.store import Limits, Record

CHAIN = 20
"""Turns of one conversation."""

LIMIT = 10.0
"""Milliseconds."""


def record(number: int) -> Record:
    text = f"The answer number {number}. " * 40
    output = [{"id": f"msg_{number}", "type": "message", "content": [{"type": "output_text", "text": text}]}]
    response = {
        "id": f"resp_{number}",
        "status": "completed",
        "previous_response_id": f"resp_{number - 1}" if number % CHAIN else None,
        "output": output,
    }
    log = EventLog()
    deltas = ({"type": "response.output_text.delta", "sequence_number": n, "delta": f"word {n}"} for n in range(50))
    log.add(sse.encode_all(deltas))
    question = {"id": f"in_{number}", "type": "message", "role": "user", "content": f"Question {number}. " * 40}
    return Record("owner", response, pack([question]), log.close())


def measure(name: str, work: Callable[[int], object], numbers: Iterable[int]) -> bool:
    """Print how long `work` takes; whether it is fast enough."""
    times = []
    for number in numbers:
        begin = time.perf_counter()
        work(number)
        times.append((time.perf_counter() - begin) * 1000)
    times.sort()
    half, most = times[len(times) // 2], times[len(times) * 99 // 100]
    print(f"{name:24} median {half:7.2f}   99 % {most:7.2f}   worst {times[-1]:7.2f}")
    return most < LIMIT


def main(count: int) -> int:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "store"
        store = SqliteStore(path, Limits(count, 1 << 40, 86_400))
        some = random.Random(1).sample(range(count), min(count, 2000))  # noqa: S311
        records = {number: record(number) for number in range(count, count + 2000)}
        fast = [
            measure("append", lambda number: store.put(record(number)), range(count)),
            measure("look up", lambda number: store.get("owner", f"resp_{number}"), some),
            measure("history", lambda number: store.history("owner", f"resp_{number}"), some),
            measure("item", lambda number: store.items("owner", [f"msg_{number}"]), some),
            measure("append and evict", lambda number: store.put(records[number]), records),
        ]
        store.close()
        print(f"{path.stat().st_size / 1e6:.0f} MB for {count} responses")
    return 0 if all(fast) else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000))
