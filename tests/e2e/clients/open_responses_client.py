"""The Open Responses acceptance suite, and its OpenAPI document for everything else that the gateway says.

Arguments: base URL, model, and the scenario: `suite`, or `check`, which reads [[schema or null, object], …] from the
file that is the fourth argument; without a schema's name, the object is an event. Prints JSON.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import llm_comply
from llm_comply.schema import SpecLoader

SPECIFICATION = Path(llm_comply.__file__).parent / "specs" / "openresponses.json"


def suite(base_url: str, model: str) -> list[str]:
    """The tests that did not pass."""
    program = Path(sys.executable).with_name("llm-comply")
    command = [sys.executable, program, "-u", base_url, "-k", "sk-client-key", "-m", model, "--json"]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    results = json.loads(ended.stdout)["results"]
    assert len(results) >= 13
    return [str(result) for result in results if result["status"] != "passed"]


def check(objects: list[tuple[str | None, Any]]) -> list[str]:
    """The faults of objects, by the specification."""
    specification = SpecLoader(str(SPECIFICATION))
    schemas = json.loads(SPECIFICATION.read_text())["components"]["schemas"]
    events = {
        schema["properties"]["type"]["enum"][0]: name
        for name, schema in schemas.items()
        if name.endswith("StreamingEvent")
    }
    faults = []
    for name, value in objects:
        schema = name or events.get(value["type"])
        if schema is None:
            faults.append(f"unknown event {value['type']}")
        else:
            faults += [f"{schema}: {fault}" for fault in specification.validate(value, schema)]
    return faults


base_url, model, scenario, *rest = sys.argv[1:]
print(json.dumps(suite(base_url, model) if scenario == "suite" else check(json.loads(Path(rest[0]).read_text()))))
