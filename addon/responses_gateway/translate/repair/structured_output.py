"""Checks answers against a JSON schema that the upstream does not enforce."""

from responses_gateway.protocol.chat import ChatMessage
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import JsonObject, loads

_SHOWN = 300
"""The most characters of a fault in a message."""


class NonCompliantAnswer(GatewayError):
    """The answer is not what was asked for; asking once more, with the fault, may help."""

    def __init__(self, draft: str, problem: str) -> None:
        super().__init__(
            f"The model's answer does not match the requested format: {problem}",
            502,
            "server_error",
            type="server_error",
        )
        self.draft = draft
        self.problem = problem

    def correction(self) -> list[ChatMessage]:
        """Return the messages that are added to the conversation for the second try."""
        return [
            {"role": "assistant", "content": self.draft},
            {
                "role": "user",
                "content": f"That does not match the requested JSON format: {self.problem}\n"
                "Answer again with the corrected JSON and nothing else.",
            },
        ]


def check(text: str, schema: JsonObject) -> tuple[str, str | None]:
    """Return the JSON in an answer, and what is wrong with it (None when it matches `schema`)."""
    candidate = _unfenced(text.strip())
    try:
        value = loads(candidate)
    except (ValueError, RecursionError) as error:
        return candidate, f"it is not JSON ({str(error)[:_SHOWN]})"
    return candidate, _fault(value, schema)


def _unfenced(text: str) -> str:
    """Remove a code fence around all of `text`."""
    first, newline, rest = text.partition("\n")
    if newline and first.lower().rstrip() in ("```", "```json") and rest.endswith("```"):
        return rest.removesuffix("```").strip()
    return text


def _fault(value: object, schema: JsonObject) -> str | None:
    """Return why `value` does not match; None when it matches, or when that cannot be checked.

    jsonschema comes with the installed gateway, but not with a plain checkout run inside somebody's mitmproxy.
    """
    try:
        from jsonschema import Draft202012Validator
        from jsonschema.exceptions import SchemaError, UnknownType, best_match
        from referencing import Registry
        from referencing.exceptions import Unresolvable
    except ImportError:
        return None
    try:
        # An empty registry keeps clients' schemas from making the gateway fetch what they refer to.
        fault = best_match(Draft202012Validator(schema, registry=Registry()).iter_errors(value))
    except (SchemaError, UnknownType, Unresolvable, RecursionError, ValueError, TypeError, AttributeError, LookupError):
        return None
    return f"{fault.json_path}: {fault.message[:_SHOWN]}" if fault is not None else None
