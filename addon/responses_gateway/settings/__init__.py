"""One model of all settings and where they come from: defaults, a file, the environment, mitmproxy's options.

May import `catalogue` and `protocol`. Does not know what the settings are used for.
"""
