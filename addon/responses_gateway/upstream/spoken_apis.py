"""Which API the upstreams speak whose profile leaves it open: each is asked once."""

from collections import OrderedDict
from collections.abc import Callable

from responses_gateway.catalogue.providers.profile import Api
from responses_gateway.upstream.routing import Route

NO_SUCH_PATH = frozenset({404, 405})
"""The statuses with which a server refuses a path that it does not have."""

MAX_TARGETS = 256
"""The one that was noted longest ago goes first."""

MAX_AGE = 86400.0
"""Seconds after which a target is asked again, because upstreams are updated."""


class SpokenApis:
    """What targets have shown, by owner: an upstream may answer each key in another way."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._without: OrderedDict[tuple[str, str, str], float] = OrderedDict()
        """Targets that have no Responses API, and when they said so."""

    def api(self, owner: str, route: Route) -> Api:
        """How the target of a route is asked: `auto` as long as it was not asked."""
        noted = self._without.get((owner, route.base_url, route.model))
        if route.api == "auto" and noted is not None and self._clock() - noted < MAX_AGE:
            return "chat"
        return route.api

    def note_chat(self, owner: str, route: Route) -> None:
        """The target has said that it has no Responses API."""
        key = (owner, route.base_url, route.model)
        self._without[key] = self._clock()
        self._without.move_to_end(key)
        while len(self._without) > MAX_TARGETS:
            self._without.popitem(last=False)
