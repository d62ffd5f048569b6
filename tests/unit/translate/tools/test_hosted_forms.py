"""Tools that a client declares for a server to run, in types that its own machine could run, too."""

from typing import Any

import pytest

from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.tools.table import ToolTable
from unit.machine import RUN, SEARCH, Json

DEFERRED = {**RUN, "name": "later", "defer_loading": True}


def declared(*tools: Json) -> tuple[list[str], list[str]]:
    """The names that the upstream gets, and the ledger."""
    ledger = Ledger()
    table = ToolTable(ledger)
    table.declare(tools, "tools")
    return [tool.wire for tool in table], [str(entry) for entry in ledger.entries]


@pytest.mark.parametrize("more", [{}, {"execution": None}, {"execution": "server"}], ids=["unsaid", "null", "server"])
def test_searching_for_tools_at_the_server_offers_them_at_once(more: dict[str, Any]) -> None:
    names, ledger = declared(DEFERRED, {"type": "tool_search", **more})
    assert names == ["later"]
    assert [entry.split(":")[0] for entry in ledger] == ["changed tools.defer_loading", "dropped tools.tool_search"]


def test_searching_for_tools_at_the_client_is_a_function() -> None:
    assert declared(SEARCH) == (["tool_search"], [])


@pytest.mark.parametrize("kind", ["container_auto", "container_reference"])
def test_a_shell_in_a_container_of_the_server_is_not_offered(kind: str) -> None:
    names, ledger = declared({"type": "shell", "environment": {"type": kind}}, RUN)
    assert names == ["run"]
    assert any(entry.startswith("dropped tools.shell") for entry in ledger)


@pytest.mark.parametrize("environment", [None, {"type": "local"}, {}])
def test_a_shell_of_the_client_is_offered(environment: Json | None) -> None:
    assert declared({"type": "shell", "environment": environment}) == (["shell"], [])
