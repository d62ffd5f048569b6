"""The pages beside mitmweb's own: sessions and their turns, under `/sessions` of the same server.

`addon` puts the handlers on mitmweb's server; `handler` is what each of them builds on: mitmweb's authentication, the
headers, reading the archive in a thread. `routes` knows the addresses, `templating` makes HTML, `formats` writes
figures and times for people. Each page has a file that turns rows of the archive into a view (plain values, pure
functions), one that serves it, and a template. Everything that is shown is hostile text: templates escape it, and no
HTML of a model or a client is ever rendered: `markdown`, `code` and `items` make HTML of what was said, from escaped
text. What reads and writes the archive does not belong here.
"""
