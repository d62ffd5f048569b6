"""The wire formats of both APIs: types, JSON, server-sent events, content encodings, HTTP calls, errors.

Holds what the specifications say, and no behaviour. Imports nothing else of the package, no mitmproxy; does no I/O.
"""
