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
        {"tools": [{**RUN, "strict": False, "async": False, "allowed_callers": ["direct"]}, PATCH]},
        {"service_tier": "auto"},
        {"input": [{"role": "user", "content": "hi", "id": "msg_1", "status": "completed"}]},
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
        ({"tools": [{**RUN, "allowed_callers": ["programmatic"]}]}, "changed tools.allowed_callers"),
        ({"tools": [{"type": "apply_patch", "allowed_callers": ["programmatic"]}]}, "changed tools.allowed_callers"),
        ({"tools": [{"type": "shell", "environment": {"type": "container_auto"}}]}, "dropped tools.shell"),
        ({"tools": [{"type": "programmatic_tool_calling"}]}, "dropped tools.programmatic_tool_calling"),
        ({"tools": [{"type": "file_search", "vector_store_ids": ["v"]}]}, "dropped tools.file_search"),
        ({"input": [{"role": "user", "content": "hi", "phase": "commentary"}]}, "dropped input.message.phase"),
        ({"input": [{"role": "user", "content": "hi", "status": "incomplete"}]}, "dropped input.message.status"),
        ({"service_tier": "flex"}, "dropped service_tier"),
        ({"tools": [{**PATCH, "async": True}]}, "dropped tools.async"),
    ],
)
def test_what_is_not_carried_out_has_one(fields: dict[str, Any], entry: str) -> None:
    assert entries(**fields) == [entry]


def test_a_service_tier_that_was_dropped_is_not_echoed() -> None:
    served = serve([delta("stop", content="Hi.")], service_tier="flex")
    assert served.response["service_tier"] == "default"
    assert served.noted("dropped service_tier")


def test_the_skills_of_a_shell_are_told() -> None:
    skill = {"name": "tidy", "description": "How to tidy up.", "path": "/skills/tidy"}
    shell = {"type": "shell", "environment": {"type": "local", "skills": [skill]}}
    body = translate_request(
        request(tools=[shell]), model="m", profile=Profile(name="any"), card=ModelCard(id="m"), ledger=Ledger()
    ).body
    assert "- tidy (in /skills/tidy): How to tidy up." in body["tools"][0]["function"]["description"]


@pytest.mark.parametrize(
    ("fields", "lost"),
    [
        ({"tools": [{"type": "file_search"}]}, ["tools.file_search"]),
        ({"tools": [{**RUN, "allowed_callers": ["programmatic"]}]}, ["tools.allowed_callers"]),
        ({"service_tier": "flex"}, ["service_tier"]),
        # Matters of form.
        ({"tools": [RUN, RUN]}, []),
        ({"tools": [{**RUN, "name": "with.dot"}]}, []),
        ({"tools": [{**RUN, "defer_loading": True}]}, []),
        ({"tools": [{**RUN, "allowed_callers": ["direct", "programmatic"]}]}, []),
        ({"prompt_cache_key": "k"}, []),
        ({"metadata": {"a": "b"}}, []),
        ({"input": [{"role": "assistant", "content": "hi", "phase": "final_answer"}]}, []),
        ({"input": [{"role": "user", "content": [{"type": "input_file", "file_data": "data:,x"}]}]}, []),
    ],
)
def test_what_changes_only_its_form_is_no_loss(fields: dict[str, Any], lost: list[str]) -> None:
    ledger = Ledger()
    translate_request(request(**fields), model="m", profile=Profile(name="any"), card=ModelCard(id="m"), ledger=ledger)
    assert [entry.field for entry in ledger.losses] == lost
