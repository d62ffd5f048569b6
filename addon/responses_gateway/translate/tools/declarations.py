"""The client's tool declarations: reading their fields, and the schemas and descriptions that stand for them."""

from collections.abc import Mapping

from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import JsonObject

INPUT_FIELD = "input"
"""The one string field of the function that stands for a custom tool."""

LOCAL_SHELL_SCHEMA: JsonObject = {
    "type": "object",
    "properties": {
        "command": {"type": "array", "items": {"type": "string"}, "description": "The program and its arguments."},
        "working_directory": {"type": "string"},
        "timeout_ms": {"type": "integer"},
    },
    "required": ["command"],
    "additionalProperties": False,
}
SHELL_SCHEMA: JsonObject = {
    "type": "object",
    "properties": {
        "commands": {"type": "array", "items": {"type": "string"}, "description": "Shell commands to run."},
        "timeout_ms": {"type": "integer"},
        "max_output_length": {"type": "integer"},
    },
    "required": ["commands"],
    "additionalProperties": False,
}
APPLY_PATCH_SCHEMA: JsonObject = {
    "type": "object",
    "properties": {
        "type": {"type": "string", "enum": ["create_file", "update_file", "delete_file"]},
        "path": {"type": "string"},
        "diff": {"type": "string", "description": "A V4A diff; absent for delete_file."},
    },
    "required": ["type", "path"],
    "additionalProperties": False,
}
TOOL_SEARCH_SCHEMA: JsonObject = {
    "type": "object",
    "properties": {"query": {"type": "string"}},
    "required": ["query"],
}
_ANY_OBJECT: JsonObject = {"type": "object", "properties": {}}

_FUNCTION_FIELDS: Mapping[str, tuple[type, str]] = {
    "description": (str, "a valid string"),
    "parameters": (dict, "an object"),
    "strict": (bool, "a valid boolean"),
}


def declared_name(raw: JsonObject, path: str) -> str:
    """Read the name of a tool. Raises GatewayError when it has none."""
    name = raw.get("name")
    if not isinstance(name, str) or not name:
        raise missing_parameter(f"{path}.name")
    return name


def missing_parameter(param: str) -> GatewayError:
    """Make the error for a request without `param`."""
    return GatewayError(f"Missing required parameter: '{param}'.", code="missing_required_parameter", param=param)


def check_function(raw: JsonObject, path: str) -> None:
    """Raise GatewayError for a field of the wrong type; the upstream's error would name another place."""
    for name, (kind, words) in _FUNCTION_FIELDS.items():
        value = raw.get(name)
        if value is not None and not isinstance(value, kind):
            param = f"{path}.{name}"
            message = f"Invalid value for '{param}': Input should be {words}."
            raise GatewayError(message, code="invalid_value", param=param)


def text_or_empty(value: object) -> str:
    return value if isinstance(value, str) else ""


def object_schema(value: object) -> JsonObject:
    """Make an object schema of a function's parameters: chat upstreams refuse a function without one."""
    if not isinstance(value, dict) or not value:
        return _ANY_OBJECT
    if "type" in value or "$ref" in value or "anyOf" in value or "oneOf" in value or "allOf" in value:
        return value
    return {"type": "object", **value}


def input_schema(raw: JsonObject) -> JsonObject:
    """Make the schema of the function that stands for a custom tool."""
    what = "The tool's whole input, as plain text."
    if isinstance(raw.get("format"), dict) and raw["format"].get("type") == "grammar":
        what = "The tool's whole input, as plain text that matches the grammar."
    return {
        "type": "object",
        "properties": {INPUT_FIELD: {"type": "string", "description": what}},
        "required": [INPUT_FIELD],
        "additionalProperties": False,
    }


def shell_description(environment: object) -> str:
    """Describe a shell of the client's machine, with the skills that are there."""
    about = "Run shell commands on the user's machine."
    found = environment.get("skills") if isinstance(environment, dict) else None
    skills = [skill for skill in found if isinstance(skill, dict)] if isinstance(found, list) else []
    if not skills:
        return about
    said = ([text_or_empty(skill.get(name)) for name in ("name", "path", "description")] for skill in skills)
    listed = [f"- {name} (in {path}): {description}" for name, path, description in said]
    return "\n".join([f"{about} Instructions for special tasks are in these folders there, in SKILL.md:", *listed])


def custom_description(raw: JsonObject) -> str:
    """Describe a custom tool to the model: its own description, its grammar in full, and how to call it."""
    blocks = [text_or_empty(raw.get("description"))]
    rule = raw.get("format")
    if isinstance(rule, dict) and isinstance(rule.get("grammar"), dict):
        rule = rule["grammar"]
    if isinstance(rule, dict) and isinstance(rule.get("definition"), str):
        blocks.append(f"The input must match this {rule.get('syntax', '')} grammar:\n{rule['definition']}")
    blocks.append(
        f'How to call it here: put the complete input, unescaped and unfenced, into the string field "{INPUT_FIELD}".'
    )
    return "\n\n".join(block for block in blocks if block)
