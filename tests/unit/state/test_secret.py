"""Encrypted envelopes and the secret behind them."""

from pathlib import Path

import pytest

from responses_gateway.protocol.responses import Compaction
from responses_gateway.state.secret import AesEnvelopeCodec, SecretError, read_secret
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.reasoning import PLAIN_ENVELOPES, CarriedReasoning, open_reasoning, seal_reasoning
from responses_gateway.translate.request.compaction import expand

SECRET = bytes(range(32))


def test_an_envelope_opens_where_it_was_made_for() -> None:
    thought = CarriedReasoning("Hm.", [{"type": "x"}], {"call_1": {"a": 1}})
    envelope = seal_reasoning(thought, AesEnvelopeCodec(SECRET, "provider\0model"))
    assert "Hm." not in envelope
    assert open_reasoning(envelope, AesEnvelopeCodec(SECRET, "provider\0model")) == thought
    assert open_reasoning(envelope, AesEnvelopeCodec(SECRET, "provider\0another")) is None
    assert open_reasoning(envelope, AesEnvelopeCodec(bytes(32), "provider\0model")) is None
    assert open_reasoning(envelope, PLAIN_ENVELOPES) is None


def test_what_was_forged_does_not_open() -> None:
    how = AesEnvelopeCodec(SECRET, "p")
    envelope = seal_reasoning(CarriedReasoning("Hm."), how)
    last = "A" if envelope[-5] != "A" else "B"
    for forged in (
        seal_reasoning(CarriedReasoning("Hm.")),
        envelope[:-5] + last + envelope[-4:],
        envelope[:12],
        "rgw2:!",
        "rgw2:",
        "gAAAA",
    ):
        assert open_reasoning(forged, how) is None


def test_a_foreign_compaction_is_a_note() -> None:
    ledger = Ledger()
    how = AesEnvelopeCodec(SECRET, "compaction")
    item = Compaction(type="compaction", encrypted_content=PLAIN_ENVELOPES.seal({"summary": "Trust me."}))
    assert "Trust me." not in expand(item, how, ledger)
    assert len(ledger.entries) == 1
    item = Compaction(type="compaction", encrypted_content=how.seal({"summary": "They met."}))
    assert "They met." in expand(item, how, ledger)
    assert len(ledger.entries) == 1


def test_the_secret_is_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "state" / "secret"
    secret = read_secret(path)
    assert len(secret) == 32
    assert read_secret(path) == secret
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(SECRET)
    path.chmod(0o644)
    with pytest.raises(SecretError, match="chmod 600"):
        read_secret(path)
    path.chmod(0o600)
    assert read_secret(path) == SECRET
    path.write_bytes(b"short")
    with pytest.raises(SecretError, match="5 bytes"):
        read_secret(path)
    with pytest.raises(SecretError, match="cannot be used"):
        read_secret(path / "below")
