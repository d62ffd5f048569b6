"""The hosted tool mcp: tools of Model Context Protocol servers, which the gateway calls for the model.

Belongs here: reading declarations, listing tools, approval, and calls. Only `sdk.py` imports the package `mcp`, and
nothing imports `sdk.py` before a server is needed: both are slow to load, and the package may be missing.
"""
