"""Settings that change while the gateway runs."""

import os
from pathlib import Path

import pytest
from mitmproxy import exceptions
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.test import taddons

from responses_gateway.addon import Gateway
from responses_gateway.settings.config_watch import INTERVAL, ConfigWatch
from responses_gateway.settings.loading import unknown_options


def test_a_file_is_looked_at_once_in_an_interval(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    watch = ConfigWatch(path)
    assert not watch.changed(100.0)
    path.write_text("retries: 1\n")
    assert not watch.changed(100.0 + INTERVAL / 2)
    assert watch.changed(100.0 + INTERVAL)
    assert not watch.changed(100.0 + 2 * INTERVAL)
    path.unlink()
    assert watch.changed(100.0 + 3 * INTERVAL)


def test_a_file_that_is_replaced_within_the_resolution_of_time_is_another_one(tmp_path: Path) -> None:
    path, other = tmp_path / "config.yaml", tmp_path / "other"
    path.write_text("retries: 1\n")
    other.write_text("retries: 2\n")
    for file in (path, other):
        os.utime(file, (1, 1))
    watch = ConfigWatch(path)
    other.replace(path)
    assert watch.changed(1.0)


def test_nothing_to_look_at_never_changes() -> None:
    assert not ConfigWatch(None).changed(1.0)


def test_a_bad_option_is_refused_and_the_old_settings_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    gateway = Gateway()
    with taddons.context(Proxyserver(), gateway) as context:
        context.configure(gateway, gateway_body_limit="1KiB")
        assert gateway.body_limit() == 1024
        with pytest.raises(exceptions.OptionsError, match="body_limit"):
            context.configure(gateway, gateway_body_limit="huge")
        assert gateway.body_limit() == 1024
        context.configure(gateway, gateway_body_limit="2KiB")
        assert gateway.body_limit() == 2048


def test_unknown_options_of_the_gateway_are_named_with_the_nearest() -> None:
    assert unknown_options(["gateway_model", "my_addons_option"]) == []
    assert unknown_options(["gateway_idel_timeout", "gatway_model"]) == [
        "Unknown option gateway_idel_timeout; did you mean 'gateway_idle_timeout'?",
        "Unknown option gatway_model; did you mean 'gateway_model'?",
    ]
