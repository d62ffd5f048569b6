"""Prompt templates that the configuration file has under `prompts:`."""

import re
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

PLACEHOLDER = re.compile(r"\{\{ ?([A-Za-z0-9_-]{1,64}) ?\}\}")
"""Where a variable's value goes."""


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, int) else value


class Prompt(BaseModel):
    """One version of a template."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Annotated[str | None, BeforeValidator(lambda value: str(value) if isinstance(value, int) else value)] = (
        None
    )
    instructions: str = Field(min_length=1)
    """What the model is told, with `{{name}}` for each variable."""

    variables: dict[str, str] = Field(default_factory=dict)
    """What stands for a variable that the request does not give."""

    @model_validator(mode="after")
    def _uses_its_variables(self) -> Self:
        if unused := self.variables.keys() - self.names:
            raise ValueError(f"instructions lack {{{{{min(unused)}}}}}, which variables has a value for")
        return self

    @property
    def names(self) -> frozenset[str]:
        """The names of all variables."""
        return frozenset(PLACEHOLDER.findall(self.instructions))


def _versions(value: Any) -> Any:
    return [value] if isinstance(value, dict) else value


def _distinct(prompts: list[Prompt]) -> list[Prompt]:
    names = [prompt.version for prompt in prompts]
    if double := next((name for name in names if names.count(name) > 1), ""):
        raise ValueError(f"two versions are named {double}")
    return prompts


type Versions = Annotated[list[Prompt], BeforeValidator(_versions), Field(min_length=1), AfterValidator(_distinct)]
"""The versions of one template; one may stand without the list. A request that names none gets the last one."""
