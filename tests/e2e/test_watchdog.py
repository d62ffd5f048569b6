"""The watchdog that all gateways of the tests run with."""

from pathlib import Path

import pytest

from e2e.gateway import StartGateway
from e2e.test_access import ask
from e2e.watchdog import BLAME, PACKAGE

SCRIPT = """
import time

class {path}:
    def request(self, flow):
        if flow.request.path == "/{path}":
            until = time.{clock}() + 0.3
            while time.{clock}() < until:
                {action}

addons = [{path}()]
"""


def slow(directory: Path, path: str, clock: str, action: str) -> str:
    """A script that takes its time for a request, as if it were part of the gateway."""
    (directory / PACKAGE).mkdir(exist_ok=True)
    script = directory / PACKAGE / f"{path}.py"
    script.write_text(SCRIPT.format(path=path, clock=clock, action=action))
    return str(script)


@pytest.mark.expects_faults
def test_waiting_is_blamed_and_computing_is_not(start_gateway: StartGateway, tmp_path: Path) -> None:
    waits = slow(tmp_path, "waits", "monotonic", "time.sleep(0.2)")
    computes = slow(tmp_path, "computes", "process_time", "sum(range(1000))")
    gateway = start_gateway(arguments=["-s", waits, "-s", computes])
    for path in ("computes", "waits"):
        ask(gateway, "GET", f"/{path}")
    gateway.wait_log(BLAME)
    assert all("waits.py" in fault for fault in gateway.faults())
