"""Codex with a ChatGPT login, through the gateway as a proxy: its turns are answered, and all else goes to ChatGPT."""

import base64
import json
import time
from pathlib import Path
from typing import Any

from e2e.codex import LATEST, Codex
from e2e.proxy import Proxy
from e2e.tls_server import TlsServer
from upstream import Script, ScriptedUpstream, reply

ACCOUNT = "account-of-mine"
HOSTS = ["chatgpt.com", "auth.openai.com"]

ELSEWHERE = """
# The hosts of the login are a server of the test, and there is no way to all others.
HOSTS = {hosts!r}

def server_connect(data):
    host = data.server.address[0]
    data.server.address = ("127.0.0.1", {port} if host in HOSTS else 9)
"""


def token(**claims: Any) -> str:
    """A JWT that nobody has signed."""
    parts = [{"alg": "RS256", "typ": "JWT"}, {"exp": int(time.time()) + 86400, **claims}]
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, "c2lnbmF0dXJl"])


def login() -> dict[str, Any]:
    auth = {"chatgpt_plan_type": "pro", "chatgpt_user_id": "user-of-mine", "chatgpt_account_id": ACCOUNT}
    claims = {"email": "me@mail.example", "https://api.openai.com/auth": auth}
    tokens = {
        "id_token": token(**claims),
        "access_token": token(sub="access", **claims),
        "refresh_token": "refresh-of-mine",
        "account_id": ACCOUNT,
    }
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {"auth_mode": "chatgpt", "OPENAI_API_KEY": None, "tokens": tokens, "last_refresh": now}


def test_its_turns_are_answered_and_its_login_stays_with_chatgpt(
    upstream: ScriptedUpstream, script: Script, tmp_path: Path
) -> None:
    accounts = {"accounts": {ACCOUNT: {"account": {"account_id": ACCOUNT, "plan_type": "pro"}}}}
    answers = {"/backend-api/wham/accounts/check": json.dumps(accounts).encode()}
    with TlsServer(tmp_path / "chatgpt", HOSTS, answers) as chatgpt:
        elsewhere = tmp_path / "elsewhere.py"
        elsewhere.write_text(ELSEWHERE.format(hosts=HOSTS, port=chatgpt.port))
        options = {"ssl_verify_upstream_trusted_ca": str(chatgpt.authority)}
        with Proxy(upstream.url, tmp_path / "home", options, ["-s", str(elsewhere)]) as proxy:
            environment = proxy.environment(tmp_path / "codex")
            del environment["OPENAI_API_KEY"]
            bundle = tmp_path / "bundle.pem"
            bundle.write_text(proxy.authority.read_text() + chatgpt.authority.read_text())
            environment |= {"SSL_CERT_FILE": str(bundle), "CODEX_CA_CERTIFICATE": str(bundle)}
            codex = Codex(LATEST, "", tmp_path / "codex", proxied_by=environment)
            saved = login()
            (tmp_path / "codex" / ".codex" / "auth.json").write_text(json.dumps(saved))
            script.answer(reply(calls=[codex.shell("echo logged-in")]), reply(text="It ran."))
            run = codex.exec("run it", script.model, timeout=120)
            print(run, "\n".join(h.split("\r\n")[0] for h in chatgpt.heads), proxy.log[-6000:])
            assert 0
