"""The archive of turns: a SQLite file that keeps every turn which is shown, compressed, searchable and bounded.

`document` is what goes in: a turn as it was recorded; `rows` is what comes out. `delta` and `captured_streams` make it
small. `identity`, `request_summary`, `search_text`, `outcome` and `turn_columns` tell what it is about. `schema`,
`file`, `writer` and `limits` keep it, and `worker` does so off the event loop. `reader` gives it back. `flows`,
`archiving` and `flow_list_limit` connect it with mitmproxy. Pages and commands do not belong here.
"""
