"""Which files are refused because somebody else may decide what is in them, and which are only warned about."""

import grp
import os
import pwd
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters import file_trust
from adapters.file_trust import look_at
from entrypoints.settings import SettingsError
from tests.settings.place import Place, texts

STRANGER = 54321

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows keeps rights in another way")


@pytest.fixture
def strange(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Makes a file a stranger's: root gives it away; everybody else becomes somebody else."""

    def make(path: Path) -> None:
        if os.geteuid() == 0:
            os.chown(path, STRANGER, -1, follow_symlinks=False)
        else:
            monkeypatch.setattr(os, "geteuid", lambda: STRANGER)

    return make


@pytest.fixture
def file(tmp_path: Path) -> Path:
    directory = tmp_path / "its directory"
    directory.mkdir(mode=0o755)
    file = directory / "file.json"
    file.touch(mode=0o600)
    return file


def must_refuse(path: Path) -> str:
    finding = look_at(path)
    assert finding is not None
    assert finding.refused
    assert str(path) in finding.text
    return finding.text


def must_warn(path: Path) -> str:
    finding = look_at(path)
    assert finding is not None
    assert not finding.refused
    assert str(path) in finding.text
    return finding.text


def mend(text: str) -> None:
    """By the command that the text ends with."""
    command = text.rpartition(": ")[2]
    assert command.startswith(("chmod", "chown"))
    assert shutil.which("sh")
    subprocess.run(["sh", "-c", command], check=True)


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o644, 0o755])
def test_a_file_of_our_own_that_nobody_else_writes_is_trusted(file: Path, mode: int) -> None:
    file.chmod(mode)
    assert look_at(file) is None


def test_what_is_not_there_is_trusted(file: Path) -> None:
    assert look_at(file.with_name("another")) is None
    assert look_at(file / "below") is None
    assert look_at(Path("with\0null")) is None


def test_what_is_no_file_is_trusted() -> None:
    """Such as --config /dev/null, or what a shell makes of --config <(...)."""
    assert look_at(Path("/dev/null")) is None


@pytest.mark.parametrize("mode", [0o602, 0o666, 0o777, 0o622])
def test_a_file_that_everybody_may_write_is_refused_until_the_command_is_followed(file: Path, mode: int) -> None:
    file.chmod(mode)
    mend(must_refuse(file))
    finding = look_at(file)
    assert finding is None or not finding.refused


def test_a_link_to_a_file_that_everybody_may_write_is_refused(file: Path) -> None:
    link, further = file.with_name("link"), file.with_name("further")
    link.symlink_to(file.name)
    further.symlink_to(link)
    assert look_at(further) is None
    file.chmod(0o666)
    finding = look_at(further)
    assert finding is not None
    assert finding.refused
    assert "file.json" in finding.text


def test_links_in_a_circle_are_left_to_whoever_opens_them(file: Path) -> None:
    one, two = file.with_name("one"), file.with_name("two")
    one.symlink_to(two)
    two.symlink_to(one)
    assert look_at(one) is None


@pytest.mark.parametrize("directory_mode", [0o777, 0o1777])
def test_a_strangers_file_where_everybody_may_write_is_refused(
    file: Path, strange: Callable[[Path], None], directory_mode: int
) -> None:
    file.parent.chmod(directory_mode)
    strange(file)
    assert "anybody can have put it there" in must_refuse(file)


def test_a_strangers_link_where_everybody_may_write_is_refused(
    file: Path, tmp_path: Path, strange: Callable[[Path], None]
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    for target in (file, tmp_path / "nothing"):
        link = shared / target.name
        link.symlink_to(target)
        strange(link)
        must_refuse(link)


def test_a_strangers_file_elsewhere_is_only_warned_about(file: Path, strange: Callable[[Path], None]) -> None:
    """In a container, a file from outside may belong to somebody who is nobody there."""
    strange(file)
    assert "chown" in must_warn(file)


def test_a_file_of_roots_is_trusted(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() == 0:
        monkeypatch.setattr(os, "geteuid", lambda: STRANGER)
        assert look_at(file) is None
    assert look_at(Path("/etc/passwd")) is None


def test_a_file_of_our_own_is_trusted_in_tmp_but_not_where_it_can_be_replaced(file: Path) -> None:
    file.parent.chmod(0o1777)
    assert look_at(file) is None
    file.parent.chmod(0o777)
    mend(must_warn(file))
    assert look_at(file) is None


def in_group(file: Path, monkeypatch: pytest.MonkeyPatch, name: str, *members: str) -> None:
    """As if its group were that one. (That of root is always trusted.)"""
    if os.geteuid() == 0:
        os.chown(file, -1, STRANGER)
    file.chmod(0o660)
    monkeypatch.setattr(grp, "getgrgid", lambda number: grp.struct_group((name, "x", number, list(members))))


def test_a_file_that_a_group_may_write_is_only_warned_about(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_group(file, monkeypatch, "staff", "alice", "bob")
    text = must_warn(file)
    assert "The group staff may write" in text
    mend(text)
    assert look_at(file) is None


def test_a_users_own_group_may_write(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """umask 002, as on Debian and Fedora."""
    me = pwd.getpwuid(os.geteuid()).pw_name
    in_group(file, monkeypatch, me)
    assert look_at(file) is None
    in_group(file, monkeypatch, me, me, "bob")
    must_warn(file)


def test_where_rights_mean_nothing_it_is_only_warned_about(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Docker Desktop on Windows shows all files of the host as everybody's."""
    device = f"{os.major(file.stat().st_dev)}:{os.minor(file.stat().st_dev)}"
    mounts = tmp_path / "mountinfo"
    monkeypatch.setattr(file_trust, "_MOUNTS", mounts)
    file.chmod(0o777)
    for type_ in ("9p", "vfat", "cifs"):
        mounts.write_text(f"1 0 0:1 / / rw - ext4 /dev/x rw\n77 1 {device} / {tmp_path} rw,a - {type_} C:\\134 rw\n")
        must_warn(file)
    for text in ("", "nonsense\n", f"77 1 {device} / {tmp_path} rw - ext4 /dev/x rw\n78 1 0:99 / /mnt rw - 9p x rw\n"):
        mounts.write_text(text)
        must_refuse(file)


def test_a_configuration_that_everybody_may_write_is_refused(place: Place) -> None:
    file = place.write("lettabot.yaml", "server: {api: {port: 5}}")
    file.chmod(0o666)
    for environ in ({}, {"LETTABOT_CONFIG": "lettabot.yaml"}):
        with pytest.raises(SettingsError, match=r"lettabot\.yaml, and so decide .*chmod o-w"):
            place.load(**environ)
    # One that is not read does not matter.
    assert place.load(LETTABOT_CONFIG_YAML="server: {api: {port: 6}}").port == 6


def test_a_configuration_that_is_doubtful_is_used_with_a_warning(place: Place) -> None:
    place.write("lettabot.yaml", "server: {api: {port: 5}}")
    place.cwd.chmod(0o777)
    settings = place.load()
    assert settings.port == 5
    [warning] = texts(settings, "warning")
    assert "Everybody may write in the directory of" in warning


def test_ids_of_agents_that_everybody_may_write_are_refused(place: Place) -> None:
    file = place.write("lettabot-agent.json", '{"version": 2, "agents": {"anna": {"agentId": "agent-1"}}}')
    letta = "server: {baseUrl: 'http://letta'}\nagents: [{name: anna}]"
    assert place.load(letta).agents[0].id == "agent-1"
    file.chmod(0o666)
    with pytest.raises(SettingsError, match=r"lettabot-agent\.json, and so decide .*chmod o-w"):
        place.load(letta)
    # One that is not needed does not matter.
    assert place.load("server: {mode: embedded}").agents == ()
