"""Work on large requests, done beside the event loop."""

import asyncio
from collections.abc import Callable

LARGE = 256 << 10
"""Bytes of a request whose translation other streams would notice: some milliseconds."""


async def off_loop[**P, T](size: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call `work` for a request of `size` bytes, in a thread when that is large.

    The thread takes as much of the processor, but gives it up many times a second, so that streams go on meanwhile.
    """
    if size < LARGE:
        return work(*args, **kwargs)
    return await asyncio.to_thread(work, *args, **kwargs)
