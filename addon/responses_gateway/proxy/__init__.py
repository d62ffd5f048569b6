"""What the gateway does inside mitmproxy's proxy core, below the hooks.

What belongs here: everything that no hook can do (heartbeats before the upstream answers, time limits, several requests
to upstreams within one answer, a proper end of a broken answer, the fast path of streamed answers), the limits on what
clients send, and all other code that needs parts of mitmproxy about which mitmproxy promises nothing.

What it may import: `security` and nothing else of the gateway. It knows HTTP, and no protocol above it: a `Turn` says
what is sent to the upstream and to the client.

What may import it: `addon`, which registers the addons here and answers the layers' questions (`contract.Gateway`).
`settings`, `upstream`, `hosted`, `turn`, `access`, `inspection` and `command_line` import `contract`, `guard.MESSAGE`,
`messages`, `log_output`, `arrivals` and `upstream_proxies` only.

The modules, from the wire types up; each imports only those before it:

- `messages` makes mitmproxy's requests and responses. `contract` is the interface to the rest of the gateway.
- `upstream_proxies`, `proxy_login`: the proxies on the way to upstreams.
- `private_parts`: which features this mitmproxy supports.
- `guard`, `time_limits`: a turn that cannot raise, and its time limits.
- `user_choice`: what the user says about what passes.
- `silent_client`: clients that wait for the server to speak first.
- `chunked_transfer`, `trailers`, `client_connection`, `upstream_connection`, `websocket_layer`: the connections.
- `fast_path`, `socket_fast_path`: answers past the HTTP layers, and past all layers.
- `stream_events`, `tunnel_stream`, `limited_stream`, `upstream_round`, `answer_writer`, `stream`: one request and its
  answer.
- `upstream_pool`, `layer`: the streams and upstream connections of one client's connection. `replay` uses the layer.
- `inner_listener`, `arrivals`, `interception`: the gateway as a proxy, and how each request came.
- `client_watch`, `connection_limit`, `listening`, `log_output`, `request_body_memory`, `shutdown`: the process.

The private parts of mitmproxy, and who uses them:

- the HTTP layer and its streams (`HttpLayer`, `HttpStream`, their states, `_events`, `_hooks`): `layer`,
  `upstream_pool`, `limited_stream`, `stream`, `upstream_round`, `answer_writer`, `interception`
- the tunnel through another proxy (`_upstream_proxy`), and its state: `tunnel_stream`, `upstream_pool`
- the server of a mode (`ServerInstance`): `inner_listener`
- HTTP/1 on a connection (`_base`, `_http1`; with h11's private reader of chunks): `client_connection`,
  `upstream_connection`, `trailers`, `fast_path`, `upstream_pool`, `layer`
- HTTP/2 on a connection (`_http2`), to ask whether it was used and whether a head was sent: `upstream_pool`, `layer`
- tunnels (`TunnelLayer.child_layer`), to find the HTTP layer inside TLS: `upstream_pool`
- the handler of a client's connection, its transports and its timeout (`Proxyserver.connections`, `ConnectionHandler`):
  `socket_fast_path`, `client_watch`, `shutdown`, `interception`
- the layer of a mode (`DestinationKnown.finish_start`, `ConnectionHandler.layer`): `silent_client`
- the WebSocket layer's buffers (`WebsocketLayer.client_ws`): `websocket_layer`
- the handler of replays (`clientplayback.ReplayHandler`): `replay`
- where the log and the flows are printed (`termlog.logger`, `dumper.outfp`): `log_output`

`private_parts` lists what the features use that the gateway can do without; a feature of which a part is missing is
replaced by mitmproxy's ordinary way, and the log says so. Without one of the others the gateway cannot work.
"""
