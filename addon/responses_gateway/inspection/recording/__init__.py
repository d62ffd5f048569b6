"""Recording: what happens in a turn, written into its flow while it runs, with secrets taken out.

May import `turn` and below, whose Protocol for recorders it implements. Does not know how it is shown.
"""
