"""The types of chat/completions.

Requests are built with exact types. Chunks and completions are read from servers that agree on little, so they stay
plain JSON objects, and `translate.answer.chunk_reader` checks every field that it reads.
"""

from typing import Literal, NotRequired, TypedDict

from responses_gateway.protocol.json import JsonObject


class ChatFunction(TypedDict):
    name: str
    arguments: str


class ChatToolCall(TypedDict):
    id: str
    type: Literal["function"]
    function: ChatFunction
    extra_content: NotRequired[JsonObject]


class ChatMessage(TypedDict):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[JsonObject] | None
    tool_calls: NotRequired[list[ChatToolCall]]
    tool_call_id: NotRequired[str]
    reasoning_content: NotRequired[str]
    reasoning: NotRequired[str]
    reasoning_details: NotRequired[list[JsonObject]]


class ChatFunctionDeclaration(TypedDict):
    name: str
    description: NotRequired[str]
    parameters: JsonObject
    strict: NotRequired[bool]


class ChatTool(TypedDict):
    type: Literal["function"]
    function: ChatFunctionDeclaration
