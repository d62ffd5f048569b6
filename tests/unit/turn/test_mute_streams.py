"""A stream that is an empty body: some servers report so what they would otherwise refuse in words."""

import json

from unit.machine import delta
from unit.turn.rounds import serve

REFUSAL = json.dumps({"error": {"message": "llama_decode returned 1", "type": "internal_server_error", "code": None}})


def test_it_is_asked_again_without_a_stream_and_says_why() -> None:
    served = serve(b"", REFUSAL.encode())
    assert [request.get("stream") for request in served.requests] == [True, None]
    assert "stream_options" not in served.requests[1]
    assert served.response["error"]["message"] == "llama_decode returned 1"
    assert served.noted("repaired stream")


def test_an_answer_as_a_whole_is_an_answer() -> None:
    served = serve(b"", [delta("stop", content="Here.")])
    assert served.output[0]["content"][0]["text"] == "Here."


def test_it_is_asked_once_only() -> None:
    served = serve(b"", b"")
    assert served.response["status"] == "failed"


def test_it_is_not_asked_again_without_retries() -> None:
    served = serve(b"", settings={"retries": 0})
    assert (len(served.requests), served.response["status"]) == (1, "failed")
