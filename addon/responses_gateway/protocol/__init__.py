"""The two wires and what both share: types, JSON, server-sent events, content encodings, HTTP calls, errors.

Belongs here: what the specifications say, and no behaviour. Imports nothing of the package, no mitmproxy, does no I/O.
"""
