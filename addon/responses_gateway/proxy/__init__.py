"""Inside mitmproxy's proxy core, below the hooks: what hooks cannot do.

Belongs here: connections, streams, their clock, rounds, and the short way of bytes from socket to socket. The only
place
that knows mitmproxy's private parts. May import `security` and below, and knows neither wire: it asks the turn what to
send, through `contract`.
"""
