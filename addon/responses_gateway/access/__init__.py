"""Who may use the gateway, and who owns what it remembers.

Belongs here: access rules (keys, hosts, origins) and owners. May import `settings` and below. Does not know what a
request means: it decides by heads.
"""
