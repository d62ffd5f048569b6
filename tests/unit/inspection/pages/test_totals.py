"""Sums by model and day, and their plot."""

import pytest

from responses_gateway.inspection.archive.rows import Total
from responses_gateway.inspection.pages.totals import COLOURS, DAYS, Sums, totals_of


def total(day: str, model: str = "m", cost: float | None = 1.0, tokens: int = 100) -> Total:
    return Total(day, model, 2, 1, tokens, tokens // 2, 10, cost)


def test_sums() -> None:
    totals = totals_of([total("2026-11-01"), total("2026-11-01", "n", None, 400), total("2026-11-03", cost=0.5)])
    assert totals.all == Sums(6, 3, 600, 300, 30, 1.5)
    assert totals.all.cache_share == "50%"
    assert [(name, sums.turns, sums.cost) for name, sums in totals.models] == [("n", 2, None), ("m", 4, 1.5)]
    assert [(one.day, one.model) for one in totals.days] == [
        ("2026-11-03", "m"),
        ("2026-11-01", "m"),
        ("2026-11-01", "n"),
    ]


def test_plots_have_a_column_for_each_day() -> None:
    tokens, costs = totals_of([total("2026-11-01"), total("2026-11-03", tokens=300)]).plots
    assert [bool(column.pieces) for column in tokens.columns] == [True, False, True]
    assert [piece.kind for piece in tokens.columns[0].pieces] == ["cached", "new", "output"]
    heights = [sum(piece.height for piece in column.pieces) for column in tokens.columns]
    assert heights == pytest.approx([100 * 110 / 310, 0, 100])
    assert costs.legend == [("model0", "m")]


def test_there_is_no_plot_of_unknown_costs_and_of_nothing() -> None:
    assert [plot.title for plot in totals_of([total("2026-11-01", cost=None)]).plots] == ["Tokens per day"]
    assert totals_of([]).plots == []
    assert totals_of([]).all == Sums()


def test_a_plot_has_room_for_the_latest_days_and_some_models() -> None:
    many = totals_of([total("2020-01-01"), *(total("2026-11-03", f"m{at}") for at in range(COLOURS + 3))])
    assert all(len(plot.columns) == DAYS for plot in many.plots)
    assert len(many.plots[1].legend) == COLOURS + 1
    assert {kind for kind, _ in many.plots[1].legend} >= {piece.kind for piece in many.plots[1].columns[-1].pieces}
