"""Requests in the shape of real Codex CLI 0.169.0 sessions, of any size, and the same requests in chat's shape."""

import itertools
import json
import random
import secrets
from pathlib import Path

from responses_gateway.catalogue.models.card import ModelCard
from responses_gateway.catalogue.providers.profile import Profile
from responses_gateway.protocol.json import JsonObject, dumps
from responses_gateway.protocol.responses import parse_request
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.reasoning import CarriedReasoning, seal_reasoning
from responses_gateway.translate.request.chat_request import translate_request

ROOT = Path(__file__).resolve().parents[2]
_CAPTURE = ROOT / "tests/unit/captures/codex-0.169.0-body_mcp_kimi-k2_6.json"
_PROMPT_SIZES = (16979, 2104, 362, 355)
"""Characters of Codex's own texts, which the capture holds as placeholders."""

API_KEY = f"sk-{secrets.token_hex(32)}"
"""What clients send; LiteLLM insists on a strong one."""

_TURNS = 200
_SMALLEST_TURN = 1200
_SMALL = 16_000
"""Bytes below which a request has room for neither Codex's prompt nor its tools."""

_WORDS = Path(__file__).read_text().split()


def stream_model(rate: int, deltas: int) -> str:
    """The model name by which the scripted upstream knows what to stream (see load.c)."""
    return f"bench-{rate}-{deltas}"


def codex_request(size: int, model: str) -> JsonObject:
    """A turn's request of about `size` bytes: Codex's prompt and tools, and up to 200 turns of history."""
    request: JsonObject = json.loads(_CAPTURE.read_bytes())
    source = random.Random(size)
    request["model"] = model
    if size < _SMALL:
        request["tools"] = request["tools"][:2]
    else:
        texts = [part for item in request["input"] for part in item["content"]]
        for part, length in zip(texts, _PROMPT_SIZES, strict=False):
            part["text"] = _prose(source, length)
    room = size - len(dumps(request))
    turns = max(0, min(_TURNS, room // _SMALLEST_TURN))
    for turn in range(turns):
        items = _turn(source, turn, room // (turns - turn))
        request["input"] += items
        room -= len(dumps(items))
    return request


def _turn(source: random.Random, turn: int, size: int) -> list[JsonObject]:
    """What one model call leaves in the history: a thought, a shell call and its result; now and then words."""
    thought = _prose(source, 160)
    items: list[JsonObject] = [
        {
            "type": "reasoning",
            "id": f"rs_{turn:032x}",
            "summary": [{"type": "summary_text", "text": thought}],
            "content": [{"type": "reasoning_text", "text": thought}],
            "encrypted_content": seal_reasoning(CarriedReasoning(thought)),
        }
    ]
    if turn % 10 == 9:
        items.append(_message(turn, "assistant", "output_text", _prose(source, 120)))
        items.append(_message(turn, "user", "input_text", _prose(source, 80)))
        return items
    arguments = json.dumps({"cmd": f"sed -n '{turn},+40p' src/{_prose(source, 24).replace(' ', '_')}"})
    call_id = f"call_{turn:024x}"
    items += [
        {
            "type": "function_call",
            "status": "completed",
            "id": f"fc_{turn:032x}",
            "name": "exec_command",
            "arguments": arguments,
            "call_id": call_id,
        },
        {"type": "function_call_output", "id": f"fco_{turn:032x}", "call_id": call_id, "output": ""},
    ]
    head = "Chunk ID: 07392d\nWall time: 0.0000 seconds\nProcess exited with code 0\nOutput:\n"
    items[-1]["output"] = head + _code(source, max(40, size - len(dumps(items)) - len(head)))
    return items


def _message(turn: int, role: str, part: str, text: str) -> JsonObject:
    return {
        "type": "message",
        "id": f"msg_{turn:032x}_{role}",
        "role": role,
        "content": [{"type": part, "text": text}],
    }


def _prose(source: random.Random, size: int) -> str:
    start = source.randrange(len(_WORDS))
    words = itertools.islice(itertools.cycle(_WORDS), start, start + size // 3 + 2)
    return " ".join(words)[:size]


def _code(source: random.Random, size: int) -> str:
    """Lines that need escaping now and then, as a program's output does."""
    lines = []
    while size > 0:
        line = f'    "{_prose(source, source.randrange(20, 90))}"\n'
        lines.append(line)
        size -= len(line) + 3  # two quotes and the line break are escaped
    return "".join(lines)


def as_chat(request: JsonObject) -> JsonObject:
    """The same request in chat's shape."""
    parsed = parse_request(dumps(request))
    return translate_request(
        parsed, model=request["model"], profile=Profile(name="bench"), card=ModelCard(id="bench"), ledger=Ledger()
    ).body


def http_request(path: str, body: JsonObject) -> bytes:
    """The bytes that Codex sends for `body`."""
    content = dumps(body)
    head = [
        f"POST {path} HTTP/1.1",
        "host: 127.0.0.1",
        f"authorization: Bearer {API_KEY}",
        "accept: text/event-stream",
        "content-type: application/json",
        "originator: codex_exec",
        "user-agent: codex_exec/0.169.0 (Debian 12.0.0; x86_64) xterm-256color (codex_exec; 0.169.0)",
        "session-id: 01a1fb67-889d-7433-9f0b-4ad190bf16dd",
        "thread-id: 01a1fb67-889d-7433-9f0b-4ad190bf16dd",
        f"content-length: {len(content)}",
    ]
    return "\r\n".join((*head, "", "")).encode() + content
