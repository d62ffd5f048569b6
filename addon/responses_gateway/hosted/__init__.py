"""Tools that the gateway carries out itself between two upstream rounds of one response.

Belongs here: what a hosted tool is, web search, pictures, and the tools of MCP servers. May import `upstream` and
below. Does not know how a turn is served: it gets calls and returns what they found.
"""
