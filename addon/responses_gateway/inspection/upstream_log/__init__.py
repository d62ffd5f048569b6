"""The log of upstream requests: written per turn, read again to find what costs prompt cache."""
