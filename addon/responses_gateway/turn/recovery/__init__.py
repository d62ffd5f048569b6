"""What is tried after an upstream round gave nothing: a repaired request, the same one later, another upstream.

Each strategy is a class with one method that says whether the request is worth sending again. `recovery` asks them in
turn; `fault` says what they are told of the round.
"""
