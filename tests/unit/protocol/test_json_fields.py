"""Fields are read and changed in the text of an object, and every other byte of it stays."""

import json

import pytest

from responses_gateway.protocol.json_fields import field_of, with_fields


@pytest.mark.parametrize(
    ("body", "changed"),
    [
        (b'{"model":"m","input":"hi"}', b'{"model":"other","input":"hi"}'),
        (
            b' {\n  "input" : [ {"model": "m"} ],\n\t"model" :  "m" } ',
            b' {\n  "input" : [ {"model": "m"} ],\n\t"model" :  "other" } ',
        ),
        (b'{"input":"hi"}', b'{"model":"other","input":"hi"}'),
        (b"{}", b'{"model":"other"}'),
        (b'{"model":null,"a":1.50,"b":"\\u00e9"}', b'{"model":"other","a":1.50,"b":"\\u00e9"}'),
        ('{"model":"ä","a":"ö"}'.encode(), '{"model":"other","a":"ö"}'.encode()),
        (b'{"mod\\u0065l":"m"}', b'{"mod\\u0065l":"other"}'),
        (b'{"model":"m","model":"n"}', b'{"model":"other","model":"other"}'),
    ],
)
def test_only_the_value_of_the_field_changes(body: bytes, changed: bytes) -> None:
    assert with_fields(body, {"model": "other"}) == changed
    assert json.loads(changed)["model"] == "other"


def test_a_field_is_found_wherever_it_is() -> None:
    assert field_of(b'{"model": "m", broken', "model") == "m"
    assert field_of(b'{"input": [{"model": "inner"}], "model": "outer"}', "model") == "outer"
    assert field_of(json.dumps({"input": "x" * 300_000, "model": "behind"}).encode(), "model") == "behind"
    assert field_of(b'{"model": {"a": 1}}', "model") == {"a": 1}


@pytest.mark.parametrize("body", [b"", b"[]", b'{"input": "hi"}', b'"model"', b"\xff\xfe", b'{"model" "m"}'])
def test_what_is_not_there_is_none(body: bytes) -> None:
    assert field_of(body, "model") is None
