"""Conformance to the Open Responses specification, over HTTP."""

import json
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from e2e.client_environment import ClientLibrary
from e2e.gateway import GatewayProcess, StartGateway
from upstream import Script, call, reply
from upstream.request import Request

SUITE = ClientLibrary("open_responses_client.py", ["llm-comply==0.5.0"])

TOOL: dict[str, Any] = {"type": "function", "name": "get_weather", "parameters": {"type": "object", "properties": {}}}


def test_acceptance_suite(gateway: GatewayProcess, script_for: Any, tmp_path: Path) -> None:
    script = scripted_for_the_suite(script_for)
    assert SUITE.run(tmp_path, f"{gateway.url}/v1", script.model, "suite") == []


def test_a_native_upstream_passes_as_well_through_the_gateway(
    gateway: GatewayProcess, start_gateway: StartGateway, script_for: Any, tmp_path: Path
) -> None:
    """The upstream is another gateway, which speaks the Responses API to its clients and passes the suite."""
    script = scripted_for_the_suite(script_for)
    config = tmp_path / "config.yaml"
    config.write_text(f'providers: {{native: {{base_url: "{gateway.url}/v1", api: responses}}}}\nprovider: native\n')
    # Without a store, whatever it finds is in the upstream's.
    outer = start_gateway({"gateway_config": str(config), "gateway_store": "none"}, url=gateway.url)
    assert SUITE.run(tmp_path, f"{outer.url}/v1", script.model, "suite") == []
    with OpenAI(api_key="sk-client-key", base_url=f"{outer.url}/v1", max_retries=0) as client:
        kept = client.responses.create(model=script.model, input="Hi.")
        assert client.responses.retrieve(kept.id).to_dict() == kept.to_dict()
        continued = client.responses.create(model=script.model, input="On.", previous_response_id=kept.id)
        assert continued.previous_response_id == kept.id
        assert len(client.responses.input_items.list(continued.id).data) == 4


def scripted_for_the_suite(script_for: Any) -> Script:
    # The suite tests reasoning only with models of such names.
    script: Script = script_for("gpt-5-scripted")

    def answer(request: Request) -> Any:
        if request.body.get("tool_choice") == "required":
            return reply(calls=[call("get_weather", {"location": "San Francisco"})])
        # It does not know the names of reasoning events that the specification has.
        thought = "" if request.body.get("stream") else "I think."
        return reply(reasoning=thought, text="Hello there, friend.")

    script.always(answer)
    return script


@pytest.mark.parametrize(
    ("fields", "turn"),
    [
        ({}, reply(reasoning="Hm. Well.", text="One two.")),
        ({"tools": [TOOL]}, reply(reasoning="Hm.", text="I look.", calls=[call("get_weather", {"city": "Oslo"})])),
        ({"include": ["reasoning.encrypted_content"]}, reply(reasoning="Hm.", text="One.")),
        ({"max_output_tokens": 16}, reply(text="And then", finish_reason="length")),
        ({"metadata": {"a": "b"}, "temperature": 0.5, "top_p": 0.5, "user": "me"}, reply(text="One.")),
        # The document allows no schema but null in a json_schema format, which the request's own cannot be.
        ({"text": {"format": {"type": "json_object"}, "verbosity": "low"}}, reply(text="{}")),
        ({"background": True}, reply(text="One.")),
        ({"truncation": "auto", "service_tier": "auto", "safety_identifier": "x"}, reply(text="One.")),
    ],
    ids=["reasoning", "tools", "envelope", "cut", "settings", "structured", "background", "more-settings"],
)
def test_everything_follows_the_specification(
    gateway: GatewayProcess, script: Script, tmp_path: Path, fields: dict[str, Any], turn: Any
) -> None:
    script.answer(turn, turn)
    said: list[tuple[str | None, Any]] = []
    with OpenAI(api_key="sk-client-key", base_url=f"{gateway.url}/v1", max_retries=0) as client:
        events = list(client.responses.create(model=script.model, input="Hi.", stream=True, **fields))
        said += [(None, event.to_dict()) for event in events]
        response_id = events[0].response.id  # type: ignore[union-attr]
        said.append(("ResponseResource", client.responses.retrieve(response_id).to_dict()))
        said += [(None, event.to_dict()) for event in client.responses.retrieve(response_id, stream=True)]
        items = client.responses.input_items.list(response_id)
        said += [("ItemField", item.to_dict()) for item in items]
        whole = client.responses.create(model=script.model, input="Hi.", **fields)
        said.append(("ResponseResource", whole.to_dict()))
        if fields.get("background"):
            list(client.responses.retrieve(whole.id, stream=True))
    file = tmp_path / "said.json"
    file.write_text(json.dumps(said))
    assert SUITE.run(tmp_path, gateway.url, script.model, "check", str(file)) == []


def test_a_compaction_follows_the_specification(gateway: GatewayProcess, script: Script, tmp_path: Path) -> None:
    script.answer(reply(text="They met."))
    with OpenAI(api_key="sk-client-key", base_url=f"{gateway.url}/v1", max_retries=0) as client:
        compacted = client.responses.compact(model=script.model, input="Hi.")
    file = tmp_path / "said.json"
    file.write_text(json.dumps([("CompactResource", compacted.to_dict())]))
    assert SUITE.run(tmp_path, gateway.url, script.model, "check", str(file)) == []
