"""The hosted tool image_generation: the model describes a picture, and a configured endpoint makes it."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from responses_gateway.hosted.images_endpoint import ImagesEndpoint, Order, Picture, Refusal
from responses_gateway.hosted.interface import Declaration, DeclaredTool, HostedError, RunnableTool, ToolLimits
from responses_gateway.protocol import responses as wire
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import JsonObject
from responses_gateway.protocol.pictures import picture_address, picture_in
from responses_gateway.security.redaction import Redactor
from responses_gateway.settings.config_file import SettingsError
from responses_gateway.settings.settings import ImageGeneration, Settings
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.tools.hosted import (
    BegunItem,
    HostedCall,
    HostedFunction,
    HostedResult,
    HostedTool,
    Step,
)
from responses_gateway.upstream.http_client import HttpClient
from responses_gateway.upstream.upstreams import Upstream, configured, provider_of, request_headers

IMAGE_TYPES = frozenset({"image_generation"})

_NAME = "image_generation"
_FIELD = "tools.image_generation"
_MOST_SOURCES = 16
"""Pictures that the Images API takes at once."""

_PROMPT_LIMIT = 32_000
"""Characters, as at OpenAI."""

_OPTIONS: Mapping[str, type] = {
    "size": str,
    "quality": str,
    "background": str,
    "output_format": str,
    "output_compression": int,
    "moderation": str,
    "complexity": str,
    "frame_count": int,
    "frame_duration_ms": int,
    "svg": dict,
    "input_fidelity": str,
}
"""What a declaration can say and the Images API takes (`openai.types.image_generate_params`)."""

_SAID: Mapping[str, Collection[str]] = {
    "background": ("transparent", "opaque", "auto"),
    "quality": ("low", "medium", "high", "xhigh", "max", "auto"),
}
"""What an item can say of its picture, and with which words (`openai.types.responses.ResponseOutputItem`)."""

_PURPOSE = "Make a picture from a description. The user sees it as a part of your answer, so do not describe it again."


class ImageForm:
    """Calls as image_generation_call items."""

    type = "image_generation_call"
    prefix = "ig"
    arguments_event = None
    events: Mapping[Step, str] = MappingProxyType(
        {
            "opened": "response.image_generation_call.in_progress",
            "started": "response.image_generation_call.generating",
            "completed": "response.image_generation_call.completed",
        }
    )

    def fields(self, name: str, arguments: str, result: HostedResult | None) -> JsonObject:
        """The picture, and how it was made."""
        return {"result": None, **((result.details if result is not None else None) or {})}


class DeclaredImages:
    """image_generation as one request declares it."""

    types: Collection[str] = IMAGE_TYPES
    begun: Sequence[BegunItem] = ()

    def __init__(self, declared: DeclaredTool) -> None:
        """Raises GatewayError for a declaration that says something else than the API knows."""
        first = declared.declarations[0]
        self.declaration = first.value
        self.action = _one_of(first, "action", ("auto", "generate", "edit")) or "auto"
        self.options = _options(first)
        self.partial_images = _whole(first, "partial_images", 3)
        properties: JsonObject = {
            "prompt": {"type": "string", "description": "All that the picture shows, and its style."}
        }
        if self.action == "auto":
            about = "true: change the newest picture of the conversation; false: make a new one."
            properties["edit"] = {"type": "boolean", "description": about}
        schema = {"type": "object", "properties": properties, "required": ["prompt"]}
        purpose = _PURPOSE
        if self.action == "edit":
            purpose = "Change the newest picture of the conversation as described. The user sees the result."
        self._function = HostedFunction(_NAME, purpose, schema, ImageForm())

    def functions(self, _: JsonObject) -> Sequence[HostedFunction]:
        """The same for every declaration: the first one counts."""
        return [self._function]

    def chosen(self, _: JsonObject) -> Collection[tuple[str | None, str]]:
        return [(None, _NAME)]

    def recalled(self, name: str, arguments: JsonObject, text: str) -> HostedResult:
        return HostedResult(text)


class ImageTool(DeclaredImages):
    """The pictures of one response."""

    def __init__(self, service: "ImageService", declared: DeclaredTool) -> None:
        super().__init__(declared)
        self._service = service
        self._ledger: Ledger = declared.ledger
        self._input = declared.request.input
        self.limits = ToolLimits(service.settings.rounds, service.settings.timeout, "pictures", "making pictures")
        self._newest: list[str] | None = None
        """The addresses of the newest pictures; None when nobody has looked for them yet."""

        model = service.settings.model
        wanted = _text(declared.declarations[0], "model")
        if model and wanted and wanted != model:
            self._ledger.add("changed", f"{_FIELD}.model", f"{wanted} → {model}: what the configuration says")
        if named := model or wanted:
            self.options = {"model": named, **self.options}

    async def run(self, call: HostedCall) -> HostedResult:
        prompt = call.arguments.get("prompt")
        if not isinstance(prompt, str) or not prompt.strip():
            raise HostedError("it needs a prompt")
        sources = self._sources(call.arguments.get("edit"))
        options = {name: value for name, value in self.options.items() if sources or name != "input_fidelity"}
        order = Order(prompt[:_PROMPT_LIMIT], options, sources, self._mask(sources), self.partial_images)
        action = "edit" if sources else "generate"
        try:
            picture = await self._service.endpoint.make(order, self._shows_partials(call), self._note)
        except Refusal as refusal:
            self._ledger.add("dropped", "output.image_generation_call", f"the endpoint's rules forbid it: {refusal}")
            details = {"action": action, "revised_prompt": order.prompt, "error": refusal.error}
            return HostedResult(f"This picture is not allowed: {refusal}", failed=True, details=details)
        except OSError as error:
            raise HostedError(f"the images endpoint cannot be reached: {error}") from None
        self._newest = [picture_address(picture.data, picture.kind)]
        return _result(picture, prompt, action)

    def _sources(self, edit: object) -> list[str]:
        """The pictures to change; none for a new one."""
        if self.action == "generate" or (self.action == "auto" and edit is False):
            return []
        if self._newest is None:
            self._newest = newest_pictures(self._input)
        if not self._newest and (self.action == "edit" or edit is True):
            raise HostedError("there is no picture in the conversation whose data could be sent")
        return self._newest

    def _mask(self, sources: Sequence[str]) -> str | None:
        mask = self.declaration.get("input_image_mask")
        if not isinstance(mask, dict):
            return None
        address = mask.get("image_url")
        if sources and isinstance(address, str) and picture_in(address):
            return address
        self._note("input_image_mask: a mask is the data of a picture, and needs a picture to be changed")
        return None

    def _note(self, what: str) -> None:
        self._ledger.add("dropped", _FIELD, what)

    def _shows_partials(self, call: HostedCall) -> Callable[[int, str, JsonObject], None]:
        def show(position: int, data: str, said: JsonObject) -> None:
            fields = {"partial_image_index": position, "partial_image_b64": data, **_about(said)}
            call.show("response.image_generation_call.partial_image", fields)

        return show


@dataclass(frozen=True, slots=True)
class ImageService:
    """Opens image_generation for responses."""

    settings: ImageGeneration
    endpoint: ImagesEndpoint

    async def open(self, declared: DeclaredTool) -> RunnableTool:
        return ImageTool(self, declared)

    async def close(self) -> None:
        """The HTTP client is everybody's."""


class ImageGenerationKind:
    """image_generation, with the endpoint that the settings name."""

    types: Collection[str] = IMAGE_TYPES

    def service(self, settings: Settings, http: HttpClient) -> ImageService | None:
        own = settings.image_generation
        if own is None:
            return None
        redactor = Redactor()
        url, headers = _address(own, settings)
        redactor.conceal_headers(headers)
        return ImageService(own, ImagesEndpoint(http, url, headers, own.max_bytes, redactor))

    def recorded(self, declared: DeclaredTool) -> HostedTool:
        return DeclaredImages(declared)


IMAGE_GENERATION = ImageGenerationKind()


def newest_pictures(items: Sequence[wire.Item]) -> list[str]:
    """The `data:` addresses of the newest pictures: those of one message or one result, or one that was made."""
    return next((found[-_MOST_SOURCES:] for item in reversed(items) if (found := list(_pictures(item)))), [])


def _pictures(item: wire.Item) -> Iterator[str]:
    if isinstance(item, wire.ImageGenerationCall):
        if item.result:
            yield picture_address(item.result, item.output_format)
        return
    parts = item.content if isinstance(item, wire.Message) else item.output if isinstance(item, wire.CallOutput) else ()
    for part in parts if isinstance(parts, list) else ():
        if isinstance(part, wire.ImagePart) and part.image_url and picture_in(part.image_url):
            yield part.image_url


def _address(own: ImageGeneration, settings: Settings) -> tuple[str, dict[str, str]]:
    """Where the endpoint is, and the headers of its requests. Raises SettingsError."""
    upstream: Upstream | None = None
    if own.provider is not None:
        upstream = configured(settings).get(own.provider) or provider_of(own.provider, settings)
        if upstream is None:
            raise SettingsError(f"image_generation.provider: {own.provider} has no address")
    key = own.api_key or (settings.credentials.environment.get(own.api_key_env) if own.api_key_env else None)
    headers = request_headers(upstream, {}, None, "application/json") if upstream is not None else {}
    headers.pop("content-type", None)
    if key is not None:
        headers["authorization"] = f"Bearer {key.get_secret_value()}"
    return (own.url or (upstream.base_url if upstream else "")).rstrip("/"), headers


def _result(picture: Picture, prompt: str, action: str) -> HostedResult:
    said = picture.said
    revised = said.get("revised_prompt")
    about = _about(said) | {"output_format": picture.kind}
    size = f", {about['size']}" if "size" in about else ""
    details = {
        "result": picture.data,
        "revised_prompt": (revised if isinstance(revised, str) else prompt)[:_PROMPT_LIMIT],
        "action": action,
        **about,
    }
    return HostedResult(f"The picture was made ({picture.kind}{size}), and the user sees it.", details=details)


def _about(said: JsonObject) -> JsonObject:
    """What an endpoint says of a picture, as far as items can say it."""
    about = {name: said[name] for name, words in _SAID.items() if said.get(name) in words}
    kind, size = said.get("output_format"), said.get("size")
    if kind in ("png", "webp", "jpeg", "gif", "svg"):
        about["output_format"] = kind
    if isinstance(size, str) and len(size) < 20:
        about["size"] = size
    return about


# Declarations ---------------------------------------------------------------------------------------------------------


def _options(declaration: Declaration) -> JsonObject:
    """The options for the endpoint; `auto` is what it does anyway."""
    options: JsonObject = {}
    for name, kind in _OPTIONS.items():
        value = declaration.value.get(name)
        if value is None or value == "auto":
            continue
        if not isinstance(value, kind) or isinstance(value, bool):
            raise _invalid(declaration, name, f"{'an object' if kind is dict else kind.__name__} is needed")
        options[name] = value
    return options


def _text(declaration: Declaration, name: str) -> str:
    value = declaration.value.get(name)
    if value is not None and not isinstance(value, str):
        raise _invalid(declaration, name, "a string is needed")
    return value or ""


def _one_of(declaration: Declaration, name: str, words: Collection[str]) -> str:
    value = _text(declaration, name)
    if value and value not in words:
        raise _invalid(declaration, name, f"one of {', '.join(words)} is needed")
    return value


def _whole(declaration: Declaration, name: str, most: int) -> int:
    value: Any = declaration.value.get(name)
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise _invalid(declaration, name, f"a number from 0 to {most} is needed")
    return value


def _invalid(declaration: Declaration, name: str, why: str) -> GatewayError:
    param = f"{declaration.path}.{name}"
    return GatewayError(f"Invalid value for '{param}': {why}.", code="invalid_value", param=param)
