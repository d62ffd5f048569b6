"""Results of tool calls become the content of tool messages."""

from collections import defaultdict, deque
from collections.abc import Sequence

from responses_gateway.protocol import responses as wire
from responses_gateway.protocol.json import JsonObject, dumps_text
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.request.content import Content, ContentTranslator
from responses_gateway.translate.request.search_items import SEARCH_FAILED
from responses_gateway.translate.request.tool_result_images import parts_in
from responses_gateway.translate.tools.declared_tool import Kind
from responses_gateway.translate.tools.table import ToolTable

NO_RESULT = "[No result was recorded for this call.]"
EMPTY_RESULT = "[The result is empty.]"

type CallResult = (
    wire.CallOutput | wire.ShellCallOutput | wire.ApplyPatchCallOutput | wire.ToolSearchOutput | wire.ComputerCallOutput
)
CALL_RESULTS = (
    wire.CallOutput,
    wire.ShellCallOutput,
    wire.ApplyPatchCallOutput,
    wire.ToolSearchOutput,
    wire.ComputerCallOutput,
)
type ResultsById = dict[str, deque[tuple[int, CallResult]]]
"""The results of each call id, with their positions in the input."""


class ResultTranslator:
    """Translates the results of calls for one upstream and one model."""

    def __init__(self, content: ContentTranslator, tools: ToolTable, ledger: Ledger) -> None:
        self._content = content
        self._tools = tools
        self._ledger = ledger

    def translate(self, item: CallResult) -> Content:
        """Translate the result of one call."""
        match item:
            case wire.CallOutput(output=dict() as value):
                return Content(dumps_text(value))
            case wire.CallOutput(output=[wire.TextPart(text=text)]) if pictures := parts_in(text):
                self._ledger.add("changed", f"input.{item.type}.output", "pictures taken out of JSON text", loss=False)
                return self._content.translate(pictures, f"input.{item.type}.output")
            case wire.CallOutput(output=list() as parts):
                return self._content.translate(parts, f"input.{item.type}.output")
            case wire.ShellCallOutput():
                return Content("\n".join(_shell_text(entry) for entry in item.output))
            case wire.ApplyPatchCallOutput():
                failed = item.status == "failed" and item.output
                return Content(f"[The patch was not applied.]\n{item.output}" if failed else item.output or item.status)
            case wire.ToolSearchOutput():
                return Content(self._found_tools(item))
            case wire.ComputerCallOutput():
                return self._screenshot(item)
        raise AssertionError(item)

    def _screenshot(self, item: wire.ComputerCallOutput) -> Content:
        path = f"input.{item.type}.output"
        if item.acknowledged_safety_checks:
            self._ledger.add("dropped", f"input.{item.type}.acknowledged_safety_checks", "no check was pending")
        fields = {name: value for name, value in item.output.items() if name in ("image_url", "file_id", "detail")}
        picture = {"type": "input_image", **{name: str(value) for name, value in fields.items() if value}}
        return self._content.translate([wire.ImagePart.model_validate(picture)], path)

    def _found_tools(self, item: wire.ToolSearchOutput) -> str:
        """List the found tools by the names under which they can be called; their schemas are in the tool list."""
        if item.by_server and item.status == "incomplete":
            return SEARCH_FAILED
        lines = []
        for tool in item.tools:
            children = tool.get("tools") if tool.get("type") == "namespace" else None
            namespace = str(tool.get("name")) if children is not None else None
            for child in children if isinstance(children, list) else [tool]:
                if not isinstance(child, dict) or self._tools.denies(str(child.get("name")), namespace):
                    continue
                kind: Kind = "custom" if child.get("type") == "custom" else "function"
                name = self._tools.wire_name(kind, namespace, str(child.get("name")))
                lines.append(f"- {name}: {child.get('description') or ''}".rstrip(": "))
        return "\n".join(["These tools can be called now:", *lines]) if lines else "No tools were found."


def results_by_call_id(items: Sequence[wire.Item]) -> ResultsById:
    """Sort the results of the history by call id, each with its position."""
    results: ResultsById = defaultdict(deque)
    for position, item in enumerate(items):
        if isinstance(item, CALL_RESULTS):
            call_id = result_call_id(item)
            if call_id is not None:
                results[call_id].append((position, item))
    return results


def result_call_id(result: CallResult) -> str | None:
    """Return the id of the call that `result` belongs to."""
    if result.call_id is None and result.type == "local_shell_call_output":
        return result.id
    return result.call_id


def _shell_text(entry: JsonObject) -> str:
    streams = [str(entry[key]) for key in ("stdout", "stderr") if entry.get(key)]
    outcome = entry.get("outcome")
    if isinstance(outcome, dict):
        code = outcome.get("exit_code")
        streams.append(f"[exit code {code}]" if outcome.get("type") == "exit" else f"[{outcome.get('type')}]")
    return "\n".join(streams)
