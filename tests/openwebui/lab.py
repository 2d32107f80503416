"""A real Open WebUI on loopback, with an empty data folder, an administrator, and one connection: to lettabot."""

import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.letta_server.processes import Processes, answers, free_port
from tests.openwebui.install import installed

EMAIL, PASSWORD = "admin@example.org", "a-password-for-tests"


class OpenWebUI:
    """`url` is for browsers; `python` has Playwright."""

    def __init__(self, directory: Path, base_url: str, api_key: str) -> None:
        self.python = installed() / "bin" / "python"
        self.url = f"http://127.0.0.1:{free_port()}"
        self._directory = directory
        self._base_url, self._api_key = base_url, api_key
        self._processes = Processes(directory)
        self._token = ""

    def start(self) -> None:
        data = self._directory / "data"
        data.mkdir()
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self._directory),
            "DATA_DIR": str(data),
            "WEBUI_SECRET_KEY": "not-a-secret",
            "WEBUI_URL": self.url,
            "CORS_ALLOW_ORIGIN": self.url,
            "OFFLINE_MODE": "true",
            "HF_HUB_OFFLINE": "1",
            "RAG_EMBEDDING_ENGINE": "openai",
            "RAG_OPENAI_API_BASE_URL": self._base_url,
            "RAG_OPENAI_API_KEY": self._api_key,
            "AUDIO_STT_ENGINE": "openai",
            "ENABLE_OLLAMA_API": "false",
            "ENABLE_VERSION_UPDATE_CHECK": "false",
            "ANONYMIZED_TELEMETRY": "false",
            "DO_NOT_TRACK": "true",
            "USER_AGENT": "lettabot tests",
        }
        command = [self.python.with_name("open-webui"), "serve", "--host", "127.0.0.1"]
        self._processes.start("openwebui", [*command, "--port", self.url.rpartition(":")[2]], environ)
        self._processes.wait_until("openwebui", lambda: answers(f"{self.url}/health"), 240)
        signed_up = self.call("/api/v1/auths/signup", {"name": "Administrator", "email": EMAIL, "password": PASSWORD})
        self._token = signed_up["token"]

    def stop(self) -> None:
        self._processes.stop("openwebui")

    def connect(self, headers: Mapping[str, str], api_type: str | None = None) -> None:
        """Set the one connection, with these headers in its field "Headers". `api_type`: as Open WebUI calls it."""
        config = {**({"headers": dict(headers)} if headers else {}), **({"api_type": api_type} if api_type else {})}
        self.call(
            "/openai/config/update",
            {
                "ENABLE_OPENAI_API": True,
                "OPENAI_API_BASE_URLS": [self._base_url],
                "OPENAI_API_KEYS": [self._api_key],
                "OPENAI_API_CONFIGS": {"0": config},
            },
        )

    def chats(self) -> list[dict[str, Any]]:
        """Title, tags and id of each chat, the newest first."""
        chats: list[dict[str, Any]] = self.call("/api/v1/chats/?page=1")
        return [{**chat, "tags": self.tags(chat["id"])} for chat in chats]

    def tags(self, chat_id: str) -> list[str]:
        return [tag["name"] for tag in self.call(f"/api/v1/chats/{chat_id}/tags")]

    def call(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"}
        request = urllib.request.Request(self.url + path, data, headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")
