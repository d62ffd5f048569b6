"""Writes the log from a thread of its own.

mitmproxy prints its log, and every flow, from the event loop. A pipe that nobody reads would stop the loop, and one
whose reader is gone would end the process.
"""

import atexit
import io
import os
import select
import threading
from typing import TextIO, cast

from mitmproxy.master import Master

LIMIT = 1 << 20
"""Characters that may wait to be written; further lines are dropped."""

PATIENCE = 1.0
"""Seconds that the end of the process waits for what is not written yet."""


class BackgroundOutput(io.TextIOBase):
    """Writes to a stream's file from a thread, and tells in the output how many lines it had to drop."""

    def __init__(self, stream: TextIO) -> None:
        """Raises OSError when the stream has no file."""
        self._stream = stream
        self._file = stream.fileno()
        stream.flush()
        self._news = threading.Condition()
        self._waiting: list[str] = []
        self._size = 0
        self._dropping = False
        self._dropped = 0
        self._at_line_start = True
        self._idle = True
        self._gone = False
        threading.Thread(target=self._run, name="log output", daemon=True).start()
        atexit.register(self.drain)

    def write(self, text: str) -> int:
        """Return at once; raises nothing."""
        with self._news:
            if text and not self._gone:
                self._take(text)
                self._news.notify_all()
        return len(text)

    def drain(self) -> None:
        """Wait until everything is written, or the reader is gone, or PATIENCE seconds have passed."""
        with self._news:
            self._news.wait_for(lambda: self._gone or (self._idle and not (self._waiting or self._dropped)), PATIENCE)

    def fileno(self) -> int:
        return self._file

    def isatty(self) -> bool:
        return self._stream.isatty()

    def writable(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding

    def _take(self, text: str) -> None:
        if self._at_line_start:
            self._dropping = self._size > LIMIT
        self._dropping = self._dropping or self._size > 2 * LIMIT
        self._at_line_start = text.endswith("\n")
        if self._dropping:
            self._dropped += text.count("\n")
        else:
            self._waiting.append(text)
            self._size += len(text)

    def _run(self) -> None:
        while not self._gone:
            with self._news:
                self._idle = True
                self._news.notify_all()
                self._news.wait_for(lambda: self._waiting or self._dropped)
                self._idle = False
                text = "".join(self._waiting)
                if self._dropped:
                    text += f"({self._dropped} lines of the log are missing here: nobody read it.)\n"
                self._waiting.clear()
                self._size = self._dropped = 0
            try:
                self._put(text.encode(self.encoding, "backslashreplace"))
            except OSError:
                with self._news:
                    self._gone = True
                    self._waiting.clear()
                    self._news.notify_all()

    def _put(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(self._file, left) :]
            except BlockingIOError:
                select.select([], [self._file], [])


def in_background(stream: TextIO) -> TextIO:
    """`stream`, made such that its writers never wait; the stream itself where that is not possible."""
    if os.name != "posix" or isinstance(stream, BackgroundOutput):
        return stream
    try:
        return cast("TextIO", BackgroundOutput(stream))
    except OSError:
        return stream


def unblock_log(master: Master) -> None:
    """Let the master print its log and its flows, if it does, from a thread."""
    log, dumper = master.addons.get("termlog"), master.addons.get("dumper")
    if log is None:
        return
    stream = log.logger.file
    log.logger.file = in_background(stream)
    if dumper is not None and dumper.outfp is stream:
        dumper.outfp = log.logger.file
