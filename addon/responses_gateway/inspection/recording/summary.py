"""One line and one marker per turn, for mitmproxy's flow list."""

from responses_gateway.catalogue.models.card import Price
from responses_gateway.inspection.names import short_name
from responses_gateway.inspection.text import counted, percent, tokens
from responses_gateway.protocol.json import JsonObject
from responses_gateway.security.terminal import one_line

FAILED, TRUNCATED, HEALED = ":x:", ":scissors:", ":adhesive_bandage:"
"""Markers: names of mitmproxy's emoji."""

MARKERS = (FAILED, TRUNCATED, HEALED)

_SIGNS = {FAILED: "❌ ", TRUNCATED: "✂ ", HEALED: "🩹 ", "": ""}
"""The markers in comments, for lists without the column that shows markers."""

_UNHAPPY = ("failed", "cut")


def comment(facts: JsonObject) -> str:
    """Such as `#3f9a · kimi-k2.6 · turn 7 · 41k→512 tok (97% cached, prefix 98%) · 3 calls · 1.2s/8.4s · completed`.

    It begins with a short name of the client's thread, when the client names one: a list has the turns of several
    threads among each other. The times are those until the first token and until the end. The marker of a turn that is
    over stands before its model.
    """
    sign = _SIGNS[marker(facts)] if facts["ended"] >= 0 else ""
    parts = [short_name(facts["session"])] if facts["session"] else []
    parts.append(sign + (facts["model"] or "?"))
    if facts["number"]:
        parts.append(f"turn {facts['number']}")
    if spent := _tokens(facts):
        parts.append(spent)
    if facts["calls"]:
        parts.append(counted(facts["calls"], "call"))
    if facts["first_token"] >= 0 or facts["ended"] >= 0:
        parts.append(f"{_seconds(facts['first_token'])}/{_seconds(facts['ended'])}")
    parts.append(_status(facts))
    return one_line(" · ".join(parts))


def _tokens(facts: JsonObject) -> str:
    usage, prefix = facts["usage"], facts["prefix"]
    notes = []
    if usage.get("input_tokens"):
        cached = (usage.get("input_tokens_details") or {}).get("cached_tokens", 0)
        notes.append(f"{percent(cached / usage['input_tokens'])} cached")
    if prefix.get("size"):
        notes.append(f"prefix {percent(prefix['common'] / prefix['size'])}")
    counts = f"{tokens(usage.get('input_tokens', 0))}→{tokens(usage.get('output_tokens', 0))} tok" if usage else ""
    return " ".join(part for part in (counts, f"({', '.join(notes)})" if notes else "") if part)


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds / 1000:.1f}s" if milliseconds >= 0 else "–"


def _status(facts: JsonObject) -> str:
    status = str(facts["status"]).replace("_", " ")
    error = " ".join(facts["error"].split())
    return f"{status}: {error[:117] + '…' if len(error) > 118 else error}" if error else status


def marker(facts: JsonObject) -> str:
    """The marker of a failed, truncated or healed turn; empty for others."""
    if facts["status"] in _UNHAPPY:
        return FAILED
    if facts["status"] == "incomplete":
        return TRUNCATED
    healed = any(action == "repaired" for action, *_ in facts["ledger"])
    return HEALED if healed else ""


def speed(facts: JsonObject) -> float | None:
    """Output tokens per second, from the first token to the end; None when that cannot be told."""
    took = facts["ended"] - facts["first_token"]
    count = facts["usage"].get("output_tokens", 0)
    if facts["first_token"] < 0 or facts["ended"] < 0 or took <= 0 or not count:
        return None
    return float(count * 1000 / took)


def cost(usage: JsonObject, price: Price | None) -> float:
    """US dollars; -1 when the price is not known."""
    if price is None or not usage:
        return -1.0
    asked = usage.get("input_tokens", 0)
    cached = (usage.get("input_tokens_details") or {}).get("cached_tokens", 0)
    dear = price.above is not None and asked > price.above
    into = price.input_above if dear and price.input_above is not None else price.input
    out = price.output_above if dear and price.output_above is not None else price.output
    kept = price.cached_input if price.cached_input is not None else into
    return float((into * (asked - cached) + kept * cached + out * usage.get("output_tokens", 0)) / 1_000_000)
