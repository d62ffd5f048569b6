"""A file with the certificate authorities that a client of the proxy trusts. The system's store is left alone."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import certifi

from responses_gateway.command_line.errors import CommandError

NAME = "ca-bundle.pem"


def write_bundle(folder: Path, authority: Path, environ: Mapping[str, str]) -> Path:
    """Write the usual authorities, those that the user has set, and mitmproxy's (`authority`); returns the file.

    Only its owner can read it. Raises CommandError.
    """
    known = [Path(certifi.where()), *(Path(environ[name]) for name in _USERS if environ.get(name)), authority]
    path = folder / NAME
    try:
        parts = [one.read_bytes().strip() for one in dict.fromkeys(known) if one != path and one.is_file()]
        folder.mkdir(parents=True, exist_ok=True)
        # Another process may read the file right now. mkstemp makes it for its owner only.
        descriptor, name = tempfile.mkstemp(dir=folder, prefix=NAME)
        with os.fdopen(descriptor, "wb") as file:
            file.write(b"\n".join(parts) + b"\n")
        os.replace(name, path)
    except OSError as error:
        raise CommandError(f"{error.filename or path}: {error.strerror}") from error
    return path


_USERS = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "CODEX_CA_CERTIFICATE")
