"""Repairs calls written as text and refused requests, checks structured output, and classifies upstream errors.

Imports none of the other folders. A repair changes the form of what a model said, never what it said.
"""
