"""Keeps secrets out of everything that is shown or stored, and out of what upstreams say of them."""

import re
from collections.abc import Iterable, Mapping

_SECRET_NAME = re.compile(r"key|secret|token(?!s)|auth(?!enticate)|cookie|password|credential|jwt|account-id")
_HARMLESS_NAMES = frozenset({"idempotency-key", "sec-websocket-key"})
"""Headers that look secret but are nonces of one request."""

REDACTED = b"[redacted]"
_ERROR = b'"error"'
"""In a JSON string, its quotation marks would be escaped."""

SHORTEST = 8
"""Shorter "secrets" (`-`, `none`, `ollama`) would cut ordinary words out of texts."""

PLACEHOLDERS = frozenset(
    {"anything", "lm-studio", "no-key-required", "not-needed", "placeholder", "sk-no-key-required", "undefined"}
)
"""Keys that the manuals of local servers give as examples; they are no secrets."""


def is_secret(name: str) -> bool:
    """Whether the header of this lower-case name is never kept."""
    return name not in _HARMLESS_NAMES and _SECRET_NAME.search(name) is not None


class Redactor:
    """Replaces the secrets of one turn wherever they occur."""

    def __init__(self) -> None:
        self._secrets: list[bytes] = []
        self._names: set[str] = set()

    def conceal(self, secrets: Iterable[str], names: Iterable[str] = ()) -> None:
        """Learn secrets, and the lower-case names of headers that are not shown."""
        self._names.update(names)
        for secret in secrets:
            data = secret.encode("utf-8", "surrogateescape")
            if len(data) >= SHORTEST and secret not in PLACEHOLDERS and data not in self._secrets:
                self._secrets.append(data)
        # A secret that begins with another one is replaced whole.
        self._secrets.sort(key=len, reverse=True)

    def conceal_headers(self, headers: Mapping[str, str]) -> None:
        """Learn the values of the secret ones among `headers` (by lower-case name)."""
        for name, value in headers.items():
            if is_secret(name):
                self.conceal(_secrets_in(name, value))

    def clean(self, data: bytes) -> bytes:
        for secret in self._secrets:
            if secret in data:
                data = data.replace(secret, REDACTED)
        return data

    def clean_text(self, text: str) -> str:
        return self.clean(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

    def begun(self, data: bytes) -> int:
        """How many of the last bytes may be the beginning of a secret that goes on in the next piece."""
        return max((_overlap(data, secret) for secret in self._secrets), default=0)

    def headers(self, headers: Iterable[tuple[str, str]]) -> list[list[str]]:
        """The headers that may be shown, as lists of name and value."""
        return [
            [name, self.clean_text(value)]
            for name, value in headers
            if not is_secret(name.lower()) and name.lower() not in self._names
        ]


class ErrorRedactor:
    """Replaces secrets in what an upstream says of errors; what a model says is passed on as it is.

    An answer that comes piece by piece goes through `feed` and `finish`. Only what may be the beginning of a secret is
    held back. In a stream, the lines that have a field `error` are errors.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._held = b""
        self._line_end = b""
        """The last bytes of a line that is not over, for a field that comes in two pieces."""
        self._is_error = False

    def whole(self, status: int, body: bytes) -> bytes:
        return self._redactor.clean(body) if status >= 400 or _ERROR in body else body

    def feed(self, data: bytes) -> bytes:
        data = self._held + data
        # Of a secret that is there whole, nothing is held back.
        begun = self._redactor.begun(self._redactor.clean(data))
        data, self._held = data[: len(data) - begun], data[len(data) - begun :]
        first, *others = data.split(b"\n")
        told = [self._line(first)]
        for line in others:
            self._line_end, self._is_error = b"", False
            told.append(self._line(line))
        return b"\n".join(told)

    def finish(self) -> bytes:
        held, self._held = self._held, b""
        return held

    def _line(self, piece: bytes) -> bytes:
        seen = self._line_end + piece
        self._is_error = self._is_error or _ERROR in seen
        self._line_end = seen[1 - len(_ERROR) :]
        return self._redactor.clean(piece) if self._is_error else piece


def _secrets_in(name: str, value: str) -> list[str]:
    if "cookie" in name:
        return [pair.partition("=")[2].strip() or pair.strip() for pair in value.split(";")]
    # The scheme of an authorization (`Bearer`) is no secret.
    return [value.rpartition(" ")[2]]


def _overlap(data: bytes, secret: bytes) -> int:
    """The length of the longest end of `data` that `secret` begins with, and goes on behind."""
    tail = data[-(len(secret) - 1) :]
    start = tail.find(secret[:1])
    while start >= 0:
        if secret.startswith(tail[start:]):
            return len(tail) - start
        start = tail.find(secret[:1], start + 1)
    return 0
