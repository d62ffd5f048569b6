"""What a tool's declaration says beyond what a chat function can say."""

from responses_gateway.protocol.json import JsonObject
from responses_gateway.translate.ledger import Ledger

_CARRIED_OUT = {
    "function": frozenset({"type", "name", "description", "parameters", "strict", "function", "defer_loading"}),
    "mcp": frozenset(
        (
            *("type", "server_label", "server_url", "server_description", "connector_id", "tunnel_id"),
            *("allowed_tools", "require_approval", "authorization", "headers", "defer_loading", "offered"),
        )
    ),
    "image_generation": frozenset(
        (
            *("type", "action", "background", "complexity", "frame_count", "frame_duration_ms", "input_fidelity"),
            *("input_image_mask", "model", "moderation", "output_compression", "output_format", "partial_images"),
            *("quality", "size", "svg"),
        )
    ),
    "computer": frozenset({"type"}),
    "computer_use_preview": frozenset({"type", "display_width", "display_height", "environment"}),
    "custom": frozenset({"type", "name", "description", "format", "defer_loading"}),
    "namespace": frozenset({"type", "name", "description", "tools"}),
    "tool_search": frozenset({"type", "execution", "description", "parameters"}),
    "web_search": frozenset(
        (
            *("type", "filters", "user_location", "search_context_size", "search_content_types"),
            "external_web_access",
        )
    ),
    "local_shell": frozenset({"type"}),
    "shell": frozenset({"type", "environment"}),
    "apply_patch": frozenset({"type"}),
}


def account(declaration: JsonObject, ledger: Ledger, *, defers: bool) -> None:
    """Note the fields of a tool, or of a namespace, that are lost.

    `defers`: whether tools are offered later than the others.
    """
    if declaration.get("defer_loading") and not defers:
        why = "offered at once: a chat upstream loads no tools later"
        ledger.add("changed", "tools.defer_loading", why, loss=False)
    kind = str(declaration.get("type", "function"))
    known = _CARRIED_OUT.get("web_search" if kind.startswith("web_search") else kind)
    if known is None:
        return
    for name, value in declaration.items():
        if value and name == "allowed_callers":
            _account_callers(value, ledger)
        elif value and name not in known:
            ledger.add("dropped", f"tools.{name}", "a chat function has no such field")


def _account_callers(callers: object, ledger: Ledger) -> None:
    """Chat models call every function directly, and nothing else calls any."""
    if callers != ["direct"]:
        directly = isinstance(callers, list) and "direct" in callers
        ledger.add(
            "changed", "tools.allowed_callers", "called directly: no program calls tools here", loss=not directly
        )
