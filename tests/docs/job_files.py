"""A file that is dropped for a document, and what comes of it."""

from __future__ import annotations

from batchdrop.domain.keys import latest, outbox_folder
from tests.handlers.conftest import Cloud

JOB = "20261122T014233Z-ocgoouztvi7v6pls"
"""Stands in a document for the id of any job."""
_MORE_TICKS_THAN_NEEDED = 10


def dropped(cloud: Cloud, name: str, body: bytes) -> dict[str, bytes]:
    """Drops a file and waits for its manifest; the job's outputs by name."""
    folder = outbox_folder(f"inbox/{name}", "").removesuffix("/")
    cloud.invoke("plan", cloud.upload(f"inbox/{name}", body))
    for _ in range(_MORE_TICKS_THAN_NEEDED):
        found = {
            key: output for key, output in cloud.outputs().items() if key.startswith(folder) and key != latest(f"inbox/{name}")
        }
        files = {key.rsplit("/", 1)[1]: output for key, output in found.items()}
        if "manifest.json" in files:
            return files
        cloud.drain()
        cloud.claude.advance(10)
        cloud.invoke("poll", cloud.event("poll-tick"))
        cloud.drain()
    raise AssertionError(f"{name} never ended")
