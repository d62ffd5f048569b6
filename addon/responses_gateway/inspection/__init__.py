"""What people see of a turn: the flow list, text views, commands, statistics, logs, and reruns of saved turns.

Belongs here: everything that shows turns, and nothing that serves them: without this folder, every turn would be served
all the same. May import `endpoints` and below. All text that it shows may be hostile.
"""
