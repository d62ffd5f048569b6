"""Parts of content: what each becomes for an upstream and a model, and what is said of those that are left out."""

import base64
from typing import Any

import pytest

from responses_gateway.catalogue.models.card import ModelCard
from responses_gateway.catalogue.providers.profile import MessagesProfile, Profile
from responses_gateway.translate.ledger import Ledger
from unit.machine import Json
from unit.translate.request.test_chat_request import translate

ALL = ["text", "image", "audio", "video", "pdf"]
TAKES_ALL = MessagesProfile(media=["image", "audio", "video", "pdf"])
WORDS = {"type": "input_text", "text": "?"}


def shown(
    part: Json, rules: MessagesProfile = TAKES_ALL, modalities: list[str] | None = None, role: str = "user"
) -> tuple[Any, list[str]]:
    """What becomes of a part before words (one part, or the words before the user's), and the ledger."""
    ledger = Ledger()
    card = ModelCard(id="m", modalities=ALL if modalities is None else modalities)
    messages = [{"role": role, "content": [part, WORDS]}, {"role": "user", "content": "x"}]
    content = translate(Profile(name="p", messages=rules), card, ledger, input=messages).body["messages"][0]["content"]
    found = content[0] if isinstance(content, list) else content.removesuffix("?").removesuffix("\n")
    return found, [str(entry) for entry in ledger.entries]


IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,AA=="}
ADDRESS = {"type": "input_image", "image_url": "https://example.com/a.png"}
AUDIO = {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}
VIDEO = {"type": "input_video", "video_url": "https://example.com/a.mp4"}
PDF = {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}


@pytest.mark.parametrize(
    ("part", "sent"),
    [
        (IMAGE, {"type": "image_url", "image_url": {"url": IMAGE["image_url"]}}),
        (ADDRESS, {"type": "image_url", "image_url": {"url": ADDRESS["image_url"]}}),
        (AUDIO, AUDIO),
        (
            {"type": "input_audio", "audio_url": "data:audio/mp3;codec=x;base64,QQ=="},
            {"type": "input_audio", "input_audio": {"data": "QQ==", "format": "mp3"}},
        ),
        (VIDEO, {"type": "video_url", "video_url": {"url": VIDEO["video_url"]}}),
        (PDF, {"type": "file", "file": {"filename": "a.pdf", "file_data": PDF["file_data"]}}),
        (
            {"type": "input_file", "file_url": PDF["file_data"]},
            {"type": "file", "file": {"file_data": PDF["file_data"]}},
        ),
        ({"type": "input_text", "text": "a"}, "a"),
        ({"type": "input_text", "text": ""}, ""),
        ({"type": "refusal", "refusal": "No."}, "No."),
    ],
)
def test_what_is_taken_is_sent(part: Json, sent: Any) -> None:
    assert shown(part) == (sent, [])


@pytest.mark.parametrize(
    ("part", "rules", "modalities", "note"),
    [
        (IMAGE, TAKES_ALL, ["text"], "image: the model takes no images"),
        (AUDIO, TAKES_ALL, ["text"], "audio: the model takes no audio"),
        (VIDEO, TAKES_ALL, ["text"], "video: the model takes no video"),
        (PDF, TAKES_ALL, ["text"], "file: the model takes no files"),
        (IMAGE, MessagesProfile(media=["pdf"]), ALL, "image: the upstream takes no images"),
        (AUDIO, MessagesProfile(media=["pdf"]), ALL, "audio: the upstream takes no audio"),
        (VIDEO, MessagesProfile(media=["pdf"]), ALL, "video: the upstream takes no video"),
        (PDF, MessagesProfile(media=["image"]), ALL, "file: the upstream takes no files"),
        (
            ADDRESS,
            MessagesProfile(media=["image"], image_urls=False),
            ALL,
            "image: the upstream takes images as data only, not from an address",
        ),
        (
            {"type": "input_image", "file_id": "f"},
            TAKES_ALL,
            ALL,
            "image: a file_id cannot be resolved here; send image_url",
        ),
        ({"type": "input_file", "filename": "b.pdf"}, TAKES_ALL, ALL, "file: it has no content"),
        (
            {"type": "input_file", "file_url": "https://example.com/b.pdf"},
            TAKES_ALL,
            ALL,
            "file: a chat upstream takes files as data only, not from an address",
        ),
        (
            {"type": "input_audio", "audio_url": "https://example.com/b.mp3"},
            TAKES_ALL,
            ALL,
            "audio: a chat upstream takes audio as data only",
        ),
        ({"type": "input_audio"}, TAKES_ALL, ALL, "audio: a chat upstream takes audio as data only"),
        ({"type": "input_video"}, TAKES_ALL, ALL, "video: it has no content"),
        ({"type": "hologram"}, TAKES_ALL, ALL, "hologram: a chat upstream has nothing like this part"),
    ],
)
def test_what_is_not_taken_is_a_note(part: Json, rules: MessagesProfile, modalities: list[str], note: str) -> None:
    what, why = note.split(": ", 1)
    label = f"{what} {part['filename']}" if part.get("filename") else what
    assert shown(part, rules, modalities) == (f"[{label} omitted: {why}]", [f"dropped input.content.{note}"])


@pytest.mark.parametrize(
    ("detail", "details", "told", "noted"),
    [
        ("low", {}, "low", False),
        ("original", {"original": "high"}, "high", True),
        ("low", {"low": None}, None, True),
        ("auto", {"low": "high"}, "auto", False),
    ],
)
def test_the_detail_of_a_picture(detail: str, details: dict[str, Any], told: str | None, noted: bool) -> None:
    found, ledger = shown({**IMAGE, "detail": detail}, MessagesProfile(media=["image"], image_details=details))
    assert found["image_url"].get("detail") == told
    change = f"changed input.content.detail: {detail} → {told}: what the upstream takes"
    assert ledger == ([change] if noted else [])


@pytest.mark.parametrize("role", ["system", "assistant"])
def test_words_alone_have_no_place_for_pictures(role: str) -> None:
    found, ledger = shown(IMAGE, role=role)
    assert found == ""
    assert ledger == ["dropped input.content: media in a message that can carry text only"]


@pytest.mark.parametrize(("value", "noted"), [("x", True), (None, False), ([], False), (0, False)])
def test_fields_that_a_chat_part_lacks_are_noted(value: Any, noted: bool) -> None:
    _, ledger = shown({**IMAGE, "mood": value})
    assert ledger == (["dropped input.content.mood: a chat part has no such field"] if noted else [])


TOKEN = "gAAAA" + "x" * 80


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        (TOKEN, "[encrypted_content omitted: only the service that encrypted it can read it]"),
        (f"{TOKEN}==", "[encrypted_content omitted: only the service that encrypted it can read it]"),
        (TOKEN[:-1], TOKEN[:-1]),
        (f"{TOKEN} and words", f"{TOKEN} and words"),
        ("", ""),
    ],
)
def test_what_only_its_service_can_read(text: str, sent: str) -> None:
    found, ledger = shown({"type": "encrypted_content", "encrypted_content": text})
    assert found == sent
    assert bool(ledger) == sent.startswith("[")


WORDS_IN_BASE64 = base64.b64encode(b"all").decode()
ENDINGS = """
    txt md rst tex log csv tsv diff patch json jsonl ndjson xml yaml yml toml ini cfg conf env svg html htm css scss js
    mjs jsx ts tsx vue graphql proto py rb php pl lua r jl sh bash zsh ps1 bat sql c h cc cpp hpp cs m rs go java kt
    scala swift hs ex
"""
TYPES = """
    text/plain text/x-anything image/svg+xml application/ld+json application/x+yaml application/ecmascript
    application/graphql application/javascript application/json application/sql application/toml application/typescript
    application/x-javascript application/x-ndjson application/x-python application/x-sh application/x-yaml
    application/xml application/yaml TEXT/PLAIN
"""


@pytest.mark.parametrize(
    "part",
    [
        *({"filename": f"A.{ending.upper()}", "file_data": WORDS_IN_BASE64} for ending in ENDINGS.split()),
        *({"filename": "a", "file_data": f"data:{kind};base64,{WORDS_IN_BASE64}"} for kind in TYPES.split()),
        {"filename": "a.md", "file_data": f"data:;base64,{WORDS_IN_BASE64}"},
        {"filename": "a.md", "file_data": "data:,all"},
        {"filename": "a.bin", "file_data": "data:text/plain,%EF%BB%BFall"},
        {"filename": "LICENSE", "file_data": base64.b64encode(b"all").decode()},
        {"filename": "a" * 200, "file_data": base64.b64encode(b"all").decode()},
    ],
)
def test_files_of_text_are_sent_as_text(part: Json) -> None:
    found, ledger = shown({"type": "input_file", **part})
    assert found == f"Content of the file {part['filename']}:\nall"
    assert ledger == ["changed input.content.file: a text file: sent as text"]


@pytest.mark.parametrize(
    "part",
    [
        {"filename": "a.bin", "file_data": WORDS_IN_BASE64},
        {"filename": "a.pdf", "file_data": WORDS_IN_BASE64},
        {"file_data": base64.b64encode(b"%PDF-1.7").decode()},
        {"file_data": base64.b64encode(b"a\0").decode()},
        {"filename": "a.txt", "file_data": f"data:application/pdf;base64,{WORDS_IN_BASE64}"},
        {"filename": "a.txt", "file_data": f"data:image/png;base64,{WORDS_IN_BASE64}"},
        {"filename": "a.txt", "file_data": "not base64!"},
        {"filename": "a.txt", "file_data": base64.b64encode(b"\xff\xfe").decode()},
    ],
)
def test_other_files_stay_files(part: Json) -> None:
    found, ledger = shown({"type": "input_file", **part})
    assert found == {"type": "file", "file": part}
    assert ledger == []
