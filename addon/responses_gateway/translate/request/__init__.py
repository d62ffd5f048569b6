"""A Responses request becomes a chat request: messages, content, parameters, compaction, truncation.

May import `tools` and `repair`. Does not know answers.
"""
