"""Answers of the gateway's own, one module per resource of the API, and the table that finds them.

Belongs here: what a method and path mean. May import `turn` and below. Does not know mitmproxy: calls come in as `Call`
and go out as `Answer`, a stream to forward, or a turn to serve.
"""
