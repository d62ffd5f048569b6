"""Several turns of one Codex, as the TUI and editors run them."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from e2e.codex import Codex
from e2e.process import LoggedProcess


class Conversation:
    """One thread of a Codex app-server, whose client says that it is `client`."""

    def __init__(self, server: LoggedProcess, client: str) -> None:
        self._server = server
        self._asked = 0
        info = {"name": client, "title": None, "version": "1"}
        self._ask("initialize", clientInfo=info, capabilities=None)
        server.send_line(json.dumps({"method": "initialized"}))
        self._thread = self._ask("thread/start")["thread"]["id"]

    def _ask(self, method: str, **params: Any) -> dict[str, Any]:
        self._asked += 1
        self._server.send_line(json.dumps({"id": self._asked, "method": method, "params": params}))
        answer = json.loads(self._server.wait_log(rf'^\{{"id":{self._asked},.*')[0])
        assert "result" in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def start(self, prompt: str) -> str:
        """Begin a turn; returns its id."""
        started = self._ask("turn/start", threadId=self._thread, input=[{"type": "text", "text": prompt}])
        turn_id: str = started["turn"]["id"]
        return turn_id

    def interrupt(self, turn_id: str) -> None:
        self._ask("turn/interrupt", threadId=self._thread, turnId=turn_id)

    def wait_end(self, turn_id: str) -> str:
        """The status with which that turn ended."""
        pattern = rf'^\{{"method":"turn/completed".*"id":"{re.escape(turn_id)}".*'
        completed = json.loads(self._server.wait_log(pattern)[0])
        status: str = completed["params"]["turn"]["status"]
        return status


@contextmanager
def conversation(codex: Codex, model: str, client: str = "codex-test") -> Iterator[Conversation]:
    with codex.app_server(model) as server:
        yield Conversation(server, client)
