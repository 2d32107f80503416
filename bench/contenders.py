"""The processes that are compared: starting and stopping them, and their CPU time and memory as the kernel says."""

import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from bench.load import Address, Call, call
from bench.script import Script
from bench.stand_in import agent_id, agent_name

KEY = "bench-key-0123456789"
_PATIENCE = 60.0


class Process:
    """A server of the bench on a port of its own."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int) -> None:
        self.port = port
        self.process = process

    def cpu(self) -> float:
        """Seconds of CPU time so far, of all its threads."""
        return cpu_of(self.process.pid)

    def cpu_of_all(self) -> float:
        """The same, with its workers."""
        pid = self.process.pid
        workers = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return sum(map(cpu_of, [pid, *map(int, workers)]))

    def rss(self) -> int:
        """Bytes of memory."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * resource.getpagesize()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(3)
        self.process.kill()
        self.process.wait()


def cpu_of(pid: int) -> float:
    """Seconds of CPU time of that process so far."""
    # The kernel's id of another process's CPU clock: see clock_getcpuclockid(3).
    return time.clock_gettime((~pid << 3) | 2)


class Target:
    """Something that can be asked for a turn."""

    def __init__(
        self,
        address: Address,
        path: str,
        headers: Sequence[str] = (),
        process: Process | None = None,
        models: Sequence[str] = (),
    ) -> None:
        self.address = address
        self._path = path
        self._headers = headers
        self._process = process
        self._models = models

    @property
    def process(self) -> Process:
        assert self._process is not None, "only a process of this bench can be looked into"
        return self._process

    @property
    def is_ours(self) -> bool:
        """Whether it is started here, with the bench's key and agents."""
        return self._process is not None

    @property
    def with_responses(self) -> "Target":
        """The same, asked for responses."""
        return Target(self.address, "/v1/responses", self._headers, self._process, self._models)

    def turn(
        self, script: Script, number: int, agent: int, stream: bool = True, history: bytes = b"", chat: str = ""
    ) -> Call:
        """One turn with that agent; `history` is what stands before the user message, each followed by a comma.
        `chat`: a chat key."""
        said = f'{{"role":"user","content":"{script.message(number)}"}}]'
        if self._path.endswith("/messages"):
            flags = '"streaming":true,"stream_tokens":true,"include_pings":true'
            body = f'{{"agent_id":"{agent_id(agent)}",{flags},"messages":[{said}}}'.encode()
        else:
            model = self._models[agent % len(self._models)] if self._models else agent_name(agent)
            said_in = "input" if self._path.endswith("/responses") else "messages"
            head = f'{{"model":"{model}","stream":{str(stream).lower()},"{said_in}":['
            body = b"".join([head.encode(), history, said.encode(), b"}"])
        return call(self._path, body, [*self._headers, *([f"x-letta-chat-key: {chat}"] if chat else [])])

    def models(self) -> Call:
        return call("/v1/models", headers=self._headers)


_AS_OPENAI = ("/v1/chat/completions", (f"authorization: Bearer {KEY}",))
_AS_LETTA = ("/v1/conversations/default/messages", ())
MODELS = call("/v1/models", headers=_AS_OPENAI[1])
HEALTH = call("/health")


def openai_target(port: int, process: Process) -> Target:
    """A service on that port."""
    return Target(("127.0.0.1", port), *_AS_OPENAI, process)


def other(url: str, key: str, models: Sequence[str]) -> Target:
    """Any other server with OpenAI's API, by the URL that SDKs are given (http, ends with /v1)."""
    parts = urlsplit(url)
    headers = (f"authorization: Bearer {key}",)
    address = (parts.hostname or "127.0.0.1", parts.port or 80)
    return Target(address, f"{parts.path.rstrip('/')}/chat/completions", headers, models=models)


class Contenders:
    """Starts each when it is first asked for; `stop` stops them all."""

    def __init__(self, directory: Path, agents: int) -> None:
        self._directory = directory
        self._agents = agents
        self._targets: dict[str, Target] = {}

    @property
    def stand_in(self) -> Target:
        """Letta's, without the service."""
        return self._target("stand-in", _AS_LETTA, "bench.stand_in")

    @property
    def lettabot(self) -> Target:
        """As it ships, in front of the stand-in."""
        return self._target("lettabot", _AS_OPENAI)

    @property
    def unwatched(self) -> Target:
        """The same without metrics."""
        return self._target("unwatched", _AS_OPENAI)

    @property
    def in_process(self) -> Target:
        """With agents in its own process."""
        return self._target("in-process", _AS_OPENAI, "bench.service", "in-process")

    @property
    def floor(self) -> Target:
        """A proxy that copies bytes."""
        return self._target("floor", _AS_LETTA, "bench.service", "floor")

    @property
    def naive(self) -> Target:
        """With the stream objects of letta-client."""
        return self._target("naive", _AS_OPENAI, "bench.service", "naive")

    @property
    def empty(self) -> Target:
        """Handlers that do nothing."""
        return self._target("empty", _AS_OPENAI, "bench.service", "empty")

    def letta(self) -> Mapping[str, str]:
        """What a service has to be told, so that the stand-in is its Letta."""
        return {"LETTA_BASE_URL": "http://{}:{}".format(*self.stand_in.address)}

    def stop(self) -> None:
        for target in self._targets.values():
            target.process.stop()
        self._targets.clear()

    def _target(self, name: str, spoken: tuple[str, Sequence[str]], module: str = "", *arguments: str) -> Target:
        if name not in self._targets:
            port = free_port()
            letta = {} if name == "stand-in" else {**self.letta()}
            if name == "unwatched":
                letta["LETTABOT_CONFIG_YAML"] = "server: {api: {metrics: off}}"
            if module:
                command = [sys.executable, "-m", module, *arguments, str(port), str(self._agents)]
            else:
                command = serve_command(port)
            process = start(self._directory, command, port, letta)
            wait_for(process, MODELS)
            self._targets[name] = Target(("127.0.0.1", port), *spoken, process)
        return self._targets[name]


@contextlib.contextmanager
def contenders(directory: Path, agents: int) -> Iterator[Contenders]:
    all_ = Contenders(directory, agents)
    try:
        yield all_
    finally:
        all_.stop()


def serve_command(port: int) -> list[str]:
    """As users start it."""
    return [str(Path(sys.executable).with_name("lettabot")), "server", "--port", str(port)]


def start(directory: Path, command: Sequence[str], port: int, environment: Mapping[str, str]) -> Process:
    """In a directory in which nothing is configured; its log goes to a file there."""
    with (directory / f"{port}.log").open("w") as log:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(directory),
                "PYTHONPATH": str(Path(__file__).parents[1]),
                "LETTABOT_API_KEY": KEY,
                **environment,
            },
            stdout=log,
            stderr=log,
        )
    return Process(process, port)


def wait_for(process: Process, request: Call, status: bytes = b"") -> float:
    """When (`time.perf_counter`) that request was first answered, with that status if one is given."""
    give_up = time.perf_counter() + _PATIENCE
    while time.perf_counter() < give_up and process.process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", process.port), 5) as connection:
            connection.sendall(request.data)
            if status in connection.recv(100).partition(b"\r\n")[0].split(b" ")[1:2] or not status:
                return time.perf_counter()
        time.sleep(0.005)
    raise RuntimeError(f"{process.process.args!r} does not answer")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
