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
    "custom": frozenset({"type", "name", "description", "format", "defer_loading"}),
}


def account(declaration: JsonObject, ledger: Ledger, *, defers: bool) -> None:
    """Note the fields of a function, a custom tool or an MCP server that are lost.

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
