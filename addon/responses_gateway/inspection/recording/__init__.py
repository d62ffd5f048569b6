"""Recording: writes what happens in a turn into its flow while it runs, without secrets.

May import `turn` and below; it implements the protocols of `turn.observers`. Does not know how records are shown.
"""
