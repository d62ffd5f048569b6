"""The limit on open files."""

import resource
import subprocess
import sys

PROGRAM = """
import resource
from responses_gateway.command_line.file_limit import raise_file_limit
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
raise_file_limit()
raise_file_limit()
print(*resource.getrlimit(resource.RLIMIT_NOFILE), hard)
"""


def test_a_small_limit_is_raised_as_far_as_it_may_be() -> None:
    told = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60)
    soft, hard, before = map(int, told.stdout.split())
    assert hard == before
    assert soft == (8192 if hard == resource.RLIM_INFINITY else min(8192, hard))
