"""Translates tool declarations into chat functions, and repairs the arguments of calls.

May import `repair`. Does not know messages or events.
"""
