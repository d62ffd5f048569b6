"""Runs a command that owns the terminal, and passes signals on to it."""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping, Sequence

NOT_FOUND = 127
NOT_EXECUTABLE = 126
BY_SIGNAL = 128
"""Exit statuses as shells have them; the last one is added to the signal's number."""

_PASSED_ON = ("SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGINT", "SIGQUIT")
_OF_TERMINALS = ("SIGINT", "SIGQUIT")
"""A terminal sends these to every process in its foreground, so that the command has got them already."""


class CommandProcess:
    """One command; before it runs, a signal calls `stop`."""

    def __init__(self, stop: Callable[[], None] = lambda: None) -> None:
        self.status = 0
        """Its exit status; before that, the one of a signal that came too early."""
        self._stop = stop
        self._process: asyncio.subprocess.Process | None = None
        self._is_stopped = False

    def watch_signals(self) -> None:
        """Take care of signals from now on; needs the running event loop."""
        loop = asyncio.get_running_loop()
        for name in _PASSED_ON:
            loop.add_signal_handler(getattr(signal, name), self._pass_on, name)

    def _pass_on(self, name: str) -> None:
        signum = getattr(signal, name)
        if self._process is None:
            self.status, self._is_stopped = BY_SIGNAL + signum, True
            self._stop()
        elif self._process.returncode is None and not (name in _OF_TERMINALS and _is_in_foreground()):
            self._process.send_signal(signum)

    async def run(self, command: Sequence[str], environ: Mapping[str, str]) -> None:
        """Run the command to its end. Raises OSError when it cannot be started."""
        if self._is_stopped:
            return
        self._process = await asyncio.create_subprocess_exec(*command, env=environ)
        returned = await self._process.wait()
        self.status = BY_SIGNAL - returned if returned < 0 else returned


def _is_in_foreground() -> bool:
    """Whether this process is in the foreground of its terminal."""
    terminals = (descriptor for descriptor in range(3) if os.isatty(descriptor))
    return any(os.tcgetpgrp(descriptor) == os.getpgrp() for descriptor in terminals)
