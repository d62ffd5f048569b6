"""A computer that the client runs, as openai-python's own toolset, which is strict, and openai-agents drive it."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI
from openai.lib.computer import ComputerToolset

from e2e.client_environment import ClientLibrary
from e2e.gateway import GatewayProcess
from upstream import Script, call, reply
from upstream.images import PNG

SCREEN = f"data:image/png;base64,{PNG}"
SEEN = {"type": "image_url", "image_url": {"url": SCREEN}}
PREVIEW = {"type": "computer_use_preview", "display_width": 800, "display_height": 600, "environment": "linux"}


class Driver:
    """Writes down what it is told to do."""

    def __init__(self) -> None:
        self.done: list[dict[str, Any]] = []

    def _do(self, action: Any) -> None:
        self.done.append(action.to_dict())

    click = double_click = drag = keypress = move = scroll = type = wait = _do

    def screenshot(self) -> Any:
        return {"type": "computer_screenshot", "image_url": SCREEN}


@pytest.mark.parametrize("tool", [{"type": "computer"}, PREVIEW], ids=lambda tool: tool["type"])
def test_a_run_of_the_toolset(gateway: GatewayProcess, script: Script, tool: Any) -> None:
    click = {"type": "click", "button": "left", "x": 10, "y": 20}
    odd = {"action": "left_click", "coordinate": [10.0, "20"]}
    several = tool["type"] == "computer"
    script.answer(
        reply(reasoning="Where?", calls=[call("computer", {"actions": []} if several else {}, "c1")]),
        reply(calls=[call("computer", {"actions": [click, {"type": "type", "text": "hi"}]} if several else odd, "c2")]),
        reply(text="Done."),
    )
    driver = Driver()
    with OpenAI(base_url=f"{gateway.url}/v1", api_key="sk-client-key", max_retries=0) as client:
        response = ComputerToolset(driver).run(
            client, {"model": script.model, "input": "Say hi.", "tools": [tool], "store": False}
        )
    assert response.output_text == "Done."
    assert driver.done == [click, {"type": "type", "text": "hi"}] if several else [click]
    for earlier, later in pairwise(script.requests):
        assert later.messages[: len(earlier.messages)] == earlier.messages
        assert later.messages[-1]["content"][-1] == SEEN
        assert later.body["tools"] == earlier.body["tools"]
    assert script.requests[1].last("assistant")["reasoning_content"] == "Where?"


def test_openai_agents(gateway: GatewayProcess, script: Script, tmp_path: Path) -> None:
    library = ClientLibrary("openai_agents_client.py", ["openai-agents==0.24.0"])
    script.answer(
        reply(calls=[call("computer", {"actions": [{"type": "click", "x": 1, "y": 2}]}, "c1")]), reply(text="Clicked.")
    )
    assert library.run(tmp_path, f"{gateway.url}/v1", script.model, "computer") == ["click 1 2 left", "Clicked."]
    assert script.requests[1].messages[-1]["content"][-1]["image_url"]["url"].startswith("data:image/png;base64,")
