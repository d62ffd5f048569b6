"""A session to look at: questions, calls with their results, a patch, a picture, a break of the prefix, a failure."""

import json
import re
from http.client import HTTPConnection
from typing import Any

from e2e.environment import API_KEY
from e2e.mitmweb import MitmwebProcess
from upstream import Script, call, done, error, finish, reasoning, stream, text, usage

INSTRUCTIONS = "You are a careful engineer. Read before you write.\n\n- Ask when in doubt.\n" * 10
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAoAAAAKCAIAAAACUFjqAAAAEklEQVR4nGP4z8CAB+GTG8HSALfKY52fTcuYAAAAAElF"
    "TkSuQmCC"
)
PATCH = """*** Begin Patch
*** Update File: meson.build
@@
-zstd = cc.find_library('zstd')
+zstd = dependency('libzstd')
*** End Patch"""
TOOLS = [
    {
        "type": "function",
        "name": "exec_command",
        "description": "Runs a command in a shell.",
        "parameters": {"type": "object", "properties": {"cmd": {"type": "string"}, "workdir": {"type": "string"}}},
    },
    {"type": "custom", "name": "apply_patch", "description": "Changes files."},
]
ANSWER = """## What is wrong

The linker misses **zstd**: `find_library` ignores *pkg-config*.

1. Ask `pkg-config` first
2. Then link

| file | line |
| --- | ---: |
| meson.build | 14 |

```diff
-zstd = cc.find_library('zstd')
+zstd = dependency('libzstd')
```

See [the manual](https://mesonbuild.com/Dependencies.html)."""


def asked(words: str, *more: dict[str, Any]) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": words}, *more]}


def ask(web: MitmwebProcess, body: dict[str, Any], headers: dict[str, str] | None = None, *, read: bool = True) -> Any:
    """A request of Codex' main thread; returns the connection and the answer."""
    connection = HTTPConnection("127.0.0.1", web.port, timeout=60)
    named = {"user-agent": "codex_exec/0.169.0", "session-id": "main", "thread-id": "main", **(headers or {})}
    named |= {"content-type": "application/json", "authorization": f"Bearer {API_KEY}"}
    connection.request("POST", "/v1/responses", json.dumps({"stream": True, **body}), named)
    answer = connection.getresponse()
    if read:
        answer.read()
        connection.close()
    return connection, answer


def items() -> list[dict[str, Any]]:
    """The conversation as it grows: by a call and its result, by a patch and its result, by another question."""
    return [
        asked("Why does the build fail? Look at the log, then propose the smallest fix."),
        {
            "type": "function_call",
            "name": "exec_command",
            "call_id": "call_1",
            "arguments": '{"cmd": "tail build.log"}',
        },
        {
            "type": "function_call_output",
            "call_id": "call_1",
            "output": "Exit code: 1\n[239/240] CC src/zip.c\nld: cannot find -lzstd",
        },
        {"type": "custom_tool_call", "name": "apply_patch", "call_id": "call_2", "input": PATCH},
        {"type": "custom_tool_call_output", "call_id": "call_2", "output": "Success. Updated meson.build"},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": ANSWER}],
        },
        asked("Does it look like this now?", {"type": "input_image", "image_url": PIXEL}),
    ]


def converse(web: MitmwebProcess, script: Script) -> None:
    """Four turns: a call, a patch after the instructions changed, the answer, and one that fails."""
    script.answer(
        stream(
            reasoning("The log", " is the place", " to begin."),
            call("exec_command", {"cmd": "tail build.log"}).chunks(0),
            finish("tool_calls"),
            usage(prompt=12_410, completion=96, cached=0),
            done(),
        ),
        stream(
            reasoning("The linker misses zstd.", " Is it declared?"),
            text("I change", " the declaration."),
            call("apply_patch", {"input": PATCH}, "call_2").chunks(0),
            finish("tool_calls"),
            usage(prompt=13_052, completion=141, cached=2_048, reasoned=40),
            done(),
        ),
        stream(
            *text(*re.findall(r"\S+\s*", ANSWER)),
            finish(),
            usage(prompt=13_230, completion=212, cached=13_056),
            done(),
        ),
        error(400, "The picture cannot be read: it has no pixels.", code="bad_image"),
    )
    talk = items()
    more = {"tools": TOOLS, "metadata": {"purpose": "build"}, "reasoning": {"effort": "high"}, "store": False}
    changed = INSTRUCTIONS.replace("Ask when in doubt.", "Never ask.", 1)
    for length, instructions in ((1, INSTRUCTIONS), (3, changed), (5, changed), (7, changed)):
        body = {"model": script.model, "instructions": instructions, "input": talk[:length], **more}
        ask(web, body)
