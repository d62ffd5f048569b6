"""Where requests go: routing, upstreams with their keys, their model lists, probes, and repairs learned from refusals.

May import `settings`, `translate` and below. Does not know turns.
"""
