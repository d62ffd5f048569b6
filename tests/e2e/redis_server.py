"""A Redis or Valkey server of a test's own."""

import signal
from pathlib import Path

from e2e.environment import clean_environment
from e2e.process import LoggedProcess


class RedisServer(LoggedProcess):
    """A server that keeps nothing, on a Unix socket in `directory`; a context manager."""

    def __init__(self, program: str, directory: Path) -> None:
        socket = directory / "redis"
        self.url = f"unix://{socket}"
        options = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(directory)]
        super().__init__([program, *options], clean_environment(directory, {}))

    def hang(self) -> None:
        """Accept connections and answer nothing, until `go_on`."""
        self.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.send_signal(signal.SIGCONT)

    def _wait_ready(self) -> None:
        self.wait_log("(?i)ready to accept connections")

    def _stop(self) -> None:
        self.go_on()
        super()._stop()
