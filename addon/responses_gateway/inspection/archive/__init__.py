"""The archive of turns: a SQLite file that keeps every turn which is shown, compressed, searchable and bounded.

`document` is what goes in: a turn as the flow's record has it; `rows` is what comes out. `delta` and `tapes` make it
small; `identity`, `said`, `outcome` and `describe` tell what it is about; `schema`, `file`, `writer` and `limits` keep
it; `worker` does so off the event loop; `reader` gives it back. `flows` and `kept` connect it with mitmproxy. Pages and
commands do not belong here.
"""
