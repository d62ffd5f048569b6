"""The console command, and the start of a gateway: one module for each larger subcommand.

Holds arguments, questions, printed text, mitmproxy's masters, and Codex's configuration. May import everything; only
the package's own `start` imports it.
"""
