"""Items of tools that OpenAI's servers carry out, and of computers that models use: calls, and what came of them."""

from typing import Literal

from pydantic import Field

from responses_gateway.protocol.json import JsonObject
from responses_gateway.protocol.responses.content import Parts, Wire


class FileSearchCall(Wire):
    type: Literal["file_search_call"]
    queries: list[str] = Field(default_factory=list)
    results: list[JsonObject] | None = None
    id: str | None = None
    status: str | None = None


class CodeInterpreterCall(Wire):
    type: Literal["code_interpreter_call"]
    code: str | None = None
    outputs: list[JsonObject] | None = None
    container_id: str | None = None
    id: str | None = None
    status: str | None = None


class ImageGenerationCall(Wire):
    """A picture that was made. Without a `result`, it stands for the item with its id."""

    type: Literal["image_generation_call"]
    result: str | None = None
    """The picture in base64."""

    revised_prompt: str | None = None
    output_format: str | None = None
    error: JsonObject | None = None
    id: str | None = None
    status: str | None = None

    @property
    def is_reference(self) -> bool:
        """Whether it only names an item."""
        return self.id is not None and not {"result", "status"} & self.model_fields_set


class ComputerCall(Wire):
    """What the model does with the client's computer: one `action`, or several `actions`."""

    type: Literal["computer_call"]
    action: JsonObject | None = None
    actions: list[JsonObject] | None = None
    pending_safety_checks: list[JsonObject] | None = None
    call_id: str | None = None
    id: str | None = None


class ComputerCallOutput(Wire):
    """What the computer shows then, as `{type: computer_screenshot, image_url | file_id}`."""

    type: Literal["computer_call_output"]
    output: JsonObject = Field(default_factory=dict)
    acknowledged_safety_checks: list[JsonObject] | None = None
    call_id: str | None = None


class Program(Wire):
    """A program of the model's that calls its tools."""

    type: Literal["program"]
    code: str = ""
    fingerprint: str | None = None
    call_id: str | None = None
    id: str | None = None


class ProgramOutput(Wire):
    type: Literal["program_output"]
    result: str = ""
    call_id: str | None = None
    id: str | None = None
    status: str | None = None


class MultiAgentCall(Wire):
    """What the model asks of other agents."""

    type: Literal["multi_agent_call"]
    action: str
    arguments: str = ""
    call_id: str | None = None
    agent: JsonObject | None = None
    id: str | None = None


class MultiAgentCallOutput(Wire):
    type: Literal["multi_agent_call_output"]
    output: Parts = Field(default_factory=list)
    action: str | None = None
    call_id: str | None = None
    agent: JsonObject | None = None
    id: str | None = None


class ConfigurationUpdate(Wire):
    """Settings that hold from here on, instead of those of the request."""

    type: Literal["configuration_update"]
    reasoning: JsonObject | None = None
    text: JsonObject | None = None
    id: str | None = None
