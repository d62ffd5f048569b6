"""The command line: what is accepted, what is refused and with which words."""

import tomllib

import pytest

from responses_gateway.command_line.main import build_parser, main


def parse(*argv, **environ):
    return build_parser(environ).parse_args(argv)


def refusal(capsys, *argv, **environ):
    with pytest.raises(SystemExit) as exit_info:
        parse(*argv, **environ)
    assert exit_info.value.code == 2
    return capsys.readouterr().err


def test_start_listens_on_loopback_and_has_no_upstream_by_default():
    args = parse("start")
    assert (args.host, args.port, args.upstream, args.web) == ("127.0.0.1", 4141, None, False)


def test_start_takes_its_options_from_the_environment():
    args = parse(
        "start",
        RESPONSES_GATEWAY_UPSTREAM="https://api.deepseek.com/v1/",
        RESPONSES_GATEWAY_API_KEY_ENV="DEEPSEEK_API_KEY",
        RESPONSES_GATEWAY_MODEL="deepseek-chat",
        RESPONSES_GATEWAY_PORT="5000",
        RESPONSES_GATEWAY_HOST="",
    )
    assert args.upstream == "https://api.deepseek.com/v1"
    assert args.api_key_env == "DEEPSEEK_API_KEY"
    assert args.model == "deepseek-chat"
    assert args.port == 5000
    assert args.host == "127.0.0.1"


def test_an_option_wins_over_its_variable():
    assert parse("start", "--port", "5001", RESPONSES_GATEWAY_PORT="5000").port == 5001


def test_a_bad_variable_is_refused(capsys):
    assert "'many' is not a port number" in refusal(capsys, "start", RESPONSES_GATEWAY_PORT="many")


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["start", "--upsteam", "https://x"], "unknown option --upsteam; did you mean --upstream?"),
        (["start", "--upstrem=https://x"], "unknown option --upstrem; did you mean --upstream?"),
        (["start", "--up", "https://x"], "unknown option --up"),
        (["start", "https://x"], "unexpected argument: https://x"),
        (["strat"], "'strat' is none of start, configure,"),
        (["strat"], "did you mean start?"),
        (["codex-config", "--for", "latest"], "'latest' is not a version such as 0.111"),
        (["codex-config", "--prot", "1"], "unknown option --prot; did you mean --port?"),
        (["--verison"], "unknown option --verison; did you mean --version?"),
        (["start", "--log-level", "wran"], "did you mean warn?"),
        (["start", "--port", "65536"], "is not a port number"),
        (["start", "--upstream", "api.deepseek.com"], "did you mean https://api.deepseek.com?"),
        (["start", "--upstream", "localhost:8080/v1"], "did you mean http://localhost:8080/v1?"),
        (["start", "--upstream", "ftp://x"], "not an http or https URL"),
        (["start", "--upstream", "https://x:port"], "Port could not be cast"),
        (["start", "--upstream", "https://x/v1?key=1"], "without user, query or fragment"),
        (["start", "--upstream", "https://x/v1/chat/completions"], "leave out /chat/completions"),
        (["start", "--set", "listen_port=1"], "use --port for listen_port"),
    ],
)
def test_what_is_refused_and_how(capsys, argv, words):
    assert words in refusal(capsys, *argv)


def test_a_key_in_place_of_its_variables_name_is_refused_and_not_repeated(capsys):
    message = refusal(capsys, "start", "--api-key-env", "sk-secret")
    assert "not the key itself" in message
    assert "sk-secret" not in message


def test_an_upstream_key_that_is_not_set_stops_the_start(capsys, monkeypatch):
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    assert main(["start", "--upstream", "https://x/v1", "--api-key-env", "NO_SUCH_KEY"]) == 1
    assert "NO_SUCH_KEY (--api-key-env) is not set" in capsys.readouterr().err


def test_codex_config_prints_toml_for_the_address_and_model(capsys):
    assert main(["codex-config", "--host", "0.0.0.0", "--port", "5000", "--model", 'a "quoted" model']) == 0
    config = tomllib.loads(capsys.readouterr().out)
    assert config["model"] == 'a "quoted" model'
    provider = config["model_providers"][config["model_provider"]]
    assert provider["base_url"] == "http://127.0.0.1:5000/v1"
    assert provider["wire_api"] == "responses"
    assert provider["name"].lower() not in ("openai", "azure")


def test_codex_config_needs_a_port(capsys):
    assert main(["codex-config", "--port", "0"]) == 1
    assert "--port" in capsys.readouterr().err
