"""Encrypted envelopes for content that travels with clients: without the secret, nobody can read or make one."""

import base64
import binascii
import contextlib
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from responses_gateway.protocol.json import JsonObject, dumps, loads

SECRET_BYTES = 32
_NONCE_BYTES = 12
_PREFIX = "rgw2:"
_OWNER = "owner"
"""The field of an envelope's content that names its owner."""


class SecretError(Exception):
    """The secret file cannot be used; says why."""


class AesEnvelopeCodec:
    """Makes envelopes with AES-256-GCM. An envelope opens only for the `purpose` that it was made for.

    An envelope that names its owner opens for no other owner. Without an `owner`, no envelope names one, and all are
    opened.
    """

    def __init__(self, secret: bytes, purpose: str, owner: str = "") -> None:
        self._cipher = AESGCM(secret)
        self._purpose = purpose.encode()
        self._owner = owner

    def seal(self, content: JsonObject) -> str:
        content = {**content, _OWNER: self._owner} if self._owner else content
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, dumps(content), self._purpose)
        return _PREFIX + base64.urlsafe_b64encode(sealed).decode()

    def open(self, envelope: str) -> JsonObject | None:
        if not envelope.startswith(_PREFIX):
            return None
        try:
            sealed = base64.b64decode(envelope.removeprefix(_PREFIX), altchars=b"-_", validate=True)
            content = loads(self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], self._purpose))
        except (ValueError, binascii.Error, InvalidTag):
            return None
        if not isinstance(content, dict):
            return None
        owner = content.pop(_OWNER, "")
        return None if owner and self._owner not in ("", owner) else content


def read_secret(path: Path) -> bytes:
    """The secret in the file, which is made when it is missing. Raises SecretError."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _create(path)
        if path.stat().st_mode & 0o077:
            raise SecretError(f"{path} can be read by other users; make it private: chmod 600 {path}")
        secret = path.read_bytes()
    except OSError as error:
        raise SecretError(f"{path} cannot be used: {error.strerror}") from error
    if len(secret) != SECRET_BYTES:
        raise SecretError(f"{path} has {len(secret)} bytes; a secret has {SECRET_BYTES}.")
    return secret


def _create(path: Path) -> None:
    """Make a secret unless there is one. The file appears complete, so that no other process reads half of it."""
    if path.exists():
        return
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(SECRET_BYTES))
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink()
