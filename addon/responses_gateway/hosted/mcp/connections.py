"""Connections to MCP servers, kept open between calls: many servers keep a state for each connection."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from responses_gateway.hosted.interface import HostedError
from responses_gateway.hosted.mcp.session import Connect, NotTaken, Refused, ServerAddress, Session

_IDLE_SECONDS = 300
"""How long a connection stays open that nobody uses."""

_MOST = 100
"""Open connections; the one not used for longest is closed first."""


class Connections:
    """At most one connection for each owner and server."""

    def __init__(self, connect: Callable[[], Awaitable[Connect]]) -> None:
        """`connect` gives what opens connections, when the first one is needed."""
        self._connect = connect
        self._open: OrderedDict[tuple[str, ServerAddress], _Connection] = OrderedDict()
        self._retired: set[_Connection] = set()
        """Those that somebody still uses, and nobody else is to use."""

    async def use[T](
        self, owner: str, address: ServerAddress, work: Callable[[Session], Awaitable[T]], *, repeatable: bool
    ) -> T:
        """Do `work` with a connection. Raises HostedError.

        A connection on which something failed takes no further work; what others have there goes on. `repeatable`:
        work that fails on an old connection is done once more on a new one. So is all that the
        server did not take, because it has forgotten the connection (MCP specification 2025-06-18, Session Management).
        """
        key = owner, address
        known = self._open.get(key)
        if known is not None and known.is_open:
            try:
                return await self._done(key, known, work)
            except HostedError as error:
                if isinstance(error, Refused) or not (repeatable or isinstance(error, NotTaken)):
                    raise
        connection = _Connection(self._connect, address)
        self._open[key] = connection
        self._forget_old()
        return await self._done(key, connection, work)

    async def _done[T](
        self, key: tuple[str, ServerAddress], connection: "_Connection", work: Callable[[Session], Awaitable[T]]
    ) -> T:
        if self._open.get(key) is connection:
            self._open.move_to_end(key)
        connection.users += 1
        try:
            return await work(await connection.session())
        except Refused:
            raise
        except BaseException as error:
            # What was cancelled may still be under way there.
            if self._open.get(key) is connection:
                del self._open[key]
            if connection in self._retired and isinstance(error, NotTaken):
                # Another call may have been the one that was not taken.
                raise HostedError(str(error)) from None
            self._retired.add(connection)
            raise
        finally:
            connection.users -= 1
            self._end_unused()

    def _forget_old(self) -> None:
        for key in [key for key, connection in self._open.items() if not connection.is_open]:
            del self._open[key]
        while len(self._open) > _MOST:
            self._retired.add(self._open.popitem(last=False)[1])
        self._end_unused()

    def _end_unused(self) -> None:
        for connection in [one for one in self._retired if not one.users]:
            connection.end()
            self._retired.discard(connection)

    async def close(self) -> None:
        """Close all connections."""
        connections = [*self._open.values(), *self._retired]
        self._open.clear()
        self._retired.clear()
        for connection in connections:
            connection.end()
        await asyncio.gather(*(connection.ended() for connection in connections))


class _Connection:
    """A connection, held open by a task of its own: it has to be closed where it was opened."""

    def __init__(self, connect: Callable[[], Awaitable[Connect]], address: ServerAddress) -> None:
        self.users = 0
        """Pieces of work that are under way."""

        self._used = asyncio.Event()
        self._session: asyncio.Future[Session] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._hold(connect, address))

    @property
    def is_open(self) -> bool:
        return not self._task.done()

    async def session(self) -> Session:
        """The open session. Raises HostedError."""
        self._used.set()
        return await asyncio.shield(self._session)

    def end(self) -> None:
        self._task.cancel()

    async def ended(self) -> None:
        await asyncio.gather(self._task, return_exceptions=True)

    async def _hold(self, connect: Callable[[], Awaitable[Connect]], address: ServerAddress) -> None:
        fault = HostedError("the connection was closed")
        try:
            open_one = await connect()
            async with open_one(address) as session:
                self._session.set_result(session)
                await self._idle()
        except HostedError as error:
            fault = error
        finally:
            if not self._session.done():
                self._session.set_exception(fault)
                # Whoever asked may be gone.
                self._session.exception()

    async def _idle(self) -> None:
        """Return when nobody has used the connection for a while."""
        idle = False
        while self.users or not idle:
            self._used.clear()
            try:
                async with asyncio.timeout(_IDLE_SECONDS):
                    await self._used.wait()
                idle = False
            except TimeoutError:
                idle = True
