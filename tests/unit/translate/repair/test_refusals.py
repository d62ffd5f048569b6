"""What a refusal says to its reader: who refused what, and where it redirects to."""

import pytest

from responses_gateway.protocol.errors import GatewayError
from responses_gateway.translate.repair.upstream_errors import upstream_error


def told(status: int, body: bytes = b'{"error": {"message": "No."}}', **headers: str) -> GatewayError:
    return upstream_error(status, headers, body, upstream="Upstream", credential="the key", codex=False)


@pytest.mark.parametrize("status", [300, 301, 307, 399])
def test_a_redirect_names_its_place(status: int) -> None:
    assert told(status, location="https://else.example").message == (
        f"Upstream answered HTTP {status}: No. It redirects to https://else.example; is the base URL right?"
    )
    assert "redirects to nowhere" in told(status).message


@pytest.mark.parametrize("status", [400, 404, 500])
def test_other_refusals_do_not_redirect(status: int) -> None:
    assert told(status, location="https://else.example").message == f"Upstream answered HTTP {status}: No."


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_named(status: int) -> None:
    assert told(status).message == f"Upstream refused the key (HTTP {status}): No."


def test_a_refusal_without_words() -> None:
    assert "HTTP 500" in told(500, b"").message
