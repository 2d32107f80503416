"""The README's examples, as they are, against a service in front of a real server."""

import re
import subprocess
import sys

from tests.clients.conftest import CLIENTS
from tests.readme.test_readme import examples


def assert_examples_work(url: str, key: str) -> None:
    """Each of them, with that address and that key in their places; the agent `lettabot` answers."""
    commands = [[sys.executable, "-c", example] for example in examples("python")]
    commands += [["bash", "-c", example] for example in examples("bash")]
    if (CLIENTS / "node" / "node_modules").exists():
        node = str(CLIENTS / "node" / "node")
        commands += [[node, "--input-type=module", "-e", example] for example in examples("typescript")]
    for *command, example in commands:
        unchanged = example.replace("http://localhost:8080", url).replace("YOUR_API_KEY", key)
        cwd = CLIENTS / "node" if "--input-type=module" in command else None
        done = subprocess.run([*command, unchanged], capture_output=True, text=True, timeout=60, check=True, cwd=cwd)
        assert re.search(r'Hello from the stub model|stub|"object":"list"|"jobId":"job_', done.stdout), done.stdout
        assert '"error"' not in done.stdout
