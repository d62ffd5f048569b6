"""The ledger says all that a request lost, and nothing else."""

from typing import Any

import pytest

from responses_gateway.catalogue.models.card import ModelCard
from responses_gateway.catalogue.providers.profile import Profile
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.request.chat_request import translate_request
from unit.machine import PATCH, RUN, delta, request
from unit.turn.rounds import serve


def entries(**fields: Any) -> list[str]:
    ledger = Ledger()
    translate_request(request(**fields), model="m", profile=Profile(name="any"), card=ModelCard(id="m"), ledger=ledger)
    return [f"{entry.action} {entry.field}" for entry in ledger.entries]


@pytest.mark.parametrize(
    "fields",
    [
        {"truncation": "auto"},
        {"truncation": "disabled"},
        {"max_tool_calls": 3},
        {"include": ["reasoning.encrypted_content", "message.output_text.logprobs", "web_search_call.action.sources"]},
        {"stream_options": {"include_obfuscation": False}},
        {"reasoning": {"effort": "high", "summary": "auto", "context": None}},
        {"tools": [{**RUN, "strict": False, "async": False}, PATCH]},
    ],
)
def test_what_is_carried_out_has_no_entry(fields: dict[str, Any]) -> None:
    assert entries(**fields) == []


@pytest.mark.parametrize(
    ("fields", "entry"),
    [
        ({"reasoning": {"context": "x"}}, "dropped reasoning.context"),
        ({"text": {"made_up": 1}}, "dropped text.made_up"),
        ({"include": ["file_search_call.results"]}, "dropped include.file_search_call.results"),
        ({"stream_options": {"include_obfuscation": True}}, "dropped stream_options.include_obfuscation"),
        ({"tools": [{**RUN, "allowed_callers": ["direct"]}]}, "dropped tools.allowed_callers"),
        ({"tools": [{**PATCH, "async": True}]}, "dropped tools.async"),
    ],
)
def test_what_is_not_carried_out_has_one(fields: dict[str, Any], entry: str) -> None:
    assert entries(**fields) == [entry]


def test_a_service_tier_that_was_dropped_is_not_echoed() -> None:
    served = serve([delta("stop", content="Hi.")], service_tier="flex")
    assert served.response["service_tier"] == "default"
    assert served.noted("dropped service_tier")
