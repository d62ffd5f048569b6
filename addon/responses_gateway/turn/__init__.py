"""One call of the Responses API from start to end: the exchange, the rounds that serve it, background jobs, sessions.

Belongs here: what happens when, and what is tried next. May import `upstream`, `hosted`, `state` and below. Does not
know inspection: it reports to protocols of its own (`observers`), which inspection implements.
"""
