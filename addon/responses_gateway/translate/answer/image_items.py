"""Pictures that a model makes: items of the kind that OpenAI's image generation gives."""

from responses_gateway.protocol.json import JsonObject
from responses_gateway.translate.answer.items import ItemStatus, Output, OutputItem

_KIND = "image_generation_call"
_FORMATS = frozenset({"png", "webp", "jpeg", "gif", "svg"})
"""What an item can say of its picture (`openai.types.responses.ResponseOutputItem`)."""


class ImageItem(OutputItem):
    """One picture, which comes whole: opened and closed at once."""

    def __init__(self, output: Output, data: str, kind: str) -> None:
        """`data` is base64 of the given kind of picture, such as `png`."""
        super().__init__(output, "ig")
        self._data = data
        self._format = {"output_format": kind} if kind in _FORMATS else {}
        self._open(self._item("in_progress", None))
        self._emit(f"response.{_KIND}.in_progress", {})
        self._emit(f"response.{_KIND}.generating", {})

    def close(self, status: ItemStatus) -> None:
        self._emit(f"response.{_KIND}.completed", {})
        self._output.done(self._index, self._item("completed", self._data))

    def abandon(self) -> JsonObject:
        return self._item("failed", None)

    def _item(self, status: str, data: str | None) -> JsonObject:
        return {"id": self.id, "type": _KIND, "status": status, "result": data, **self._format}
