"""Translates content parts of messages and tool results."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from responses_gateway.catalogue.models.card import ModelCard
from responses_gateway.catalogue.providers.profile import Media, MessagesProfile
from responses_gateway.protocol import responses as wire
from responses_gateway.protocol.json import JsonObject
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.request.text_files import data_of, text_in

_NAMES: dict[Media, str] = {"image": "images", "audio": "audio", "video": "video", "pdf": "files"}

_NAME_LIMIT = 200
"""Characters of a file's name that the model gets to read."""

_CIPHERTEXT = re.compile(r"gAAAA[\w-]{80,}=*")
"""A Fernet token (https://github.com/fernet/spec): the form in which OpenAI encrypts."""


@dataclass(slots=True)
class Content:
    """Translated content: all its text, and its media as chat parts. `parts` holds both, in order."""

    text: str = ""
    media: list[JsonObject] = field(default_factory=list)
    parts: list[JsonObject] = field(default_factory=list)


class ContentTranslator:
    """Translates parts for one upstream and one model. Parts that they do not take become a note in the text."""

    def __init__(self, profile: MessagesProfile, card: ModelCard, ledger: Ledger) -> None:
        self._profile = profile
        self._card = card
        self._ledger = ledger

    def text(self, parts: Iterable[wire.Part], path: str) -> str:
        """Return the text of content that can hold only text."""
        content = self.translate(parts, path)
        if content.media:
            self._ledger.add("dropped", path, "media in a message that can carry text only")
        return content.text

    def translate(self, parts: Iterable[wire.Part], path: str) -> Content:
        content = Content()
        texts: list[str] = []
        for part in parts:
            if part.model_extra and not isinstance(part, wire.UnknownPart):
                self._account(part.model_extra, path)
            rendered = self._part(part, path)
            if rendered is None:
                continue
            content.parts.append(rendered)
            if rendered["type"] == "text":
                texts.append(rendered["text"])
            else:
                content.media.append(rendered)
        content.text = "\n".join(texts)
        return content

    def _account(self, extra: JsonObject, path: str) -> None:
        """Record the fields of a part that chat parts lack, unless they are empty."""
        for name, value in extra.items():
            if value:
                self._ledger.add("dropped", f"{path}.{name}", "a chat part has no such field")

    def _part(self, part: wire.Part, path: str) -> JsonObject | None:
        match part:
            case wire.TextPart():
                return {"type": "text", "text": part.text} if part.text else None
            case wire.RefusalPart():
                return {"type": "text", "text": part.refusal}
            case wire.ImagePart():
                return self._image(part, path)
            case wire.FilePart():
                return self._file(part, path)
            case wire.AudioPart():
                return self._audio(part, path)
            case wire.VideoPart():
                return self._video(part, path)
            case wire.EncryptedPart():
                return self._encrypted(part, path)
        kind = part.type or "part"
        return self._note(path, kind, "a chat upstream has nothing like this part")

    def _image(self, part: wire.ImagePart, path: str) -> JsonObject:
        if part.image_url is None and part.file_id is None:
            return self._note(path, "image", "it has no content")
        if part.image_url is None:
            return self._note(path, "image", "a file_id cannot be resolved here; send image_url")
        if part.file_id is not None:
            self._ledger.add("dropped", f"{path}.file_id", "its image_url is sent", loss=False)
        if refusal := self._refusal("image"):
            return self._note(path, "image", refusal)
        if not self._profile.image_urls and not part.image_url.startswith("data:"):
            return self._note(path, "image", "the upstream takes images as data only, not from an address")
        image: JsonObject = {"url": part.image_url}
        if part.detail is not None:
            detail = self._profile.image_details.get(part.detail, part.detail)
            if detail is not None:
                image["detail"] = detail
            if detail != part.detail:
                self._ledger.add("changed", f"{path}.detail", f"{part.detail} → {detail}: what the upstream takes")
        return {"type": "image_url", "image_url": image}

    def _file(self, part: wire.FilePart, path: str) -> JsonObject:
        label = f"file {part.filename[:_NAME_LIMIT]}" if part.filename else "file"
        if part.file_data is None and part.file_url is None and part.file_id is None:
            return self._note(path, label, "it has no content")
        text, data = text_in(part), data_of(part)
        for name in ("file_id", "file_url"):
            if data is not None and getattr(part, name) not in (None, data):
                self._ledger.add("dropped", f"{path}.{name}", "its data is sent", loss=False)
        if text is not None:
            self._ledger.add("changed", f"{path}.file", "a text file: sent as text", loss=False)
            return {"type": "text", "text": f"Content of the {label}:\n{text}"}
        if refusal := self._refusal("pdf"):
            return self._note(path, label, refusal)
        if data is None and part.file_url is not None:
            return self._note(path, label, "a chat upstream takes files as data only, not from an address")
        if data is None and not self._profile.file_ids:
            return self._note(path, label, "a file_id cannot be resolved here; send file_data")
        content = {"file_data": data} if data is not None else {"file_id": part.file_id}
        return {"type": "file", "file": {"filename": part.filename, **content} if part.filename else content}

    def _audio(self, part: wire.AudioPart, path: str) -> JsonObject:
        if refusal := self._refusal("audio"):
            return self._note(path, "audio", refusal)
        if part.input_audio is not None:
            return {"type": "input_audio", "input_audio": part.input_audio}
        if part.audio_url and part.audio_url.startswith("data:audio/"):
            head, _, data = part.audio_url.partition(",")
            kind = head.removeprefix("data:audio/").partition(";")[0]
            return {"type": "input_audio", "input_audio": {"data": data, "format": kind}}
        return self._note(path, "audio", "a chat upstream takes audio as data only")

    def _video(self, part: wire.VideoPart, path: str) -> JsonObject:
        if part.video_url is None:
            return self._note(path, "video", "it has no content")
        if refusal := self._refusal("video"):
            return self._note(path, "video", refusal)
        return {"type": "video_url", "video_url": {"url": part.video_url}}

    def _encrypted(self, part: wire.EncryptedPart, path: str) -> JsonObject | None:
        """Translate a message of one agent to another. OpenAI encrypts it; chat models write plain text."""
        text = part.encrypted_content
        if text and _CIPHERTEXT.fullmatch(text):
            return self._note(path, part.type, "only the service that encrypted it can read it")
        return {"type": "text", "text": text} if text else None

    def _refusal(self, media: Media) -> str | None:
        """Return why this kind of media cannot be sent; None when it can."""
        if media not in self._card.modalities:
            return f"the model takes no {_NAMES[media]}"
        return None if media in self._profile.media else f"the upstream takes no {_NAMES[media]}"

    def _note(self, path: str, what: str, why: str) -> JsonObject:
        self._ledger.add("dropped", f"{path}.{what.partition(' ')[0]}", why)
        return {"type": "text", "text": f"[{what} omitted: {why}]"}
