"""A wire between a function and what it calls, cut by killing the function: SIGKILL at an exact moment of a real call.

Each function gets addresses of its own for AWS and for Claude, so a call tells which function makes it, and the connection tells
which process.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import sys
import threading
import urllib.parse
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, NamedTuple

import psutil

from local.stages import STAGES
from tests.e2e.laptop import Laptop

_JOB = re.compile(r"\d{8}T\d{6}Z-[a-z2-7]{16}")
# One call never takes so long; it bounds a wire whose other end is gone.
_LONGEST_CALL = 120
_LOOKED_AT = 200_000


class Moment(NamedTuple):
    """When a function dies: at the first call that `call` (a pattern over method, path, target and body) finds."""

    stage: str
    name: str
    call: str
    when: Literal["before", "midway", "after"]
    """before the call reaches the other side, with half of the answer, or when it is done and nobody has heard"""


class Kill(NamedTuple):
    moment: Moment
    pid: int
    job_id: str
    """The job that the call names; empty when it names none."""


class Killer:
    """Knows the moments still to come; each strikes once."""

    def __init__(self, laptop: Laptop, moments: Sequence[Moment]) -> None:
        self._laptop = laptop
        self._coming = list(moments)
        self._lock = threading.Lock()
        self.kills: list[Kill] = []

    def left(self) -> list[Moment]:
        with self._lock:
            return list(self._coming)

    def strikes(self, stage: str, call: str) -> Moment | None:
        """The moment that this call brings, if any; it will not come again."""
        with self._lock:
            for moment in self._coming:
                if moment.stage == stage and re.search(moment.call, call, re.DOTALL):
                    self._coming.remove(moment)
                    return moment
        return None

    def comes_again(self, moment: Moment) -> None:
        """Nobody was struck by it."""
        with self._lock:
            self._coming.append(moment)

    def caller(self, stage: str, port: int) -> psutil.Process | None:
        """The process that calls from this port; it is a worker of that function, or nothing is done to it. None: it is gone."""
        calling = {one.pid for one in psutil.net_connections("tcp4") if one.laddr and one.laddr.port == port} - {
            None,
            os.getpid(),
        }
        try:
            (pid,) = calling
            worker = psutil.Process(pid)
            name = worker.environ()["AWS_LAMBDA_FUNCTION_NAME"]
        except (ValueError, psutil.NoSuchProcess):
            return None
        assert name == f"{self._laptop.stack}-{stage}"
        return worker

    def kill(self, worker: psutil.Process, moment: Moment, call: str) -> None:
        worker.kill()
        found = _JOB.search(call)
        with self._lock:
            self.kills.append(Kill(moment, worker.pid, found[0] if found else ""))

    @contextlib.contextmanager
    def wired(self) -> Iterator[None]:
        """Puts the wires in, and takes them out again at the end."""
        limit_concurrency(self._laptop)
        lambdas = self._laptop.client("lambda")
        with contextlib.ExitStack() as stack:
            for stage in STAGES:
                name = f"{self._laptop.stack}-{stage}"
                variables = lambdas.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
                aws = stack.enter_context(_wire(self, stage, self._laptop.env["AWS_ENDPOINT_URL"]))
                claude = stack.enter_context(_wire(self, stage, self._laptop.claude.base_url))
                through = {"AWS_ENDPOINT_URL": aws} | (
                    {"ANTHROPIC_BASE_URL": claude} if "ANTHROPIC_BASE_URL" in variables else {}
                )
                stack.callback(lambdas.update_function_configuration, FunctionName=name, Environment={"Variables": variables})
                lambdas.update_function_configuration(FunctionName=name, Environment={"Variables": {**variables, **through}})
            yield


def limit_concurrency(laptop: Laptop) -> None:
    """Lets two of each function run at once: many cold starts share the processors here."""
    lambdas = laptop.client("lambda")
    for mapping in lambdas.list_event_source_mappings()["EventSourceMappings"]:
        if mapping["FunctionArn"].split(":")[6].startswith(f"{laptop.stack}-"):
            lambdas.update_event_source_mapping(UUID=mapping["UUID"], ScalingConfig={"MaximumConcurrency": 2})


@contextlib.contextmanager
def _wire(killer: Killer, stage: str, upstream: str) -> Iterator[str]:
    """Serves one function's calls to one place; gives the address to call instead."""
    address = urllib.parse.urlsplit(upstream).netloc

    class End(_End):
        pass

    End.killer, End.stage, End.upstream = killer, stage, address
    server = _Server(("127.0.0.1", 0), End)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that is gone is what all this is about; anything else is shown."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _End(BaseHTTPRequestHandler):
    killer: Killer
    stage: str
    upstream: str
    protocol_version = "HTTP/1.1"
    timeout = _LONGEST_CALL

    def __getattr__(self, name: str) -> Any:
        """Every method is carried."""
        if name.startswith("do_"):
            return self._carry
        raise AttributeError(name)

    def _carry(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        call = f"{self.command} {self.path} {self.headers.get('X-Amz-Target', '')}\n{body[:_LOOKED_AT].decode(errors='replace')}"
        moment = self.killer.strikes(self.stage, call)
        if moment is None:
            self._answer(*self._ask(body))
            return
        self.close_connection = True
        worker = self.killer.caller(self.stage, self.client_address[1])
        if worker is None:
            self.killer.comes_again(moment)
            return
        if moment.when != "before":
            status, headers, content = self._ask(body)
            if moment.when == "midway":
                self._answer(status, headers, content, content[: len(content) // 2])
        self.killer.kill(worker, moment, call)

    def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self.upstream, timeout=_LONGEST_CALL)
        with contextlib.closing(connection):
            # The signature covers the host that the function named.
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("expect", "connection"):
                    connection.putheader(name, value)
            connection.endheaders(body or None)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes, shown: bytes | None = None) -> None:
        self.send_response_only(status)
        named = {name.lower() for name, _ in headers}
        for name, value in headers:
            if name.lower() not in ("transfer-encoding", "connection"):
                self.send_header(name, value)
        if "content-length" not in named and status != http.HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(content)))
        with contextlib.suppress(OSError):  # the caller may have given up, or been killed
            self.end_headers()
            self.wfile.write(content if shown is None else shown)
            self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it
        """Says nothing."""
