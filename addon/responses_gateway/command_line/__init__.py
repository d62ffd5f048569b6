"""The console command, and what starts a gateway: one module per subcommand that needs more than a line.

Belongs here: arguments, questions, printed text, mitmproxy's masters, and Codex's configuration. May import everything;
nothing imports it but the package's own `start`.
"""
