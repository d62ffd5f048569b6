"""Translates one Responses request into one chat/completions request."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from responses_gateway.catalogue.models.card import ModelCard
from responses_gateway.catalogue.providers.profile import Profile
from responses_gateway.protocol import responses as wire
from responses_gateway.protocol.chat import ChatMessage, ChatTool
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import JsonObject
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.reasoning import PLAIN_ENVELOPES, EnvelopeCodec
from responses_gateway.translate.request.hosted_results import restore_hosted_results
from responses_gateway.translate.request.messages import MessageTranslator
from responses_gateway.translate.request.parameters import ParameterTranslator
from responses_gateway.translate.tools.hosted import HostedTool
from responses_gateway.translate.tools.offered_tools import OfferedTools, offers_tools
from responses_gateway.translate.tools.rules import NO_RULES, ToolRules
from responses_gateway.translate.tools.table import ToolTable


class FormatNote(NamedTuple):
    """The words that tell the model which format its answer has to have, and the place of their message."""

    text: str
    position: int


@dataclass(slots=True)
class Translation:
    """The chat request, and what is needed to translate its answer."""

    body: JsonObject
    tools: ToolTable
    schema: JsonObject | None
    """The JSON schema that the answer has to be checked against."""

    enforced_schema: JsonObject | None
    """The strict schema that the upstream is asked to enforce."""

    format_note: FormatNote | None
    """None where the upstream is told by a parameter, or needs not be told."""


def translate_request(
    request: wire.ResponsesRequest,
    *,
    model: str,
    profile: Profile,
    card: ModelCard,
    ledger: Ledger,
    earlier_tools: Sequence[ChatTool] = (),
    earlier_note: FormatNote | None = None,
    hosted: Sequence[HostedTool] = (),
    envelopes: EnvelopeCodec = PLAIN_ENVELOPES,
    compaction_envelopes: EnvelopeCodec = PLAIN_ENVELOPES,
) -> Translation:
    """Translate `request` for `model` of the upstream that `profile` describes.

    `earlier_tools` are those that the same session offered before: a request whose history holds calls but that
    offers no tools (Codex's compaction) keeps them, not to be called, so that the prompt stays what it was. The
    `earlier_note` of the session keeps its place: at the end it would move from round to round. Keys come in one order,
    messages last, so that consecutive requests of a session share the longest possible prefix.
    `hosted`: the tools that the gateway carries out itself. `envelopes` opens the envelopes of reasoning,
    `compaction_envelopes` those of compactions. Raises GatewayError.
    """
    rules = ToolRules(profile.tools.deny, profile.tools.hosted)
    table = declare_tools(request, ledger, hosted, rules)
    translator = MessageTranslator(
        table, profile, card, ledger, envelopes=envelopes, compaction_envelopes=compaction_envelopes
    )
    messages = translator.translate(request.instructions, restore_hosted_results(request.input, envelopes, ledger))
    sends_tools = card.tools and (offers_tools(request) or any("tool_calls" in message for message in messages))
    parameters = ParameterTranslator(request, profile, card, ledger, sends_tools)
    offer = OfferedTools(request, table, profile.tools, card, ledger, parameters.thinks)
    offered = _without(offer.render(messages, earlier_tools), profile.parameters.drop, ledger)
    body: JsonObject = {"model": model, **parameters.translate(), **offered}
    note = _format_note(parameters.format_instruction(), messages, earlier_note)
    if note is not None:
        told: ChatMessage = {"role": "user", "content": note.text}
        if profile.messages.system == "anywhere":
            told["role"] = "system"
        messages.insert(note.position, told)
    if not messages:
        raise GatewayError("Invalid value for 'input': it holds no message.", code="invalid_value", param="input")
    body["messages"] = messages
    return Translation(body, table, parameters.unenforced_schema(), parameters.enforced_schema(), note)


def _format_note(text: str | None, messages: Sequence[ChatMessage], earlier: FormatNote | None) -> FormatNote | None:
    """Where the words belong: where they were, unless that is now between a call and its result, else at the end."""
    if text is None:
        return None
    follower = messages[earlier.position : earlier.position + 1] if earlier is not None else []
    if earlier is not None and earlier.text == text and follower and follower[0]["role"] != "tool":
        return earlier
    return FormatNote(text, len(messages))


def _without(fields: JsonObject, refused: Collection[str], ledger: Ledger) -> JsonObject:
    """The fields that go with tools, without those that the upstream refuses."""
    for name in fields.keys() & set(refused) - {"tools"}:
        ledger.add("dropped", name, "the upstream does not take it")
    return {name: value for name, value in fields.items() if name == "tools" or name not in refused}


def declare_tools(
    request: wire.ResponsesRequest, ledger: Ledger, hosted: Sequence[HostedTool] = (), rules: ToolRules = NO_RULES
) -> ToolTable:
    """Declare the tools of `request` and of the items in its input. The list only grows during a session."""
    table = ToolTable(ledger, hosted=hosted, rules=rules)
    table.declare(request.tools or (), "tools")
    for position, item in enumerate(request.input):
        match item:
            case wire.ToolSearchOutput(by_server=True) if request.tools:
                table.load_found(item.tools)
            case wire.AdditionalTools() | wire.ToolSearchOutput():
                table.declare(item.tools, f"input[{position}].tools")
            case wire.FunctionCall() | wire.CustomToolCall():
                table.load(item.namespace, item.name)
            case wire.McpCall() | wire.McpApprovalRequest():
                table.load(item.server_label, item.name)
    return table
