"""Codex with a ChatGPT login, through the gateway as a proxy: its turns are answered, and all else goes to ChatGPT."""

import base64
import json
import time
from pathlib import Path
from typing import Any

import pytest

from e2e.codex import LATEST, Codex
from e2e.environment import UPSTREAM_KEY
from e2e.proxy import Proxy
from e2e.tls_server import TlsServer
from upstream import Script, ScriptedUpstream, reply

ACCOUNT = "account-of-mine"
HOSTS = ["chatgpt.com", "auth.openai.com"]

ELSEWHERE = """
# The hosts of the login are a server of the test, the upstream is what it is, and no way leads to any other host.
import logging

def server_connect(data):
    host = data.server.address[0]
    if host != "127.0.0.1":
        data.server.address = ("127.0.0.1", {port} if host in {hosts!r} else 9)

def requestheaders(flow):
    if flow.request.path.endswith("/codex/responses"):
        logging.info("a turn by %s, %s", flow.request.method, flow.request.headers.get("content-encoding", "plain"))
"""


def token(lifetime: float, name: str) -> str:
    """A JWT that nobody has signed."""
    auth = {"chatgpt_plan_type": "pro", "chatgpt_user_id": "user-of-mine", "chatgpt_account_id": ACCOUNT}
    claims = {"exp": int(time.time() + lifetime), "sub": name, "email": "me@mail.example"}
    parts = [{"alg": "RS256", "typ": "JWT"}, {**claims, "https://api.openai.com/auth": auth}]
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, "c2lnbmF0dXJl"])


def login(access: str) -> dict[str, Any]:
    """What Codex keeps of a login, in auth.json."""
    tokens = {"id_token": token(86400, "id"), "access_token": access, "refresh_token": "refresh-of-mine"}
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {
        "auth_mode": "chatgpt",
        "OPENAI_API_KEY": None,
        "tokens": {**tokens, "account_id": ACCOUNT},
        "last_refresh": now,
    }


WORKSPACES = {
    "accounts": [
        {
            "id": ACCOUNT,
            "plan_type": "pro",
            "structure": "personal",
            "workspace_backend_origin": "https://chatgpt.com",
            "account_routing_override": "NO_CONSTRAINT",
        }
    ],
    "account_ordering": [ACCOUNT],
    "default_account_id": ACCOUNT,
}


@pytest.mark.parametrize(("over_socket", "turn"), [(True, "GET, plain"), (False, "POST, zstd")])
def test_its_turns_are_answered_and_its_login_stays_with_chatgpt(
    upstream: ScriptedUpstream, script: Script, tmp_path: Path, *, over_socket: bool, turn: str
) -> None:
    """The token has run out: Codex gets another one first."""
    old, new = token(-60, "old"), token(86400, "new")
    renewed = {"id_token": token(86400, "id"), "access_token": new, "refresh_token": "refresh-renewed"}
    answers = {"/backend-api/wham/accounts/check": WORKSPACES, "/oauth/token": renewed}
    script.answer(reply(text="It ran."))
    upstream.listings.clear()
    upstream.probes.clear()
    with TlsServer(
        tmp_path / "chatgpt", HOSTS, {path: json.dumps(body).encode() for path, body in answers.items()}
    ) as chatgpt:
        elsewhere = tmp_path / "elsewhere.py"
        elsewhere.write_text(ELSEWHERE.format(hosts=HOSTS, port=chatgpt.port))
        options = {
            "ssl_verify_upstream_trusted_ca": str(chatgpt.authority),
            "gateway_websocket": str(over_socket).lower(),
        }
        with Proxy(upstream.url, tmp_path / "home", options, ["-s", str(elsewhere)]) as proxy:
            bundle = tmp_path / "bundle.pem"
            bundle.write_text(proxy.authority.read_text() + chatgpt.authority.read_text())
            certificates = {"SSL_CERT_FILE": str(bundle), "CODEX_CA_CERTIFICATE": str(bundle)}
            environment = {**proxy.environment(tmp_path / "codex"), **certificates}
            del environment["OPENAI_API_KEY"]
            codex = Codex(LATEST, "", tmp_path / "codex", proxied_by=environment)
            (tmp_path / "codex" / ".codex" / "auth.json").write_text(json.dumps(login(old)))
            run = codex.exec("run it", script.model, timeout=120)
            assert run.messages == ["It ran."], run
            proxy.wait_log(f"a turn by {turn}")
            assert not proxy.faults(), f"the gateway's log has a fault:\n{proxy.log}"
    asked = [head for head in chatgpt.heads if head.startswith("get /backend-api/wham/accounts/check")]
    assert asked
    assert all(f"bearer {new}".lower() in head and f"chatgpt-account-id: {ACCOUNT}" in head for head in asked)
    assert any(b"refresh-of-mine" in body for body in chatgpt.bodies)
    assert not [head for head in chatgpt.heads if "/backend-api/codex/responses" in head.split("\r\n")[0]]
    assert {request.headers["authorization"] for request in script.requests} == {f"Bearer {UPSTREAM_KEY}"}
    seen = str([(request.headers, request.body) for request in script.requests])
    seen += str([request.headers for request in (*upstream.listings, *upstream.probes)])
    for secret in (old, new, renewed["id_token"], "refresh-", ACCOUNT, "user-of-mine"):
        assert secret not in seen
        assert secret not in proxy.log
