"""The Profile of an upstream: which API it is asked by, and how its chat/completions differs from the common ground.

The defaults are the common ground: what an unknown OpenAI-compatible server most probably takes.
"""

from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from responses_gateway.catalogue.providers.detection import Detection
from responses_gateway.catalogue.yaml_file import merge
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import JsonObject
from responses_gateway.security.header_fields import encoded, safe_url


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _base_url(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        value = safe_url(value)
    except GatewayError as error:
        raise ValueError(str(error)) from None
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError("must be a URL that begins with http:// or https://")
    if parts.query or parts.fragment:
        raise ValueError("must end with the path, without ? and #")
    return value.rstrip("/").removesuffix("/chat/completions").removesuffix("/responses")


type BaseUrl = Annotated[str, BeforeValidator(_base_url)]
"""What `/chat/completions` or `/responses` is appended to, without a slash at the end; these paths are taken off."""


def _sendable(value: dict[str, str]) -> dict[str, str]:
    try:
        encoded(value.items())
    except GatewayError as error:
        raise ValueError(str(error)) from None
    return value


type Names = Annotated[list[str], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)]
"""A list of names; one name may stand without the list."""

type Api = Literal["chat", "responses", "auto"]
"""How an upstream is asked. `chat`: requests are translated to chat/completions. `responses`: it speaks the Responses
API itself, and what passes is not translated. `auto`: like `responses`, until it says that it has no such path."""

type Media = Literal["image", "audio", "video", "pdf"]

_ALL_MEDIA: list[Media] = ["image", "audio", "video", "pdf"]
_IMAGE_DETAILS: dict[str, str | None] = {"original": "high"}


class ReasoningProfile(_Data):
    """How reasoning is requested, and how earlier reasoning is sent back."""

    replay: Literal["text", "details", "parts", "never"] = "text"
    """`text`: a string in `field`; `details`: the upstream's own list, in `reasoning_details`; `parts`: content parts
    of type `thinking`; `never`: earlier reasoning is not sent."""

    field: str = "reasoning_content"
    """The message field of replay `text`."""

    placeholder: str | None = None
    """Sent in `field` where an assistant message has no reasoning, for upstreams that insist."""

    effort: Literal["reasoning_effort", "reasoning", "none"] = "reasoning_effort"
    """Where the effort goes: the string `reasoning_effort`, the object `reasoning: {effort}`, or nowhere."""

    efforts: dict[str, str | None] = Field(default_factory=dict)
    """The client's effort → the upstream's. An effort that is not listed goes as it is; null drops it."""

    when_unsaid: JsonObject = Field(default_factory=dict)
    """Merged into the request when the client gives no effort."""

    when_on: JsonObject = Field(default_factory=dict)
    """Merged into the request when the client asks for an effort other than `none`."""

    when_off: JsonObject = Field(default_factory=dict)
    """Merged into the request when the client asks for effort `none`."""

    by_effort: dict[str, JsonObject] = Field(default_factory=dict)
    """Merged in for one effort of the client's, after `when_on` or `when_off`: thinking budgets, mostly."""

    default_on: bool = True
    """Whether the upstream thinks when the request says nothing of reasoning."""

    always_on: bool = False
    """Whether the upstream thinks even when it is asked not to."""

    signatures: bool = False
    """Whether the `extra_content` of a tool call (Gemini's thought signature) goes back on that call."""

    signature_placeholder: str | None = None
    """The signature on the first call of an assistant message that has none, for upstreams that insist."""


class MessagesProfile(_Data):
    """Roles and content parts."""

    developer: bool = False
    """Whether the role `developer` is known; otherwise it becomes `system`."""

    system: Literal["anywhere", "first"] = "anywhere"
    """`first`: one system message at the head only; later ones become user messages."""

    bridge: str | None = None
    """What the assistant is made to say between a tool result and a user or system message, for upstreams that let
    nothing else follow a result."""

    media: list[Media] = Field(default_factory=_ALL_MEDIA.copy)
    """Media that messages may carry besides text; other media become a note in the text."""

    file_ids: bool = False
    """Whether files may be ids of files that the upstream keeps."""

    image_urls: bool = True
    """Whether images may be http addresses; otherwise only those with their data come along."""

    tool_images: bool = False
    """Whether a tool message may carry image parts; otherwise they move to a user message after the tool results."""

    image_details: dict[str, str | None] = Field(default_factory=_IMAGE_DETAILS.copy)
    """The client's image detail → the upstream's; null drops it."""

    call_ids: Literal["any", "alnum9"] = "any"
    """`alnum9`: ids of tool calls are nine letters and digits (Mistral); others are replaced in calls and results."""


class ToolsProfile(_Data):
    """Tools and tool choice."""

    strict: Literal["keep", "drop"] = "keep"
    choice: Literal["any", "auto", "none"] = "any"
    """`any`: all forms of tool_choice; `auto`: only `auto` (others become it); `none`: never sent. A model that calls
    a tool where none is to be called is asked again without any."""

    choice_thinking: Literal["any", "auto", "none"] = "any"
    """The same limit while the model thinks, except that it takes `none`; the stricter of the two counts."""

    choice_required: str = "required"
    """The upstream's word for tool_choice `required`."""

    parallel: Literal["send", "drop"] = "send"
    schema_drop: list[str] = Field(default_factory=list)
    """JSON Schema keywords that the upstream refuses in parameters."""

    schema_refs: Literal["keep", "alone", "inline"] = "keep"
    """`alone`: `$ref` may have no siblings; `inline`: `$ref` is not known, definitions go where they are used."""

    schema_types: Literal["any", "single"] = "any"
    """`single`: `type` is one name; `[T, "null"]` becomes T with `nullable: true`."""

    schema_root: Literal["any", "object"] = "any"
    """`object`: parameters are a plain object at the root, without anyOf, oneOf, allOf, enum or not."""

    deny: list[str] = Field(default_factory=list)
    """Tools that are not offered here: names, namespaces or types, or globs of them."""

    hosted: list[str] = Field(default_factory=list)
    """Types of hosted tools that the upstream carries out itself: their declarations go there as they are."""

    stream_extra: JsonObject = Field(default_factory=dict)
    """Merged into streaming requests that have tools."""


class ParametersProfile(_Data):
    """The remaining request parameters."""

    max_tokens: str = "max_tokens"
    """The field that limits output tokens."""

    drop: list[str] = Field(default_factory=list)
    """Chat parameters that the upstream refuses."""

    rename: dict[str, str] = Field(default_factory=dict)
    """Chat parameters that have another name here."""

    ascii: list[str] = Field(default_factory=list)
    """Chat parameters that take ASCII characters only; others are percent-encoded."""

    accept: list[str] = Field(default_factory=list)
    """Chat parameters beyond the common ground that the upstream takes (`prompt_cache_key`, `verbosity` …)."""

    extra: JsonObject = Field(default_factory=dict)
    """Merged into every request, before what reasoning merges in."""

    response_format: Literal["json_schema", "json_object", "none"] = "json_schema"
    """The strongest structured output that the upstream has."""

    json_object: bool = True
    """Whether `json_object` is known; otherwise it becomes a `json_schema` that allows every object."""

    response_format_with_tools: Literal["any", "auto", "never"] = "any"
    """Whether response_format goes together with tools: always, with tool_choice `auto` and `none` only, or never."""

    response_format_streaming: bool = True
    """Whether response_format goes together with streaming."""

    logprobs_with_tools: bool = True
    """Whether logprobs go together with tools when streaming."""

    stream_usage: bool = True
    """Whether `stream_options: {include_usage: true}` is sent when streaming."""


class AnswersProfile(_Data):
    """Differences in answers."""

    reasoning_deltas: Literal["increments", "snapshots"] = "increments"
    """`snapshots`: each delta of reasoning may repeat all of it so far."""

    end: Literal["marked", "unmarked"] = "marked"
    """`unmarked`: a stream may end with neither finish_reason nor [DONE], and is complete all the same."""


class Profile(_Data):
    """One upstream."""

    name: str
    hosts: list[str] = Field(default_factory=list)
    """What this profile is for: host names (globs), each with an optional `:port` and an optional path below which it
    applies. `localhost` stands for every loopback address. The most specific match of all profiles wins."""

    base_url: BaseUrl | None = None
    api_key_env: Names = Field(default_factory=list)
    """Environment variables that may hold the key, first set one wins."""

    opencode_auth: Names = Field(default_factory=list)
    """Names of this provider in OpenCode's auth.json."""

    headers: Annotated[dict[str, str], AfterValidator(_sendable)] = Field(default_factory=dict)
    """Extra request headers. `{session}` in a value is the client's session id; without one the header is not sent."""

    api: Api = "chat"
    reasoning: ReasoningProfile = ReasoningProfile()
    messages: MessagesProfile = MessagesProfile()
    tools: ToolsProfile = ToolsProfile()
    parameters: ParametersProfile = ParametersProfile()
    answers: AnswersProfile = AnswersProfile()
    strict: bool | None = None
    """Whether a request is refused that would lose something here; None: as the settings say."""
    prewarm: bool = False
    """Whether the server reads a prompt ahead of its turn when the client wants that, by an answer of one token: it
    keeps the beginnings of prompts, and nobody pays for tokens."""

    heal_markup: bool = True
    """Whether tool calls that the model wrote as text become real calls."""

    detect: Detection = Detection()
    """How such a server is recognised at an address that no profile is for, and where it tells more of its models."""

    models: dict[str, JsonObject] = Field(default_factory=dict)
    """Exceptions: a glob of model ids → the profile fields that differ for them. All matching globs apply, in order."""

    @model_validator(mode="after")
    def _exceptions_are_valid(self) -> Self:
        for override in self.models.values():
            self._with(override)
        return self

    def for_model(self, model: str) -> "Profile":
        """This profile with the exceptions for one model (id as sent upstream) applied."""
        profile = self
        for glob, override in self.models.items():
            if fnmatchcase(model.lower(), glob.lower()):
                profile = profile._with(override)
        return profile

    def _with(self, override: JsonObject) -> "Profile":
        return Profile.model_validate(merge(self.model_dump(exclude={"models"}), override))
