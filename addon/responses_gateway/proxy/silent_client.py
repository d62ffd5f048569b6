"""For clients that wait for the server to speak first: mitmproxy connects to it only when the client has spoken.

That is for the sake of what the gateway answers itself, for which nobody else need be there.
"""

from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers import modes
from mitmproxy.proxy.server import ConnectionHandler

type Commands = layer.CommandGenerator[None]

PATIENCE = 0.5
"""Seconds that a client may be silent; clients of HTTP and TLS send something at once."""


class SilentClientLayer(layer.Layer):
    """Stands before the layer that waits for the client's first bytes."""

    def __init__(self, context: Context, child: layer.Layer) -> None:
        super().__init__(context)
        self._child = child
        self._has_spoken = False
        self._wakeup = commands.RequestWakeup(PATIENCE)

    def _handle_event(self, event: events.Event) -> Commands:
        if isinstance(event, events.Wakeup) and event.command is self._wakeup:
            if not self._has_spoken and not self.context.server.connected:
                yield from self._connect()
            return
        if isinstance(event, events.Start):
            yield self._wakeup
        elif isinstance(event, events.ConnectionEvent):
            self._has_spoken = True
        yield from self._child.handle_event(event)

    def _connect(self) -> Commands:
        error = yield commands.OpenConnection(self.context.server)
        if error:
            yield commands.CloseConnection(self.context.client)


class _Patient(modes.DestinationKnown):
    """A mode in which the destination is known before the client's first bytes."""

    def finish_start(self) -> layer.CommandGenerator[str | None]:
        self.child_layer = SilentClientLayer(self.context, self.child_layer)
        return (yield from super().finish_start())


class _Socks5Proxy(_Patient, modes.Socks5Proxy):
    pass


class _TransparentProxy(_Patient, modes.TransparentProxy):
    pass


_BETTER: dict[type[layer.Layer], type[layer.Layer]] = {
    modes.Socks5Proxy: _Socks5Proxy,
    modes.TransparentProxy: _TransparentProxy,
}


def serve_silent_client(handler: ConnectionHandler) -> None:
    """Let a client's connection go on when the client waits for the server; nothing has happened on it yet."""
    better = _BETTER.get(type(handler.layer))
    if better is not None:
        context = handler.layer.context
        context.layers.remove(handler.layer)
        handler.layer = better(context)
