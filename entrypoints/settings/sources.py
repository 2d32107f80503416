"""Finds lettabot.yaml, in the old LettaBot's order, and reads it."""

import base64
import warnings
from collections.abc import Mapping
from pathlib import Path

import msgspec

from adapters.file_trust import look_at
from entrypoints.settings.errors import SettingsError

_INLINE = "LETTABOT_CONFIG_YAML"
_PATH = "LETTABOT_CONFIG"
# What ruamel.yaml is known to raise on odd input, besides its own errors.
_ODD_YAML = (ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


class Source(msgspec.Struct, frozen=True):
    """Settings in YAML, and where they stand."""

    place: str
    """Names it for people."""
    data: object
    """What the YAML holds; None if it is empty."""
    doubt: str | None = None
    """Why the file should not be trusted blindly."""


def find_source(config: Path | None, environ: Mapping[str, str], cwd: Path, home: Path) -> Source | None:
    """`config` is the flag; it wins. None if there is no YAML anywhere. Raises `SettingsError`."""
    if config is not None:
        return _required(config, cwd, home, "--config")
    if inline := environ.get(_INLINE, "").strip():
        return Source(_INLINE, _parse(_decode(inline), _INLINE))
    if path := environ.get(_PATH, ""):
        return _required(Path(path), cwd, home, _PATH)
    for place, candidate in (
        ("lettabot.yaml", cwd / "lettabot.yaml"),
        ("lettabot.yml", cwd / "lettabot.yml"),
        ("~/.lettabot/config.yaml", home / ".lettabot" / "config.yaml"),
        ("~/.lettabot/config.yml", home / ".lettabot" / "config.yml"),
    ):
        if (source := _read(candidate, place)) is not None:
            return source
    return None


def full_path(path: Path | str, base: Path, home: Path) -> Path:
    """Relative paths start at `base`; a leading ~ is the home directory."""
    path = Path(path)
    if path.parts[:1] == ("~",):
        path = home.joinpath(*path.parts[1:])
    return base / path


def _required(path: Path, cwd: Path, home: Path, asked_by: str) -> Source:
    place = str(path)
    source = _read(full_path(path, cwd, home), place)
    if source is None:
        raise SettingsError(f"{place}: there is no such file. {asked_by} names it; correct that, or make the file.")
    return source


def _read(path: Path, place: str) -> Source | None:
    finding = look_at(path)
    if finding is not None and finding.refused:
        raise SettingsError(finding.text)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except UnicodeDecodeError:
        raise SettingsError(f"{place}: this is not a text in UTF-8; save it as one.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SettingsError(f"{place}: cannot be read: {reason}. Make it readable for this service.") from error
    return Source(place, _parse(text, place), None if finding is None else finding.text)


def _decode(inline: str) -> str:
    # The old rule: settings always have a colon somewhere, base64 never does.
    if ":" in inline:
        return inline
    packed = "".join(inline.split()).translate(str.maketrans("-_", "+/")).rstrip("=")
    try:
        return base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True).decode("utf-8-sig")
    except ValueError:
        raise SettingsError(
            f"{_INLINE}: this is neither YAML settings nor base64 of them; make it with: base64 < lettabot.yaml"
        ) from None


def _parse(text: str, place: str) -> object:
    # Imported here, because many starts have no YAML. It is YAML 1.2, as in the old LettaBot: `no` is a word.
    from ruamel.yaml import YAML
    from ruamel.yaml.constructor import DuplicateKeyError
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        with warnings.catch_warnings():
            # About anchors that are used again, which YAML allows; it would print lines of the file.
            warnings.simplefilter("ignore")
            data: object = YAML(typ="safe", pure=True).load(text)
    except MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        # What it says about doubled keys quotes their values, and those may be secret.
        problem = "the same key stands there twice" if isinstance(error, DuplicateKeyError) else error.problem
        raise SettingsError(
            f"{place}: {line}this is not YAML: {problem}. Put quotes around texts with special characters."
        ) from None
    except (YAMLError, *_ODD_YAML):
        raise SettingsError(
            f"{place}: this cannot be read as YAML: it has characters, numbers or dates that do not exist, "
            "or is nested too deeply."
        ) from None
    return data
