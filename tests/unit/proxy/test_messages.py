"""mitmproxy's messages as the gateway makes and reads them."""

import pytest
from mitmproxy import http

from responses_gateway.protocol.errors import GatewayError
from responses_gateway.proxy import messages


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://upstream/v1", "upstream"),
        ("https://upstream/v1", "upstream"),
        ("http://upstream:8080/v1", "upstream:8080"),
        ("https://[::1]:9/v1", "[::1]:9"),
        ("http://[::1]/v1", "[::1]"),
    ],
)
def test_a_request_names_its_host_first(url: str, host: str) -> None:
    made = messages.request("POST", url, {"x-a": "1", "x-b": "ü"}, b"body")
    assert made.method == "POST"
    assert list(made.headers.items(multi=True)) == [
        ("host", host),
        ("x-a", "1"),
        ("x-b", "ü"),
        ("content-length", "4"),
    ]
    assert made.raw_content == b"body"


def test_a_request_without_a_body_declares_none() -> None:
    made = messages.request("GET", "http://upstream/v1", {})
    assert (made.method, made.raw_content) == ("GET", b"")
    assert "content-length" not in made.headers


def test_a_response_declares_its_length() -> None:
    made = messages.response(418, b"tea", {"x-a": "1"})
    assert (made.status_code, made.raw_content) == (418, b"tea")
    assert list(made.headers.items()) == [("content-length", "3"), ("x-a", "1")]
    assert list(messages.response(204).headers.items()) == [("content-length", "0")]


def test_nothing_unsafe_becomes_a_message() -> None:
    with pytest.raises(GatewayError):
        messages.request("GET", "http://up stream/", {})
    with pytest.raises(GatewayError):
        messages.request("GET", "http://upstream/", {"x-a": "a\nb"})
    with pytest.raises(GatewayError):
        messages.response(200, b"", {"x-a": "a\rb"})


def test_headers_are_read_as_text_whatever_bytes_they_have() -> None:
    raw = http.Headers([(b"X-Utf", "größe".encode()), (b"x-latin", "größe".encode("latin-1")), (b"X-Plain", b"a")])
    assert messages.read(raw) == {"x-utf": "größe", "x-latin": "größe", "x-plain": "a"}
