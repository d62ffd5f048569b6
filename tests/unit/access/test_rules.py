"""Who may use the gateway: the rules."""

import pytest

from responses_gateway.access.rules import Access, is_preflight
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.settings.settings import Settings

OPEN = Access.of(Settings())
LOCKED = Access.of(Settings(access_keys=["one", "two"]))


def status(
    access: Access, path: str = "/responses", host: str = "localhost:4141", address: str = "127.0.0.1", **headers: str
) -> int:
    """200, or the status of the refusal; underscores in header names are hyphens."""
    try:
        access.check(path, host, {name.replace("_", "-"): value for name, value in headers.items()}, address)
    except GatewayError as error:
        return error.status
    return 200


def test_what_other_sites_embed_is_refused() -> None:
    allowing = Access.of(Settings(allowed_origins=["https://app.example"]))
    assert status(OPEN, sec_fetch_site="cross-site") == 403
    assert status(allowing, sec_fetch_site="cross-site") == 403
    assert status(allowing, sec_fetch_site="cross-site", origin="https://app.example") == 200
    for site in ("none", "same-origin", "same-site"):
        assert status(OPEN, sec_fetch_site=site) == 200


def test_a_key_of_broken_text_is_refused() -> None:
    assert status(LOCKED, authorization="Bearer \udcff") == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer one"},
        {"authorization": "bearer  two "},
        {"x_api_key": "two"},
        {"authorization": "Bearer of-somebody-else", "x_api_key": "one"},
    ],
)
def test_a_key_opens(headers: dict[str, str]) -> None:
    assert status(LOCKED, **headers) == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "one"},
        {"authorization": "Basic one"},
        {"authorization": "Bearer"},
        {"authorization": "Bearer on"},
        {"authorization": "Bearer one two"},
        {"x_api_key": ""},
        {"x_api_key": "Öne"},
    ],
)
def test_anything_else_does_not(headers: dict[str, str]) -> None:
    assert status(LOCKED, **headers) == 401
    assert status(OPEN, **headers) == 200


def test_health_needs_no_key_but_a_proper_host() -> None:
    assert [status(LOCKED, path) for path in ("/health", "/healthz", "/readyz", "/models")] == [200, 200, 200, 401]
    assert status(LOCKED, "/health", host="evil.example") == 421


@pytest.mark.parametrize(
    ("host", "address", "answer"),
    [
        ("localhost", "127.0.0.1", 200),
        ("LOCALHOST:1", "127.0.0.1", 200),
        ("[::1]:4141", "::1", 200),
        ("127.0.0.2", "127.0.0.1", 200),
        ("", "127.0.0.1", 200),
        ("192.168.1.5:4141", "192.168.1.5", 200),
        ("192.168.1.6", "192.168.1.5", 421),
        ("evil.example", "127.0.0.1", 421),
        ("localhost.evil.example", "127.0.0.1", 421),
        ("user@evil.example", "127.0.0.1", 421),
        ("[::1", "127.0.0.1", 421),
    ],
)
def test_hosts(host: str, address: str, answer: int) -> None:
    assert status(OPEN, host=host, address=address) == answer


def test_allowed_hosts_are_globs_in_any_case() -> None:
    access = Access.of(Settings(allowed_hosts=["Gateway.LAN", "*.internal"]))
    assert [status(access, host=host) for host in ("gateway.lan", "a.INTERNAL:1", "internal")] == [200, 200, 421]


@pytest.mark.parametrize(
    ("origin", "answer"),
    [
        ("http://localhost:4141", 200),
        ("https://app.example", 200),
        ("https://APP.example", 200),
        ("http://app.example", 403),
        ("https://app.example.evil", 403),
        ("http://127.0.0.1:4142", 403),
        ("vscode-webview://localhost:4141", 403),
        ("null", 403),
        ("", 403),
    ],
)
def test_origins(origin: str, answer: int) -> None:
    assert status(Access.of(Settings(allowed_origins=["https://app.example/"])), origin=origin) == answer


def test_a_preflight_has_an_origin_and_a_method_to_ask_for() -> None:
    headers = {"origin": "https://a", "access-control-request-method": "POST"}
    assert is_preflight("OPTIONS", headers)
    assert not is_preflight("GET", headers)
    assert not is_preflight("OPTIONS", {"origin": "https://a"})


def test_a_key_of_broken_text_names_an_owner_too() -> None:
    owners = {OPEN.owner({"authorization": f"Bearer {key}"}) for key in ("\ud800", "\udcff", "?")}
    assert len(owners) == 3
    assert {len(owner) for owner in owners} == {32}
    assert OPEN.owner({"api-key": "a"}) == OPEN.owner({"authorization": "Bearer a"}) == OPEN.owner({"x-api-key": "a"})
    assert OPEN.owner({"authorization": "Bearer "}) == ""
