"""LlamaIndex's OpenAIResponses: one scenario, whose result is printed as JSON."""

import json
import sys
from typing import Any

from llama_index.core import PromptTemplate
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai import OpenAIResponses
from pydantic import BaseModel


class City(BaseModel):
    name: str
    people: int


def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"snow in {city}"


def run(llm: OpenAIResponses, scenario: str) -> Any:
    match scenario:
        case "tools":
            tools = [FunctionTool.from_defaults(get_weather)]
            messages = [ChatMessage(role="user", content="Weather in Oslo?")]
            answer = llm.chat_with_tools(tools, chat_history=messages)
            messages.append(answer.message)
            for call in llm.get_tool_calls_from_response(answer):
                result = get_weather(**call.tool_kwargs)
                messages.append(ChatMessage(role="tool", content=result, additional_kwargs={"call_id": call.tool_id}))
            return llm.chat_with_tools(tools, chat_history=messages).message.content
        case "stream":
            return [piece.delta for piece in llm.stream_complete("Count.") if piece.delta]
        case "structured":
            return llm.structured_predict(City, PromptTemplate("A city.")).model_dump()
        case "chain":
            llm.complete("My name is Ada.")
            return llm.complete("My name?").text
    raise AssertionError(scenario)


base_url, model, scenario = sys.argv[1:]
llm = OpenAIResponses(
    model=model,
    api_base=base_url,
    api_key="sk-client-key",
    context_window=100_000,
    max_retries=0,
    track_previous_responses=scenario == "chain",
)
print(json.dumps(run(llm, scenario)))
