"""The Responses API over WebSocket: its server, and one turn of a connection.

May import `turn` and below.
"""
