"""The translator between the two wires: values in, values out.

Four rooms: `request` (a Responses request becomes a chat request), `tools` (declared, offered, called), `answer` (chat
chunks become Responses events) and `repair` (what goes wrong on either side). May import `protocol` and the types of
`catalogue`. No I/O, no mitmproxy, no clock, no environment: time, ids and settings come in as arguments.
"""
