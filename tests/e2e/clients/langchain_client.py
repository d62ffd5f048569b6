"""LangChain's ChatOpenAI on the Responses API: one scenario, whose result is printed as JSON."""

import json
import sys
from typing import Any

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel


class City(BaseModel):
    name: str
    people: int


@tool
def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"snow in {city}"


def run(llm: ChatOpenAI, scenario: str) -> Any:
    match scenario:
        case "tools":
            with_tools = llm.bind_tools([get_weather])
            messages: list[Any] = [HumanMessage("Weather in Oslo?")]
            answer = with_tools.invoke(messages)
            messages.append(answer)
            for call in answer.tool_calls:
                messages.append(ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"]))
            return with_tools.invoke(messages).text
        case "stream":
            return [chunk.text for chunk in llm.stream("Count.") if chunk.text]
        case "structured":
            return llm.with_structured_output(City).invoke("A city.").model_dump()
        case "chain":
            first = llm.invoke("My name is Ada.")
            return llm.invoke("My name?", previous_response_id=first.response_metadata["id"]).text
        case "mcp":
            server = {"type": "mcp", "server_label": "everything", "server_url": more[0], "require_approval": "never"}
            answer = llm.bind_tools([server]).invoke("Say hi.")
            return {"text": answer.text, "results": answer.content}
    raise AssertionError(scenario)


base_url, model, scenario, *more = sys.argv[1:]
llm = ChatOpenAI(model=model, base_url=base_url, api_key="sk-client-key", use_responses_api=True, max_retries=0)
print(json.dumps(run(llm, scenario)))
