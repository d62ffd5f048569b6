"""The content of items: text, images, files and the other parts of a message or a tool result."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Tag

from responses_gateway.protocol.json import JsonObject


class Wire(BaseModel):
    """An object of the wire; unknown fields are kept in `model_extra`."""

    model_config = ConfigDict(extra="allow", strict=True)


class TextPart(Wire):
    """`input_text`, `output_text`, `summary_text`, `reasoning_text` or plain `text`."""

    type: str
    text: str


class RefusalPart(Wire):
    type: Literal["refusal"]
    refusal: str


class ImagePart(Wire):
    type: Literal["input_image"]
    image_url: str | None = None
    file_id: str | None = None
    detail: str | None = None


class FilePart(Wire):
    type: Literal["input_file"]
    file_data: str | None = None
    file_id: str | None = None
    file_url: str | None = None
    filename: str | None = None


class AudioPart(Wire):
    """`input_audio: {data, format}` (OpenAI) or `audio_url` (Codex)."""

    type: Literal["input_audio"]
    input_audio: JsonObject | None = None
    audio_url: str | None = None


class VideoPart(Wire):
    type: Literal["input_video"]
    video_url: str | None = None


class EncryptedPart(Wire):
    """What one of Codex's agents tells another: the model's own words, unless the service encrypted them."""

    type: Literal["encrypted_content"]
    encrypted_content: str | None = None


class UnknownPart(Wire):
    type: str | None = None


_TEXT_PARTS = frozenset({"input_text", "output_text", "summary_text", "reasoning_text", "text"})
_PARTS: Mapping[str, type[Wire]] = {
    "refusal": RefusalPart,
    "input_image": ImagePart,
    "input_file": FilePart,
    "input_audio": AudioPart,
    "input_video": VideoPart,
    "encrypted_content": EncryptedPart,
}


def _part_tag(value: Any) -> str:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    if not isinstance(kind, str):
        return "unknown"
    return "text" if kind in _TEXT_PARTS else kind if kind in _PARTS else "unknown"


Part = Annotated[
    Annotated[TextPart, Tag("text")]
    | Annotated[RefusalPart, Tag("refusal")]
    | Annotated[ImagePart, Tag("input_image")]
    | Annotated[FilePart, Tag("input_file")]
    | Annotated[AudioPart, Tag("input_audio")]
    | Annotated[VideoPart, Tag("input_video")]
    | Annotated[EncryptedPart, Tag("encrypted_content")]
    | Annotated[UnknownPart, Tag("unknown")],
    Discriminator(_part_tag),
]


def _parts(value: Any) -> Any:
    """A string stands for one text part, null for none."""
    if isinstance(value, str):
        return [{"type": "input_text", "text": value}]
    return [] if value is None else value


Parts = Annotated[list[Part], BeforeValidator(_parts)]

CONTENT_TAGS = frozenset(_PARTS) | {"text", "unknown"}
"""The names of the branches of `Part`, as pydantic puts them into the location of an error."""
