"""Real Codex through the gateway: what the upstream is asked, and what Codex does with the answers.

Each scenario runs with every release that has the feature (`RELEASES`).
"""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from e2e.codex import PATCH, Codex, releases
from e2e.environment import API_KEY
from e2e.gateway import GatewayProcess
from e2e.mcp_server import png
from upstream import Ending, Script, calling, error, reply, writing

ScriptFor = Callable[[str], Script]


@releases()
def test_text_answer(codex: Codex, script: Script) -> None:
    script.answer(reply(text="Hello from the model.", prompt=120, completion=7, cached=64))
    run = codex.exec("say hi", script.model).succeeded()
    assert run.messages == ["Hello from the model."]
    assert (run.usage["input_tokens"], run.usage["cached_input_tokens"], run.usage["output_tokens"]) == (120, 64, 7)
    request = script.request
    assert request.path == "/v1/chat/completions"
    assert request.headers["authorization"] == f"Bearer {API_KEY}"
    assert request.body["stream"] is True
    assert request.body["stream_options"] == {"include_usage": True}
    assert request.roles()[0] == "system"
    assert request.text("user") == "say hi"
    assert codex.release.shell_tool in request.tools


@releases()
def test_shell_loop(codex: Codex, script: Script) -> None:
    script.answer(
        reply(text="I will write a file.", calls=[codex.shell("echo from-the-shell > made.txt; cat made.txt")]),
        reply(text="Written."),
    )
    run = codex.exec("write a file", script.model).succeeded()
    assert run.messages == ["I will write a file.", "Written."]
    assert (codex.work / "made.txt").read_text() == "from-the-shell\n"
    [command] = run.items("command_execution")
    assert "from-the-shell" in command["aggregated_output"]
    first, second = script.requests
    assert second.messages[: len(first.messages)] == first.messages
    assistant, result = second.messages[len(first.messages) :]
    assert (assistant["role"], assistant["content"]) == ("assistant", "I will write a file.")
    assert [one["id"] for one in assistant["tool_calls"]] == ["call_1"]
    assert result["role"] == "tool"
    assert "from-the-shell" in second.tool_result("call_1")


@releases()
def test_two_parallel_calls(codex: Codex, script: Script) -> None:
    calls = [codex.shell("echo alpha", "call_a"), codex.shell("echo beta", "call_b")]
    script.answer(reply(calls=calls), reply(text="Both ran."))
    run = codex.exec("run two commands", script.model).succeeded()
    assert run.messages == ["Both ran."]
    assert sorted(item["aggregated_output"] for item in run.items("command_execution")) == ["alpha\n", "beta\n"]
    second = script.requests[1]
    assistants = [message for message in second.messages if message["role"] == "assistant"]
    assert [one for message in assistants for one in message["tool_calls"]] == [one.message() for one in calls]
    if not codex.release.early:
        assert second.roles()[-3:] == ["assistant", "tool", "tool"]
        assert [message["tool_call_id"] for message in second.messages[-2:]] == ["call_a", "call_b"]
    assert "alpha" in second.tool_result("call_a")
    assert "beta" in second.tool_result("call_b")


@releases()
def test_mcp_call(codex: Codex, script: Script) -> None:
    codex.configure(mcp=True)
    script.answer(calling("echo", {"text": "hey"}), reply(text="It answered."))
    run = codex.exec("use the desk", script.model).succeeded()
    [item] = run.items("mcp_tool_call")
    assert (item["server"], item["tool"], item["status"]) == ("desk", "echo", "completed")
    assert "echo: hey" in script.requests[1].tool_result("call_1")


@releases()
def test_mcp_call_that_fails(codex: Codex, script: Script) -> None:
    codex.configure(mcp=True)
    script.answer(calling("fail", {}), reply(text="It failed."))
    run = codex.exec("use the desk", script.model).succeeded()
    [item] = run.items("mcp_tool_call")
    assert item["status"] == "failed"
    assert "it failed on purpose" in script.requests[1].tool_result("call_1")


@releases()
def test_mcp_picture(codex: Codex, script: Script) -> None:
    codex.configure(mcp=True)
    script.answer(calling("picture", {}), reply(text="A red square."))
    run = codex.exec("use the desk", script.model).succeeded()
    assert run.messages == ["A red square."]
    second = script.requests[1]
    assert isinstance(second.tool_result("call_1"), str)
    [picture] = second.pictures()
    assert picture["url"].startswith("data:image/png;base64,")
    assert "base64," not in second.tool_result("call_1")


@releases(having=lambda release: release.early)
def test_attached_image_before_the_prompt(codex: Codex, script: Script) -> None:
    picture = codex.work / "picture.png"
    picture.write_bytes(png())
    script.always(reply(text="A red square."))
    with codex.start_exec("what is this?", script.model, "-i", str(picture)):
        first = script.wait_requests(1)[0]
        assert first.wait_ending() is Ending.ANSWERED
    [image] = first.pictures()
    assert image["url"].startswith("data:image/png;base64,")


@releases(having=lambda release: not release.early)
def test_attached_image(codex: Codex, script: Script) -> None:
    picture = codex.work / "picture.png"
    picture.write_bytes(png())
    script.answer(reply(text="A red square."))
    run = codex.exec("what is this?", script.model, "-i", str(picture)).succeeded()
    assert run.messages == ["A red square."]
    [image] = script.request.pictures()
    assert image["url"].startswith("data:image/png;base64,")
    assert script.request.text("user").endswith("what is this?")


@releases()
def test_output_schema(codex: Codex, script: Script, tmp_path: Path) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    }
    file = tmp_path / "schema.json"
    file.write_text(json.dumps(schema))
    script.answer(reply(text='{"city": "Oslo"}'))
    run = codex.exec("which city?", script.model, "--output-schema", str(file)).succeeded()
    assert [json.loads(message) for message in run.messages] == [{"city": "Oslo"}]
    assert script.request.body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "codex_output_schema", "schema": schema, "strict": True},
    }


@releases()
def test_freeform_patch_changes_a_file(codex: Codex, script_for: ScriptFor, gateway: GatewayProcess) -> None:
    (codex.work / "greeting.txt").write_text("hello\n")
    script = script_for(codex.release.freeform_patch_model)
    script.answer(writing("apply_patch", PATCH), reply(text="Changed."))
    before = len(gateway.received(script.model))
    run = codex.exec("change the greeting", script.model).succeeded()
    declared = gateway.received(script.model)[before]["tools"]
    assert [tool["type"] for tool in declared if tool.get("name") == "apply_patch"] == ["custom"]
    assert run.messages == ["Changed."]
    assert (codex.work / "greeting.txt").read_text() == "good evening\n"
    first, second = script.requests
    assert "begin_patch" in json.dumps(first.tools["apply_patch"])
    assert "Success" in second.tool_result("call_1")
    [echoed] = second.last("assistant")["tool_calls"]
    assert list(json.loads(echoed["function"]["arguments"]).values()) == [PATCH]


@releases(having=lambda release: release.function_patch_model)
def test_function_patch_changes_a_file(codex: Codex, script_for: ScriptFor, gateway: GatewayProcess) -> None:
    (codex.work / "greeting.txt").write_text("hello\n")
    script = script_for(str(codex.release.function_patch_model))
    script.answer(calling("apply_patch", {"input": PATCH}), reply(text="Changed."))
    before = len(gateway.received(script.model))
    run = codex.exec("change the greeting", script.model).succeeded()
    declared = gateway.received(script.model)[before]["tools"]
    assert [tool["type"] for tool in declared if tool.get("name") == "apply_patch"] == ["function"]
    assert run.messages == ["Changed."]
    assert (codex.work / "greeting.txt").read_text() == "good evening\n"
    assert "Success" in script.requests[1].tool_result("call_1")


@releases()
def test_reasoning_survives_three_turns(codex: Codex, script: Script) -> None:
    script.answer(
        reply(reasoning="First a look at the folder.", calls=[codex.shell("echo looked")]),
        reply(reasoning="The folder is fine.", text="One."),
        reply(reasoning="Now the second question.", text="Two."),
        reply(reasoning="And the third.", text="Three."),
    )
    first = codex.exec("first question", script.model).succeeded()
    second = codex.exec("second question", script.model, resume=first.thread_id).succeeded()
    third = codex.exec("third question", script.model, resume=first.thread_id).succeeded()
    assert first.messages + second.messages + third.messages == ["One.", "Two.", "Three."]
    answers = [message for message in script.requests[3].messages if message["role"] == "assistant"]
    assert [(answer["reasoning_content"], answer["content"]) for answer in answers] == [
        ("First a look at the folder.", None),
        ("The folder is fine.", "One."),
        ("Now the second question.", "Two."),
    ]
    assert [one["id"] for one in answers[0]["tool_calls"]] == ["call_1"]


def test_reasoning_is_shown(codex: Codex, script: Script) -> None:
    script.answer(reply(reasoning="They want a greeting.", text="Hi."))
    assert codex.exec("say hi", script.model).succeeded().reasoning == ["They want a greeting."]


@releases()
def test_resumed_session_keeps_the_prefix(codex: Codex, script: Script) -> None:
    script.answer(reply(calls=[codex.shell("echo kept")]), reply(text="First answer."), reply(text="Second answer."))
    first = codex.exec("first question", script.model).succeeded()
    second = codex.exec("second question", script.model, resume=first.thread_id).succeeded()
    assert second.messages == ["Second answer."]
    before, after = script.requests[1], script.requests[2]
    assert after.messages[: len(before.messages)] == before.messages
    assert after.body.get("tools") == before.body.get("tools")
    assert after.messages[len(before.messages)]["content"] == "First answer."
    assert after.text("user") == "second question"


@releases()
def test_compaction_within_a_session(codex: Codex, script: Script, gateway: GatewayProcess) -> None:
    codex.configure("model_context_window = 100000\nmodel_auto_compact_token_limit = 30000")
    script.answer(
        reply(calls=[codex.shell("echo large")], prompt=50_000),
        reply(text="SUMMARY: a large command ran.", prompt=50_000),
        reply(text="All done.", prompt=2_000),
    )
    run = codex.exec("do a lot", script.model).succeeded()
    assert run.messages[-1] == "All done."
    compaction = script.requests[1]
    assert gateway.received(script.model)[1]["tools"] == []
    assert compaction.body["tools"] == script.requests[0].body["tools"]
    assert compaction.body["tool_choice"] == "none"
    assert "large" in compaction.tool_result("call_1")
    assert compaction.roles()[-1] == "user"
    after = script.requests[2]
    assert "SUMMARY: a large command ran." in json.dumps(after.messages)
    assert "tool" not in after.roles()
    assert codex.release.shell_tool in after.tools


def test_compaction_by_a_model_that_calls_a_tool_instead(codex: Codex, script: Script) -> None:
    codex.configure("model_context_window = 100000\nmodel_auto_compact_token_limit = 30000")
    script.answer(
        reply(calls=[codex.shell("echo large")], prompt=50_000),
        reply(text="I will look again.", calls=[codex.shell("echo again", "call_2")], prompt=50_000),
        reply(text="SUMMARY: a large command ran.", prompt=50_000),
        reply(text="All done.", prompt=2_000),
    )
    run = codex.exec("do a lot", script.model).succeeded()
    assert run.messages[-1] == "All done."
    assert [item["aggregated_output"] for item in run.items("command_execution")] == ["large\n"]
    _, compaction, again, after = script.requests
    assert "tools" not in again.body
    assert again.messages == compaction.messages
    assert "SUMMARY: a large command ran." in json.dumps(after.messages)


@releases()
def test_prefix_is_stable_over_a_session(codex: Codex, script: Script) -> None:
    codex.configure("model_context_window = 100000\nmodel_auto_compact_token_limit = 30000")
    work = [reply(reasoning=f"Step {n}.", calls=[codex.shell(f"echo {n}", f"call_{n}")]) for n in range(12)]
    script.answer(*work[:6], reply(reasoning="That was it.", text="Halfway."))
    first = codex.exec("first half", script.model).succeeded()
    script.answer(*work[6:-1], reply(calls=[codex.shell("echo 11", "call_11")], prompt=50_000))
    script.answer(reply(text="SUMMARY", prompt=50_000), reply(text="Finished."))
    second = codex.exec("second half", script.model, resume=first.thread_id).succeeded()
    assert second.messages[-1] == "Finished."
    *session, after_compaction = script.requests
    assert len(session) == 14
    for earlier, later in pairwise(session):
        assert first_difference(earlier.messages, later.messages[: len(earlier.messages)], "messages") is None
        assert first_difference(earlier.body["tools"], later.body["tools"], "tools") is None
    assert first_difference(session[0].body["tools"], after_compaction.body["tools"], "tools") is None


def first_difference(left: Any, right: Any, path: str) -> str | None:
    """The path of the first difference between two JSON values, also in the order of keys; None when they are equal."""
    if isinstance(left, dict) and isinstance(right, dict) and list(left) == list(right):
        inner = ((f"{path}.{key}", left[key], right[key]) for key in left)
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        inner = ((f"{path}[{at}]", one, other) for at, (one, other) in enumerate(zip(left, right, strict=True)))
    else:
        return None if left == right and not isinstance(left, dict | list) else path
    return next((found for name, one, other in inner if (found := first_difference(one, other, name))), None)


@releases()
def test_web_search_is_dropped(codex: Codex, script: Script, gateway: GatewayProcess) -> None:
    codex.configure(codex.release.web_search)
    script.answer(reply(text="Without a search."))
    run = codex.exec("search the web", script.model).succeeded()
    assert run.messages == ["Without a search."]
    [received] = gateway.received(script.model)
    assert [tool for tool in received["tools"] if tool["type"] == "web_search"]
    assert {tool["type"] for tool in script.request.body["tools"]} == {"function"}
    assert not [name for name in script.request.tools if "search" in name]


@releases()
def test_view_image(codex: Codex, script: Script) -> None:
    (codex.work / "picture.png").write_bytes(png())
    path = str(codex.work / "picture.png")
    script.answer(calling("view_image", {"path": path}), reply(text="A red square."))
    run = codex.exec("look at picture.png", script.model).succeeded()
    assert run.messages == ["A red square."]
    second = script.requests[1]
    assert isinstance(second.tool_result("call_1"), str)
    [picture] = second.pictures()
    assert picture["url"].startswith("data:image/png;base64,")


@releases(having=lambda release: release.update_plan)
def test_update_plan(codex: Codex, script: Script) -> None:
    plan = [{"step": "look", "status": "in_progress"}, {"step": "leap", "status": "pending"}]
    script.answer(calling("update_plan", {"plan": plan}), reply(text="Planned."))
    run = codex.exec("make a plan", script.model).succeeded()
    assert run.messages == ["Planned."]
    assert [step["text"] for step in run.items("todo_list")[0]["items"]] == ["look", "leap"]
    assert script.requests[1].tool_result("call_1") == "Plan updated"


@releases(having=lambda release: release.deferred_tools)
def test_deferred_mcp_tool(codex: Codex, script_for: ScriptFor) -> None:
    assert codex.release.deferred_tools
    model, configuration = codex.release.deferred_tools
    codex.configure(configuration, mcp=True)
    script = script_for(model)
    script.answer(
        calling("tool_search", {"query": "echo text", "limit": 3}),
        calling("echo", {"text": "found"}),
        reply(text="Found and used."),
    )
    run = codex.exec("find a tool", script.model).succeeded()
    assert run.messages == ["Found and used."]
    [item] = run.items("mcp_tool_call")
    assert (item["server"], item["tool"], item["status"]) == ("desk", "echo", "completed")
    first, second, third = script.requests
    assert not [name for name in first.tools if name.endswith("echo")]
    assert list(second.tools)[: len(first.tools)] == list(first.tools)
    assert "echo: found" in third.messages[-1]["content"]


@releases(having=lambda release: release.code_mode)
def test_code_mode(codex: Codex, script_for: ScriptFor) -> None:
    assert codex.release.code_mode
    model, configuration = codex.release.code_mode
    codex.configure(configuration)
    script = script_for(model)
    code = 'const r = await tools.exec_command({cmd: "echo from-code-mode > made.txt; cat made.txt"}); text(r.output);'
    script.answer(writing("exec", code), reply(text="It ran."))
    run = codex.exec("run some code", script.model).succeeded()
    assert run.messages == ["It ran."]
    assert (codex.work / "made.txt").read_text() == "from-code-mode\n"
    assert "from-code-mode" in script.requests[1].tool_result("call_1")


@pytest.mark.parametrize("model", ["gpt-6-astra", "gpt-5.6-luna"])
def test_every_additional_tool_is_offered(
    codex: Codex, script_for: ScriptFor, gateway: GatewayProcess, model: str
) -> None:
    script = script_for(model)
    script.answer(reply(text="I see my tools."))
    before = len(gateway.received(model))
    codex.exec("what can you do?", model).succeeded()
    [received] = gateway.received(model)[before:]
    assert "tools" not in received
    items = [item for item in received["input"] if item["type"] == "additional_tools"]
    declared = [name for item in items for tool in item["tools"] for name in declared_names(tool)]
    assert "exec" in declared
    for name in declared:
        assert script.request.tool(name)
    assert len(script.request.tools) == len(declared)


def declared_names(tool: dict[str, Any]) -> list[str]:
    if tool["type"] == "namespace":
        return [name for inner in tool["tools"] for name in declared_names(inner)]
    return [tool["name"]]


def test_websocket_provider_falls_back_to_http(codex: Codex, script: Script) -> None:
    codex.configure_provider("supports_websockets = true")
    script.answer(reply(text="Over HTTP."))
    run = codex.exec("say hi", script.model).succeeded()
    assert run.messages == ["Over HTTP."]


def test_upstream_error_reaches_the_user(codex: Codex, script: Script) -> None:
    script.answer(error(400, "the scripted model is asleep", type="invalid_request_error"))
    run = codex.exec("say hi", script.model)
    assert run.exit_code == 1
    assert "the scripted model is asleep" in run.stdout
