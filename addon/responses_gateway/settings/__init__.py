"""The settings: their models, and how they are loaded from defaults, a file, the environment and mitmproxy's options.

May import `catalogue` and `protocol`. Does not know how the settings are used.
"""
