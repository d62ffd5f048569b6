"""Reasoning that is carried from one turn to the next.

Upstreams want the reasoning of earlier turns back, and the gateway keeps no session for it: it travels with the client.
The `encrypted_content` of a reasoning item holds all of it in an envelope. The item's `content` holds the raw text too,
so a client that keeps only one of the two fields still sends the text back.
"""

import base64
import binascii
from dataclasses import dataclass, field
from typing import Any, Protocol

from responses_gateway.protocol.json import JsonObject, dumps, loads
from responses_gateway.protocol.responses import Reasoning, TextPart

_PREFIX = "rgw1:"


class EnvelopeCodec(Protocol):
    """Makes and opens the envelopes that the gateway puts into `encrypted_content`."""

    def seal(self, content: JsonObject) -> str: ...

    def open(self, envelope: str) -> JsonObject | None:
        """Return None for an envelope that is broken, or that another service made."""


class PlainEnvelopeCodec:
    """Encodes envelopes without encrypting them: anyone can read them, or make them."""

    def seal(self, content: JsonObject) -> str:
        return _PREFIX + base64.urlsafe_b64encode(dumps(content)).decode()

    def open(self, envelope: str) -> JsonObject | None:
        if not envelope.startswith(_PREFIX):
            return None
        try:
            content = loads(base64.b64decode(envelope.removeprefix(_PREFIX), altchars=b"-_", validate=True))
        except (ValueError, binascii.Error):
            return None
        return content if isinstance(content, dict) else None


PLAIN_ENVELOPES = PlainEnvelopeCodec()


@dataclass(slots=True)
class CarriedReasoning:
    """The reasoning of one assistant turn, in the form in which the upstream wants it back.

    `details` is the upstream's own list (`reasoning_details`), unchanged. `calls` maps call ids to the `extra_content`
    (signatures) that came with those calls.
    """

    text: str = ""
    details: list[JsonObject] = field(default_factory=list)
    calls: dict[str, JsonObject] = field(default_factory=dict)
    hosted_results: list[JsonObject] = field(default_factory=list)
    """Calls that the gateway carried out itself, with their results (see `request/hosted_results.py`)."""

    def __bool__(self) -> bool:
        return bool(self.text or self.details or self.calls or self.hosted_results)

    def __iadd__(self, other: "CarriedReasoning") -> "CarriedReasoning":
        self.text = f"{self.text}\n\n{other.text}" if self.text and other.text else self.text or other.text
        self.details += other.details
        self.calls |= other.calls
        self.hosted_results += other.hosted_results
        return self


def seal_reasoning(reasoning: CarriedReasoning, envelopes: EnvelopeCodec = PLAIN_ENVELOPES) -> str:
    """Put `reasoning` into an envelope, for `encrypted_content`."""
    content: JsonObject = {}
    if reasoning.text:
        content["text"] = reasoning.text
    if reasoning.details:
        content["details"] = reasoning.details
    if reasoning.calls:
        content["calls"] = reasoning.calls
    if reasoning.hosted_results:
        content["findings"] = reasoning.hosted_results
    return envelopes.seal(content)


def open_reasoning(envelope: str, envelopes: EnvelopeCodec = PLAIN_ENVELOPES) -> CarriedReasoning | None:
    """Take the reasoning out of `envelope`; None when it is broken, or another service made it."""
    content = envelopes.open(envelope)
    if content is None:
        return None
    text, details, calls = content.get("text", ""), content.get("details", []), content.get("calls", {})
    hosted_results = content.get("findings", [])
    if not (isinstance(text, str) and isinstance(calls, dict)):
        return None
    if not (isinstance(details, list) and isinstance(hosted_results, list)):
        return None
    return CarriedReasoning(text, _objects(details), calls, _objects(hosted_results))


def _objects(entries: list[Any]) -> list[JsonObject]:
    return [entry for entry in entries if isinstance(entry, dict)]


def reasoning_of(item: Reasoning, envelopes: EnvelopeCodec = PLAIN_ENVELOPES) -> tuple[CarriedReasoning, bool]:
    """Read the reasoning item of an earlier turn; also tells whether another service made its `encrypted_content`.

    The envelope is preferred, then the raw text, then the summary, which is all that some clients keep.
    """
    opened = open_reasoning(item.encrypted_content, envelopes) if item.encrypted_content else None
    foreign = bool(item.encrypted_content) and opened is None
    if opened:
        return opened, False
    text = "".join(part.text for part in item.content if isinstance(part, TextPart))
    if not text:
        text = "\n\n".join(part.text for part in item.summary if isinstance(part, TextPart))
    return CarriedReasoning(text), foreign
