"""The store behind threads of its own: whatever disks and other machines do, the event loop goes on."""

import asyncio
import threading
import weakref
from _thread import start_new_thread
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from responses_gateway.security.terminal import get_logger
from responses_gateway.state.store import NotStorable, Store, StoreError

logger = get_logger(__name__)

PATIENCE = 3.0
"""Seconds that a request waits for the store at most."""

_READERS = 4
_MOST_WAITING = 1000
"""Writes that may wait; what they hold is in memory."""


class Storage:
    """Asks a store in threads. What writes is done one after the other, in the order in which it was handed in.

    `open_store` is called once, in one of the threads, when the store is first needed; whoever needs it waits for that.
    The store is closed when nobody knows this object any more, or by `close`.
    """

    def __init__(self, open_store: Callable[[], Store]) -> None:
        self._store = store = _OpenedOnce(open_store)
        self._writer = writer = ThreadPoolExecutor(1, "store writer")
        self._readers = readers = ThreadPoolExecutor(_READERS, "store reader")
        self._waiting: set[Future[Any]] = set()
        self._losses = _Losses()
        # The garbage collector may come here while this thread holds the locks that executors share.
        self._let_go = weakref.finalize(self, start_new_thread, _let_go, (store, writer, readers))
        # Python ends the threads before it would.
        self._let_go.atexit = False

    async def read[Result](self, question: Callable[[Store], Result]) -> Result:
        """What `question` says of the store. Raises what it raises, and StoreError when that takes too long."""
        return await self._result(self._submit(self._readers, question))

    async def write[Result](self, change: Callable[[Store], Result]) -> Result:
        """Change the store behind all changes that were handed in before. Raises like `read`."""
        return await self._result(self._enqueue(change))

    def keep(self, change: Callable[[Store], object]) -> Future[object]:
        """Hand in a change without waiting for it; `kept` tells how it went."""
        return self._enqueue(lambda store: self._losses.watch(change, store))

    async def kept(self, handed_in: Future[object]) -> None:
        """Return when the change is durable. Raises StoreError when it is not, or that takes too long."""
        try:
            await self._result(handed_in)
        except StoreError as error:
            if handed_in.cancelled():
                self._losses.add(error)
            raise

    async def close(self) -> None:
        """Close the store behind all changes that were handed in, or give up those that take too long."""
        self._let_go.detach()
        with suppress(TimeoutError, RuntimeError):
            closed = self._writer.submit(self._store.close)
            await asyncio.wait_for(asyncio.wrap_future(closed), PATIENCE)
        for executor in (self._writer, self._readers):
            executor.shutdown(wait=False, cancel_futures=True)

    def _enqueue[Result](self, change: Callable[[Store], Result]) -> Future[Result]:
        if len(self._waiting) >= _MOST_WAITING:
            future: Future[Result] = Future()
            future.set_exception(StoreError(f"{_MOST_WAITING} changes wait for the store"))
            return future
        future = self._submit(self._writer, change)
        self._waiting.add(future)
        future.add_done_callback(self._waiting.discard)
        return future

    def _submit[Result](self, executor: ThreadPoolExecutor, question: Callable[[Store], Result]) -> Future[Result]:
        try:
            return executor.submit(self._store.ask, question)
        except RuntimeError:
            future: Future[Result] = Future()
            future.set_exception(StoreError("the store is closed"))
            return future

    @staticmethod
    async def _result[Result](future: Future[Result]) -> Result:
        # Who leaves does not take back what was handed in, and need not hear what became of it.
        answer = asyncio.wrap_future(future)
        answer.add_done_callback(lambda late: late.cancelled() or late.exception())
        done, _ = await asyncio.wait({answer}, timeout=PATIENCE)
        if not done:
            # Nobody would know of a change that is made later.
            future.cancel()
            raise StoreError(f"the store did not answer within {PATIENCE:g} s")
        return answer.result()


class _OpenedOnce:
    """A store that is opened when the first thread needs it."""

    def __init__(self, open_store: Callable[[], Store]) -> None:
        self._open = open_store
        self._store: Store | None = None
        self._lock = threading.Lock()

    def ask[Result](self, question: Callable[[Store], Result]) -> Result:
        with self._lock:
            if self._store is None:
                self._store = self._open()
            store = self._store
        return question(store)

    def close(self) -> None:
        with self._lock:
            if self._store is not None:
                self._store.close()


def _let_go(store: _OpenedOnce, writer: ThreadPoolExecutor, readers: ThreadPoolExecutor) -> None:
    readers.shutdown(wait=False)
    writer.submit(store.close)
    writer.shutdown(wait=False)


class _Losses:
    """Counts what could not be stored: the log tells of the first loss, and of how many there were when they end."""

    def __init__(self) -> None:
        self._count = 0
        self._lock = threading.Lock()

    def watch(self, change: Callable[[Store], object], store: Store) -> None:
        try:
            change(store)
        except NotStorable:
            raise
        except StoreError as error:
            self.add(error)
            raise
        with self._lock:
            count, self._count = self._count, 0
        if count:
            logger.error("Responses are stored again. %d could not be stored.", count)

    def add(self, error: StoreError) -> None:
        with self._lock:
            self._count += 1
            first = self._count == 1
        if first:
            logger.error("Responses cannot be stored at the moment: %s", error)
