"""deploy/Dockerfile: its form, and its steps carried out in a clean directory. No engine is needed, none is tried."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.cli.fake_letta import SLOW, FakeLetta
from tests.cli.processes import wait_until
from tests.packaging.release import ROOT, version_of
from tests.packaging.steps import Image, Steps, context_of, steps_of
from tests.packaging.trial import PATIENCE, free_port, is_healthy, try_installed

DOCKERFILE = ROOT / "deploy" / "Dockerfile"

# One image is made for all.
pytestmark = pytest.mark.xdist_group("image")


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    # Readable for other users, which pytest's directories are not.
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        context_of(ROOT, place / "context")
        yield Steps(place / "context", place / "image", {"COMMIT": "abc123"}).carry_out(steps_of(DOCKERFILE))


def of_image(image: Image, **environment: str) -> dict[str, str]:
    # The image's own address is all of them; a test listens to this machine only.
    return {**image.environment, "API_HOST": "127.0.0.1", **environment}


def user(image: Image) -> int | None:
    """The image's, if this process can be another user and that one can run its Python."""
    number = int(image.user.partition(":")[0])
    if os.geteuid() != 0:
        return None
    probe = [str(image.root / "opt/lettabot/bin/python"), "-c", ""]
    try:
        return number if subprocess.run(probe, user=number, check=False, cwd="/").returncode == 0 else None
    except PermissionError:
        return None


def files_but_data(image: Image) -> dict[Path, int]:
    paths = image.root.rglob("*")
    return {path: path.lstat().st_mtime_ns for path in paths if path.relative_to(image.root).parts[0] != "data"}


@pytest.mark.parametrize("path", sorted(DOCKERFILE.parent.rglob("*Dockerfile")), ids=lambda path: path.name)
def test_hadolint_has_nothing_to_say(path: Path) -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if hadolint is None:
        pytest.skip("hadolint is not installed: there is none for this machine")
    done = subprocess.run([hadolint, "--no-color", str(path)], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("", 0)


def test_the_form_is_what_the_documentation_says() -> None:
    steps = steps_of(DOCKERFILE)
    last = max(index for index, (instruction, _) in enumerate(steps) if instruction == "FROM")
    final = dict(steps[last:])
    assert [instruction for instruction, _ in steps].count("FROM") == 2
    assert "RUN" not in final, "the image is only what the first stage has made"
    uid, gid = final["USER"].split(":")
    assert int(uid) >= 1000
    assert int(gid) >= 1000
    for instruction in ("ENTRYPOINT", "CMD", "VOLUME"):
        assert final[instruction].startswith("["), "a shell would keep signals to itself"
    assert "org.opencontainers.image.licenses" in final["LABEL"]


def test_all_that_is_copied_is_sent_to_the_engine_and_nothing_else() -> None:
    copied = {
        name.removeprefix("./")
        for instruction, text in steps_of(DOCKERFILE)
        if instruction == "COPY" and "--from" not in text
        for name in text.split()[:-1]
    }
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied == sent


def test_the_image_has_lettabot_and_neither_pip_nor_sources(image: Image) -> None:
    assert {path.name for path in image.root.iterdir()} == {"opt", "data"}
    assert not list(image.root.rglob("pip"))
    assert not list((image.root / "data").iterdir())
    assert image.labels["org.opencontainers.image.revision"] == "abc123"


def test_what_is_installed_in_it_passes_the_trial_of_a_release(image: Image, tmp_path: Path) -> None:
    version = version_of(ROOT)
    told = try_installed(image.root / "opt/lettabot/bin/lettabot", version, tmp_path)
    assert told.startswith(f"lettabot {version} (commit abc123)\n")


def test_it_serves_is_healthy_writes_to_data_only_and_ends_before_docker_kills_it(image: Image) -> None:
    assert image.environment["API_HOST"] == "0.0.0.0"
    before, data = files_but_data(image), image.root / "data"
    with FakeLetta() as letta:
        # The health check must not go through a proxy, which is there for Letta.
        environment = of_image(
            image, PORT=str(free_port()), LETTA_BASE_URL=letta.url, HTTP_PROXY="http://127.0.0.1:9", NO_PROXY=""
        )
        url = f"http://127.0.0.1:{environment['PORT']}"
        program = shutil.which(image.command[0], path=environment["PATH"])
        python = shutil.which(image.healthcheck[0], path=environment["PATH"])
        assert program is not None
        assert python is not None
        assert Path(program).is_relative_to(image.root)
        check = [python, *image.healthcheck[1:]]

        def is_well() -> bool:
            done = subprocess.run(check, cwd=image.workdir, env=environment, capture_output=True, check=False)
            return done.returncode == 0

        assert not is_well(), "nobody answers yet"
        command = [program, *image.command[1:]]
        with subprocess.Popen(command, cwd=image.workdir, env=environment, user=user(image)) as server:
            try:
                assert is_healthy(url, server)
                assert is_well()
                asking = threading.Thread(
                    target=ask, args=(url, json.loads((data / "lettabot-api.json").read_text())["apiKey"])
                )
                asking.start()
                wait_until(lambda: SLOW in letta.heard, "the turn")
                server.terminate()
                # Docker's patience. A turn is under way, and would take longer.
                assert server.wait(10) == 0
            finally:
                server.kill()
                letta.let_go.set()
        asking.join(PATIENCE)
    assert files_but_data(image) == before
    assert {path.stat().st_uid for path in data.iterdir()} == {os.geteuid() if user(image) is None else user(image)}


def ask(url: str, key: str) -> None:
    body = {"messages": [{"role": "user", "content": SLOW}], "stream": True}
    headers = {"Authorization": f"Bearer {key}"}
    try:
        httpx.post(f"{url}/v1/chat/completions", json=body, headers=headers, timeout=PATIENCE, trust_env=False)
    except httpx.TransportError:
        """It is cut off in the end."""
