"""What served turns need of the gateway around them, to recover from what goes wrong upstream."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from responses_gateway.protocol.json import JsonObject
from responses_gateway.settings.settings import Settings
from responses_gateway.upstream.health import UpstreamHealth
from responses_gateway.upstream.learned_repairs import LearnedRepairs
from responses_gateway.upstream.routing import Route, Router

type FetchModels = Callable[[Route, Mapping[str, str]], Awaitable[list[JsonObject] | None]]
"""Asks an upstream for its model list (`data` of its /models), with request headers; None when it has none."""


@dataclass(frozen=True)
class TurnServices:
    """The settings and shared services of one listener's turns."""

    settings: Settings
    router: Router
    learned_repairs: LearnedRepairs
    fetch_models: FetchModels
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    jitter: Callable[[], float] = random.random
    """A number from 0 to 1."""

    now: Callable[[], float] = time.monotonic
    """Seconds."""

    health: UpstreamHealth = field(default_factory=lambda: UpstreamHealth(0, time.monotonic))
    """What is known of upstreams that fail; by default, they are asked nevertheless."""

    answered: Callable[[str, str, Mapping[str, str]], None] = lambda *_: None
    """Is told that a provider answers a turn of an owner, and the client's headers."""

    telling_no_models: set[tuple[str, str]] = field(default_factory=set)
    """Owners and base URLs: for whom which upstream did not tell its model list."""
