"""The first minute: `responses-gateway start` with nothing configured, and the curl line that it prints."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

SOURCE_ROOT = Path(__file__).parents[2] / "addon"
SECONDS_TO_START = 60


def environment():
    """This process's, without settings of the gateway, and with the package importable."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RESPONSES_GATEWAY_")}
    return {**inherited, "PYTHONPATH": str(SOURCE_ROOT)}


class Started:
    """A running `responses-gateway start`, with what it printed until it was ready."""

    def __init__(self, *argv):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "responses_gateway", "start", *argv],
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.printed = ""
        for line in self.process.stdout:
            self.printed += line
            if "Ctrl-C stops the gateway." in line:
                return
        raise AssertionError(f"it did not start: {self.printed}{self.process.stderr.read()}")

    def find(self, pattern):
        match = re.search(pattern, self.printed)
        assert match, f"{pattern} is not in {self.printed}"
        return match[1]

    def interrupt(self):
        """Ctrl-C; gives the exit status and what was printed after the start."""
        self.process.send_signal(signal.SIGINT)
        out, err = self.process.communicate(timeout=SECONDS_TO_START)
        return self.process.returncode, out, err


@pytest.fixture
def start():
    running = []

    def start(*argv):
        running.append(Started(*argv))
        return running[-1]

    yield start
    for started in running:
        started.process.kill()
        started.process.communicate()


def failure(*argv):
    result = subprocess.run(
        [sys.executable, "-m", "responses_gateway", "start", *argv],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=SECONDS_TO_START,
    )
    assert result.returncode == 1, result
    assert "Traceback" not in result.stderr
    return result.stderr


def curl(line):
    """Do what a printed curl line does; gives the body."""
    words = shlex.split(line)
    url = next(word for word in words if word.startswith("http"))
    body = words[words.index("-d") + 1].encode()
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=SECONDS_TO_START) as response:
        return response.read().decode()


def test_the_printed_curl_line_streams_an_answer_of_the_demo_model(start):
    started = start("--port", "0")
    assert "No upstream is configured" in started.printed
    stream = curl(started.find(r"(curl .*)"))
    events = [json.loads(line.removeprefix("data: ")) for line in stream.splitlines() if line.startswith("data: {")]
    assert [event["type"] for event in events][:2] == ["response.created", "response.in_progress"]
    assert events[-1]["type"] == "response.completed"
    text = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    assert "Say hello." in text
    assert events[-1]["response"]["usage"]["input_tokens_details"]["cached_tokens"] >= 0
    _, out, err = started.interrupt()
    assert "/props" not in out + err, "what the gateway asks the demo model is nothing for the terminal"


def test_mitmweb_opens_with_the_printed_url_and_lists_the_call(start):
    started = start("--port", "0", "--web", "--web-port", "0")
    curl(started.find(r"(curl .*)"))
    web, token = re.search(r"(http://\S+)/\?token=(\w+)", started.printed).groups()
    request = urllib.request.Request(f"{web}/flows", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=SECONDS_TO_START) as response:
        flows = json.load(response)
    assert len(flows) == 1
    assert flows[0]["response"]["status_code"] == 200
    with urllib.request.urlopen(
        started.find(r"Sessions are shown at +(http\S+)"), timeout=SECONDS_TO_START
    ) as response:
        assert "Say hello" in response.read().decode()


def test_an_upstream_of_the_configuration_file_takes_the_demo_models_place(start, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("providers:\n  mine:\n    base_url: http://127.0.0.1:9/some/v1\n")
    started = start("--port", "0", "--set", f"gateway_config={config}")
    assert started.find(r"Requests go to +(\S+)") == "http://127.0.0.1:9/some/v1"
    assert "demo" not in started.printed


def test_ctrl_c_ends_cleanly(start):
    status, out, err = start("--port", "0").interrupt()
    assert status == 0
    assert "Stopped." in out
    assert "Traceback" not in out + err


def test_a_taken_port_is_refused_with_the_way_out(start):
    port = start("--port", "0").find(r"http://127\.0\.0\.1:(\d+)/v1")
    assert f"port {port} is already in use; choose another with --port" in failure("--port", port)
    assert "choose another with --web-port" in failure("--port", "0", "--web", "--web-port", port)


def test_a_misspelt_mitmproxy_option_is_refused_with_the_nearest_name():
    assert "did you mean ssl_insecure?" in failure("--port", "0", "--set", "ssl_insecur=true")


def test_a_bad_value_of_a_mitmproxy_option_is_refused():
    assert "ssl_insecure" in failure("--port", "0", "--set", "ssl_insecure=maybe")
