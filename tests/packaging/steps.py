"""Carries out the steps of a Dockerfile in a directory, without an engine: what the image would have at / is in there.

The commands of its RUN steps run as they are, with their absolute paths led into the directory. Each stage begins with
nothing, and gets from the one before only what it copies. What an engine does beyond that is not proven here."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from dockerfile_parse import DockerfileParser  # type: ignore[import-untyped]

# What an image brings itself, and no step writes to.
_SYSTEM = ("bin", "dev", "etc", "lib", "lib64", "proc", "sbin", "sys", "usr")
_PATH = re.compile(rf"(?<![\w./])/(?!(?:{'|'.join(_SYSTEM)})\b)(?=[A-Za-z])")


class Image(msgspec.Struct, frozen=True):
    """What came of it."""

    root: Path
    environment: Mapping[str, str]
    command: Sequence[str]
    """ENTRYPOINT and CMD."""
    healthcheck: Sequence[str]
    user: str
    workdir: Path
    labels: Mapping[str, str]


def steps_of(dockerfile: Path) -> list[tuple[str, str]]:
    """Instruction and text, without comments and line breaks."""
    with dockerfile.open("rb") as file:
        structure = DockerfileParser(fileobj=file).structure
    return [(step["instruction"], step["value"]) for step in structure if step["instruction"] != "COMMENT"]


def context_of(checkout: Path, target: Path) -> None:
    """What an engine would be sent of a checkout. The form of .dockerignore that is known: nothing but `!` names, and
    patterns of compiled files."""
    lines = [line for line in (checkout / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert lines[0] == "*"
    target.mkdir()
    for name in (line[1:] for line in lines if line.startswith("!")):
        if (source := checkout / name).is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__", "*.py[co]"))
        else:
            shutil.copy2(source, target / name)


class Steps:
    """`root` is made; `arguments` are those of the build."""

    def __init__(self, context: Path, root: Path, arguments: Mapping[str, str]) -> None:
        self._context = context
        self._root = root
        self._left = root.with_name(f"{root.name}.build")
        self._arguments = dict(arguments)
        self._stages: list[str] = []
        self._environment: dict[str, str] = {}
        self._labels: dict[str, str] = {}
        self._user = "0:0"
        self._workdir = "/"
        self._told: dict[str, list[str]] = {}

    def carry_out(self, steps: Sequence[tuple[str, str]]) -> Image:
        known = {
            "FROM": self._begin,
            "ARG": self._take_argument,
            "WORKDIR": self._enter,
            "COPY": self._copy,
            "RUN": self._run,
            "ENV": self._set,
            "LABEL": self._put_label,
        }
        for instruction, text in steps:
            if instruction in known:
                known[instruction](text)
            elif instruction == "HEALTHCHECK":
                self._told[instruction] = json.loads(text[text.index("[") :])
            elif instruction in ("ENTRYPOINT", "CMD"):
                self._told[instruction] = json.loads(text)
            elif instruction == "USER":
                self._user = text
            else:
                # What is only told to engines and people.
                assert instruction in ("VOLUME", "EXPOSE", "STOPSIGNAL"), instruction
        led = {name: self._led(value) for name, value in self._environment.items()}
        command = [*self._told["ENTRYPOINT"], *self._told["CMD"]]
        check = self._told["HEALTHCHECK"]
        return Image(self._root, led, command, check, self._user, self._inside("."), self._labels)

    def _led(self, text: str) -> str:
        return _PATH.sub(f"{self._root}/", text)

    def _inside(self, path: str) -> Path:
        return self._root / os.path.normpath(os.path.join(self._workdir, path)).lstrip("/")

    def _begin(self, text: str) -> None:
        if self._stages:
            self._root.rename(self._left)
        self._root.mkdir(mode=0o755)
        self._stages.append(text.split()[-1])
        self._environment, self._workdir = {}, "/"
        tools = self._root.with_name("bin")
        tools.mkdir(exist_ok=True)
        # Of a base image only this is needed: a Python with pip.
        python = tools / "python"
        python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
        python.chmod(0o755)

    def _take_argument(self, text: str) -> None:
        name, _, default = text.partition("=")
        self._arguments.setdefault(name, default.strip('"'))

    def _enter(self, path: str) -> None:
        self._workdir = path
        self._inside(".").mkdir(parents=True, exist_ok=True)

    def _copy(self, text: str) -> None:
        words = shlex.split(text)
        flags = dict(word[2:].split("=") for word in words if word.startswith("--"))
        *sources, target = [word for word in words if not word.startswith("--")]
        goal = self._inside(target)
        for source in sources:
            came = self._left / source.lstrip("/") if "from" in flags else self._context / source
            assert "from" not in flags or flags["from"] in self._stages[:-1]
            if came.is_dir():
                shutil.copytree(came, goal, symlinks=True, dirs_exist_ok=True)
            else:
                shutil.copy2(came, goal / came.name if target.endswith("/") else goal)
        if "chmod" in flags:
            goal.chmod(int(flags["chmod"], 8))
        if "chown" in flags and os.geteuid() == 0:
            os.chown(goal, *map(int, flags["chown"].split(":")))

    def _run(self, text: str) -> None:
        environment = {**os.environ, **self._environment, **self._arguments}
        environment["PATH"] = f"{self._root.with_name('bin')}:{os.environ['PATH']}"
        subprocess.run(["sh", "-ec", self._led(text)], cwd=self._inside("."), env=environment, check=True)

    def _set(self, text: str) -> None:
        for word in shlex.split(text):
            name, _, value = word.partition("=")
            self._environment[name] = value

    def _put_label(self, text: str) -> None:
        for word in shlex.split(text):
            name, _, value = word.partition("=")
            self._labels[name] = re.sub(r"\$\{(\w+)\}", lambda found: self._arguments[found[1]], value)
