"""The time limits of turns, by the settings."""

from responses_gateway.proxy.contract import Limits
from responses_gateway.settings.settings import Settings


def time_limits(settings: Settings) -> Limits:
    """What the proxy layer holds a turn to."""
    return Limits(
        heartbeat=settings.heartbeat,
        connect=settings.connect_timeout,
        first_byte=settings.first_byte_timeout,
        idle=settings.idle_timeout,
        queue=settings.queue_timeout,
        turn=settings.turn_timeout,
    )
