"""The gate for what becomes a header or a URL, and that nothing goes round it."""

import ast
from pathlib import Path

import pytest

import responses_gateway
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.security.header_fields import affinity_key, encoded, is_safe, safe_url
from responses_gateway.settings.config_file import SettingsError
from responses_gateway.settings.loading import load_settings
from responses_gateway.settings.settings import Settings
from unit.world import open_exchange, runtime

PACKAGE = Path(responses_gateway.__file__).parent
BREAKS = ("a\r\nDELETE /v1/account HTTP/1.1", "a\nx-more: 1", "a\rb", "a\0b", "a\x1bb", "a\x7fb")


@pytest.mark.parametrize("value", BREAKS)
def test_what_would_end_a_header_is_refused(value):
    with pytest.raises(GatewayError) as caught:
        encoded([("authorization", value)])
    assert (caught.value.status, caught.value.param, caught.value.code) == (400, "authorization", "invalid_value")
    assert "authorization" in str(caught.value)
    with pytest.raises(GatewayError) as caught:
        encoded([(value, "a")])
    assert (caught.value.status, caught.value.param, caught.value.code) == (400, None, "invalid_value")
    assert not is_safe("authorization", value)
    assert not is_safe(value, "a")


@pytest.mark.parametrize("value", ["\ud800", "a\udfff"])
def test_half_a_character_is_refused(value):
    assert not is_safe("x-name", value)


def test_blanks_around_a_value_are_no_part_of_it():
    assert encoded([("X-Name", " \ta b\t ")]) == [(b"X-Name", b"a b")]


@pytest.mark.parametrize("name", ["", "a b", "a:", "ä", "a\n"])
def test_a_name_is_a_token(name):
    assert not is_safe(name, "a")
    assert is_safe("!#$%&'*+-.^_`|~09azAZ", "")


def test_other_text_is_sent_as_it_is():
    assert encoded([("x-name", "größe\t東"), ("x-raw", "\udcff")]) == [
        (b"x-name", "größe\t東".encode()),
        (b"x-raw", b"\xff"),
    ]


def test_what_all_urls_may_have_stays_in_them():
    url = "https://user:pw@h:1/a%41;b,c=d+e&f?g=[h]&i='j'(k)*!@$#~l|{m}\"<>^`\\"
    assert safe_url(url) == url


@pytest.mark.parametrize("session", [*BREAKS, "東京", "two words", "\ud800", "x" * 257, ""])
def test_a_session_that_no_header_can_hold_is_a_digest_there(session):
    key = affinity_key(session)
    assert is_safe("x-session", key)
    assert key.isalnum()
    assert key == affinity_key(session)
    assert key != affinity_key(session + "!")


def test_an_ordinary_session_stays():
    for session in ("0199-thread:4/a", "!", "~" * 256):
        assert affinity_key(session) == session


@pytest.mark.parametrize("url", ["http://h/a\r\nb", "http://h/a b", "http://h/\0", "http://h/\x7f", "http://h/\ud800"])
def test_what_would_end_a_request_line_is_refused(url):
    with pytest.raises(GatewayError) as caught:
        safe_url(url)
    assert (caught.value.status, caught.value.code) == (400, "invalid_value")


def test_letters_of_the_world_are_percent_encoded_in_urls():
    assert safe_url("https://h/größe?q=%20") == "https://h/gr%C3%B6%C3%9Fe?q=%20"


@pytest.mark.parametrize(
    "entry",
    [
        '{base_url: "http://h/v1\\r\\nx"}',
        '{base_url: "http://h/v1", headers: {x-a: "b\\r\\nc: d"}}',
        '{base_url: "http://h/v1", headers: {"x-a: b\\r\\nc": d}}',
        '{base_url: "http://h/v1", api_key: "sk\\nx: y"}',
    ],
)
def test_a_configuration_that_would_break_requests_is_refused(tmp_path, entry):
    path = tmp_path / "config.yaml"
    path.write_text(f"providers:\n  mine: {entry}\n")
    with pytest.raises(SettingsError, match=r"config\.yaml:2"):
        load_settings({}, {"HOME": str(tmp_path)}, path)


def test_a_key_that_would_break_requests_is_not_used(tmp_path):
    environ = {"HOME": str(tmp_path), "DEEPSEEK_API_KEY": "sk\r\nx: y"}
    settings = load_settings({"gateway_provider": "deepseek"}, environ)
    route = runtime(settings).router.resolve("m")
    assert route.api_key is None
    assert "DEEPSEEK_API_KEY holds" in route.key_source


@pytest.mark.parametrize("value", [*BREAKS, "東京", "\udcff"])
@pytest.mark.parametrize("field", ["prompt_cache_key", "thread_id", "header"])
def test_no_field_of_a_request_breaks_the_upstreams_headers(field, value):
    world = runtime(Settings(provider="opencode-go", store="none"))
    request = {"model": "m", "input": "hi"}
    headers = {}
    match field:
        case "prompt_cache_key":
            request["prompt_cache_key"] = value.encode("utf-8", "ignore").decode()
        case "thread_id":
            request["client_metadata"] = {"thread_id": value.encode("utf-8", "ignore").decode()}
        case _:
            headers["thread-id"] = value
    made = open_exchange(request, headers, world).upstream_request.headers(headers)
    assert all(is_safe(name, sent) for name, sent in made.items())


MADE = ("Request", "Headers", "Response")
"""mitmproxy's messages, and their headers."""


def _makes(node: ast.AST) -> str | None:
    """`http.Request.make(…)`, `http.Headers(…)`, `http.Response(…)` and the like; None for other calls."""
    if not isinstance(node, ast.Call):
        return None
    name = ast.unparse(node.func)
    return next((kind for kind in MADE if name in (f"http.{kind}", f"http.{kind}.make", kind, f"{kind}.make")), None)


def test_messages_are_made_in_one_place():
    found = {
        (kind, path.relative_to(PACKAGE).as_posix())
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if (kind := _makes(node)) is not None
    }
    assert found == {(kind, "proxy/messages.py") for kind in MADE}


def test_connections_are_opened_in_one_place():
    openers = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("asyncio.open_connection", "aiohttp.ClientSession")
    }
    assert openers == {"upstream/http_client.py"}


def test_headers_that_are_set_later_are_constants_or_numbers():
    allowed = {"'chunked'", "'close'", "'Bearer'", "str(len(self._body))", "str(len(body))", "value"}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Assign):
                continue
            for target in node.targets:
                if isinstance(target, ast.Subscript) and ast.unparse(target.value).endswith(".headers"):
                    assert ast.unparse(node.value) in allowed, f"{path}: {ast.unparse(node)}"
