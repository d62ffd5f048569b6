"""A scripted chat/completions server: tests say what the model answers, then read what it was asked.

    script.answer(reply(calls=[call("exec_command", {"cmd": "echo hi"})]), reply(text="Done."))

`reply` fits the request (streaming or not); `stream` gives control over every chunk; a plain `Answer` over every byte.
"""

from upstream.answers import (
    CUT,
    RESET,
    Answer,
    Call,
    Drip,
    Gate,
    Responder,
    call,
    call_piece,
    calling,
    chunk,
    completion,
    done,
    error,
    finish,
    reasoning,
    reply,
    stream,
    text,
    usage,
    writing,
)
from upstream.request import Ending, Request
from upstream.server import Script, ScriptedUpstream

__all__ = [
    "CUT",
    "RESET",
    "Answer",
    "Call",
    "Drip",
    "Ending",
    "Gate",
    "Request",
    "Responder",
    "Script",
    "ScriptedUpstream",
    "call",
    "call_piece",
    "calling",
    "chunk",
    "completion",
    "done",
    "error",
    "finish",
    "reasoning",
    "reply",
    "stream",
    "text",
    "usage",
    "writing",
]
