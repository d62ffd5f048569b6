"""Pictures that a model orders: what the endpoint is asked, what clients and models get, and what goes wrong."""

import asyncio
import base64
from typing import Any

import pytest

from responses_gateway.hosted.calls import HostedCalls
from responses_gateway.hosted.image_generation import IMAGE_GENERATION, newest_pictures
from responses_gateway.hosted.interface import DeclaredTool
from responses_gateway.hosted.registry import declarations
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.responses import items_of
from responses_gateway.settings.config_file import SettingsError
from responses_gateway.settings.settings import Settings
from responses_gateway.translate.answer.options import StreamOptions
from responses_gateway.translate.answer.snapshot import Snapshot
from responses_gateway.translate.answer.state_machine import AnswerStateMachine
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.tools.hosted import HostedCall, HostedResult
from responses_gateway.translate.tools.table import ToolTable
from responses_gateway.upstream.http_client import HttpClient
from unit.machine import call, check, delta, output, request
from upstream.images import PNG, Answer, Handler, ScriptedImages, made, png, said, streamed

Json = dict[str, Any]

TOOL: Json = {"type": "image_generation"}
KEY = "key-of-the-endpoint"
UPLOADED = {"role": "user", "content": [{"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"}]}


class Made:
    """What came of one order: its result, the events on the way, and the ledger."""

    def __init__(
        self,
        server: ScriptedImages,
        arguments: Json | None = None,
        items: list[Json] | None = None,
        settings: Json | None = None,
        **declared: Any,
    ) -> None:
        self.events: list[tuple[str, Json]] = []
        self.ledger = Ledger()
        self._request = request(input=items or "hi", tools=[{**TOOL, **declared}])
        own = {"url": server.url, "api_key": KEY, "timeout": 5, **(settings or {})}
        self._settings = Settings.model_validate({"image_generation": own})
        self.result: HostedResult = asyncio.run(self._run(arguments or {"prompt": "A cat."}))

    async def _run(self, arguments: Json) -> HostedResult:
        async with HttpClient() as http:
            service = IMAGE_GENERATION.service(self._settings, http)
            assert service is not None
            found = declarations(self._request, IMAGE_GENERATION.types)
            tool = await service.open(DeclaredTool(self._request, found, "", None, self.ledger, str))
            [function] = tool.functions(TOOL)
            one = HostedCall(tool, function, arguments, lambda kind, fields: self.events.append((kind, fields)))
            return await HostedCalls([tool], self.ledger).run(one)

    @property
    def fields(self) -> Json:
        return dict(self.result.details or {})

    @property
    def noted(self) -> str:
        return "\n".join(map(str, self.ledger.entries))


def test_a_picture() -> None:
    with ScriptedImages() as server:
        came = Made(server, size="1024x1536", quality="high", output_compression=80, background="auto", model="x")
        [asked] = server.requests
    assert asked.path == "/v1/images/generations"
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    wanted = {"prompt": "A cat.", "model": "x", "size": "1024x1536", "quality": "high", "output_compression": 80}
    assert asked.json == wanted
    assert came.fields == {"result": PNG, "revised_prompt": "A cat.", "action": "generate", "output_format": "png"}
    assert came.result.text == "The picture was made (png), and the user sees it."
    assert came.noted == ""


def test_the_model_of_the_configuration_makes_it() -> None:
    with ScriptedImages() as server:
        came = Made(server, settings={"model": "flux"}, model="gpt-image-2")
        assert server.requests[0].json["model"] == "flux"
    assert "changed tools.image_generation.model: gpt-image-2 → flux" in came.noted


def test_partial_pictures_are_shown_on_the_way() -> None:
    with ScriptedImages(streamed(partial=2)) as server:
        came = Made(server, partial_images=2)
        assert (server.requests[0].json["stream"], server.requests[0].json["partial_images"]) == (True, 2)
    assert [kind for kind, _ in came.events] == ["response.image_generation_call.partial_image"] * 2
    assert came.events[1][1] == {"partial_image_index": 1, "partial_image_b64": PNG, "size": "1024x1024"}
    assert came.fields["size"] == "1024x1024"


def test_an_endpoint_that_does_not_stream_is_asked_again() -> None:
    with ScriptedImages(said({"error": {"message": "unknown parameter: stream"}}, 400)) as server:
        came = Made(server, partial_images=1)
        assert "stream" not in server.requests[1].json
    assert came.fields["result"] == PNG
    assert "dropped tools.image_generation: asked again without partial pictures" in came.noted


@pytest.mark.parametrize(
    ("action", "arguments", "items", "path"),
    [
        ("auto", {}, [UPLOADED], "edits"),
        ("auto", {"edit": True}, [UPLOADED], "edits"),
        ("auto", {"edit": False}, [UPLOADED], "generations"),
        ("auto", {}, [], "generations"),
        ("edit", {}, [UPLOADED], "edits"),
        ("generate", {}, [UPLOADED], "generations"),
    ],
)
def test_what_is_edited(action: str, arguments: Json, items: list[Json], path: str) -> None:
    with ScriptedImages() as server:
        came = Made(server, {"prompt": "A cat.", **arguments}, items, action=action, size="1024x1024")
        [asked] = server.requests
    assert asked.path == f"/v1/images/{path}"
    assert came.fields["action"] == ("edit" if path == "edits" else "generate")
    if path == "edits":
        assert base64.b64decode(PNG) in asked.body
        assert b'name="image"; filename="0.png"\r\ncontent-type: image/png' in asked.body
        assert b'name="prompt"\r\n\r\nA cat.\r\n' in asked.body
        assert b'name="size"\r\n\r\n1024x1024\r\n' in asked.body


def test_a_mask_goes_along() -> None:
    mask = {"image_url": f"data:image/png;base64,{PNG}"}
    with ScriptedImages() as server:
        Made(server, items=[UPLOADED], input_image_mask=mask)
        assert b'name="mask"; filename="1.png"' in server.requests[0].body
        assert "needs a picture to be changed" in Made(server, input_image_mask=mask).noted


def test_nothing_to_edit() -> None:
    with ScriptedImages() as server:
        came = Made(server, action="edit")
        assert not server.requests
    assert "there is no picture in the conversation" in came.result.text


def test_the_newest_pictures() -> None:
    first, other = (f"data:image/png;base64,{base64.b64encode(png(side)).decode()}" for side in (2, 3))
    two = {"role": "user", "content": [{"type": "input_image", "image_url": url} for url in (first, other)]}
    made_one = {"type": "image_generation_call", "id": "ig", "status": "completed", "result": PNG}
    words = {"role": "user", "content": "Now in blue."}
    linked = {"role": "user", "content": [{"type": "input_image", "image_url": "https://a.example/p.png"}]}
    assert newest_pictures(items_of([two, words, linked])) == [first, other]
    assert newest_pictures(items_of([two, made_one, words])) == [f"data:image/png;base64,{PNG}"]
    assert newest_pictures(items_of([words])) == []


def test_a_picture_at_an_address_of_the_endpoint() -> None:
    def picture(handler: Handler) -> None:
        handler.plain(200, png(), "image/png")

    with ScriptedImages() as server:
        server.answers = [said({"data": [{"url": f"{server.url}/p.png"}]}), picture]
        assert Made(server).fields["result"] == PNG
        assert "authorization" not in server.requests[1].headers


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/latest", "http://127.0.0.1:9/p.png", "file:///etc/passwd", "x"]
)
def test_a_picture_at_an_address_that_nobody_may_ask(url: str) -> None:
    with ScriptedImages(said({"data": [{"url": url}]})) as server:
        text = Made(server).result.text
    assert "is not on the public internet" in text or "gives no address of a picture" in text


def test_a_picture_that_is_not_allowed() -> None:
    error = {
        "message": "Your request was rejected.",
        "code": "moderation_blocked",
        "type": "image_generation_user_error",
        "moderation_details": {"categories": ["violence"], "moderation_stage": "output"},
    }
    with ScriptedImages(said({"error": error}, 400)) as server:
        came = Made(server, partial_images=1)
        assert len(server.requests) == 1
    assert came.result.failed
    assert came.result.text == "This picture is not allowed: Your request was rejected."
    assert came.fields["error"] == {**error, "param": None}
    assert "the endpoint's rules forbid it" in came.noted


def redirect(handler: Handler) -> None:
    handler.plain(302, b"", location="http://169.254.169.254/latest/meta-data")


def hang(handler: Handler) -> None:
    handler.server.scripted.released.wait(60)


def endless(content_type: str, piece: bytes) -> Answer:
    def answer(handler: Handler) -> None:
        handler.begin(content_type)
        try:
            while not handler.server.scripted.released.is_set():
                handler.wfile.write(piece)
        except OSError:
            pass

    return answer


def bomb(handler: Handler) -> None:
    import gzip

    handler.plain(200, gzip.compress(b" " * (8 << 20)), content_encoding="gzip")


def html(handler: Handler) -> None:
    handler.plain(200, b"<html><script>alert(1)</script></html>", "text/html")


def cut(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("content-type", "application/json")
    handler.send_header("content-length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"data": [')
    handler.close_connection = True


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (redirect, "answered 302"),
        (hang, "no answer within 0.3 seconds"),
        (endless("application/json", b" " * 65536), "larger than 1 MiB"),
        (endless("text/event-stream", b": still working\n\n" * 500), "does not end its answer"),
        (endless("text/event-stream", b"data: " + b"x" * 65536), "larger than 1 MiB"),
        (bomb, "larger than 1 MiB"),
        (html, "did not answer with a JSON object"),
        (cut, "cannot be reached: the server's answer broke off"),
        (streamed(partial=1, end=False), "ended its answer without a picture"),
        (streamed({"type": "error", "error": {"message": "no memory"}}, end=False), "reports an error: no memory"),
        (made("%%%"), "is no base64"),
        (made("PGh0bWw+PC9odG1sPg=="), "calls a picture is none"),
        (made(base64.b64encode(png() + bytes(1 << 20)).decode()), "larger than 1 MiB"),
        (said({"data": []}), "did not answer with a picture"),
        (said({"data": [{"b64_json": 5}]}), "did not answer with a picture"),
        (said([1]), "did not answer with a JSON object"),
        (said({"error": "overloaded"}, 503), "answered 503: overloaded"),
        (said({"error": {"message": f"wrong key {KEY}"}}, 401), "answered 401: wrong key [redacted]"),
        (said({"error": {"message": "x" * 5000}}, 400), "x" * 500 + "."),
    ],
)
@pytest.mark.parametrize("streams", [0, 1])
def test_endpoints_that_fail(answer: Answer, told: str, streams: int) -> None:
    with ScriptedImages(answer, answer) as server:
        own = {"max_bytes": 1 << 20, "timeout": 0.3 if answer is hang else 20}
        came = Made(server, settings=own, partial_images=streams)
    assert came.result.failed
    assert told in came.result.text
    assert "result" not in came.fields
    assert "dropped output.image_generation_call: image_generation failed" in came.noted


def test_no_endpoint_there() -> None:
    with ScriptedImages() as server:
        pass
    assert "cannot be reached" in Made(server).result.text


@pytest.mark.parametrize("arguments", [{"prompt": ""}, {"prompt": 5}, {"text": "A cat."}])
def test_an_order_without_a_prompt(arguments: Json) -> None:
    with ScriptedImages() as server:
        assert "it needs a prompt" in Made(server, arguments).result.text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("action", "paint"),
        ("size", 5),
        ("output_compression", "80"),
        ("output_compression", True),
        ("partial_images", 4),
        ("partial_images", "1"),
        ("model", 5),
    ],
)
def test_declarations_that_are_refused(field: str, value: Any) -> None:
    with ScriptedImages() as server, pytest.raises(GatewayError) as error:
        Made(server, **{field: value})
    assert (error.value.status, error.value.param) == (400, f"tools[0].{field}")


def configured(own: Json, **settings: Any) -> Any:
    return IMAGE_GENERATION.service(Settings.model_validate({"image_generation": own, **settings}), HttpClient())


def test_a_provider_has_its_key_and_its_address() -> None:
    gpu = {"profile": {"name": "gpu", "base_url": "http://gpu.lan/v1"}, "base": "vllm", "api_key": "key-of-gpu"}
    endpoint = configured({"provider": "gpu"}, providers={"gpu": gpu}).endpoint
    assert endpoint.base_url == "http://gpu.lan/v1"
    assert endpoint.headers["authorization"] == "Bearer key-of-gpu"
    assert "key-of-gpu" not in repr(endpoint)
    with pytest.raises(SettingsError, match="nobody has no address"):
        configured({"provider": "nobody"})


@pytest.mark.parametrize(
    "own",
    [{}, {"provider": "openai", "url": "http://a.example/v1"}, {"provider": "openai", "api_key": "x"}, {"url": "x"}],
)
def test_settings_that_are_refused(own: Json) -> None:
    with pytest.raises(ValueError, match="image_generation"):
        Settings.model_validate({"image_generation": own})


def test_a_call_that_was_cut_off_has_failed() -> None:
    """Its item knows no other word for it."""
    asked, ledger = request(tools=[TOOL]), Ledger()
    found = declarations(asked, IMAGE_GENERATION.types)
    table = ToolTable(ledger, hosted=[IMAGE_GENERATION.recorded(DeclaredTool(asked, found, "", None, ledger, str))])
    table.declare(asked.tools or (), "tools")
    ids = (f"ig_{number}" for number in range(9))
    machine = AnswerStateMachine(
        Snapshot(asked, "resp_1", 1), table, ledger, StreamOptions(), new_id=lambda _: next(ids), clock=lambda: 2.0
    )
    events = [*machine.start(), *machine.chunk(call(0, "image_generation", '{"prompt": "A c', "c1"))]
    events += [*machine.chunk(delta("length")), *machine.finish(True)]
    check(events)
    assert [(item["status"], item["result"]) for item in output(events)] == [("failed", None)]
