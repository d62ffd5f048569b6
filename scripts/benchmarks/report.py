"""The results as a table, as goals met or not, and as a picture."""

from collections.abc import Callable, Iterable
from functools import partial
from math import log10
from statistics import median
from xml.sax.saxutils import escape

from benchmarks.figures import Figures
from benchmarks.targets import BARE, GATEWAY, GATEWAY_WEB

type Results = dict[str, Figures]

_COLOURS = {"direct": "#9aa0a6", "mitmproxy": "#3b6ea5", "gateway": "#c8553d", "gateway, mitmweb": "#e39774"}
_OTHER_COLOURS = ("#5b8c5a", "#8d6a9f")
_LITELLM, _RELAY = "LiteLLM", "codex-relay"


def stream_cpu(figures: Figures, streams: int) -> float | None:
    """Seconds of CPU per delta: the least of all rounds, because everything else on the machine only adds to it."""
    return min((run["cpu_per_delta"] for run in figures.streams.get(streams, ())), default=None)


def stream_delay(figures: Figures, streams: int, rank: float) -> float | None:
    """Seconds: the median of all rounds."""
    delays = [run["delays"].get(rank, float("inf")) for run in figures.streams.get(streams, ())]
    return median(delays) if delays else None


def request_figure(figures: Figures, size: int, name: str) -> float | None:
    """Seconds: `first_event`, `first_delta` or `cpu` of requests of `size` bytes."""
    return figures.requests.get(size, {}).get(name)


def table(results: Results) -> str:
    """A Markdown table: a row per figure, a column per target."""
    rows: list[tuple[str, Callable[[Figures], float | None], float, str]] = []
    some = next(iter(results.values()))
    for streams in some.streams:
        rows.append((f"CPU per delta, {streams} streams, µs", partial(stream_cpu, streams=streams), 1e6, ".0f"))
    for streams in some.streams:
        for rank, name in ((0.5, "p50"), (0.99, "p99")):
            rows.append(
                (
                    f"delay per delta, {streams} streams, {name}, ms",
                    partial(stream_delay, streams=streams, rank=rank),
                    1e3,
                    ".2f",
                )
            )
    for size in some.requests:
        kilobytes = f"{size // 1000:,} KB"
        rows.append(
            (f"first event, {kilobytes}, ms", partial(request_figure, size=size, name="first_event"), 1e3, ".1f")
        )
        rows.append(
            (f"first delta, {kilobytes}, ms", partial(request_figure, size=size, name="first_delta"), 1e3, ".1f")
        )
        rows.append((f"CPU per request, {kilobytes}, ms", partial(request_figure, size=size, name="cpu"), 1e3, ".1f"))
    rows += [
        ("most streams with p99 < 100 ms", lambda f: f.capacity, 1, ".0f"),
        ("start-up, s", lambda f: f.start, 1, ".2f"),
        ("start-up, cold, s", lambda f: f.cold_start, 1, ".2f"),
        ("memory at rest, MB", lambda f: f.at_rest, 1e-6, ".0f"),
        ("memory per live stream, KB", lambda f: f.per_stream, 1e-3, ".0f"),
    ]
    head = ["", *results]
    lines = [head, ["---", *["---:"] * len(results)]]
    for name, value, scale, form in rows:
        cells = [_cell(value(figures), scale, form) for figures in results.values()]
        if any(cell != "–" for cell in cells):
            lines.append([name, *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: float | None, scale: float, form: str) -> str:
    return "–" if not value else format(value * scale, form)


def goals(results: Results) -> list[tuple[bool, str]]:
    """Each goal with what was measured, and whether it is met."""
    bare, ours = results[BARE.name], results[GATEWAY.name]
    found: list[tuple[bool, str]] = []

    def goal(name: str, value: float | None, limit: float, scale: float, unit: str) -> None:
        if value is not None:
            found.append((value <= limit, f"{name}: {value * scale:.4g}{unit} (goal: at most {limit * scale:g}{unit})"))

    def added(figure: Callable[[Figures], float | None], gateway: Figures) -> float | None:
        ours, floor = figure(gateway), figure(bare)
        return None if ours is None or floor is None else ours - floor

    def first_event(size: int) -> Callable[[Figures], float | None]:
        return partial(request_figure, size=size, name="first_event")

    def delay(rank: float) -> Callable[[Figures], float | None]:
        return partial(stream_delay, streams=20, rank=rank)

    def ratio(other: Figures, streams: int) -> float | None:
        mine, theirs = stream_cpu(ours, streams), stream_cpu(other, streams)
        return mine / theirs if mine and theirs else None

    for streams in bare.streams:
        goal(f"CPU per delta over bare mitmproxy's, {streams} streams", ratio(bare, streams), 1.15, 1, "×")
    for name in (GATEWAY.name, GATEWAY_WEB.name):
        if name in results:
            goal(f"p50 added at 20 streams ({name})", added(delay(0.5), results[name]), 0.0003, 1e3, " ms")
            goal(f"p99 added at 20 streams ({name})", added(delay(0.99), results[name]), 0.003, 1e3, " ms")
    for size, limit in ((1_000_000, 0.025), (5_000_000, 0.12)):
        goal(f"first event added, {size // 1000:,} KB", added(first_event(size), ours), limit, 1e3, " ms")
    if _LITELLM in results:
        goal("CPU per delta over LiteLLM's, 20 streams", ratio(results[_LITELLM], 20), 0.2, 1, "×")
    if _RELAY in results:
        goal("CPU per delta over codex-relay's, 20 streams", ratio(results[_RELAY], 20), 4, 1, "×")
    goal("memory per live stream", ours.per_stream, 400e3, 1e-3, " KB")
    if ours.turns:
        first, *_, last = ours.turns.values()
        goal(f"growth from turn {min(ours.turns):,} to {max(ours.turns):,}", last / first - 1, 0.05, 100, " %")
    goal("start-up", ours.start, 2.5, 1, " s")
    goal("start-up, cold", ours.cold_start, 2.5, 1, " s")
    return found


def plot(results: Results) -> str:
    """Three bar charts as SVG: CPU per delta, delay at 20 streams, first event by request size."""
    some = next(iter(results.values()))
    charts = [
        (
            "CPU per streamed delta, µs",
            [(f"{n} streams", 1e6, partial(stream_cpu, streams=n)) for n in some.streams],
        ),
        (
            "Delay per delta at 20 streams, ms (logarithmic)",
            [(name, 1e3, partial(stream_delay, streams=20, rank=rank)) for name, rank in (("p50", 0.5), ("p99", 0.99))],
        ),
        (
            "Time to first event, ms (logarithmic)",
            [
                (f"{n // 1000:,} KB", 1e3, partial(request_figure, size=n, name="first_event"))
                for n in some.requests
            ],
        ),
    ]  # fmt: skip
    colours = dict(zip((n for n in results if n not in _COLOURS), _OTHER_COLOURS, strict=False)) | _COLOURS
    height, width = 230, 860
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height * len(charts) + 40}" '
        'font-family="system-ui, sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
    ]
    for number, name in enumerate(results):
        x = 20 + number * 135
        parts.append(f'<rect x="{x}" y="12" width="12" height="12" fill="{colours[name]}"/>')
        parts.append(f'<text x="{x + 17}" y="22" fill="#333333">{escape(name)}</text>')
    for number, (title, groups) in enumerate(charts):
        values = [
            (label, [(name, scale * (value(figures) or 0.0)) for name, figures in results.items()])
            for label, scale, value in groups
        ]
        parts += _chart(title, values, 40 + number * height, width, height, colours)
    return "\n".join([*parts, "</svg>", ""])


def _chart(
    title: str,
    groups: list[tuple[str, list[tuple[str, float]]]],
    top: int,
    width: int,
    height: int,
    colours: dict[str, str],
) -> Iterable[str]:
    base, room = top + height - 40, height - 90
    least = min((v for _, bars in groups for _, v in bars if v > 0), default=1.0)
    most = max((v for _, bars in groups for _, v in bars), default=1.0)
    floor = 10 ** (int(log10(least)) - 1)

    def size(value: float) -> float:
        if value <= 0:
            return 0.0
        return room * (log10(value / floor) / log10(most / floor) if "logarithmic" in title else value / most)

    yield f'<text x="20" y="{top + 20}" font-size="14" font-weight="600" fill="#222222">{escape(title)}</text>'
    yield f'<line x1="20" y1="{base}" x2="{width - 20}" y2="{base}" stroke="#888888"/>'
    span = (width - 40) / len(groups)
    for number, (label, bars) in enumerate(groups):
        left = 20 + number * span
        step = (span - 24) / len(bars)
        for place, (name, value) in enumerate(bars):
            x, tall = left + 12 + place * step, size(value)
            bar = f'x="{x:.1f}" y="{base - tall:.1f}" width="{step - 4:.1f}" height="{tall:.1f}"'
            yield f'<rect {bar} fill="{colours[name]}"/>'
            if value:
                text = f"{value:.0f}" if value >= 10 else f"{value:.2g}"
                centre = f'x="{x + step / 2 - 2:.1f}" y="{base - tall - 4:.1f}"'
                yield f'<text {centre} font-size="10" text-anchor="middle" fill="#333333">{text}</text>'
        middle = f'x="{left + span / 2:.1f}" y="{base + 18}"'
        yield f'<text {middle} text-anchor="middle" fill="#333333">{escape(label)}</text>'
