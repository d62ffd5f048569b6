"""Translates chat chunks into Responses events: reads chunks, assembles output items, counts usage, finds citations.

May import the other three folders. One state machine makes all output: streams, whole answers, stored responses.
"""
