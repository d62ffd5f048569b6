"""Data about providers and models: YAML files, and the types that they are read into.

Holds every difference between upstreams or models that code depends on. May import `protocol`. Does not know the
user's settings or any request.
"""
