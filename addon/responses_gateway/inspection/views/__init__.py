"""Text views of a recorded turn: pure functions, and the thin classes that hang them into mitmproxy."""
