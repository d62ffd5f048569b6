"""Reasoning in envelopes: what goes in comes out, and what was not put in here does not."""

import base64
import json
from typing import Any

import pytest

from responses_gateway.protocol.responses import Reasoning
from responses_gateway.translate.reasoning import (
    PLAIN_ENVELOPES,
    CarriedReasoning,
    open_reasoning,
    reasoning_of,
    seal_reasoning,
)

DETAILS = [{"type": "x"}]
CALLS = {"c1": {"a": 1}}
RESULTS = [{"id": "ws"}]


@pytest.mark.parametrize(
    "carried",
    [
        CarriedReasoning("Hm."),
        CarriedReasoning(details=DETAILS),
        CarriedReasoning(calls=CALLS),
        CarriedReasoning(hosted_results=RESULTS),
        CarriedReasoning("é", DETAILS, CALLS, RESULTS),
    ],
)
def test_what_goes_in_comes_out(carried: CarriedReasoning) -> None:
    envelope = seal_reasoning(carried)
    assert envelope.startswith("rgw1:")
    assert open_reasoning(envelope) == carried
    assert bool(carried)
    item = Reasoning(type="reasoning", encrypted_content=envelope, content=[{"type": "reasoning_text", "text": "else"}])  # type: ignore[list-item]
    assert reasoning_of(item) == (carried, False)


def test_nothing_takes_no_room() -> None:
    assert not CarriedReasoning()
    assert PLAIN_ENVELOPES.open(seal_reasoning(CarriedReasoning())) == {}


def envelope_of(content: Any) -> str:
    return "rgw1:" + base64.urlsafe_b64encode(json.dumps(content).encode()).decode()


@pytest.mark.parametrize(
    "content",
    [{"text": 5}, {"details": {}}, {"details": "x"}, {"calls": []}, {"findings": {}}, [], "text", 5, None],
)
def test_other_content_is_none(content: Any) -> None:
    assert open_reasoning(envelope_of(content)) is None


def test_entries_that_are_no_objects_are_passed_over() -> None:
    content = {"text": "a", "details": [1, {"b": 2}], "findings": ["x", {"c": 3}]}
    assert open_reasoning(envelope_of(content)) == CarriedReasoning("a", [{"b": 2}], {}, [{"c": 3}])


@pytest.mark.parametrize("envelope", ["", "rgw1:", "rgw1:!", "rgw1:e30", "rgw2:e30=", "gAAAA", "xrgw1:e30="])
def test_what_is_no_envelope_of_this_kind(envelope: str) -> None:
    assert PLAIN_ENVELOPES.open(envelope) is None


@pytest.mark.parametrize(("one", "other", "text"), [("a", "b", "a\n\nb"), ("a", "", "a"), ("", "b", "b"), ("", "", "")])
def test_the_reasoning_of_one_turn_is_put_together(one: str, other: str, text: str) -> None:
    carried = CarriedReasoning(one, [{"n": 1}], {"c1": {}}, [{"n": 1}])
    carried += CarriedReasoning(other, [{"n": 2}], {"c2": {}}, [{"n": 2}])
    assert carried == CarriedReasoning(text, [{"n": 1}, {"n": 2}], {"c1": {}, "c2": {}}, [{"n": 1}, {"n": 2}])
