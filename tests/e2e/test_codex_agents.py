"""Codex's agents: one spawns another, whose turns go through the gateway beside its own, and gets its result."""

import json
from collections.abc import Callable, Sequence
from itertools import chain, pairwise, repeat

import pytest

from e2e.codex import Codex, CodexRun, releases
from e2e.gateway import GatewayProcess, StartGateway
from upstream import Request, Responder, Script, call, calling, error, reply

TASK = "Count the files."
PROMPT = "Have the files counted."
SESSION_HEADER = "x-session-affinity"
"""With which Fireworks is told the session."""


def is_child(request: Request) -> bool:
    """Whether the task came as a message, not only as the argument with which the parent gave it."""
    return any(message["role"] == "user" and TASK in json.dumps(message["content"]) for message in request.messages)


def family(codex: Codex, parent: Sequence[Responder]) -> Responder:
    """The answers to both agents: those of the parent in order, while the child runs one command.

    The last one is repeated: word of the child's end may reach the parent late, and wakes it up again.
    """
    answers = chain(parent, repeat(parent[-1]))

    def respond(request: Request) -> Responder:
        if not is_child(request):
            return next(answers)
        if request.roles()[-1] == "tool":
            return reply(text="There are 3 files.")
        return reply(reasoning="I count.", calls=[codex.shell("echo three", "call_count")])

    return respond


SPAWN = calling("spawn_agent", {"message": TASK})


def wait_for_agent(request: Request) -> Responder:
    agent = json.loads(request.messages[-1]["content"])["agent_id"]
    return reply(calls=[call(request.tool("wait_agent"), {"targets": [agent], "timeout_ms": 60_000}, "call_wait")])


@pytest.fixture
def gateway(start_gateway: StartGateway) -> GatewayProcess:
    """A gateway whose upstream is told sessions and prompt-cache keys."""
    return start_gateway({"gateway_provider": "fireworks"})


def told_apart(gateway: GatewayProcess, script: Script) -> tuple[list[Request], list[Request]]:
    """The requests of the parent and those of the child, after a look at what tells them apart."""
    threads = [body["client_metadata"].get("thread_id") for body in gateway.received(script.model)]
    keys = {body["prompt_cache_key"] for body in gateway.received(script.model)}
    if None not in threads:  # 0.130 has them in headers only
        assert sorted(threads) == sorted(request.headers[SESSION_HEADER] for request in script.requests)
        assert len(keys) == 1, "Codex gives parent and child one key"
    assert {request.body["prompt_cache_key"] for request in script.requests} == keys
    parent = [request for request in script.requests if not is_child(request)]
    child = [request for request in script.requests if is_child(request)]
    for one, other in ((parent, child), (child, parent)):
        assert len({request.headers[SESSION_HEADER] for request in one}) == 1
        assert one[0].headers[SESSION_HEADER] != other[0].headers[SESSION_HEADER]
        for earlier, later in pairwise(one):
            assert later.messages[: len(earlier.messages)] == earlier.messages
            assert later.body["tools"] == earlier.body["tools"]
    assert [message.get("reasoning_content") for message in child[1].messages if "tool_calls" in message][
        -1
    ] == "I count."
    assert "three" in child[1].tool_result("call_count")
    return parent, child


def collaborations(run: CodexRun) -> list[tuple[str, str]]:
    return [(item["tool"], item["status"]) for item in run.items("collab_tool_call")]


@releases(having=lambda release: release.agents)
def test_spawn_and_wait(gateway: GatewayProcess, codex: Codex, script: Script) -> None:
    script.always(family(codex, [SPAWN, wait_for_agent, reply(text="Three, says the agent.")]))
    run = codex.exec(PROMPT, script.model).succeeded()
    assert set(run.messages) == {"Three, says the agent."}
    assert collaborations(run) == [("spawn_agent", "completed"), ("wait", "completed")]
    parents, children = told_apart(gateway, script)
    assert (len(parents) >= 3, len(children)) == (True, 2)
    assert "There are 3 files." in parents[2].tool_result("call_wait")
    assert not [name for name in children[0].tools if name.endswith("spawn_agent")]


def test_agents_that_send_messages(gateway: GatewayProcess, codex: Codex, script: Script) -> None:
    """The second kind of agents: the child inherits the parent's history and its task is an item of its own."""
    codex.configure("features.multi_agent_v2 = true")

    spawn = calling("spawn_agent", {"task_name": "counter", "message": TASK})
    wait = calling("wait_agent", {"timeout_ms": 60_000})
    script.always(family(codex, [spawn, wait, reply(text="Three, says the agent.")]))
    run = codex.exec(PROMPT, script.model).succeeded()
    assert set(run.messages) == {"Three, says the agent."}
    parents, children = told_apart(gateway, script)
    assert (len(parents) >= 3, len(children)) == (True, 2)
    assert "There are 3 files." in json.dumps(parents[-1].messages)
    assert PROMPT in json.dumps(children[0].messages)


def test_agents_beside_code_mode(codex: Codex, script_for: Callable[[str], Script]) -> None:
    """Theirs are the tools that are not called from JavaScript."""
    script = script_for("gpt-6-astra")
    spawn = calling("spawn_agent", {"task_name": "counter", "message": TASK, "fork_turns": "none"})
    wait = calling("wait_agent", {"timeout_ms": 60_000})
    parent = family(codex, [spawn, wait, reply(text="Three, says the agent.")])
    child = reply(text="There are 3 files.")
    script.always(lambda request: child if is_child(request) else parent)
    run = codex.exec(PROMPT, script.model).succeeded()
    assert set(run.messages) == {"Three, says the agent."}
    assert "There are 3 files." in json.dumps(script.requests[-1].messages)


def test_agent_of_another_model(codex: Codex, script: Script, script_for: Callable[[str], Script]) -> None:
    """A slug whose tools come as an item: the child of a model that has them in `tools`."""
    other = script_for("gpt-6-luna")
    other.answer(reply(text="There are 3 files."))
    spawn = calling("spawn_agent", {"message": TASK, "model": other.model})
    script.always(family(codex, [spawn, wait_for_agent, reply(text="Three, says the agent.")]))
    run = codex.exec(PROMPT, script.model).succeeded()
    assert set(run.messages) == {"Three, says the agent."}
    assert "There are 3 files." in script.requests[2].tool_result("call_wait")
    assert other.request.text("user") == TASK
    assert other.request.tool("exec")


def test_agent_that_fails(codex: Codex, script: Script) -> None:
    """The parent is told why, and goes on."""
    parent = family(codex, [SPAWN, wait_for_agent, reply(text="It failed.")])
    script.always(lambda request: error(400, "the child's model is asleep") if is_child(request) else parent)
    run = codex.exec(PROMPT, script.model).succeeded()
    assert set(run.messages) == {"It failed."}
    assert "the child's model is asleep" in json.dumps(script.requests[-1].messages)
