"""What is known about providers and models, as data: YAML files, and the types that they are read into.

Belongs here: every difference between upstreams or models that code asks for. May import `protocol`. Does not know the
user's settings, nor any request.
"""
