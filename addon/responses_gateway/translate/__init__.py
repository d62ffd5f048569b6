"""Translates Responses requests into chat requests, and chat answers into Responses events.

It has four folders: `request` translates requests, `tools` translates tool declarations and arguments, `answer`
translates answers, and `repair` repairs faults of both. May import `protocol` and the types of `catalogue`. Does no
I/O, and knows neither mitmproxy nor clock nor environment: time, ids and settings are arguments.
"""
