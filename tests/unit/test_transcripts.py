"""Recorded answers of real servers (llama.cpp, LiteLLM, transformers serve) become valid event sequences.

transcripts/SERVER.jsonl has one exchange per line: the chat request, and status, content type and body of the answer as
they came.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import JsonObject
from responses_gateway.settings.settings import Settings
from responses_gateway.turn.exchange import Exchange
from unit import machine
from unit.world import open_exchange, runtime

TRANSCRIPTS = Path(__file__).with_name("transcripts")


@dataclass(frozen=True)
class Transcript:
    server: str
    name: str
    request: JsonObject
    status: int
    content_type: str
    body: str

    @property
    def streams(self) -> bool:
        return bool(self.request.get("stream"))

    def __str__(self) -> str:
        return f"{self.server}-{self.name}"

    def exchange(self) -> Exchange:
        """An exchange whose request offers the tools of the recorded one."""
        tools = [
            {"type": "function", **tool["function"]}
            for tool in self.request.get("tools", [])
            if isinstance(tool.get("function"), dict) and isinstance(tool["function"].get("parameters", {}), dict)
        ]
        if self.request.get("tools") and not tools:
            tools = [{"type": "function", "name": "get_weather"}]
        request = {"model": "tiny", "input": "hi", "stream": self.streams, "tools": tools}
        return open_exchange(request, {}, runtime(Settings(store="none"), "http://127.0.0.1:9"))


def load() -> list[Transcript]:
    return [
        Transcript(file.stem, **json.loads(line))
        for file in sorted(TRANSCRIPTS.glob("*.jsonl"))
        for line in file.read_text(encoding="utf-8").splitlines()
    ]


ALL = load()
STREAMED = [one for one in ALL if one.status == 200 and one.streams]
WHOLE = [one for one in ALL if one.status == 200 and not one.streams]
REFUSED = [one for one in ALL if one.status != 200]


def stream(transcript: Transcript, size: int) -> list[JsonObject]:
    """The events for a body that arrives in pieces of `size` bytes."""
    exchange = transcript.exchange()
    body = transcript.body.encode()
    exchange.begin({"content-type": transcript.content_type})
    pieces = [exchange.feed(body[at : at + size]) for at in range(0, len(body), size)]
    pieces.append(exchange.close())
    if exchange.fault is not None:
        pieces.append(exchange.fail(exchange.fault))
    sent = b"".join(pieces).decode()
    lines = [line.removeprefix("data: ") for line in sent.split("\n") if line.startswith("data: ")]
    assert lines.pop() == "[DONE]"
    return [json.loads(line) for line in lines]


@dataclass
class Said:
    """What an answer says, read in the simplest way, without any translation."""

    text: str = ""
    reasoning: str = ""
    calls: int = 0
    total_tokens: int | None = None
    finish_reason: str | None = None

    @property
    def silent(self) -> bool:
        return not (self.text or self.reasoning or self.calls)

    def add(self, payload: JsonObject, part: str) -> None:
        self.total_tokens = (payload.get("usage") or {}).get("total_tokens", self.total_tokens)
        for choice in payload.get("choices", []):
            if choice["index"] == 0:
                said = choice[part]
                self.text += said.get("content") or ""
                self.reasoning += said.get("reasoning_content") or said.get("reasoning") or ""
                self.calls += sum("name" in call["function"] for call in said.get("tool_calls") or [])
                self.finish_reason = choice.get("finish_reason") or self.finish_reason

    @classmethod
    def streamed(cls, body: str) -> "Said":
        said = cls()
        for line in body.replace("\r\n", "\n").split("\n"):
            if line.startswith("data: {") and line.endswith("}"):
                said.add(json.loads(line.removeprefix("data: ")), "delta")
        return said

    @classmethod
    def whole(cls, body: str) -> "Said":
        said = cls()
        said.add(json.loads(body), "message")
        return said


def compare(response: JsonObject, said: Said) -> None:
    """`response` says what the upstream said."""
    messages = [item for item in response["output"] if item["type"] == "message"]
    calls = [item for item in response["output"] if item["type"] == "function_call"]
    shown = "".join(part["text"] for item in messages for part in item["content"])
    assert len(calls) >= said.calls
    if "<think>" not in said.text and "<tool_call>" not in said.text and said.text.strip():
        assert shown.startswith(said.text) or shown == said.text.lstrip()
    if said.total_tokens is not None:
        assert response["usage"]["total_tokens"] == said.total_tokens
    if said.finish_reason == "length":
        assert (response["status"], response["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})


@pytest.mark.parametrize("transcript", STREAMED, ids=str)
def test_streamed(transcript: Transcript) -> None:
    events = stream(transcript, size=1 << 20)
    machine.check(events)
    assert stream(transcript, size=7) == events
    final = events[-1]["response"]
    said = Said.streamed(transcript.body)
    if said.finish_reason is None or (said.silent and said.finish_reason != "length"):
        assert final["status"] == "failed"
    else:
        compare(final, said)


@pytest.mark.parametrize("transcript", WHOLE, ids=str)
def test_whole(transcript: Transcript) -> None:
    said = Said.whole(transcript.body)
    if said.silent:
        with pytest.raises(GatewayError, match="without any text or tool call"):
            transcript.exchange().answer(200, {}, transcript.body.encode())
        return
    response = transcript.exchange().answer(200, {}, transcript.body.encode())
    machine.RESPONSE.validate_python(response)
    compare(response, said)


@pytest.mark.parametrize("transcript", REFUSED, ids=str)
def test_refused(transcript: Transcript) -> None:
    headers = {"content-type": transcript.content_type}
    refusal = transcript.exchange().refusal(transcript.status, headers, transcript.body.encode())
    assert isinstance(refusal, GatewayError)
    assert refusal.status in (400, 404, 429, 502, 503)
    error: dict[str, Any] = refusal.body()["error"]
    assert error["message"]
    assert set(error) == {"message", "type", "param", "code"}


def test_there_are_all_kinds_of_each_server() -> None:
    for kind in (STREAMED, WHOLE, REFUSED):
        assert {one.server for one in kind} == {"llama_cpp", "litellm", "transformers"}
