"""A child process whose output is collected and can be waited for."""

import os
import re
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from e2e.environment import ROOT


class LoggedProcess:
    """A process that runs from `__enter__` to `__exit__`, in `directory`; stdout and stderr are one log.

    It has a standard input only when it is `spoken_to`.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        environment: Mapping[str, str],
        directory: Path = ROOT,
        *,
        spoken_to: bool = False,
    ) -> None:
        self._command = command
        self._environment = environment
        self._directory = directory
        self._stdin = subprocess.PIPE if spoken_to else subprocess.DEVNULL
        self._lines: list[str] = []
        self._news = threading.Condition()
        self._ended = False

    @property
    def log(self) -> str:
        with self._news:
            return "".join(self._lines)

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_log(self, pattern: str, timeout: float = 60) -> re.Match[str]:
        """Wait for a log line that matches. Raises TimeoutError with the log so far, at once when the process ended."""
        with self._news:
            self._news.wait_for(lambda: self._ended or self._search(pattern), timeout)
            if found := self._search(pattern):
                return found
        why = "the process ended" if self._ended else f"{timeout} s passed"
        raise TimeoutError(f"{why} without a log line that matches {pattern!r}:\n{self.log}")

    def _search(self, pattern: str) -> re.Match[str] | None:
        return next((found for line in self._lines if (found := re.search(pattern, line))), None)

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command,
            env=self._environment,
            cwd=self._directory,
            stdin=self._stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read_log, name="process log", daemon=True)
        self._reader.start()
        try:
            self._wait_ready()
        except BaseException:
            self._stop()
            raise
        return self

    def send_line(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def send_signal(self, number: int) -> None:
        self._process.send_signal(number)

    def signal_all(self, number: int) -> None:
        """Send a signal to the process and those that it started, as a terminal does."""
        os.killpg(self._process.pid, number)

    def wait_exit(self, timeout: float) -> int:
        """The exit status. Raises TimeoutExpired after `timeout` seconds."""
        return self._process.wait(timeout)

    def stop(self) -> None:
        """End the process before the block does, so that it writes its files."""
        self._stop()

    def _wait_ready(self) -> None:
        """Return when the process does its work."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stop()

    def _read_log(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._news:
                self._lines.append(line)
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def _stop(self) -> None:
        self._process.terminate()
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        self._reader.join(10)
