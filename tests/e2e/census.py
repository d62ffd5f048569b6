"""An addon for the tests: says in the log, on SIGUSR1, what the process holds."""

import asyncio
import logging
import os
import signal

from mitmproxy import ctx

MAX_CONNECTIONS = 5
"""To one address, for each client connection; mitmproxy's limit."""


class Census:
    def __init__(self) -> None:
        self._taken = 0

    def running(self) -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, self._count)

    def _count(self) -> None:
        self._taken += 1
        handlers = list(ctx.master.addons.get("proxyserver").connections.values())
        slots = [MAX_CONNECTIONS - slot._value for one in handlers for slot in one.max_conns.values()]
        logging.info(
            "census %d: tasks=%d files=%d slots=%d clients=%d",
            self._taken,
            len(asyncio.all_tasks()),
            len(os.listdir("/dev/fd")),
            sum(slots),
            len(handlers),
        )


addons = [Census()]
