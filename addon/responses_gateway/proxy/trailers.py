"""Discards the trailers of chunked bodies, as RFC 9112, section 7.1.2 allows; mitmproxy raises on them."""

import h11
from h11._readers import ChunkedReader
from h11._receivebuffer import ReceiveBuffer
from mitmproxy.proxy.layers.http._http1 import Http1Connection


class _TrailerDiscardingReader(ChunkedReader):
    """h11's reader, which reads over all lines after the last chunk."""

    def __call__(self, buf: ReceiveBuffer) -> h11.Data | h11.EndOfMessage | None:
        if self._reading_trailer:
            return None if buf.maybe_extract_lines() is None else h11.EndOfMessage()
        return super().__call__(buf)


def discard_trailers(connection: Http1Connection) -> None:
    """Call this before a body is read: it replaces the connection's reader of chunked bodies."""
    if type(connection.body_reader) is ChunkedReader:
        connection.body_reader = _TrailerDiscardingReader()
