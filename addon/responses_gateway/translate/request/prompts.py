"""Fills in the template that a request's `prompt` names."""

from collections.abc import Mapping, Sequence

from pydantic import TypeAdapter, ValidationError

from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import JsonObject
from responses_gateway.protocol.responses import FilePart, ImagePart, Item, Message, Part, ResponsesRequest, TextPart
from responses_gateway.settings.prompts import PLACEHOLDER, Prompt

_PART: TypeAdapter[Part] = TypeAdapter(Part)


def with_prompt(request: ResponsesRequest, prompts: Mapping[str, Sequence[Prompt]]) -> ResponsesRequest:
    """`request` with the template's words before its own instructions. `prompts` has the versions of each id.

    Pictures and files among the variables go before the input, so that they stand in the same place in every turn.
    Raises GatewayError 400 for a template, a version or a variable that is not known.
    """
    if request.prompt is None:
        return request
    prompt = _chosen(request.prompt, prompts)
    values = _values(request.prompt, prompt)
    texts = {name: value.text if isinstance(value, TextPart) else f"[{name}]" for name, value in values.items()}
    words = PLACEHOLDER.sub(lambda found: texts[found[1]], prompt.instructions)
    own = request.instructions
    attached: list[Item] = [
        Message(role="user", content=[TextPart(type="input_text", text=f"[{name}]:"), value])
        for name, value in values.items()
        if not isinstance(value, TextPart)
    ]
    instructions = f"{words}\n\n{own}" if own else words
    return request.model_copy(update={"instructions": instructions, "input": [*attached, *request.input]})


def _chosen(wanted: JsonObject, prompts: Mapping[str, Sequence[Prompt]]) -> Prompt:
    name, version = wanted.get("id"), wanted.get("version")
    versions = prompts.get(name) if isinstance(name, str) else None
    if not versions:
        raise _refused(f"Prompt with id '{name}' not found: the gateway's configuration has no such one.", "prompt.id")
    found = versions[-1] if version is None else next((one for one in versions if one.version == version), None)
    if found is None:
        raise _refused(f"Prompt '{name}' has no version '{version}'.", "prompt.version")
    return found


def _values(wanted: JsonObject, prompt: Prompt) -> dict[str, TextPart | ImagePart | FilePart]:
    """The value of each variable, in the order of their names."""
    given = wanted.get("variables") or {}
    if not isinstance(given, dict):
        raise _refused("Invalid value for 'prompt.variables': an object is expected.", "prompt.variables")
    if unknown := given.keys() - prompt.names:
        raise _refused(f"The prompt has no variable '{min(unknown)}'.", f"prompt.variables.{min(unknown)}")
    values = {}
    for name in sorted(prompt.names):
        value = given.get(name)
        if value is None and (value := prompt.variables.get(name)) is None:
            raise _refused(f"The prompt's variable '{name}' has no value.", f"prompt.variables.{name}")
        values[name] = _part(value, f"prompt.variables.{name}")
    return values


def _part(value: object, path: str) -> TextPart | ImagePart | FilePart:
    if isinstance(value, str):
        return TextPart(type="input_text", text=value)
    try:
        part = _PART.validate_python(value)
    except ValidationError:
        part = None
    if not isinstance(part, TextPart | ImagePart | FilePart):
        raise _refused(f"Invalid value for '{path}': text, an image or a file is expected.", path)
    return part


def _refused(message: str, param: str) -> GatewayError:
    return GatewayError(message, code="invalid_value", param=param)
