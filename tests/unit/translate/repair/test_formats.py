"""Answers that have to match a schema: what counts as the JSON of an answer, and which second try a fault leads to."""

from typing import Any

import pytest

from responses_gateway.translate.repair.structured_output import NonCompliantAnswer, check

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


@pytest.mark.parametrize(
    "text", ['{"a": 1}', ' \n{"a": 1}\n', '```json\n{"a": 1}\n```', '```\n{"a": 1}```', '```JSON \n{"a": 1}\n```\n']
)
def test_the_json_of_an_answer(text: str) -> None:
    assert check(text, SCHEMA) == ('{"a": 1}', None)


@pytest.mark.parametrize("text", ['```python\n{"a": 1}\n```', '```json\n{"a": 1}', "Here: {}", "", "```"])
def test_what_is_no_json_stays_as_it_is(text: str) -> None:
    candidate, problem = check(text, SCHEMA)
    assert candidate == text
    assert problem is not None
    assert problem.startswith("it is not JSON (")


def test_a_fault_names_its_place() -> None:
    assert check('{"a": "x"}', SCHEMA) == ('{"a": "x"}', "$.a: 'x' is not of type 'integer'")
    assert check("{}", SCHEMA)[1] == "$: 'a' is a required property"
    assert len(check('{"a": "%s"}' % ("x" * 1000), SCHEMA)[1] or "") == len("$.a: ") + 300


@pytest.mark.parametrize("schema", [{"type": "nonsense"}, {"$ref": "https://a.example/s"}, {"$ref": "#/nowhere"}])
def test_what_cannot_be_checked_is_not_held_against_an_answer(schema: dict[str, Any]) -> None:
    assert check("{}", schema) == ("{}", None)


def test_the_second_try_says_what_was_wrong() -> None:
    fault = NonCompliantAnswer("draft", "it is wrong")
    assert (fault.status, fault.code, fault.type) == (502, "server_error", "server_error")
    assert fault.message.endswith("requested format: it is wrong")
    draft, ask = fault.correction()
    assert draft == {"role": "assistant", "content": "draft"}
    assert ask["role"] == "user"
    assert "it is wrong" in str(ask["content"])
