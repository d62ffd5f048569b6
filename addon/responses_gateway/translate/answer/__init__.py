"""Chat chunks become Responses events: reading chunks, the state machine, output items, usage, citations.

May import the other three rooms. One state machine makes all output: streams, whole answers, stored responses.
"""
