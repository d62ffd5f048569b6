"""The input items of a request: messages, reasoning, tool calls and their results."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from responses_gateway.protocol.json import JsonObject, dumps
from responses_gateway.protocol.responses.content import Parts, Wire
from responses_gateway.protocol.responses.hosted_items import (
    CodeInterpreterCall,
    ComputerCall,
    ComputerCallOutput,
    ConfigurationUpdate,
    FileSearchCall,
    ImageGenerationCall,
    MultiAgentCall,
    MultiAgentCallOutput,
    Program,
    ProgramOutput,
)


def _json_text(value: Any) -> Any:
    """Arguments belong in a string; some clients send the object itself."""
    return dumps(value).decode() if isinstance(value, dict | list) else value


JsonText = Annotated[str, BeforeValidator(_json_text)]


class Message(Wire):
    type: Literal["message"] = "message"
    role: Literal["user", "assistant", "system", "developer"]
    content: Parts = Field(default_factory=list)
    phase: str | None = None


class Reasoning(Wire):
    type: Literal["reasoning"]
    summary: Parts = Field(default_factory=list)
    content: Parts = Field(default_factory=list)
    encrypted_content: str | None = None


class FunctionCall(Wire):
    type: Literal["function_call"]
    name: str
    arguments: JsonText = ""
    call_id: str | None = None
    namespace: str | None = None


class CustomToolCall(Wire):
    type: Literal["custom_tool_call"]
    name: str
    input: str = ""
    call_id: str | None = None
    namespace: str | None = None


class ToolSearchCall(Wire):
    type: Literal["tool_search_call"]
    arguments: Any = None
    id: str | None = None
    call_id: str | None = None
    execution: str | None = None


class LocalShellCall(Wire):
    type: Literal["local_shell_call"]
    action: JsonObject = Field(default_factory=dict)
    call_id: str | None = None
    id: str | None = None


class ShellCall(Wire):
    type: Literal["shell_call"]
    action: JsonObject = Field(default_factory=dict)
    call_id: str | None = None


class ApplyPatchCall(Wire):
    type: Literal["apply_patch_call"]
    operation: JsonObject = Field(default_factory=dict)
    call_id: str | None = None


class WebSearchCall(Wire):
    """A search that the server carried out."""

    type: Literal["web_search_call"]
    id: str | None = None
    status: str | None = None
    action: JsonObject | None = None


class McpListTools(Wire):
    """The tools of an MCP server, as it listed them in an earlier turn."""

    type: Literal["mcp_list_tools"]
    server_label: str
    tools: list[JsonObject] = Field(default_factory=list)
    id: str | None = None
    error: str | JsonObject | None = None


class McpCall(Wire):
    """A call of an MCP server's tool that the server carried out."""

    type: Literal["mcp_call"]
    server_label: str
    name: str
    arguments: JsonText = ""
    output: str | None = None
    error: str | JsonObject | None = None
    approval_request_id: str | None = None
    id: str | None = None
    status: str | None = None


class McpApprovalRequest(Wire):
    """A call of an MCP server's tool that waits for the client's decision."""

    type: Literal["mcp_approval_request"]
    server_label: str
    name: str
    arguments: JsonText = ""
    id: str | None = None


class McpApprovalResponse(Wire):
    """The client's decision."""

    type: Literal["mcp_approval_response"]
    approval_request_id: str
    approve: bool
    reason: str | None = None
    id: str | None = None


class CallOutput(Wire):
    """The result of a function, custom or local shell call."""

    type: Literal["function_call_output", "custom_tool_call_output", "local_shell_call_output"]
    output: Annotated[Parts | JsonObject, Field(union_mode="left_to_right")] = Field(default_factory=list)
    call_id: str | None = None
    id: str | None = None
    name: str | None = None
    namespace: str | None = None


class ShellCallOutput(Wire):
    type: Literal["shell_call_output"]
    output: list[JsonObject] = Field(default_factory=list)
    call_id: str | None = None


class ApplyPatchCallOutput(Wire):
    type: Literal["apply_patch_call_output"]
    status: str = "completed"
    output: str | None = None
    call_id: str | None = None


class ToolSearchOutput(Wire):
    type: Literal["tool_search_output"]
    tools: list[JsonObject] = Field(default_factory=list)
    call_id: str | None = None
    execution: str | None = None
    status: str | None = None

    @property
    def by_server(self) -> bool:
        """Whether the server has searched among the tools that the request declares."""
        return self.execution == "server" or (self.execution is None and self.call_id is None)


class AdditionalTools(Wire):
    type: Literal["additional_tools"]
    tools: list[JsonObject] = Field(default_factory=list)


class AgentMessage(Wire):
    """A message between Codex's agents."""

    type: Literal["agent_message"]
    author: str = ""
    recipient: str = ""
    content: Parts = Field(default_factory=list)


class Compaction(Wire):
    type: Literal["compaction", "compaction_summary", "context_compaction"]
    encrypted_content: str | None = None


class CompactionTrigger(Wire):
    type: Literal["compaction_trigger"]


class ItemReference(Wire):
    type: Literal["item_reference"] = "item_reference"
    id: str


class UnknownItem(Wire):
    type: str | None = None


_ITEMS: Mapping[str, type[Wire]] = {
    "message": Message,
    "reasoning": Reasoning,
    "function_call": FunctionCall,
    "custom_tool_call": CustomToolCall,
    "tool_search_call": ToolSearchCall,
    "local_shell_call": LocalShellCall,
    "shell_call": ShellCall,
    "apply_patch_call": ApplyPatchCall,
    "web_search_call": WebSearchCall,
    "mcp_list_tools": McpListTools,
    "mcp_call": McpCall,
    "mcp_approval_request": McpApprovalRequest,
    "mcp_approval_response": McpApprovalResponse,
    "file_search_call": FileSearchCall,
    "code_interpreter_call": CodeInterpreterCall,
    "image_generation_call": ImageGenerationCall,
    "computer_call": ComputerCall,
    "computer_call_output": ComputerCallOutput,
    "program": Program,
    "program_output": ProgramOutput,
    "multi_agent_call": MultiAgentCall,
    "multi_agent_call_output": MultiAgentCallOutput,
    "configuration_update": ConfigurationUpdate,
    "function_call_output": CallOutput,
    "custom_tool_call_output": CallOutput,
    "local_shell_call_output": CallOutput,
    "shell_call_output": ShellCallOutput,
    "apply_patch_call_output": ApplyPatchCallOutput,
    "tool_search_output": ToolSearchOutput,
    "additional_tools": AdditionalTools,
    "agent_message": AgentMessage,
    "compaction": Compaction,
    "compaction_summary": Compaction,
    "context_compaction": Compaction,
    "compaction_trigger": CompactionTrigger,
    "item_reference": ItemReference,
}


def _item_tag(value: Any) -> str:
    if not isinstance(value, dict):
        return type(value).__name__
    kind = value.get("type")
    if kind is None:
        if "role" in value:
            return "Message"
        return "ItemReference" if set(value) == {"id"} else "UnknownItem"
    item = _ITEMS.get(kind) if isinstance(kind, str) else None
    return (item or UnknownItem).__name__


Item = Annotated[
    Annotated[Message, Tag("Message")]
    | Annotated[Reasoning, Tag("Reasoning")]
    | Annotated[FunctionCall, Tag("FunctionCall")]
    | Annotated[CustomToolCall, Tag("CustomToolCall")]
    | Annotated[ToolSearchCall, Tag("ToolSearchCall")]
    | Annotated[LocalShellCall, Tag("LocalShellCall")]
    | Annotated[ShellCall, Tag("ShellCall")]
    | Annotated[ApplyPatchCall, Tag("ApplyPatchCall")]
    | Annotated[WebSearchCall, Tag("WebSearchCall")]
    | Annotated[McpListTools, Tag("McpListTools")]
    | Annotated[McpCall, Tag("McpCall")]
    | Annotated[McpApprovalRequest, Tag("McpApprovalRequest")]
    | Annotated[McpApprovalResponse, Tag("McpApprovalResponse")]
    | Annotated[FileSearchCall, Tag("FileSearchCall")]
    | Annotated[CodeInterpreterCall, Tag("CodeInterpreterCall")]
    | Annotated[ImageGenerationCall, Tag("ImageGenerationCall")]
    | Annotated[ComputerCall, Tag("ComputerCall")]
    | Annotated[ComputerCallOutput, Tag("ComputerCallOutput")]
    | Annotated[Program, Tag("Program")]
    | Annotated[ProgramOutput, Tag("ProgramOutput")]
    | Annotated[MultiAgentCall, Tag("MultiAgentCall")]
    | Annotated[MultiAgentCallOutput, Tag("MultiAgentCallOutput")]
    | Annotated[ConfigurationUpdate, Tag("ConfigurationUpdate")]
    | Annotated[CallOutput, Tag("CallOutput")]
    | Annotated[ShellCallOutput, Tag("ShellCallOutput")]
    | Annotated[ApplyPatchCallOutput, Tag("ApplyPatchCallOutput")]
    | Annotated[ToolSearchOutput, Tag("ToolSearchOutput")]
    | Annotated[AdditionalTools, Tag("AdditionalTools")]
    | Annotated[AgentMessage, Tag("AgentMessage")]
    | Annotated[Compaction, Tag("Compaction")]
    | Annotated[CompactionTrigger, Tag("CompactionTrigger")]
    | Annotated[ItemReference, Tag("ItemReference")]
    | Annotated[UnknownItem, Tag("UnknownItem")],
    Discriminator(_item_tag),
]

ITEM_TAGS = frozenset(item.__name__ for item in _ITEMS.values()) | {"UnknownItem"}
"""The names of the branches of `Item`, as pydantic puts them into the location of an error."""
