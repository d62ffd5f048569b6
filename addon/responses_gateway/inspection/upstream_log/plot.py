"""The analysis of a log as an SVG picture: a line per session, and crosses for what the upstream says of its cache."""

from html import escape

from responses_gateway.inspection.text import shortened
from responses_gateway.inspection.upstream_log.analysis import Analysis, SessionReport

WIDTH, HEIGHT = 960, 420
LEFT, RIGHT, TOP, BOTTOM = 60, 300, 40, 50
SESSIONS = 12
"""Sessions that are drawn: those with the most requests."""

_COLOURS = (
    "#4269d0",
    "#efb118",
    "#ff725c",
    "#6cc5b0",
    "#3ca951",
    "#ff8ab7",
    "#a463f2",
    "#97bbf5",
    "#9c6b4e",
    "#9498a0",
)


def svg(analysis: Analysis) -> str:
    """The whole picture."""
    sessions = sorted((one for one in analysis.sessions if one.steps), key=lambda one: -len(one.steps))[:SESSIONS]
    longest = max((len(one.steps) for one in sessions), default=1)
    body = [*_axes(longest)]
    for number, session in enumerate(sessions):
        body += _session(session, number, longest)
    if not sessions:
        body.append(_text(WIDTH / 2, HEIGHT / 2, "no session has two requests", "middle"))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
            'font-size="12">',
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
            *body,
            "</svg>",
            "",
        ]
    )


def _axes(longest: int) -> list[str]:
    lines = [_text(LEFT, 22, "Share of each request that the upstream has seen before (× cached, as it says)", "start")]
    for tenths in range(0, 101, 20):
        y = _y(tenths / 100)
        lines.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        lines.append(_text(LEFT - 8, y + 4, f"{tenths}%", "end"))
    for step in sorted({1, (longest + 1) // 2, longest}):
        lines.append(_text(_x(step, longest), HEIGHT - BOTTOM + 20, str(step + 1), "middle"))
    lines.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, "request of the session", "middle"))
    return lines


def _session(session: SessionReport, number: int, longest: int) -> list[str]:
    colour = _COLOURS[number % len(_COLOURS)]
    points = [(_x(at, longest), _y(step.prefix.share)) for at, step in enumerate(session.steps, 1)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    lines = [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>']
    lines += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
    lines += _crosses(session, colour, longest)
    y = TOP + 16 * number
    label = f"{shortened(session.session, 24)} ({session.model})"
    lines.append(f'<rect x="{WIDTH - RIGHT + 20}" y="{y}" width="10" height="10" fill="{colour}"/>')
    lines.append(_text(WIDTH - RIGHT + 36, y + 10, label, "start"))
    return lines


def _crosses(session: SessionReport, colour: str, longest: int) -> list[str]:
    return [
        _text(_x(at, longest), _y(step.cached_share) + 4, "×", "middle", colour)
        for at, step in enumerate(session.steps, 1)
        if step.cached_share is not None
    ]


def _x(step: int, longest: int) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * (step - 0.5) / longest


def _y(share: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * min(1.0, share)


def _text(x: float, y: float, text: str, anchor: str, colour: str = "#333") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'
