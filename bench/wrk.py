"""Whole answers a second by wrk (https://github.com/wg/wrk), whose load costs less CPU than our own."""

import asyncio
import re
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.contenders import KEY
from bench.load import Address
from bench.script import Script

# Each body is another one, because equal requests would be retries.
_LUA = """
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
wrk.headers["authorization"] = "Bearer {key}"
local number = {first}
request = function()
  number = number + 1
  local message = string.gsub("{message}", "NUMBER", number)
  local said = '{{"role":"user","content":"' .. message .. '"}}'
  local body = '{{"model":"anna' .. number % {agents} .. '","messages":[' .. said .. ']}}'
  return wrk.format(nil, nil, nil, body)
end
"""


def is_installed() -> bool:
    return shutil.which("wrk") is not None


async def answers_a_second(address: Address, first: int, connections: int, seconds: int) -> float:
    """Of a target that takes the bench's key. Raises `RuntimeError` if any answer is an error."""
    host, port = address
    message = Script(1).message(0).rpartition(" ")[0] + " NUMBER"
    with TemporaryDirectory() as directory:
        script = Path(directory) / "turn.lua"
        script.write_text(_LUA.format(key=KEY, first=first, message=message, agents=connections))
        process = await asyncio.create_subprocess_exec(
            "wrk",
            "--threads=1",
            f"--connections={connections}",
            f"--duration={seconds}s",
            f"--script={script}",
            f"http://{host}:{port}/v1/chat/completions",
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
    said = output.decode()
    rate = re.search(r"Requests/sec:\s*([\d.]+)", said)
    if rate is None or "Non-2xx" in said:
        raise RuntimeError(f"wrk says:\n{said}")
    return float(rate[1])
