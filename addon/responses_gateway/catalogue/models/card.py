"""The abilities and limits of one model."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

type Modality = Literal["text", "image", "audio", "video", "pdf"]

_EVERYTHING: list[Modality] = ["text", "image", "audio", "video", "pdf"]


class Price(BaseModel):
    """US dollars per million tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: float
    output: float
    cached_input: float | None = None
    """None: not known, or no discount."""

    above: int | None = None
    """Prompts of more tokens than this cost `input_above` and `output_above`; None: one price for all."""

    input_above: float | None = None
    output_above: float | None = None


class ModelCard(BaseModel):
    """Limits and abilities of one model. The defaults are for unknown models: conservative, but useful."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    name: str | None = None
    """The name for people."""

    aliases: list[str] = Field(default_factory=list)
    """Globs of other ids of the same model, without a vendor's prefix."""

    providers: dict[str, str] = Field(default_factory=dict)
    """The shipped profiles that have the model → the id that it has there."""

    context_window: int | None = None
    """Tokens; None when unknown."""

    max_output_tokens: int | None = None
    tools: bool = True
    parallel_tool_calls: bool = True
    reasoning: bool = True
    efforts: list[str] = Field(default_factory=list)
    """Effort levels that the model knows; empty: not known, all are passed."""

    modalities: list[Modality] = Field(default_factory=_EVERYTHING.copy)
    """What the model takes as input."""

    json_mode: Literal["json_schema", "json_object", "none"] = "json_schema"
    """The strongest structured output of the model; the upstream's profile may allow less."""

    supported_parameters: list[str] | None = None
    """Chat sampling parameters that the model takes; None: not known, all are passed."""

    price: Price | None = None
