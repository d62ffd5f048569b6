"""openai-agents with its default Responses model: one scenario, whose result is printed as JSON."""

import asyncio
import json
import sys
from typing import Any

from agents import (
    Agent,
    Computer,
    ComputerTool,
    HostedMCPTool,
    MCPToolApprovalRequest,
    Runner,
    ToolSearchTool,
    function_tool,
    set_default_openai_client,
    set_tracing_disabled,
)
from openai import AsyncOpenAI
from pydantic import BaseModel


class City(BaseModel):
    name: str
    people: int


def weather_of(city: str) -> str:
    """The weather of a city."""
    return f"snow in {city}"


get_weather = function_tool(weather_of, name_override="get_weather")


def mcp(approval: Any, decide: Any = None) -> HostedMCPTool:
    config = {"type": "mcp", "server_label": "everything", "server_url": more[0], "require_approval": approval}
    return HostedMCPTool(tool_config=config, on_approval_request=decide)


class Screen(Computer):
    """A computer of which only clicks are noted."""

    def __init__(self) -> None:
        self.clicks: list[str] = []

    def screenshot(self) -> str:
        return "iVBORw0KGgo="

    def click(self, x: int, y: int, button: str) -> None:
        self.clicks.append(f"click {x} {y} {button}")

    def _nothing(self, *_: Any) -> None:
        """Do nothing."""

    double_click = scroll = type = wait = move = keypress = drag = _nothing


async def run(model: str, scenario: str) -> Any:
    match scenario:
        case "tools":
            agent = Agent(name="a", instructions="Be brief.", model=model, tools=[get_weather])
            return (await Runner.run(agent, "Weather in Oslo?")).final_output
        case "stream":
            result = Runner.run_streamed(Agent(name="a", model=model), "Count.")
            return [
                event.data.delta
                async for event in result.stream_events()
                if event.type == "raw_response_event" and event.data.type == "response.output_text.delta"
            ]
        case "structured":
            result = await Runner.run(Agent(name="a", model=model, output_type=City), "A city.")
            return result.final_output.model_dump()
        case "chain":
            agent = Agent(name="a", model=model)
            first = await Runner.run(agent, "My name is Ada.")
            second = await Runner.run(agent, "My name?", previous_response_id=first.last_response_id)
            return second.final_output
        case "mcp":
            result = await Runner.run(Agent(name="a", model=model, tools=[mcp("never")]), "Say hi.")
            return {"text": result.final_output, "items": [item.type for item in result.new_items]}
        case "approval":
            asked: list[str] = []

            def decide(request: MCPToolApprovalRequest) -> Any:
                asked.append(request.data.arguments)
                return {"approve": True} if len(asked) == 1 else {"approve": False, "reason": "once is enough"}

            agent = Agent(name="a", model=model, tools=[mcp("always", decide)])
            result = await Runner.run(agent, "Say hi, and hi again.")
            return {"text": result.final_output, "asked": asked}
        case "tool_search":
            deferred = function_tool(weather_of, name_override="get_weather", defer_loading=True)
            agent = Agent(name="a", model=model, tools=[deferred, ToolSearchTool()])
            result = await Runner.run(agent, "Weather in Oslo?")
            return {"text": result.final_output, "items": [item.type for item in result.new_items]}
        case "computer":
            screen = Screen()
            agent = Agent(name="a", model=model, tools=[ComputerTool(computer=screen)])
            said = (await Runner.run(agent, "Click.")).final_output
            return [*screen.clicks, said]
    raise AssertionError(scenario)


base_url, model, scenario, *more = sys.argv[1:]
set_tracing_disabled(True)
set_default_openai_client(AsyncOpenAI(base_url=base_url, api_key="sk-client-key", max_retries=0), use_for_tracing=False)
print(json.dumps(asyncio.run(run(model, scenario))))
