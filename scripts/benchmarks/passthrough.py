"""The addon of the bare proxy: passes every answer through as it arrives, as an addon has to for streams."""

from mitmproxy import http


def responseheaders(flow: http.HTTPFlow) -> None:
    if flow.response is not None:
        flow.response.stream = True
