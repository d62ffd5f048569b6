"""Tools that the gateway carries out itself between two upstream rounds of one response.

Belongs here: web search, its engines, and the pages that it opens. May import `upstream` and below. Does not know how a
turn is served: it gets calls and returns what they found.
"""
