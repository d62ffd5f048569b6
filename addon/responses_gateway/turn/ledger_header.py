"""The response header that tells a client what its request lost."""

from urllib.parse import quote

from responses_gateway.translate.ledger import Ledger

NAME = "x-responses-gateway-ledger"

_LONGEST = 1000
"""Characters of the whole header."""

_LONGEST_FIELD = 100


def ledger_header(ledger: Ledger) -> dict[str, str]:
    """The header for the losses so far, such as `dropped tools.mcp; changed reasoning.effort`; {} when there are none.

    Names of fields can be the client's own words: what is no plain ASCII in them is percent-encoded. The reasons are
    left to the record of the turn, because they may quote anything.
    """
    # One field can be lost for several reasons.
    named = [*dict.fromkeys(f"{entry.action} {_plain(entry.field)}" for entry in ledger.losses)]
    if not named:
        return {}
    told, length = 0, 0
    for words in named:
        length += len(words) + 2
        if length > _LONGEST - len("; and 1000000 more"):
            break
        told += 1
    rest = [f"and {len(named) - told} more"] if told < len(named) else []
    return {NAME: "; ".join([*named[:told], *rest])}


def _plain(field: str) -> str:
    return quote(field[:_LONGEST_FIELD], safe="[]", errors="replace")[:_LONGEST_FIELD]
