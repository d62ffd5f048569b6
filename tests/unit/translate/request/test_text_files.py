"""Files of the input: text goes as text, addresses never as data."""

import base64
from typing import Any

import pytest

from responses_gateway.catalogue.models.card import ModelCard
from responses_gateway.catalogue.providers.profile import MessagesProfile, Profile
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.request.chat_request import translate_request
from unit.machine import request

Json = dict[str, Any]

PLAIN = base64.b64encode("Grüße,\nall".encode()).decode()
FILES_ONLY_AS_TEXT = Profile(name="p", messages=MessagesProfile(media=[]))


def content(part: Json, profile: Profile | None = None) -> tuple[Any, list[str]]:
    ledger = Ledger()
    body = translate_request(
        request(input=[{"role": "user", "content": [{"type": "input_file", **part}]}]),
        model="m",
        profile=profile or Profile(name="any"),
        card=ModelCard(id="m"),
        ledger=ledger,
    ).body
    return body["messages"][0]["content"], [str(entry) for entry in ledger.entries]


@pytest.mark.parametrize(
    "part",
    [
        {"filename": "a.txt", "file_data": f"data:text/plain;base64,{PLAIN}"},
        {"filename": "a.txt", "file_data": f"data:text/plain;charset=utf-8;base64,{PLAIN}"},
        {"filename": "a.txt", "file_data": PLAIN},
        {"filename": "a.txt", "file_url": f"data:text/x-python;base64,{PLAIN}"},
        {"filename": "a.txt", "file_data": f"data:application/octet-stream;base64,{PLAIN}"},
        {"filename": "a.txt", "file_data": "data:application/json,Gr%C3%BC%C3%9Fe,%0Aall"},
    ],
)
@pytest.mark.parametrize("profile", [None, FILES_ONLY_AS_TEXT], ids=["files taken", "no files taken"])
def test_a_text_file_is_sent_as_text(part: Json, profile: Profile | None) -> None:
    sent, ledger = content(part, profile)
    assert sent == "Content of the file a.txt:\nGrüße,\nall"
    assert ledger == ["changed input.content.file: a text file: sent as text"]


@pytest.mark.parametrize(
    "data", ["data:application/pdf;base64,AA==", "data:text/plain;base64,/w==", "data:text/plain;base64,?"]
)
def test_another_file_stays_a_file(data: str) -> None:
    sent, _ = content({"filename": "a.bin", "file_data": data})
    assert sent == [{"type": "file", "file": {"filename": "a.bin", "file_data": data}}]


def test_an_address_is_no_data() -> None:
    sent, ledger = content({"file_url": "https://example.com/a.pdf"})
    assert sent == "[file omitted: a chat upstream takes files as data only, not from an address]"
    assert ledger == ["dropped input.content.file: a chat upstream takes files as data only, not from an address"]


def test_an_id_goes_only_to_an_upstream_that_keeps_files() -> None:
    profile = Profile(name="any", messages=MessagesProfile(file_ids=True))
    assert content({"file_id": "file_1"}, profile)[0] == [{"type": "file", "file": {"file_id": "file_1"}}]
    sent, ledger = content({"file_id": "file_1"})
    assert sent == "[file omitted: a file_id cannot be resolved here; send file_data]"
    assert ledger == ["dropped input.content.file: a file_id cannot be resolved here; send file_data"]


def test_the_name_of_a_file_is_bounded() -> None:
    sent, _ = content({"filename": f"{'a' * 300}.txt", "file_data": "data:,all"})
    assert sent == f"Content of the file {'a' * 200}:\nall"


@pytest.mark.parametrize("other", [{"file_id": "file_1"}, {"file_url": "https://example.com/a.pdf"}])
def test_the_data_of_a_file_counts(other: dict[str, str]) -> None:
    data = "data:application/pdf;base64,AA=="
    sent, ledger = content({"file_data": data, **other})
    assert sent == [{"type": "file", "file": {"file_data": data}}]
    assert ledger == [f"dropped input.content.{next(iter(other))}: its data is sent"]
