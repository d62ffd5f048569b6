"""What a request loses is told to the client, or refused where the gateway is strict."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest
from mitmproxy import http

from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import loads
from responses_gateway.settings.settings import Settings
from responses_gateway.translate.ledger import Ledger
from responses_gateway.turn.ledger_header import NAME, ledger_header
from responses_gateway.turn.served_turn import ServedTurn
from responses_gateway.turn.turn_services import TurnServices
from unit.machine import RUN, delta
from unit.turn.rounds import forgetful, serve, whole
from unit.world import open_exchange, runtime

Json = dict[str, Any]

SEARCH_FILES: Json = {"type": "file_search", "vector_store_ids": ["v"]}
STRICT = {"strict": True}
REFUSAL = b'{"error":{"message":"Unsupported parameter: \'temperature\'","code":"unsupported_parameter"}}'


def turn(settings: Mapping[str, Any] | None = None, **fields: Any) -> ServedTurn:
    around = runtime(
        Settings.model_validate({"upstream": "http://127.0.0.1:1/v1", "store": "none", **(settings or {})})
    )
    exchange = open_exchange({"model": "m", "input": "hi", **fields}, {}, around)

    async def no_models(*_: object) -> None:
        return None

    return ServedTurn(exchange, {}, TurnServices(around.settings, around.router, forgetful(), no_models))


def answered(status: int, body: bytes, one: ServedTurn) -> http.Response:
    one.begin(status, http.Headers())
    one.take(body)
    asyncio.run(one.next_round())
    return one.answer()


def test_a_stream_begins_with_what_its_request_lost() -> None:
    head = turn(tools=[RUN, SEARCH_FILES], service_tier="flex", stream=True).head()
    assert head.headers[NAME] == "dropped tools.file_search; dropped service_tier"


def test_a_whole_answer_says_what_its_request_lost() -> None:
    answer = answered(200, json.dumps(whole(delta("stop", content="Hi."))).encode(), turn(service_tier="flex"))
    assert loads(answer.content or b"")["status"] == "completed"
    assert answer.headers[NAME] == "dropped service_tier"


@pytest.mark.parametrize("stream", [True, False])
def test_a_request_that_lost_nothing_has_no_header(stream: bool) -> None:
    one = turn(tools=[RUN, RUN, {**RUN, "name": "a.b"}], prompt_cache_key="k", stream=stream)
    assert NAME not in one.head().headers


def test_what_a_client_named_cannot_end_the_header() -> None:
    ledger = Ledger()
    for name in ("a\r\nset-cookie: x=1", "b; c", "ü", "\udc80", "x" * 500):
        ledger.add("dropped", name, "why")
    told = ledger_header(ledger)[NAME]
    assert told == (
        "dropped a%0D%0Aset-cookie%3A%20x%3D1; dropped b%3B%20c; dropped %C3%BC; dropped %3F; dropped " + "x" * 100
    )


def test_the_header_is_bounded() -> None:
    ledger = Ledger()
    for number in range(5000):
        ledger.add("dropped", f"field_{number}", "why")
    told = ledger_header(ledger)[NAME]
    shown = told.split("; ")
    assert len(told) <= 1000
    assert shown[0] == "dropped field_0"
    assert shown[-1] == f"and {5000 - len(shown) + 1} more"


def test_a_field_is_told_once() -> None:
    ledger = Ledger()
    ledger.add("dropped", "input.image", "one")
    ledger.add("dropped", "input.image", "another")
    assert ledger_header(ledger) == {NAME: "dropped input.image"}


def test_a_reason_is_not_told() -> None:
    ledger = Ledger()
    ledger.add("dropped", "x", "sk-secret")
    assert "sk-secret" not in ledger_header(ledger)[NAME]


# Strict ---------------------------------------------------------------------------------------------------------------


def test_a_strict_gateway_refuses_what_would_be_lost() -> None:
    with pytest.raises(GatewayError) as raised:
        turn(STRICT, tools=[RUN, SEARCH_FILES], service_tier="flex")
    error = raised.value
    assert (error.status, error.code, error.param) == (400, "unsupported_parameter", "tools.file_search")
    assert "dropped tools.file_search: no chat upstream runs this hosted tool" in error.message
    assert "dropped service_tier" in error.message


def test_a_strict_refusal_is_bounded() -> None:
    with pytest.raises(GatewayError) as raised:
        turn(STRICT, **{f"made_up_{number}": 1 for number in range(900)})
    assert raised.value.message.endswith("; and 890 more.")


def test_a_strict_gateway_takes_what_is_a_matter_of_form() -> None:
    one = turn(STRICT, tools=[RUN, RUN, {**RUN, "name": "a.b"}], prompt_cache_key="k", metadata={"a": "b"})
    assert one.exchange.ledger.entries


@pytest.mark.parametrize(
    "settings",
    [
        {"strict": True, "models": {"m": {"provider": "other", "strict": False}}},
        {"strict": True, "models": {"m": {"provider": "lenient"}}},
    ],
)
def test_a_model_or_a_provider_may_be_lenient(settings: Json) -> None:
    def provider(name: str, **fields: Any) -> Json:
        return {"base": "any", "profile": {"name": name, "base_url": "http://127.0.0.1:1/v1", **fields}}

    providers = {"other": provider("other"), "lenient": provider("lenient", strict=False)}
    assert turn({**settings, "providers": providers}, service_tier="flex").exchange.ledger.losses
    with pytest.raises(GatewayError):
        turn({**settings, "providers": providers}, model="other/m", service_tier="flex")


def test_a_strict_gateway_drops_nothing_that_the_upstream_refuses() -> None:
    refused = answered(400, REFUSAL, turn(STRICT, temperature=1))
    assert refused.status_code == 400
    assert b"temperature" in (refused.content or b"")


def test_what_the_upstream_refused_is_told() -> None:
    one = turn(temperature=1)
    one.begin(400, http.Headers())
    one.take(REFUSAL)
    assert asyncio.run(one.next_round())
    assert "temperature" not in one.exchange.upstream_request.body
    assert ledger_header(one.ledger) == {NAME: "repaired temperature"}


def test_a_strict_gateway_serves_further_rounds() -> None:
    served = serve([delta("stop", content="Hi.")], settings=STRICT, reasoning={"effort": "high"})
    assert served.response["status"] == "completed"
