"""Which API the upstreams speak whose profile leaves it open: each is asked once."""

from collections import OrderedDict
from collections.abc import Callable

from responses_gateway.catalogue.providers.profile import Api
from responses_gateway.state.storage import Storage
from responses_gateway.state.store import StoreError, is_name
from responses_gateway.upstream.routing import Route

NO_SUCH_PATH = frozenset({404, 405})
"""The statuses with which a server refuses a path that it does not have."""

MAX_TARGETS = 256
"""The one that was noted longest ago goes first."""

MAX_AGE = 86400.0
"""Seconds after which a target is asked again, because upstreams are updated."""

type _Target = tuple[str, str, str]
"""Owner, upstream and model."""


class SpokenApis:
    """What targets have shown, by owner: an upstream may answer each key in another way.

    It is kept in the store too, so that a restart does not ask again.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` gives seconds since the epoch."""
        self._clock = clock
        self._without: OrderedDict[_Target, float | None] = OrderedDict()
        """Targets that have no Responses API, and when they said so; None: the store knows nothing of it."""

    async def api(self, owner: str, route: Route, storage: Storage | None) -> Api:
        """How the target of a route is asked: `auto` as long as it was not asked."""
        if route.api != "auto":
            return route.api
        target = (owner, route.base_url, route.model)
        if target not in self._without:
            self._put(target, await _noted(target, storage))
        # A clock that was set back makes no target old that was noted since.
        noted = self._without[target]
        return "chat" if noted is not None and abs(self._clock() - noted) < MAX_AGE else "auto"

    def note_chat(self, owner: str, route: Route, storage: Storage | None) -> None:
        """The target has said that it has no Responses API."""
        target, now = (owner, route.base_url, route.model), self._clock()
        self._put(target, now)
        if storage is not None and is_name(_name(target)):
            storage.keep(lambda store: store.put_note(owner, _name(target), str(now)))

    def _put(self, target: _Target, when: float | None) -> None:
        self._without[target] = when
        self._without.move_to_end(target)
        while len(self._without) > MAX_TARGETS:
            self._without.popitem(last=False)


async def _noted(target: _Target, storage: Storage | None) -> float | None:
    """When the target was noted; None if it was not, or the store cannot say."""
    if storage is None or not is_name(_name(target)):
        return None
    try:
        value = await storage.read(lambda store: store.note(target[0], _name(target)))
    except StoreError:
        return None
    return float(value) if value is not None else None


def _name(target: _Target) -> str:
    _, base_url, model = target
    return f"asked by chat: {base_url} {model}"
