"""A thousand requests and a thousand upstream streams that are not as they should be."""

import json
import logging
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from responses_gateway.protocol.errors import GatewayError
from responses_gateway.translate.request.compaction import asks_for_compaction
from unit.exchanges import events, exchange
from unit.machine import check

HERE = Path(__file__).parent
CAPTURES = sorted((HERE / "captures").glob("*.json"))
RECORDED = [json.loads(line) for path in sorted((HERE / "transcripts").glob("*.jsonl")) for line in path.open()]
STREAMS = [entry["body"].encode() for entry in RECORDED if entry["body"].startswith("data: {")]
BATCHES = 20
BATCH = 50
ODD: list[Any] = [None, True, 0, -1, 1e308, 10**30, "", "x", "\ud800".encode("utf-16", "surrogatepass").decode("latin-1"), [], {}, [[]], [None], {"type": 5}, {"type": "nothing"}, "data:,", "A" * 5000]  # fmt: skip # noqa: E501


def mutated(value: Any, chance: random.Random) -> Any:
    """A JSON value with one place changed: replaced, removed, doubled, renamed or moved elsewhere."""
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key in list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
            places.append((node, key))
            walk(node[key])

    walk(value)
    if not places:
        return chance.choice(ODD)
    node, key = chance.choice(places)
    match chance.randrange(5):
        case 0:
            node[key] = chance.choice(ODD)
        case 1:
            del node[key]
        case 2 if isinstance(node, list):
            node.insert(key, node[key])
        case 3 if isinstance(node, dict):
            node[chance.choice(["x", "", "type", "role", "id"])] = node.pop(key)
        case _:
            other, place = chance.choice(places)
            node[key] = json.loads(json.dumps(other[place])) if _has(other, place) else None
    return value


def _has(node: Any, key: Any) -> bool:
    return key in node if isinstance(node, dict) else key < len(node)


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Bytes with some cut out, doubled, swapped or overwritten."""
    for _ in range(chance.randrange(1, 4)):
        at, length = chance.randrange(len(data) + 1), chance.choice([1, 2, 10, 100])
        piece = data[at : at + length]
        put = chance.choice(
            [b"", piece * 2, chance.randbytes(length), b"\n\n", b"data: ", b"null", b'"', b"{", piece[::-1]]
        )
        data = data[:at] + put + data[at + length :]
    return data


@pytest.mark.parametrize("batch", range(BATCHES))
def test_malformed_requests(batch: int, caplog: pytest.LogCaptureFixture) -> None:
    chance = random.Random(batch)
    with caplog.at_level(logging.ERROR):
        for _ in range(BATCH):
            body = json.loads(chance.choice(CAPTURES).read_bytes())
            body = body.get("body", body) if isinstance(body, dict) else body
            for _ in range(chance.randrange(1, 4)):
                body = mutated(body, chance)
            raw = json.dumps(body).encode()
            if chance.random() < 0.2:
                raw = damaged(raw, chance)
            _answer_is_valid(raw)
    assert not caplog.records


def _answer_is_valid(raw: bytes) -> None:
    try:
        one = exchange(raw)
    except GatewayError as refused:
        error = refused
    else:
        json.dumps(one.upstream_request.body)
        one.begin({})
        received = events(one.feed(b'data: {"choices":[{"delta":{"content":"hi"}}]}\n\n') + one.cut(_cut()))
        assert [event["sequence_number"] for event in received] == list(range(len(received)))
        assert received[-1]["type"] == "response.failed"
        if not asks_for_compaction(one.request):
            assert received[-1]["response"]["output"][0]["content"][0]["text"] == "hi"
        return
    assert 400 <= error.status < 500
    assert set(error.body()["error"]) == {"message", "type", "param", "code"}
    json.dumps(error.body())


@pytest.mark.parametrize("batch", range(BATCHES))
def test_malformed_streams(batch: int, caplog: pytest.LogCaptureFixture) -> None:
    chance = random.Random(batch)
    with caplog.at_level(logging.ERROR):
        for _ in range(BATCH):
            data = chance.choice(STREAMS)
            if chance.random() < 0.5:
                frames = data.split(b"\n\n")
                at = chance.randrange(len(frames))
                with suppress(ValueError):
                    changed = mutated(json.loads(frames[at].removeprefix(b"data: ")), chance)
                    frames[at] = b"data: " + json.dumps(changed).encode()
                data = b"\n\n".join(frames)
            else:
                data = damaged(data, chance)
            one = exchange()
            one.begin({})
            sent = b""
            size = chance.choice([7, 100, 1000, len(data) + 1])
            for at in range(0, len(data), size):
                sent += one.feed(data[at : at + size])
            sent += one.close()
            sent += one.cut(_cut())
            assert one.ended
            check(events(sent))
    assert not caplog.records


def _cut() -> GatewayError:
    return GatewayError("The upstream closed the connection.", 502, "server_error")
