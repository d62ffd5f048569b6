"""Translates a Responses request into a chat request: messages, content, parameters, compaction, truncation.

May import `tools` and `repair`. Does not know answers.
"""
