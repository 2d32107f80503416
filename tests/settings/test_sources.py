"""Where lettabot.yaml is found, in which order, and what is said when it cannot be read."""

import base64
import os
import warnings
from pathlib import Path

import pytest

from entrypoints.settings import Flags, SettingsError
from tests.settings.place import Place


def port(number: int) -> str:
    return f"server: {{api: {{port: {number}}}}}\n"


def test_each_source_beats_those_after_it(place: Place) -> None:
    flag = place.write("flag.yaml", port(1))
    named = place.write("named.yaml", port(3))
    here = place.write("lettabot.yaml", port(4))
    here_too = place.write("lettabot.yml", port(5))
    home = place.write_at_home(".lettabot/config.yaml", port(6))
    place.write_at_home(".lettabot/config.yml", port(7))
    environ = {"LETTABOT_CONFIG_YAML": port(2), "LETTABOT_CONFIG": str(named)}

    def found() -> tuple[int, str | None]:
        settings = place.load(**environ)
        return settings.port, settings.source

    assert place.load(None, Flags(config=flag), **environ).port == 1
    assert found() == (2, "LETTABOT_CONFIG_YAML")
    del environ["LETTABOT_CONFIG_YAML"]
    assert found() == (3, str(named))
    del environ["LETTABOT_CONFIG"]
    assert found() == (4, "lettabot.yaml")
    here.unlink()
    assert found() == (5, "lettabot.yml")
    here_too.unlink()
    assert found() == (6, "~/.lettabot/config.yaml")
    home.unlink()
    assert found() == (7, "~/.lettabot/config.yml")


def test_without_any_there_are_the_defaults(place: Place) -> None:
    settings = place.load()
    assert (settings.source, settings.host, settings.port) == (None, "127.0.0.1", 8080)


def test_empty_variables_are_unset(place: Place) -> None:
    assert place.load(port(4), LETTABOT_CONFIG_YAML="", LETTABOT_CONFIG="").port == 4


@pytest.mark.parametrize("text", ["", "\n", "# nothing but a comment\n", "---\n", "server:\n", "server:\n  api:\n"])
def test_an_empty_file_has_no_settings(place: Place, text: str) -> None:
    assert place.load(text).port == 8080


def test_a_file_that_was_asked_for_must_be_there(place: Place) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.yaml: there is no such file\. LETTABOT_CONFIG"):
        place.load(LETTABOT_CONFIG="nowhere.yaml")
    with pytest.raises(SettingsError, match=r"nowhere\.yaml: there is no such file\. --config"):
        place.load(port(1), Flags(config=Path("nowhere.yaml")))


def test_relative_paths_start_at_the_working_directory_and_a_tilde_at_home(place: Place) -> None:
    place.write("conf/a.yaml", port(1))
    place.write_at_home("b.yaml", port(2))
    assert place.load(LETTABOT_CONFIG="conf/a.yaml").port == 1
    assert place.load(LETTABOT_CONFIG="~/b.yaml").port == 2


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode, base64.encodebytes])
def test_inline_yaml_may_be_base64(place: Place, encode: object) -> None:
    assert callable(encode)
    text = "# ~~~ ÿÿÿ >>> ???\n" + port(9) + "# and more, so that there are several lines of base64\n"
    packed = encode(text.encode()).decode()
    assert place.load(LETTABOT_CONFIG_YAML=packed).port == 9
    assert place.load(LETTABOT_CONFIG_YAML=packed.strip().rstrip("=")).port == 9


@pytest.mark.parametrize("text", ["hello there!", "aGVsbG8*", "/////w==", "a"])
def test_inline_yaml_that_is_neither_yaml_nor_base64_is_an_error(place: Place, text: str) -> None:
    with pytest.raises(SettingsError, match="LETTABOT_CONFIG_YAML: this is neither"):
        place.load(LETTABOT_CONFIG_YAML=text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("server: [", "line 1: this is not YAML"),
        ("server:\n  api: @here", "line 2: this is not YAML: .* Put quotes"),
        ("server: {}\nserver: {}", "line 2: this is not YAML: the same key stands there twice"),
        ("a: 1\n---\nb: 2", "this is not YAML"),
        ("server: *nothing", "undefined alias"),
        ("server: !!python/object:os.system x", "could not determine a constructor"),
        ("? {a: b}\n: c", "unhashable"),
        ("[" * 5_000, "nested too deeply"),
        ("when: 2024-13-45", "cannot be read as YAML"),
        ("a: " + "9" * 5_000, "cannot be read as YAML"),
        ("a: \x00", "cannot be read as YAML"),
        ("- a\n- b", "expected settings .*, got a list"),
        ("hello", 'expected settings .*, got "hello"'),
        ("server: 5", r"lettabot\.yaml: server: expected settings .*, got 5"),
    ],
)
def test_what_is_not_yaml_settings_is_an_error_that_names_the_file(place: Place, text: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says) as raised:
        place.load(text)
    assert str(raised.value).startswith("lettabot.yaml: ")


def test_an_error_in_the_yaml_never_shows_the_values_of_keys(place: Place) -> None:
    for text in ("server:\n  apiKey: secret\n  apiKey: secret2\n", "server:\n  apiKey: secret: [\n"):
        with pytest.raises(SettingsError) as raised:
            place.load(text)
        assert "secret" not in str(raised.value)


def test_a_file_that_is_not_utf_8_is_an_error(place: Place) -> None:
    (place.cwd / "lettabot.yaml").write_bytes(b"agent: {name: M\xfcller}")
    with pytest.raises(SettingsError, match=r"lettabot\.yaml: .*UTF-8"):
        place.load()


def test_a_byte_order_mark_does_no_harm(place: Place) -> None:
    (place.cwd / "lettabot.yaml").write_bytes(b"\xef\xbb\xbf" + port(5).encode())
    assert place.load().port == 5


def test_a_directory_is_an_error(place: Place) -> None:
    (place.cwd / "lettabot.yaml").mkdir()
    with pytest.raises(SettingsError, match=r"lettabot\.yaml: cannot be read: Is a directory"):
        place.load()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_an_error_and_the_next_one_is_not_taken_instead(place: Place) -> None:
    place.write("lettabot.yml", port(1))
    place.write("lettabot.yaml", port(2)).chmod(0)
    with pytest.raises(SettingsError, match=r"lettabot\.yaml: cannot be read: Permission denied"):
        place.load()


def test_it_is_yaml_1_2(place: Place) -> None:
    # YAML 1.1 would take these for false, eight and 90.
    settings = place.load("agents: [{name: no}, {name: on}, {name: 1:30}]\nserver: {mode: embedded, api: {port: 010}}")
    assert [agent.name for agent in settings.agents] == ["no", "on", "1:30"]
    assert settings.port == 10


def test_aliases_that_multiply_or_go_in_circles_do_no_harm(place: Place) -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60))
    assert place.load(bomb + "channels: *a59\n" + port(5)).port == 5
    assert place.load("channels: &c {again: *c}\nserver: &s {mode: embedded, again: *s}").port == 8080
    for circle in ("server: &s {api: *s}", "agents: &l [*l]", "server: &s {mode: *s}", "agent: &a {name: *a}"):
        with pytest.raises(SettingsError) if "api" not in circle else pytest.MonkeyPatch.context():
            place.load(circle)


def test_an_anchor_may_be_used_again_without_lines_of_the_file_being_printed(place: Place) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert place.load("a: &x 1\nb: &x 2\nserver: {api: {port: *x}}").port == 2
