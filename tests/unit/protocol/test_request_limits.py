"""What a request may consist of, and that nobody waits for large ones."""

import asyncio
import json
import threading
from typing import Any

import pytest

from responses_gateway.endpoints.off_loop import LARGE, off_loop
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.request_limits import (
    MAX_ITEMS,
    MAX_TOOLS,
    MAX_UNKNOWN_FIELDS,
    MAX_VALUES,
    check_size,
)
from responses_gateway.protocol.responses import parse_request

ITEM = {"role": "user", "content": "x"}


def refused(**fields: Any) -> GatewayError:
    with pytest.raises(GatewayError) as error:
        parse_request(json.dumps({"input": "hi", **fields}).encode())
    assert error.value.status == 400
    return error.value


def test_too_many_items() -> None:
    error = refused(input=[ITEM] * (MAX_ITEMS + 1))
    assert (error.code, error.param) == ("array_above_max_length", "input")
    assert str(MAX_ITEMS + 1) in error.message
    assert len(parse_request(json.dumps({"input": [ITEM] * MAX_ITEMS}).encode()).input) == MAX_ITEMS


def test_too_many_tools() -> None:
    error = refused(tools=[{"type": "function", "name": "f"}] * (MAX_TOOLS + 1))
    assert (error.code, error.param) == ("array_above_max_length", "tools")


def test_too_many_unknown_fields() -> None:
    fields = {f"field{number}": 1 for number in range(MAX_UNKNOWN_FIELDS + 1)}
    assert refused(**fields).code == "object_above_max_properties"
    fields.popitem()
    parse_request(json.dumps({"input": "hi", **fields}).encode())


LARGE_BODIES = {
    "numbers": b"[" + b"1," * MAX_VALUES + b"1]",
    "fields": b"{" + b'"a":1,' * MAX_VALUES + b'"a":1}',
    "objects": b"[" + b"{}," * MAX_VALUES + b"{}]",
    "lists in lists": b"[" * (MAX_VALUES + 1) + b"1" + b"]" * (MAX_VALUES + 1),
    "strings": b"[" + b'"a,\\",{",' * MAX_VALUES + b'""]',
}


@pytest.mark.parametrize("body", LARGE_BODIES.values(), ids=LARGE_BODIES)
def test_too_many_values_of_any_kind(body: bytes) -> None:
    with pytest.raises(GatewayError) as error:
        parse_request(b'{"input": ' + body + b"}")
    assert error.value.code == "request_too_large"


def test_what_only_text_says_does_not_count() -> None:
    text = '{"a": [1, 2, "x\\"]}, ' * MAX_VALUES
    check_size(json.dumps({"input": [text, text]}).encode())


@pytest.mark.parametrize("body", [b'"' + b'\\"' * MAX_VALUES, b"\\" * MAX_VALUES, b'",[{' * 1000, b'"\\'])
def test_what_is_no_json_is_counted_all_the_same(body: bytes) -> None:
    check_size(body)


@pytest.mark.parametrize(("size", "is_beside"), [(LARGE - 1, False), (LARGE, True)])
def test_only_large_requests_are_worked_on_beside_the_loop(size: int, is_beside: bool) -> None:
    worker = asyncio.run(off_loop(size, threading.current_thread))
    assert (worker is not threading.current_thread()) == is_beside
