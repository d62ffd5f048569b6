"""Makes and changes pictures at an endpoint that speaks OpenAI's Images API: `/images/generations` and `/images/edits`.

The endpoint is the operator's, but its answers are not trusted: they are read within limits, redirects are not
followed, and what is no picture is not passed on.
"""

import asyncio
import base64
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from responses_gateway.hosted.addresses import CheckedAddresses
from responses_gateway.hosted.interface import HostedError
from responses_gateway.protocol.json import JsonObject, dumps, dumps_text, loads
from responses_gateway.protocol.pictures import picture_in, picture_kind
from responses_gateway.protocol.sse import FrameTooLong, SseDecoder
from responses_gateway.security.redaction import Redactor
from responses_gateway.upstream.http_client import HttpClient, HttpResponse

_ERROR_LIMIT = 64 << 10
_MESSAGE_LIMIT = 500
_ROOM = 1 << 20
"""Bytes of an answer besides its pictures."""

_MODERATION = ("moderation_blocked", "content_policy_violation", "content_filter", "safety")
"""Codes of errors which say that a picture is not allowed."""

type ShowPartial = Callable[[int, str, JsonObject], None]
"""Is given each partial picture: its number from 0, its base64 data, and what is said of it."""


class Refusal(Exception):
    """The endpoint does not make this picture, because its rules forbid it; `error` says so as an item does."""

    def __init__(self, error: JsonObject) -> None:
        super().__init__(str(error["message"]))
        self.error = error


@dataclass(frozen=True, slots=True)
class Order:
    """A picture to make. `fields` are the options of the Images API; `sources` and `mask` are `data:` addresses of
    pictures to change."""

    prompt: str
    fields: JsonObject
    sources: Sequence[str] = ()
    mask: str | None = None
    partial_images: int = 0


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture in base64, and what the endpoint says of it."""

    data: str
    kind: str
    said: JsonObject


@dataclass(frozen=True, slots=True)
class ImagesEndpoint:
    """One endpoint. `headers` hold its key; `limit` is the largest number of bytes of a picture."""

    http: HttpClient
    base_url: str
    headers: Mapping[str, str] = field(repr=False)
    limit: int
    redactor: Redactor

    async def make(self, order: Order, show: ShowPartial, note: Callable[[str], None]) -> Picture:
        """Make one picture. `note` is told of what the endpoint does not take. Raises HostedError, Refusal, OSError."""
        if order.partial_images:
            try:
                return await self._asked(order, show, streams=True)
            except _NotTaken as error:
                note(str(error))
        return await self._asked(order, show, streams=False)

    async def _asked(self, order: Order, show: ShowPartial, *, streams: bool) -> Picture:
        fields = {"prompt": order.prompt, **order.fields}
        if streams:
            fields |= {"stream": True, "partial_images": order.partial_images}
        headers = {"accept-encoding": "identity", **self.headers}
        if order.sources:
            url = f"{self.base_url}/images/edits"
            kind, body = await asyncio.to_thread(_form, fields, order.sources, order.mask)
        else:
            url, kind, body = f"{self.base_url}/images/generations", "application/json", dumps(fields)
        async with self.http.request("POST", url, {**headers, "content-type": kind}, body) as response:
            if response.status != 200:
                raise await self._refused(response, streams=streams)
            if "text/event-stream" in response.headers.get("content-type", ""):
                return await self._streamed(response, show)
            # In base64, three bytes are four characters.
            content, whole = await response.read(self.limit * 4 // 3 + _ROOM)
        if not whole:
            raise HostedError(f"the picture is larger than {self.limit >> 20} MiB")
        return await self._picture_of(await asyncio.to_thread(_object, content))

    async def _streamed(self, response: HttpResponse, show: ShowPartial) -> Picture:
        shown = 0
        async for event in self._events(response):
            kind = str(event.get("type", ""))
            if kind.endswith(".partial_image"):
                data = event.get("b64_json")
                if isinstance(data, str) and picture_kind(data) is not None and shown < _MOST_PARTIALS:
                    show(shown, data, event)
                    shown += 1
            elif kind.endswith(".completed") or "data" in event:
                return await self._picture_of(event)
            elif event.get("error"):
                raise self._fault(event, 200)
        raise HostedError("the images endpoint ended its answer without a picture")

    async def _events(self, response: HttpResponse) -> AsyncIterator[JsonObject]:
        decoder = SseDecoder(self.limit * 4 // 3 + _ROOM)
        left = (_MOST_PARTIALS + 1) * (self.limit * 4 // 3 + _ROOM)
        try:
            async for piece in response.body:
                left -= len(piece)
                if left < 0:
                    raise HostedError("the images endpoint does not end its answer")
                for payload in decoder.feed(piece):
                    if payload != b"[DONE]":
                        yield _object(payload)
        except FrameTooLong:
            raise HostedError(f"the picture is larger than {self.limit >> 20} MiB") from None
        for payload in decoder.finish():
            yield _object(payload)

    async def _refused(self, response: HttpResponse, *, streams: bool) -> Exception:
        content, _ = await response.read(_ERROR_LIMIT)
        try:
            said = loads(content)
        except (ValueError, RecursionError):
            # A page for people says nothing that helps a model.
            said = None
        fault = self._fault(said if isinstance(said, dict) else {}, response.status)
        if streams and response.status in (400, 404, 415, 422, 501) and isinstance(fault, HostedError):
            return _NotTaken(f"asked again without partial pictures: {fault}")
        return fault

    def _fault(self, said: JsonObject, status: int) -> HostedError | Refusal:
        error = said.get("error")
        details = error if isinstance(error, dict) else {"message": error if isinstance(error, str) else None}
        message, code = details.get("message"), details.get("code")
        text = self.redactor.clean_text(" ".join(str(message or "no reason given").split()))[:_MESSAGE_LIMIT]
        if isinstance(code, str) and code in _MODERATION:
            found = {
                "code": code,
                "message": text,
                "param": None,
                "type": str(details.get("type") or "user_error")[:100],
            }
            return Refusal({**found, **_moderation_details(details)})
        answered = f"answered {status}" if status != 200 else "reports an error"
        return HostedError(f"the images endpoint {answered}: {text}")

    async def _picture_of(self, answer: JsonObject) -> Picture:
        if answer.get("error") and not answer.get("data") and "b64_json" not in answer:
            raise self._fault(answer, 200)
        found = answer.get("data")
        first = found[0] if isinstance(found, list) and found and isinstance(found[0], dict) else answer
        given, url = first.get("b64_json"), first.get("url")
        if isinstance(given, str):
            # Some say `data:image/png;base64,…` in the place of the data.
            given = known[1] if (known := picture_in(given)) else given
        elif isinstance(url, str):
            given = known[1] if (known := picture_in(url)) else await self._fetched(url)
        else:
            raise HostedError("the images endpoint did not answer with a picture")
        data, kind = await asyncio.to_thread(self._checked, given)
        return Picture(data, kind, {**answer, **first})

    def _checked(self, data: str) -> tuple[str, str]:
        """The base64 of a picture without white space, and its kind. Raises HostedError for anything else."""
        data = "".join(data.split())
        try:
            raw = base64.b64decode(data, validate=True)
        except ValueError:
            raise HostedError("what the images endpoint calls a picture is no base64") from None
        if len(raw) > self.limit:
            raise HostedError(f"the picture is larger than {self.limit >> 20} MiB")
        kind = picture_kind(data) or ("svg" if raw.lstrip()[:5] in (b"<svg ", b"<?xml") and b"<svg" in raw else None)
        if kind is None:
            raise HostedError("what the images endpoint calls a picture is none")
        return data, kind

    async def _fetched(self, url: str) -> str:
        """The picture at an address that the endpoint gives, in base64."""
        parts, own = urlsplit(url), urlsplit(self.base_url)
        try:
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError:
            port = 0
        if parts.scheme not in ("http", "https") or not parts.hostname or not port or parts.username is not None:
            raise HostedError("the images endpoint gives no address of a picture")
        own_port = own.port or (443 if own.scheme == "https" else 80)
        addresses = await CheckedAddresses([f"{own.hostname}:{own_port}"]).of(parts.hostname, port)
        async with HttpClient(addresses) as client, client.request("GET", url, {"accept": "image/*"}) as response:
            if response.status != 200:
                raise HostedError(f"the address of the picture answered {response.status}")
            content, whole = await response.read(self.limit)
        if not whole:
            raise HostedError(f"the picture is larger than {self.limit >> 20} MiB")
        return base64.b64encode(content).decode()


class _NotTaken(Exception):
    """The endpoint does not take a part of the request that it can do without."""


_MOST_PARTIALS = 3
"""As many as a client can ask for."""


def _moderation_details(error: Mapping[str, Any]) -> JsonObject:
    details = error.get("moderation_details")
    if not isinstance(details, dict) or not isinstance(details.get("categories"), list):
        return {}
    stage = details.get("moderation_stage")
    return {
        "moderation_details": {
            "categories": [str(category)[:100] for category in details["categories"][:50]],
            "moderation_stage": stage if stage in ("input", "output") else "unknown",
        }
    }


def _object(content: bytes) -> JsonObject:
    try:
        answer = loads(content)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise HostedError("the images endpoint did not answer with a JSON object")
    return answer


def _form(fields: JsonObject, sources: Sequence[str], mask: str | None) -> tuple[str, bytes]:
    """Fields and pictures as multipart/form-data (RFC 7578): its content type, and the body."""
    boundary = secrets.token_hex(16)
    name = "image" if len(sources) == 1 else "image[]"
    pieces = [_piece(boundary, f'name="{key}"', _field(value)) for key, value in fields.items()]
    pictures = [(name, source) for source in sources] + ([("mask", mask)] if mask else [])
    for position, (where, address) in enumerate(pictures):
        kind, data = picture_in(address) or ("png", "")
        try:
            raw = base64.b64decode(data, validate=True)
        except ValueError:
            raise HostedError("a picture of the conversation is broken") from None
        about = f'name="{where}"; filename="{position}.{kind}"\r\ncontent-type: image/{kind}'
        pieces.append(_piece(boundary, about, raw))
    return f"multipart/form-data; boundary={boundary}", b"".join([*pieces, f"--{boundary}--\r\n".encode()])


def _piece(boundary: str, about: str, content: bytes) -> bytes:
    head = f"--{boundary}\r\ncontent-disposition: form-data; {about}\r\n\r\n"
    return head.encode() + content + b"\r\n"


def _field(value: object) -> bytes:
    text = value if isinstance(value, str) else dumps_text(value)
    return text.encode("utf-8", "replace")
