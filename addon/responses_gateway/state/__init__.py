"""What clients may get back later: stored responses, conversations, and the secret that seals what they carry.

May import `translate` and below. Does not know endpoints or flows.
"""
