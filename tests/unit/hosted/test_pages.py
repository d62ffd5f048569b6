"""Which addresses pages may be fetched from, and what text they give."""

import asyncio
import socket
from asyncio.selector_events import BaseSelectorEventLoop
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_gateway.hosted import addresses
from responses_gateway.hosted.addresses import is_public
from responses_gateway.hosted.interface import HostedError
from responses_gateway.hosted.page_text import page_text
from responses_gateway.hosted.pages import PageFetcher, _extractors_environment


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
)
def test_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *(
            "127.0.0.1",
            "127.8.8.8",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "169.254.169.254",
        ),
        *("192.0.2.1", "198.18.0.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "ff02::1", "2001:db8::1", "100::1"),
        *("fec0::1", "feff::1", "3fff::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::1", "2002:c0a8:101::1"),
    ],
)
def test_not_public(address: str) -> None:
    assert not is_public(address)


@given(st.integers(0, 2**32 - 1))
def test_an_address_in_disguise_is_judged_as_itself(number: int) -> None:
    inner = IPv4Address(number)
    for disguise in (IPv6Address(0xFFFF << 32 | number), IPv6Address(0x64FF9B << 96 | number)):
        assert is_public(str(disguise)) == is_public(str(inner))


def test_a_name_that_changes_its_address_gains_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address that was checked is the one that is connected: nobody asks a second time."""
    asked: list[str] = []
    connected: list[str] = []

    async def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["93.184.216.34"] if len(asked) == 1 else ["127.0.0.1"]

    async def refuse(loop: object, opened: socket.socket, address: tuple[str, int]) -> None:
        connected.append(address[0])
        raise ConnectionRefusedError("refused")

    monkeypatch.setattr(addresses, "all_addresses", rebinding)
    monkeypatch.setattr(BaseSelectorEventLoop, "sock_connect", refuse)
    with pytest.raises(HostedError):
        asyncio.run(PageFetcher().fetch("http://rebinding.example/"))
    assert (asked, connected) == (["rebinding.example"], ["93.184.216.34"])


@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.1/", "http://localhost/", "http://[::1]/", "http://2130706433/", "http://0x7f.1/"),
        *("ftp://example.org/", "file:///etc/passwd", "http://", "http://user@example.org/", "gopher://example.org"),
        *("http://example.org:99999/", "http://[bad/"),
    ],
)
def test_refused_urls(url: str) -> None:
    with pytest.raises(HostedError):
        asyncio.run(PageFetcher().fetch(url))


@pytest.mark.parametrize(
    ("content", "content_type", "text"),
    [
        (b"<title>T</title><p>One<br>two</p><script>x()</script>three", "text/html", "T\nOne\ntwo\nthree"),
        (b"<nav>menu</nav><main><h1>H</h1>a <b>b</b>\n c</main><footer>f</footer>", "text/html", "H\na b\nc"),
        ("<p>é".encode("latin-1"), "text/html; charset=iso-8859-1", "é"),
        ('<meta charset="windows-1251"><p>да'.encode("cp1251"), "text/html", "да"),
        (b"<p>a\xff", "text/html; charset=nonsense", "a\ufffd"),
        (b'{"a": "<b>"}', "application/json", '{"a": "<b>"}'),
        (b"", "text/html", ""),
    ],
)
def test_page_text(content: bytes, content_type: str, text: str) -> None:
    assert page_text(content, content_type) == text


@given(st.binary(max_size=300), st.sampled_from(["text/html", "text/plain", "text/html; charset=utf-16", "x"]))
def test_page_text_of_anything(content: bytes, content_type: str) -> None:
    page_text(content, content_type)


def test_the_program_that_reads_pages_gets_no_keys():
    environ = {"OPENAI_API_KEY": "sk", "HOME": "/home/me", "PATH": "/bin", "LD_LIBRARY_PATH": "/lib"}
    assert set(_extractors_environment(environ)) == {"LD_LIBRARY_PATH", "PYTHONPATH"}
