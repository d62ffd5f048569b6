"""openai-python with nothing but its environment: whole, streamed, over a WebSocket, and the list of models."""

import json
import sys

from openai import OpenAI

model = sys.argv[1]
client = OpenAI(max_retries=0, timeout=60)
whole = client.responses.create(model=model, input="whole").output_text
streamed = "".join(
    event.delta
    for event in client.responses.create(model=model, input="streamed", stream=True)
    if event.type == "response.output_text.delta"
)
with client.responses.connect() as connection:
    connection.response.create(model=model, input="socket")
    over_socket = ""
    for event in connection:
        if event.type == "response.output_text.delta":
            over_socket += event.delta
        elif event.type in ("response.completed", "response.failed", "error"):
            break
models = [listed.id for listed in client.models.list().data]
print(json.dumps({"whole": whole, "streamed": streamed, "over_socket": over_socket, "models": models}))
