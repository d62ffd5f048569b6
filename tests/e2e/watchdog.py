"""An addon for the tests: the log says where the event loop of a gateway waits although it has something to do.

A thread looks at the loop every few milliseconds. It blames a line of the gateway's package, or what that calls, where
the loop's thread sleeps for LONG seconds. A thread that computes, or does not get a processor, does not sleep.
"""

import asyncio
import sys
import threading
import time
from pathlib import Path
from types import FrameType

BLAME = "The event loop waits"
PACKAGE = "responses_gateway"
LONG = 0.1
EXCUSED = {("commands.py", "retranslate"), ("threading.py", "start"), ("subprocess.py", "_execute_child")}
"""Functions that may wait: a command of mitmproxy is over when it returns what it says, the start of a thread waits
for nothing but a processor, and asyncio itself starts programs (here MCP servers) that way."""

_LOOK = 0.01
_BUSY = 0.2
"""The share of processor time from which on a thread computes."""


class Watchdog:
    def __init__(self) -> None:
        self._beaten = time.monotonic()
        self._ended = threading.Event()

    def running(self) -> None:
        self._thread = threading.current_thread()
        self._loop = asyncio.get_running_loop()
        self._beat()
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def done(self) -> None:
        self._ended.set()

    def _beat(self) -> None:
        self._beaten = time.monotonic()
        self._loop.call_later(_LOOK, self._beat)

    def _watch(self) -> None:
        ident = self._thread.ident
        assert ident is not None
        clock = time.pthread_getcpuclockid(ident)
        place: tuple[int, int] | None = None
        since = cpu = 0.0
        blamed = False
        while not self._ended.wait(_LOOK):
            now, frame = time.monotonic(), sys._current_frames().get(ident)
            if frame is None or now - self._beaten < 2 * _LOOK or not self._sleeps():
                place, blamed = None, False
            elif place != (id(frame), frame.f_lasti):
                place, since, cpu = (id(frame), frame.f_lasti), now, time.clock_gettime(clock)
            elif now - since > LONG and time.clock_gettime(clock) - cpu < _BUSY * LONG and not blamed:
                blamed = True
                calls = _stack(frame)
                functions = {(Path(file).name, function) for file, _, function in calls}
                if any(PACKAGE in file for file, _, _ in calls) and not functions & EXCUSED:
                    told = " < ".join(f"{Path(file).name}:{line} {function}" for file, line, function in calls)
                    print(f"{BLAME}: {told}", flush=True)

    def _sleeps(self) -> bool:
        """Whether the operating system has the loop's thread wait for something else than a processor."""
        stat = Path(f"/proc/self/task/{self._thread.native_id}/stat")
        return not stat.exists() or stat.read_text().rpartition(") ")[2][:1] in ("S", "D")


def _stack(frame: FrameType | None) -> list[tuple[str, int, str]]:
    calls = []
    while frame is not None:
        calls.append((frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name))
        frame = frame.f_back
    return calls


addons = [Watchdog()]
