"""What models get wrong and Codex would not forgive: mended on the way, so that the turn goes on."""

import json

import pytest

from e2e.codex import PATCH, Codex, releases
from e2e.codex_conversation import conversation
from e2e.test_codex import ScriptFor
from upstream import Script, call, chunk, done, error, finish, reply, stream, text, usage, writing
from upstream.request import JsonObject


@pytest.mark.parametrize(
    "patch",
    [f"```\n{PATCH}```", f"apply_patch <<'EOF'\n{PATCH}EOF", PATCH.replace("*** Begin Patch\n", "")],
    ids=["fenced", "heredoc", "without begin"],
)
def test_patch_in_a_wrapping(codex: Codex, script_for: ScriptFor, patch: str) -> None:
    (codex.work / "greeting.txt").write_text("hello\n")
    script = script_for(codex.release.freeform_patch_model)
    script.answer(writing("apply_patch", patch), reply(text="Changed."))
    assert codex.exec("change the greeting", script.model).succeeded().messages == ["Changed."]
    assert (codex.work / "greeting.txt").read_text() == "good evening\n"


def test_half_a_patch_is_not_applied(codex: Codex, script_for: ScriptFor) -> None:
    """The model hears of it, and says it again."""
    (codex.work / "greeting.txt").write_text("hello\n")
    script = script_for(codex.release.freeform_patch_model)
    whole = json.dumps(
        {"input": f"{PATCH.removesuffix('*** End Patch\n')}*** Add File: b.txt\n+1\n+2\n*** End Patch\n"}
    )
    half = whole[: whole.index("+1") + 2]
    script.answer(
        reply(calls=[call("apply_patch", half)]),
        reply(calls=[call("apply_patch", whole, "call_2")]),
        reply(text="Changed."),
    )
    assert codex.exec("change the greeting", script.model).succeeded().messages == ["Changed."]
    assert "*** End Patch" in script.requests[1].tool_result("call_1")
    assert (codex.work / "greeting.txt").read_text() == "good evening\n"
    assert (codex.work / "b.txt").read_text() == "1\n2\n"


WITHOUT_END = PATCH.replace("*** End Patch\n", "")


@releases(having=lambda release: release.function_patch_model)
@pytest.mark.parametrize(
    "arguments",
    [
        {"input": f"```\n{PATCH}```"},
        {"input": WITHOUT_END},
        {"patch": PATCH},
        json.dumps(json.dumps({"input": f"apply_patch <<'EOF'\n{PATCH}EOF"})),
    ],
    ids=["fenced", "without end", "by another key", "encoded twice"],
)
def test_patch_of_a_function_in_a_wrapping(codex: Codex, script_for: ScriptFor, arguments: JsonObject | str) -> None:
    (codex.work / "greeting.txt").write_text("hello\n")
    script = script_for(str(codex.release.function_patch_model))
    script.answer(reply(calls=[call("apply_patch", arguments)]), reply(text="Changed."))
    assert codex.exec("change the greeting", script.model).succeeded().messages == ["Changed."]
    assert (codex.work / "greeting.txt").read_text() == "good evening\n"


@pytest.mark.parametrize("name", ["echo", "mcp__desk.echo", "mcp__desk_echo", "mcp__desk__echo"])
def test_mcp_tool_by_another_name(codex: Codex, script: Script, name: str) -> None:
    codex.configure(mcp=True)
    script.answer(reply(calls=[call(name, {"text": "hey"})]), reply(text="It answered."))
    run = codex.exec("use the desk", script.model).succeeded()
    assert [item["status"] for item in run.items("mcp_tool_call")] == ["completed"]
    assert "echo: hey" in script.requests[1].tool_result("call_1")


def test_arguments_of_the_wrong_type(codex: Codex, script: Script) -> None:
    arguments = {"cmd": "echo coerced", "yield_time_ms": "1000", "max_output_tokens": 500.0}
    script.answer(reply(calls=[call("exec_command", arguments)]), reply(text="It ran."))
    run = codex.exec("run something", script.model).succeeded()
    assert [item["aggregated_output"] for item in run.items("command_execution")] == ["coerced\n"]


def test_two_calls_glued_together(codex: Codex, script: Script) -> None:
    glued = '{"cmd": "echo alpha"}{"cmd": "echo beta"}'
    script.answer(reply(calls=[call("exec_command", glued, pieces=9)]), reply(text="Both ran."))
    run = codex.exec("run two commands", script.model).succeeded()
    assert sorted(item["aggregated_output"] for item in run.items("command_execution")) == ["alpha\n", "beta\n"]
    assert script.requests[1].roles()[-3:] == ["assistant", "tool", "tool"]


@pytest.mark.parametrize(
    "markup",
    [
        '<tool_call>\n{"name": "exec_command", "arguments": {"cmd": "echo healed"}}\n</tool_call>',
        "<function=exec_command>\n<parameter=cmd>echo healed</parameter>\n</function>",
        '[TOOL_CALLS][{"name": "exec_command", "arguments": {"cmd": "echo healed"}}]',
    ],
    ids=["tool_call", "function", "TOOL_CALLS"],
)
def test_call_written_as_text(codex: Codex, script: Script, markup: str) -> None:
    script.answer(stream(text(*markup), finish(), usage(), done()), reply(text="It ran."))
    run = codex.exec("run something", script.model).succeeded()
    assert run.messages == ["It ran."]
    assert [item["aggregated_output"] for item in run.items("command_execution")] == ["healed\n"]


def test_reasoning_is_all_there_is(codex: Codex, script: Script) -> None:
    script.answer(reply(reasoning="The answer is 42."))
    assert codex.exec("what is the answer?", script.model).succeeded().messages == ["The answer is 42."]


def test_answer_cut_by_its_length(codex: Codex, script: Script) -> None:
    script.answer(reply(text="As far as it", finish_reason="length"))
    [message] = codex.exec("tell me more", script.model).succeeded().messages
    assert message.startswith("As far as it\n\n[The answer ends here: ")


def test_answer_cut_by_its_length_in_an_editor(codex: Codex, script: Script) -> None:
    """Codex then bears the name of the editor."""
    script.answer(reply(text="As far as it", finish_reason="length"))
    with conversation(codex, script.model, client="an-editor") as talk:
        assert talk.wait_end(talk.start("tell me more")) == "completed"


def test_thinking_within_the_text(codex: Codex, script: Script) -> None:
    script.answer(stream(text(*"<think>A greeting.</think>Hi."), finish(), done()), reply(text="Bye."))
    first = codex.exec("say hi", script.model).succeeded()
    assert (first.reasoning, first.messages) == (["A greeting."], ["Hi."])
    codex.exec("say bye", script.model, resume=first.thread_id).succeeded()
    assert script.requests[1].last("assistant")["reasoning_content"] == "A greeting."


def test_content_filter(codex: Codex, script: Script) -> None:
    script.answer(stream(text("I must not"), chunk(finish_reason="content_filter"), done()))
    [message] = codex.exec("something bad", script.model).messages
    assert message.startswith("I must not\n\n[The answer ends here: ")


def test_context_overflow(codex: Codex, script: Script) -> None:
    script.answer(error(400, "This model's maximum context length is 8192 tokens, you requested 9000."))
    run = codex.exec("a long story", script.model)
    assert run.exit_code == 1
    assert "ran out of room in the model's context window" in run.stdout
