"""pydantic's validation errors as errors in OpenAI's shape."""

from collections.abc import Mapping

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.responses.content import CONTENT_TAGS
from responses_gateway.protocol.responses.items import ITEM_TAGS

_TAGS = ITEM_TAGS | CONTENT_TAGS

_PLAIN_WORDS: Mapping[str, str] = {"union_tag_invalid": "Input should be an object"}
"""Messages in place of those of pydantic that name Python classes, by error type."""


def first_problem(error: ValidationError) -> ErrorDetails:
    """The first of the problems that pydantic found, without the input that it found them in."""
    return error.errors(include_url=False, include_input=False)[0]


def invalid_request(error: ValidationError) -> GatewayError:
    """The error that the client gets: about the first problem, which `param` names."""
    problem = first_problem(error)
    kind, message, param = problem["type"], problem["msg"], _param(problem["loc"])
    if not param:
        return GatewayError("The request body must be a JSON object.", code="invalid_type")
    if kind == "missing":
        return GatewayError(f"Missing required parameter: '{param}'.", code="missing_required_parameter", param=param)
    if kind == "array_above_max_length":
        return GatewayError(f"Invalid '{param}': {message}.", code=kind, param=param)
    message = _PLAIN_WORDS.get(kind, message.removeprefix("Value error, "))
    return GatewayError(f"Invalid value for '{param}': {message}.", code="invalid_value", param=param)


def _param(loc: tuple[int | str, ...]) -> str:
    """A pydantic location as OpenAI writes it: `input[3].content[0].text`."""
    path = ""
    after_index = False
    for step in loc:
        if isinstance(step, int):
            path += f"[{step}]"
        elif not (after_index and step in _TAGS) and step.isidentifier() and not _is_branch(step, path):
            path += f".{step}" if path else step
        after_index = isinstance(step, int)
    return path


def _is_branch(step: str, path: str) -> bool:
    """Whether pydantic put the name of a union's branch (`str`, `list`) into the location."""
    return bool(path) and step in {"str", "list", "dict", "int", "float"}
