"""The address of a gateway, for clients and for people."""

import pytest

from responses_gateway.command_line.address import address_flags, base_url


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:4141/v1"),
        ("0.0.0.0", "http://127.0.0.1:4141/v1"),
        ("::1", "http://[::1]:4141/v1"),
        ("::", "http://[::1]:4141/v1"),
        ("gateway.lan", "http://gateway.lan:4141/v1"),
    ],
)
def test_base_url_is_one_that_a_client_can_connect_to(host, url):
    assert base_url(host, 4141) == url


def test_the_options_that_say_where_it_is() -> None:
    assert address_flags("127.0.0.1", 4141) == ""
    assert address_flags("0.0.0.0", 5000) == " --host 0.0.0.0 --port 5000"
