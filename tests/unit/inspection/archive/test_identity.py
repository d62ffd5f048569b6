"""Whose turn it is, by what real clients send."""

from pathlib import Path

import pytest

from responses_gateway.inspection.archive.identity import Identity, identity_of
from responses_gateway.inspection.recording.recorded_turn import RecordedTurn
from responses_gateway.protocol.json import dumps, loads

CAPTURES = Path(__file__).parents[2] / "captures"


def identity(request: bytes, session: str = "", path: str = "/v1/responses", **headers: str) -> Identity:
    named = [[name.replace("_", "-"), value] for name, value in headers.items()]
    return identity_of(RecordedTurn({"headers": named, "session": session, "path": path}, request, [], None))


@pytest.mark.parametrize(
    ("capture", "agent", "has_parent"),
    [
        ("codex-0.169.0-cmd_review", "review", True),
        ("codex-0.169.0-cmd_approve_for_me.first_followup", "guardian", True),
        ("codex-0.169.0-body_gpt-6-astra", "", False),
    ],
)
def test_codex_tells_it_in_the_body_too(capture: str, agent: str, has_parent: bool) -> None:
    request = (CAPTURES / f"{capture}.json").read_bytes()
    metadata = loads(loads(request)["client_metadata"]["x-codex-turn-metadata"])
    found = identity(request)
    assert (found.thread, found.session) == (metadata["thread_id"], metadata["session_id"])
    assert (found.agent, bool(found.parent), found.kind) == (agent, has_parent, "turn")
    assert not has_parent or found.parent == metadata["parent_thread_id"]


def test_headers_win() -> None:
    request = dumps({"client_metadata": {"session_id": "a", "thread_id": "b"}, "prompt_cache_key": "c"})
    assert identity(request).session == "a"
    found = identity(request, session_id="s", thread_id="t", user_agent="codex-tui/0.169.0 (Debian)")
    assert (found.session, found.thread, found.client, found.version) == ("s", "t", "codex-tui", "0.169.0")


@pytest.mark.parametrize(
    ("agent", "client", "version"),
    [
        ("OpenAI/Python 3.52.0", "OpenAI/Python", "3.52.0"),
        ("python-httpx/0.28.1", "python-httpx", "0.28.1"),
        ("ai-sdk/openai/2.0.5 runtime/node.js/22", "ai-sdk/openai", "2.0.5"),
        ("curl", "curl", ""),
        ("", "", ""),
    ],
)
def test_clients_and_versions(agent: str, client: str, version: str) -> None:
    found = identity(b"{}", user_agent=agent)
    assert (found.client, found.version) == (client, version)


def test_kinds() -> None:
    turn_metadata = dumps({"thread_source": "thread_title", "request_kind": "turn"}).decode()
    assert identity(b"{}", x_codex_turn_metadata=turn_metadata).kind == "title"
    assert identity(b"{}", x_codex_turn_metadata='{"request_kind": "compaction"}').kind == "compaction"
    assert identity(dumps({"input": [{"type": "compaction_trigger"}]})).kind == "compaction"
    assert identity(b"{}", path="/v1/responses/compact").kind == "compaction"


@pytest.mark.parametrize("request_", [b"", b"no json", b"[]", b'{"client_metadata": 1}', b'{"input": [1], "tools": 2}'])
def test_nothing_breaks_it(request_: bytes) -> None:
    assert identity(request_, "of the gateway", x_codex_turn_metadata="[1").session == "of the gateway"


def test_a_conversation_is_a_session() -> None:
    assert identity(dumps({"conversation": {"id": "conv_1"}})).session == "conv_1"
    assert identity(dumps({"conversation": "conv_1"})).session == "conv_1"
