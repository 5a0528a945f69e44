"""Short words for what most tests do with the API."""

from __future__ import annotations

import json
from typing import Any

import httpx2

from local.claude.client import Control

VERSION = "2026-10-21"
HEADERS = {"authorization": "Bearer test-key", "anthropic-version": VERSION}
BATCHES = "/v1/messages/batches"


def params(prompt: str = "Say something.", **fields: Any) -> dict[str, Any]:
    return {
        "model": "claude-haiku-4-5",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": prompt}],
        **fields,
    }


def requests(*prompts: str) -> list[dict[str, Any]]:
    return [{"custom_id": f"row-{place}", "params": params(prompt)} for place, prompt in enumerate(prompts)]


def error_of(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["type"]


class Api:
    """The batch endpoints, and the emulator's clock."""

    def __init__(self, control: Control, http: httpx2.Client) -> None:
        self.control = control
        self.http = http

    def post(self, body: Any, **options: Any) -> httpx2.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.http.post(BATCHES, content=content, **options)

    def create(self, *prompts: str, rows: list[dict[str, Any]] | None = None) -> str:
        answer = self.post({"requests": rows if rows is not None else requests(*prompts)})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    def retrieve(self, batch_id: str) -> dict[str, Any]:
        answer = self.http.get(f"{BATCHES}/{batch_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def page(self, **query: Any) -> dict[str, Any]:
        answer = self.http.get(BATCHES, params=query)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def ids(self, **query: Any) -> list[str]:
        return [batch["id"] for batch in self.page(**query)["data"]]

    def cancel(self, batch_id: str) -> httpx2.Response:
        return self.http.post(f"{BATCHES}/{batch_id}/cancel")

    def delete(self, batch_id: str) -> httpx2.Response:
        return self.http.delete(f"{BATCHES}/{batch_id}")

    def results(self, batch_id: str) -> httpx2.Response:
        return self.http.get(f"{BATCHES}/{batch_id}/results")

    def lines(self, batch_id: str) -> list[dict[str, Any]]:
        answer = self.results(batch_id)
        assert answer.status_code == 200, answer.text
        return [json.loads(line) for line in answer.content.splitlines()]

    def run(self, *prompts: str, rows: list[dict[str, Any]] | None = None) -> dict[str, dict[str, Any]]:
        """Creates a batch, lets it end and gives the result of each row by its id."""
        batch_id = self.create(*prompts, rows=rows)
        self.control.advance(10)
        return {line["custom_id"]: line["result"] for line in self.lines(batch_id)}

    def result(self, **fields: Any) -> dict[str, Any]:
        """The result of one row with these params."""
        return self.run(rows=[{"custom_id": "only", "params": params(**fields)}])["only"]


def text_of(result: dict[str, Any]) -> str:
    assert result["type"] == "succeeded", result
    return str(result["message"]["content"][0]["text"])
