"""Whether a file can be trusted: who else may write it, or put another one in its place."""

import contextlib
import os
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec

try:
    import grp
    import pwd
except ImportError:  # Windows keeps such rights in another way.
    grp = pwd = None  # type: ignore[assignment]

# They show the same owner and rights for all files, whatever those are: shares of Windows, USB sticks, Docker Desktop.
_WITHOUT_RIGHTS = {"9p", "cifs", "drvfs", "exfat", "fuseblk", "msdos", "ntfs", "ntfs3", "smb3", "vboxsf", "vfat"}
_MOUNTS = Path("/proc/self/mountinfo")
_MOST_LINKS = 40


class Finding(msgspec.Struct, frozen=True):
    """What is wrong with a file."""

    refused: bool
    """Whether the file must not be used."""
    wrong: str
    """Says what is wrong, and names the file."""
    command: str
    """Mends it."""

    @property
    def text(self) -> str:
        advice = "Look at what is in it, then" if self.refused else "If that is not meant"
        return f"{self.wrong}. {advice}: {self.command}"


def look_at(path: Path) -> Finding | None:
    """The worst of what is wrong with a file, and with symbolic links to it. None, too, if there is no such file.

    Refused is a file that everybody may write, and one of a stranger's in a directory in which everybody may write.
    A group is not everybody: whoever shares files with one wants that, so it is only told. The same for owners:
    bind mounts of containers bring files of users who are nobody in there."""
    if pwd is None:
        return None
    findings: list[Finding] = []
    # Where it ends: it is not there, or whoever opens it will say why it cannot be.
    with contextlib.suppress(OSError, ValueError):
        for each in _links_to(path):
            findings += _look_at_one(each)
    return next((finding for finding in findings if finding.refused), findings[0] if findings else None)


def _links_to(path: Path) -> Iterator[Path]:
    for _ in range(_MOST_LINKS):
        yield path
        if not path.is_symlink():
            return
        path = path.parent / path.readlink()


def _look_at_one(path: Path) -> list[Finding]:
    status, directory = path.lstat(), path.parent.stat()
    is_link = stat.S_ISLNK(status.st_mode)
    if not is_link and not stat.S_ISREG(status.st_mode):
        return []
    is_strange = status.st_uid not in (os.geteuid(), 0)
    owner, me, quoted = _user(status.st_uid), _user(os.geteuid()), shlex.quote(str(path))
    # The rights of a link mean nothing.
    others_write, group_writes = (not is_link and status.st_mode & right for right in (stat.S_IWOTH, stat.S_IWGRP))
    if others_write:
        text = f"Everybody on this machine may write {path}, and so decide what is in it"
        return [Finding(_has_rights(status), text, f"chmod o-w {quoted}")]
    if is_strange and directory.st_mode & stat.S_IWOTH:
        text = f"{path} belongs to {owner}, and everybody may write in its directory: anybody can have put it there"
        return [Finding(_has_rights(status), text, f"chown -h {me} {quoted}")]
    if is_strange:
        return [Finding(False, f"{path} belongs to {owner}, who may change it", f"chown -h {me} {quoted}")]
    if group_writes and not _is_private_group(status):
        return [Finding(False, f"The group {_group(status.st_gid)} may write {path}", f"chmod g-w {quoted}")]
    if directory.st_mode & stat.S_IWOTH and not directory.st_mode & stat.S_ISVTX:
        text = f"Everybody may write in the directory of {path}, and so put another file in its place"
        return [Finding(False, text, f"chmod o-w {shlex.quote(str(path.parent))}")]
    return []


def _has_rights(status: os.stat_result) -> bool:
    """Whether rights mean anything on the file's file system; where that cannot be found out, they do."""
    device = f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}"
    try:
        mounts = _MOUNTS.read_text(errors="replace").splitlines()
    except OSError:
        return True
    # number, parent, device, ..., "-", type, ...
    types = {line.partition(" - ")[2].split(" ")[0] for line in mounts if line.split(" ", 3)[2:3] == [device]}
    return not types & _WITHOUT_RIGHTS


def _is_private_group(status: os.stat_result) -> bool:
    """Debian and Fedora give each user a group of the same name, and let it write (umask 002)."""
    if status.st_gid == 0:
        return True
    try:
        group, owner = grp.getgrgid(status.st_gid), pwd.getpwuid(status.st_uid).pw_name
    except KeyError:
        return status.st_gid == status.st_uid
    return group.gr_name == owner and set(group.gr_mem) <= {owner}


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
