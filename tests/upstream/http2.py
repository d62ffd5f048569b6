"""The scripted upstream behind TLS, speaking HTTP/2 with those that offer it."""

import asyncio
import contextlib
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, Event, RequestReceived, StreamEnded, StreamReset
from h2.exceptions import ProtocolError
from mitmproxy.certs import CertStore

from upstream.answers import Answer, Cut, Gate
from upstream.request import Ending, Request, parsed_body
from upstream.server import ScriptedUpstream


class Http2Upstream(ScriptedUpstream):
    """A scripted upstream with a certificate for localhost, signed by `authority` (a PEM file in `directory`).

    `cancelled` has the error codes with which clients reset streams, and `opened` counts the connections.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__()
        store = CertStore.from_store(directory, "test", 2048)
        self.authority = directory / "test-ca-cert.pem"
        entry = store.get_cert("localhost", [x509.DNSName("localhost")])
        chain = directory / "localhost.pem"
        key = entry.privatekey.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        chain.write_bytes(key + entry.cert.to_pem())
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._tls.load_cert_chain(chain)
        self._tls.set_alpn_protocols(["h2"])
        self.cancelled: list[int] = []
        self.opened = 0

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        if writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2":
            await _Connection(self, reader, writer).run()
        else:
            await super()._converse(reader, writer)


class _Connection:
    """One HTTP/2 connection; every stream is answered by a task of its own."""

    def __init__(self, upstream: Http2Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._upstream = upstream
        self._reader = reader
        self._writer = writer
        self._h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self._heads: dict[int, dict[str, str]] = {}
        self._bodies: dict[int, bytes] = {}
        self._answering: dict[int, asyncio.Task[None]] = {}

    async def run(self) -> None:
        self._h2.initiate_connection()
        with contextlib.suppress(ConnectionError, ProtocolError):
            await self._flush()
            while data := await self._reader.read(65536):
                for event in self._h2.receive_data(data):
                    self._handle(event)
                await self._flush()
        for task in self._answering.values():
            task.cancel()
        await asyncio.gather(*self._answering.values(), return_exceptions=True)
        self._writer.close()

    def _handle(self, event: Event) -> None:
        match event:
            case RequestReceived():
                self._heads[event.stream_id] = dict(event.headers)
                self._bodies[event.stream_id] = b""
            case DataReceived():
                self._bodies[event.stream_id] += event.data
                self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case StreamEnded():
                self._answering[event.stream_id] = asyncio.create_task(self._answer(event.stream_id))
            case StreamReset():
                self._upstream.cancelled.append(event.error_code)
                if event.stream_id in self._answering:
                    self._answering[event.stream_id].cancel()

    async def _answer(self, stream_id: int) -> None:
        head, raw = self._heads.pop(stream_id), self._bodies.pop(stream_id)
        request = Request(head[":method"], head[":path"], head, raw, parsed_body(raw))
        answer = self._upstream.answer_to(request)
        try:
            request.ended(Ending.ANSWERED if await self._send(stream_id, answer) else Ending.CUT)
        except (asyncio.CancelledError, ConnectionError, ProtocolError):
            request.ended(Ending.CLIENT_LEFT)

    async def _send(self, stream_id: int, answer: Answer) -> bool:
        """Send an answer; False when the script cut it."""
        if answer.status:
            self._h2.send_headers(stream_id, [(":status", str(answer.status)), *answer.headers.items()])
            await self._flush()
        for piece in answer.pieces:
            match piece:
                case bytes():
                    self._h2.send_data(stream_id, piece)
                    await self._flush()
                case Gate():
                    piece.reach()
                    await asyncio.wrap_future(piece.opened)
                case Cut():
                    await self._cut(stream_id, piece)
                    return False
        self._h2.end_stream(stream_id)
        await self._flush()
        return True

    async def _cut(self, stream_id: int, cut: Cut) -> None:
        if cut.reset:
            self._h2.reset_stream(stream_id, ErrorCodes.INTERNAL_ERROR)
            await self._flush()
            return
        if cut.farewell:
            self._h2.close_connection(ErrorCodes.ENHANCE_YOUR_CALM)
            await self._flush()
        self._writer.close()

    async def _flush(self) -> None:
        self._writer.write(self._h2.data_to_send())
        await self._writer.drain()
