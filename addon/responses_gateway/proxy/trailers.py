"""Chunked bodies with trailers (RFC 9112, section 7.1.2), which may be discarded and which mitmproxy cannot take."""

import h11
from h11._readers import ChunkedReader
from h11._receivebuffer import ReceiveBuffer
from mitmproxy.proxy.layers.http._http1 import Http1Connection


class _Discarding(ChunkedReader):
    """h11's reader, which reads over whatever stands behind the last chunk."""

    def __call__(self, buf: ReceiveBuffer) -> h11.Data | h11.EndOfMessage | None:
        if self._reading_trailer:
            return None if buf.maybe_extract_lines() is None else h11.EndOfMessage()
        return super().__call__(buf)


def discard_trailers(connection: Http1Connection) -> None:
    """Prepare for a body of which nothing was read yet."""
    if type(connection.body_reader) is ChunkedReader:
        connection.body_reader = _Discarding()
