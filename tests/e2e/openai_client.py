"""openai-python, sync and async behind one face, so that every test runs with both."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Protocol

from openai import AsyncOpenAI, DefaultAsyncHttpxClient, DefaultHttpxClient, OpenAI
from openai.types.responses import ParsedResponse, Response, ResponseStreamEvent

from e2e.environment import API_KEY

TIMEOUT = 60


class ResponsesClient(Protocol):
    """`client.responses` of openai-python; events come as lists when the stream is over."""

    def create(self, **parameters: Any) -> Response: ...

    def create_streamed(self, **parameters: Any) -> list[ResponseStreamEvent]: ...

    def stream(self, **parameters: Any) -> tuple[list[Any], ParsedResponse[Any]]: ...

    def parse(self, **parameters: Any) -> ParsedResponse[Any]: ...


class SyncClient:
    def __init__(self, url: str) -> None:
        http = DefaultHttpxClient(trust_env=False)
        self._openai = OpenAI(api_key=API_KEY, base_url=f"{url}/v1", timeout=TIMEOUT, max_retries=0, http_client=http)

    def create(self, **parameters: Any) -> Response:
        response: Response = self._openai.responses.create(**parameters)
        return response

    def create_streamed(self, **parameters: Any) -> list[ResponseStreamEvent]:
        return list(self._openai.responses.create(**parameters, stream=True))

    def iterate(self, **parameters: Any) -> Iterator[ResponseStreamEvent]:
        """Events as they come."""
        yield from self._openai.responses.create(**parameters, stream=True)

    def stream(self, **parameters: Any) -> tuple[list[Any], ParsedResponse[Any]]:
        with self._openai.responses.stream(**parameters) as stream:
            events = list(stream)
            return events, stream.get_final_response()

    def parse(self, **parameters: Any) -> ParsedResponse[Any]:
        response: ParsedResponse[Any] = self._openai.responses.parse(**parameters)
        return response


class AsyncClient:
    """The async client, each call in an event loop of its own."""

    def __init__(self, url: str) -> None:
        self._url = url

    def _run[Result](self, use: Callable[[AsyncOpenAI], Awaitable[Result]]) -> Result:
        async def run() -> Result:
            http = DefaultAsyncHttpxClient(trust_env=False)
            base_url = f"{self._url}/v1"
            async with AsyncOpenAI(
                api_key=API_KEY, base_url=base_url, timeout=TIMEOUT, max_retries=0, http_client=http
            ) as client:
                return await use(client)

        return asyncio.run(run())

    def create(self, **parameters: Any) -> Response:
        response: Response = self._run(lambda client: client.responses.create(**parameters))
        return response

    def create_streamed(self, **parameters: Any) -> list[ResponseStreamEvent]:
        async def use(client: AsyncOpenAI) -> list[ResponseStreamEvent]:
            return [event async for event in await client.responses.create(**parameters, stream=True)]

        return self._run(use)

    def stream(self, **parameters: Any) -> tuple[list[Any], ParsedResponse[Any]]:
        async def use(client: AsyncOpenAI) -> tuple[list[Any], ParsedResponse[Any]]:
            async with client.responses.stream(**parameters) as stream:
                events = [event async for event in stream]
                return events, await stream.get_final_response()

        return self._run(use)

    def parse(self, **parameters: Any) -> ParsedResponse[Any]:
        return self._run(lambda client: client.responses.parse(**parameters))
