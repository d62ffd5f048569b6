"""Tools: as the client declares them, as they are offered to the model, and what a model calls them with.

May import `repair`. Does not know messages or events.
"""
