"""Which proxy leads to an upstream, by the environment."""

import base64

import pytest
from mitmproxy.proxy.mode_specs import ProxyMode

from responses_gateway.proxy.upstream_proxies import ProxyError, UpstreamProxies, own_ports

PROXY = "http://proxy.example:3128"


def chosen(environ: dict[str, str], scheme: str = "https", host: str = "llm.example", port: int = 443) -> str | None:
    proxy = UpstreamProxies.of_environment(environ).choose(scheme, host, port)
    return proxy.url if proxy is not None else None


@pytest.mark.parametrize(
    ("environ", "for_https", "for_http"),
    [
        ({}, None, None),
        ({"HTTPS_PROXY": PROXY}, PROXY, None),
        ({"https_proxy": PROXY}, PROXY, None),
        ({"HTTP_PROXY": PROXY}, None, PROXY),
        ({"ALL_PROXY": PROXY}, PROXY, PROXY),
        ({"all_proxy": "proxy.example:3128"}, PROXY, PROXY),
        ({"HTTPS_PROXY": "http://other.example:1", "https_proxy": PROXY}, PROXY, None),
        ({"HTTPS_PROXY": PROXY, "https_proxy": ""}, None, None),
        ({"ALL_PROXY": "socks5://proxy.example:1080", "HTTP_PROXY": PROXY, "HTTPS_PROXY": PROXY}, PROXY, PROXY),
        ({"HTTPS_PROXY": "https://proxy.example"}, "https://proxy.example:443", None),
        ({"HTTPS_PROXY": "proxy.example/"}, "http://proxy.example:80", None),
        ({"HTTPS_PROXY": "http://[fd00::1]:3128"}, "http://[fd00::1]:3128", None),
    ],
)
def test_variables(environ: dict[str, str], for_https: str | None, for_http: str | None) -> None:
    assert (chosen(environ), chosen(environ, "http", port=80)) == (for_https, for_http)


@pytest.mark.parametrize(
    ("excepted", "host", "port", "is_direct"),
    [
        ("*", "llm.example", 443, True),
        ("other.example, llm.example", "llm.example", 443, True),
        ("llm.example", "a.LLM.example.", 443, True),
        ("llm.example", "allm.example", 443, False),
        (".llm.example", "a.llm.example", 443, True),
        (".llm.example", "llm.example", 443, True),
        ("*.llm.example", "a.llm.example", 443, True),
        ("llm.example:8443", "llm.example", 8443, True),
        ("llm.example:8443", "llm.example", 443, False),
        ("10.0.0.0/8 other.example", "10.1.2.3", 443, True),
        ("10.0.0.0/8", "11.1.2.3", 443, False),
        ("10.0.0.0/8", "::ffff:10.1.2.3", 443, True),
        ("10.0.0.0/8", "10.example", 443, False),
        ("10.1.2.3", "10.1.2.3", 443, True),
        ("10.1.2.3:80", "10.1.2.3", 443, False),
        ("fd00::/8", "fd00::1", 443, True),
        ("[fd00::1]:443", "fd00::1", 443, True),
        ("[fd00::1]:443", "fd00::2", 443, False),
        ("10.0.0.0/99", "10.0.0.1", 443, False),
        (",, .", "llm.example", 443, False),
        ("", "localhost", 443, True),
        ("", "a.localhost", 443, True),
        ("", "127.8.8.8", 443, True),
        ("", "::1", 443, True),
        ("", "0.0.0.0", 443, True),
    ],
)
def test_exceptions(excepted: str, host: str, port: int, *, is_direct: bool) -> None:
    way = chosen({"HTTPS_PROXY": PROXY, "NO_PROXY": excepted}, host=host, port=port)
    assert (way is None) == is_direct


def test_the_lower_case_exceptions_win() -> None:
    assert chosen({"HTTPS_PROXY": PROXY, "NO_PROXY": "llm.example", "no_proxy": ""}) == PROXY


@pytest.mark.parametrize(
    "value",
    [
        "socks5://user:secret@proxy.example",
        "ftp://user:secret@proxy.example",
        "http://user:secret@",
        "http://user:secret@proxy.example:0",
        "http://user:secret@proxy.example:port",
        "http://user:secret@proxy.example:99999",
        "http://user:secret@[fd00::1",
        "http://user:1/secret@proxy.example",
        "http://user:1#secret@proxy.example",
        "http://user:secret@proxy.example/path",
        "http://user:secret@pro xy.example",
    ],
)
def test_what_names_no_proxy_is_refused_without_its_password(value: str) -> None:
    with pytest.raises(ProxyError, match="ALL_PROXY") as refused:
        UpstreamProxies.of_environment({"ALL_PROXY": value})
    assert "secret" not in str(refused.value)
    assert chosen({"ALL_PROXY": value, "NO_PROXY": "*"}) is None


def test_user_and_password_are_for_the_proxy_alone() -> None:
    proxies = UpstreamProxies.of_environment({"HTTPS_PROXY": "http://me:p%40ss%3A@proxy.example:3128"})
    proxy = proxies.choose("https", "llm.example", 443)
    assert proxy is not None
    assert base64.b64decode((proxy.authorization or "").removeprefix("Basic ")) == b"me:p@ss:"
    assert proxies.authorization(("proxy.example", 3128)) == proxy.authorization
    assert proxies.authorization(("proxy.example", 3129)) is None
    shown = f"{proxies} {proxy.url} {proxy.via}"
    assert "p@ss" not in shown
    assert (proxy.authorization or "?") not in shown


def test_the_proxy_of_a_listener_comes_first_but_for_the_exceptions() -> None:
    environ = {"HTTPS_PROXY": "http://me:secret@proxy.example:3128", "NO_PROXY": "near.example"}
    proxies = UpstreamProxies.of_environment(environ)
    other, same = (ProxyMode.parse(f"upstream:http://{host}:3128") for host in ("next.example", "proxy.example"))
    for scheme in ("http", "https"):
        named = proxies.choose(scheme, "llm.example", 443, other)
        assert named is not None
        assert (named.url, named.authorization) == ("http://next.example:3128", None)
        logged_in = proxies.choose(scheme, "llm.example", 443, same)
        assert logged_in is not None
        assert logged_in.authorization is not None
        assert proxies.choose(scheme, "near.example", 443, other) is None
        assert proxies.choose(scheme, "127.0.0.1", 443, other) is None


def test_a_process_is_not_its_own_proxy() -> None:
    own = own_ports(["regular", "reverse:http://llm.example@127.0.0.1:9000", "upstream:http://a:1@9001"], 8081)
    assert own == {8081, 9000, 9001}
    environ = {"HTTPS_PROXY": "http://localhost:9000", "HTTP_PROXY": "http://proxy.example:9000"}
    left = UpstreamProxies.of_environment(environ).without(own)
    assert left.choose("https", "llm.example", 443) is None
    assert left.choose("http", "llm.example", 80) is not None
