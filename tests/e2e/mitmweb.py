"""mitmweb with the gateway, and its REST API."""

import http.client
import json
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from e2e.gateway import LISTENING, GatewayProcess

PASSWORD = "web-password"
COLUMNS = ("icon", "status", "comment")


class MitmwebProcess(GatewayProcess):
    """A running mitmweb with the addon script; arguments as for `GatewayProcess`."""

    PROGRAM = "mitmweb"

    def __init__(
        self,
        upstream: str,
        home: Path,
        options: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        mode: str | None = None,
    ) -> None:
        self.web_port = _free_port()
        settings = {
            "web_port": str(self.web_port),
            "web_password": PASSWORD,
            "web_open_browser": "false",
            **(options or {}),
        }
        columns = [argument for name in COLUMNS for argument in ("--set", f"web_columns={name}")]
        super().__init__(upstream, home, settings, [*columns, *arguments], environment, mode)

    @property
    def web_url(self) -> str:
        return f"http://127.0.0.1:{self.web_port}/?token={PASSWORD}"

    def _wait_ready(self) -> None:
        self.wait_log(r"Web server listening at", 30)
        self.port = int(self.wait_log(LISTENING, 30)[1])

    # The REST API -----------------------------------------------------------------------------------------------------

    def flows(self) -> list[dict[str, Any]]:
        flows: list[dict[str, Any]] = json.loads(self.web("GET", "/flows"))
        return flows

    def wait_flow(self, condition: Any, timeout: float = 60) -> dict[str, Any]:
        """The latest flow, as soon as it meets `condition`. Raises TimeoutError."""
        deadline = time.monotonic() + timeout
        flows: list[dict[str, Any]] = []
        while time.monotonic() < deadline:
            flows = self.flows()
            if flows and condition(flows[-1]):
                return flows[-1]
            time.sleep(0.05)
        raise TimeoutError(f"no such flow within {timeout} s: {flows}\n{self.log}")

    def view(self, flow_id: str, side: str, name: str = "auto") -> str:
        """The text of a content view on the tab `request` or `response`."""
        return str(self.view_json(flow_id, side, name)["text"])

    def view_json(self, flow_id: str, side: str, name: str = "auto") -> dict[str, Any]:
        shown: dict[str, Any] = json.loads(self.web("GET", f"/flows/{flow_id}/{side}/content/{quote(name)}.json"))
        return shown

    def command(self, name: str, *arguments: str) -> Any:
        """What the command returns. Raises RuntimeError with its error."""
        answer = json.loads(self.web("POST", f"/commands/{name}", {"arguments": list(arguments)}))
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["value"]

    def web(self, method: str, path: str, body: Any = None) -> bytes:
        """One request of mitmweb's own API."""
        connection = http.client.HTTPConnection("127.0.0.1", self.web_port, timeout=60)
        headers = {"Authorization": f"Bearer {PASSWORD}"}
        if method != "GET":
            # The protection against forgery wants the same value twice, whichever it is.
            headers |= {"Cookie": "_mitmproxy_xsrf=ab", "X-XSRFToken": "ab", "content-type": "application/json"}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            data = answer.read()
            assert answer.status < 300, (method, path, answer.status, data[:500])
            return data
        finally:
            connection.close()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port
