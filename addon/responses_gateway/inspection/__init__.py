"""What people see of a turn: the flow list, text views, commands, statistics, logs, and reruns of saved turns.

Belongs here: everything that shows and nothing that serves; without this folder, every turn is served all the same. May
import `endpoints` and below. Everything that it shows is hostile text.
"""
