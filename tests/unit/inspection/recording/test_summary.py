"""The comment, the marker, and the statistics of turns."""

import pytest

from responses_gateway.catalogue.models.card import Price
from responses_gateway.inspection.names import short_name
from responses_gateway.inspection.recording import summary
from responses_gateway.inspection.recording.observer import Observer
from responses_gateway.inspection.stats import Statistics, percentile
from unit.inspection.turns import ANSWER, DONE, Gateway, call, chunk

TOOL = {"type": "function", "name": "shell", "parameters": {"type": "object", "properties": {"cmd": {}}}}
USAGE = {"input_tokens": 41_000, "input_tokens_details": {"cached_tokens": 40_000}, "output_tokens": 512}


def test_the_comment_of_a_turn():
    gateway = Gateway()
    body = {"model": "kimi-k2.6", "prompt_cache_key": "thread", "tools": [TOOL]}
    gateway.turn({**body, "input": [{"role": "user", "content": "hi"}]}, ANSWER)
    items = [{"role": "user", "content": "hi"}, {"role": "user", "content": "go on"}]
    chunks = [*call("shell", '{"cmd": "ls"}'), *ANSWER[-2:]]
    facts = gateway.record({**body, "input": items}, chunks).facts
    assert summary.comment(facts) == (
        short_name("thread")
        + " · kimi-k2.6 · turn 2 · 41k→512 tok (97% cached, prefix 86%) · 1 call · 0.2s/0.4s · completed"
    )
    assert summary.marker(facts) == ""


def test_threads_can_be_told_apart():
    """Ids that one client makes within a second begin alike."""
    one, other = "019ac2f0-5d1e-7a31-8b4e-000000000001", "019ac2f0-5d1e-7a31-8b4e-000000000002"
    assert short_name(one) == short_name(one) != short_name(other)
    assert len(short_name("\ud800<b>" * 100)) == 5


def test_the_comment_of_a_running_turn():
    facts = Gateway().record({"input": "hi"}, ANSWER[:2], close=False).facts
    assert summary.comment(facts) == "m · 0.1s/– · in progress"


@pytest.mark.parametrize(
    ("chunks", "marker", "status"),
    [
        ([chunk(content="Hel")], summary.FAILED, "failed: The upstream closed its stream"),
        ([chunk(content="Hel"), chunk(finish="length"), DONE], summary.TRUNCATED, "incomplete: max_output_tokens"),
        ([*call("shell", '{"cmd": "a"}{"cmd": "b"}'), chunk(finish="tool_calls"), DONE], summary.HEALED, "completed"),
    ],
)
def test_failed_truncated_and_healed_turns_are_marked(chunks, marker, status):
    facts = Gateway().record({"input": "hi", "tools": [TOOL]}, chunks).facts
    assert summary.marker(facts) == marker
    assert status in summary.comment(facts)


def test_a_turn_whose_client_left_is_failed():
    made = Observer(clock=lambda: 0.0)
    made.ended("Client disconnected.")
    assert summary.marker(made.facts) == summary.FAILED
    assert summary.comment(made.facts).endswith("cut: Client disconnected.")


def test_cost():
    price = Price(input=1.0, output=4.0, cached_input=0.1)
    assert summary.cost(USAGE, price) == pytest.approx((1_000 * 1.0 + 40_000 * 0.1 + 512 * 4.0) / 1e6)
    assert summary.cost(USAGE, None) == -1
    dear = Price(input=1.0, output=4.0, above=40_000, input_above=2.0, output_above=8.0)
    assert summary.cost(USAGE, dear) == pytest.approx((41_000 * 2.0 + 512 * 8.0) / 1e6)


def test_statistics_tell_models_apart():
    statistics = Statistics()
    gateway = Gateway()
    for model in ("a", "b", "b"):
        statistics.add(gateway.record({"model": model, "input": "hi"}, ANSWER).facts)
    statistics.add(gateway.record({"model": "b", "input": "hi"}, ANSWER[:2]).facts)
    heading, a, b = statistics.table()
    assert heading.split()[:3] == ["model", "turns", "errors"]
    assert a.split()[:5] == ["a", "1", "0", "41k", "97%"]
    assert b.split()[:5] == ["b", "3", "1", "82k", "97%"]
    assert "0.1s" in a
    assert "731.4" in a


def test_percentiles():
    assert percentile([], 50) is None
    assert percentile([3.0], 95) == 3.0
    assert percentile(range(1, 101), 50) == 50
    assert percentile(range(1, 101), 95) == 95
