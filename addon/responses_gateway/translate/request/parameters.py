"""Translates the parameters of a request: everything besides messages and tools."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from responses_gateway.catalogue.models.card import ModelCard
from responses_gateway.catalogue.providers.profile import Profile
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import JsonObject, dumps_text
from responses_gateway.protocol.responses import ResponsesRequest
from responses_gateway.translate.ledger import Ledger

_SAMPLING = ("temperature", "top_p", "presence_penalty", "frequency_penalty", "stop", "seed", "n")
"""Parameters that mean the same on both wires and that every chat upstream is expected to know."""

_AS_THEY_ARE = ("user", "modalities", "audio")
"""Further fields that a chat request has under the same name."""

_SERVED_HERE = frozenset(
    {
        "model",
        "input",
        "instructions",
        "stream",
        "stream_options",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "max_output_tokens",
        "top_logprobs",
        "response_format",
        "reasoning_effort",
        "logprobs",
        "reasoning",
        "text",
        "include",
        "store",
        "background",
        "previous_response_id",
        "conversation",
        "prompt",
        "client_metadata",
        "generate",
        "max_tool_calls",
        "truncation",
        *_SAMPLING,
        *_AS_THEY_ARE,
    }
)
"""Fields that the gateway itself serves, or that this module translates."""

_NO_LOSS = frozenset({"prompt_cache_key", "prompt_cache_retention", "metadata"})
"""Fields that upstreams can do without: what makes an answer cheaper but never another one, and what is kept here."""

_ANYWAY: Mapping[str, Sequence[str]] = {"service_tier": ("auto", "default")}
"""Values that upstreams without such a field act by."""

LOGPROBS = "message.output_text.logprobs"

_INCLUDED = frozenset(
    {
        LOGPROBS,
        "reasoning.encrypted_content",
        "web_search_call.action.sources",
        "message.input_image.image_url",
        "computer_call_output.output.image_url",
    }
)
"""What can be included in answers here; items of the input are always kept as they came."""


@dataclass(slots=True)
class ParameterTranslator:
    """Translates the parameters of one request for one upstream and one model."""

    request: ResponsesRequest
    profile: Profile
    card: ModelCard
    ledger: Ledger
    sends_tools: bool

    def translate(self) -> JsonObject:
        """Return the chat parameters, in a fixed order, without `messages` and `tools`."""
        body: JsonObject = dict(self.profile.parameters.extra)
        self._stream(body)
        self._max_tokens(body)
        self._sampling(body)
        self._logprobs(body)
        self._reasoning(body)
        self._text(body)
        self._others(body)
        self._drop_refused(body)
        self._in_ascii(body)
        if body.get("n", 1) > 1:
            # Hardly any upstream streams several choices; they come one after another anyway.
            body.pop("stream", None)
            body.pop("stream_options", None)
        return {self.profile.parameters.rename.get(name, name): value for name, value in body.items()}

    def _stream(self, body: JsonObject) -> None:
        if self.request.stream:
            body["stream"] = True
            if self.profile.parameters.stream_usage:
                body["stream_options"] = {"include_usage": True}

    def _max_tokens(self, body: JsonObject) -> None:
        wanted = self.request.max_output_tokens
        if wanted is None:
            return
        limit = self.card.max_output_tokens
        if limit is not None and wanted > limit:
            self.ledger.add("capped", "max_output_tokens", f"{wanted} → {limit}: the model's limit")
            wanted = limit
        body[self.profile.parameters.max_tokens] = wanted

    def _sampling(self, body: JsonObject) -> None:
        for name in (*_SAMPLING, *_AS_THEY_ARE):
            value = getattr(self.request, name)
            if value is not None:
                body[name] = value

    def _logprobs(self, body: JsonObject) -> None:
        include = self.request.include or ()
        if self.request.top_logprobs is not None or LOGPROBS in include:
            if self.request.stream and self.sends_tools and not self.profile.parameters.logprobs_with_tools:
                self.ledger.add("dropped", "top_logprobs", "the upstream has none when streaming with tools")
                return
            body["logprobs"] = True
            if self.request.top_logprobs:
                body["top_logprobs"] = self.request.top_logprobs

    @property
    def thinks(self) -> bool:
        """Whether the model will reason before it answers."""
        rule = self.profile.reasoning
        asked = rule.default_on if self._effort is None else self._effort != "none"
        return self.card.reasoning and (asked or rule.always_on)

    @property
    def _effort(self) -> str | None:
        return self.request.reasoning.effort if self.request.reasoning else None

    def _reasoning(self, body: JsonObject) -> None:
        rule = self.profile.reasoning
        effort = self._effort
        if effort is None:
            body.update(rule.when_unsaid if self.card.reasoning else {})
            return
        if not self.card.reasoning:
            self.ledger.add("dropped", "reasoning.effort", "the model does not reason")
            return
        switch = {**(rule.when_off if effort == "none" else rule.when_on), **rule.by_effort.get(effort, {})}
        body.update(switch)
        if rule.effort == "none":
            if not switch:
                self.ledger.add("dropped", "reasoning.effort", "the upstream has no such switch")
            return
        sent = self._upstream_effort(effort)
        if sent != effort:
            self.ledger.add("changed", "reasoning.effort", f"{effort} → {sent}: what the upstream takes")
        if sent is not None and rule.effort == "reasoning":
            body["reasoning"] = {"effort": sent}
        elif sent is not None:
            body["reasoning_effort"] = sent

    def _upstream_effort(self, effort: str) -> str | None:
        """Return the upstream's word for `effort`. One that the profile lacks becomes the nearest known one."""
        listed = self.profile.reasoning.efforts
        known = self.card.efforts
        if effort not in listed and effort != "none" and known and effort not in known:
            effort = _nearest_effort(effort, known)
        return listed.get(effort, effort)

    def _text(self, body: JsonObject) -> None:
        text = self.request.text
        if text is None:
            return
        if text.verbosity is not None:
            if "verbosity" in self.profile.parameters.accept:
                body["verbosity"] = text.verbosity
            else:
                self.ledger.add("dropped", "text.verbosity", "the upstream is not known to take it")
        rendered = self._response_format(self._wanted_format)
        if rendered is not None:
            body["response_format"] = rendered

    @property
    def _wanted_format(self) -> JsonObject:
        """`text.format` of the request; {} when it names none."""
        return (self.request.text.format if self.request.text else None) or {}

    def _response_format(self, wanted: JsonObject) -> JsonObject | None:
        kind = _format_kind(wanted)
        if kind is None:
            return None
        held = self._enforced_format(kind)
        if held == "none":
            why = "not held by the upstream in this request; asked for in words"
            self.ledger.add("changed", "text.format", why, loss=False)
            return None
        if held != kind:
            # The answer is checked here.
            self.ledger.add("changed", "text.format", f"{kind} → {held}: what the upstream takes", loss=False)
        if held == "json_object":
            return {"type": "json_object"}
        if kind == "json_object":
            return {"type": "json_schema", "json_schema": {"name": "object", "schema": {"type": "object"}}}
        inner = {key: wanted[key] for key in ("name", "description", "schema", "strict") if key in wanted}
        return {"type": "json_schema", "json_schema": {"name": "response", **inner}}

    def _enforced_format(self, kind: str) -> str:
        """Return the strongest format that the upstream can enforce, up to the wanted one."""
        rule = self.profile.parameters
        tools_in_the_way = self.sends_tools and (
            rule.response_format_with_tools == "never"
            or (rule.response_format_with_tools == "auto" and self.request.tool_choice not in (None, "auto", "none"))
        )
        if tools_in_the_way or (self.request.stream and not rule.response_format_streaming):
            return "none"
        if "response_format" in self._refused():
            return "none"
        best = min(rule.response_format, self.card.json_mode, kind, key=_STRENGTH.__getitem__)
        if best == "json_object" and not rule.json_object:
            return "json_schema"
        return best

    def unenforced_schema(self) -> JsonObject | None:
        """Return the schema that the gateway has to check, because the upstream does not enforce it."""
        wanted = self._wanted_format
        kind = _format_kind(wanted)
        if kind is None or self._enforced_format(kind) == kind:
            return None
        schema = wanted.get("schema")
        return schema if kind == "json_schema" and isinstance(schema, dict) else {"type": "object"}

    def enforced_schema(self) -> JsonObject | None:
        """Return the strict schema that the upstream is asked to enforce."""
        wanted = self._wanted_format
        if _format_kind(wanted) != "json_schema" or not wanted.get("strict") or self.unenforced_schema() is not None:
            return None
        schema: JsonObject = wanted["schema"]
        return schema

    def format_instruction(self) -> str | None:
        """Return the instruction for the model where the upstream does not enforce the wanted format."""
        wanted = self._wanted_format
        kind = _format_kind(wanted)
        if kind is None:
            return None
        held = self._enforced_format(kind)
        if kind == "json_schema" and held != "json_schema":
            return (
                "Answer with one JSON object and nothing else. It must match this JSON Schema:\n"
                f"{dumps_text(wanted.get('schema', {}))}"
            )
        return "Answer with one JSON object and nothing else." if held == "none" else None

    def _refused(self) -> dict[str, str]:
        """Return the chat parameters that the upstream or the model does not take, with the reason."""
        refused = dict.fromkeys(self.profile.parameters.drop, "the upstream does not take it")
        known = self.card.supported_parameters
        if known is not None:
            models = {name: name for name in (*_SAMPLING, "logprobs", "top_logprobs", "response_format")}
            models[self.profile.parameters.max_tokens] = "max_tokens"
            refused |= {here: "the model does not take it" for here, name in models.items() if name not in known}
        return refused

    def _drop_refused(self, body: JsonObject) -> None:
        for name, why in self._refused().items():
            if body.pop(name, None) is not None:
                self.ledger.add("dropped", _ASKED_AS.get(name, name), why)

    def _in_ascii(self, body: JsonObject) -> None:
        for name in self.profile.parameters.ascii:
            value = body.get(name)
            if isinstance(value, str) and not value.isascii():
                body[name] = quote(value)
                self.ledger.add("changed", name, "percent-encoded: the upstream takes ASCII only", loss=False)

    def _others(self, body: JsonObject) -> None:
        """Pass on further fields to upstreams that are known to take them."""
        for name in sorted(self.request.model_fields_set - _SERVED_HERE):
            value = getattr(self.request, name)
            if value is None or (name == "prompt_cache_options" and value.keys() <= {"prewarm"}):
                continue
            if name in self.profile.parameters.accept:
                body[name] = value
            elif value not in _ANYWAY.get(name, ()):
                self.ledger.add("dropped", name, "the upstream is not known to take it", loss=name not in _NO_LOSS)
        self._account()

    def _account(self) -> None:
        """What the parts of fields say that is not carried out."""
        request = self.request
        parts = (("reasoning", request.reasoning), ("text", request.text), ("stream_options", request.stream_options))
        for name, options in parts:
            for field, value in ((options.model_extra or {}) if options else {}).items():
                if value is not None:
                    self.ledger.add("dropped", f"{name}.{field}", "a chat request has no such field")
        for name in request.include or ():
            if name not in _INCLUDED:
                self.ledger.add("dropped", f"include.{name}", "no answer of a chat upstream has it")
        if request.stream_options and request.stream_options.include_obfuscation:
            self.ledger.add("dropped", "stream_options.include_obfuscation", "events are not padded here")


def _format_kind(wanted: JsonObject) -> str | None:
    """Return the wanted kind of JSON; None for plain text. Raises GatewayError for other formats."""
    kind = wanted.get("type") if wanted else "text"
    if kind not in ("text", "json_object", "json_schema"):
        raise GatewayError(
            f"Invalid value for 'text.format.type': '{kind}'. Supported values: 'text', 'json_object', 'json_schema'.",
            code="invalid_value",
            param="text.format.type",
        )
    if kind == "json_schema" and not isinstance(wanted.get("schema"), dict):
        raise GatewayError(
            "Invalid value for 'text.format.schema': Input should be an object.",
            code="invalid_value",
            param="text.format.schema",
        )
    return None if kind == "text" else str(kind)


_ASKED_AS: Mapping[str, str] = {
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "logprobs": "top_logprobs",
    "response_format": "text.format",
    "verbosity": "text.verbosity",
    "reasoning_effort": "reasoning.effort",
}
"""Chat parameters that have another name in the client's request."""

_STRENGTH: Mapping[str, int] = {"none": 0, "json_object": 1, "json_schema": 2}

_LADDER: Mapping[str, int] = {
    name: rank for rank, name in enumerate(("none", "minimal", "low", "medium", "high", "xhigh", "max", "ultra"))
}


def _nearest_effort(wanted: str, known: list[str]) -> str:
    """The known level closest to `wanted` on the ladder, the higher of two; an unknown word becomes the highest."""
    rank = _LADDER.get(wanted, len(_LADDER))
    return min(known, key=lambda level: (abs(_LADDER.get(level, 0) - rank), -_LADDER.get(level, 0)))
