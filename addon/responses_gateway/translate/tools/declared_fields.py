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
}


def account(declaration: JsonObject, ledger: Ledger, *, defers: bool) -> None:
    """Note the fields of a declaration that are lost.

    `defers`: whether tools are offered later than the others.
    """
    if declaration.get("defer_loading") and not defers:
        ledger.add("changed", "tools.defer_loading", "offered at once: a chat upstream loads no tools later")
    known = _CARRIED_OUT.get(str(declaration.get("type", "function")))
    if known is None:
        return
    for name, value in declaration.items():
        if value and name not in known:
            ledger.add("dropped", f"tools.{name}", "a chat function has no such field")
