"""What goes wrong and how it is mended: calls written as text, refused requests, upstream errors, structured output.

Imports none of the other rooms. A repair changes the form of what a model said, never what it said.
"""
