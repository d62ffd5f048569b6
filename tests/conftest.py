"""What holds for all tests.

A skip in continuous integration is a failure: it installs what the tests need. No test looks at the time that an
example takes: on a machine with other work, that says nothing.
"""

import os
from collections.abc import Generator

import pytest
from hypothesis import settings

settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if os.environ.get("CI") == "true" and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"Skipped, which continuous integration does not allow: {report.longreprtext}"
    return report
