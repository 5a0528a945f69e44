"""How the adapter judges the API's answers, and the lack of them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from batchdrop.adapters.claude import AnthropicClaude
from batchdrop.domain.errors import Ambiguous, ConfigurationError, Incomplete, NotFound, Refused, Throttled, Unavailable
from batchdrop.domain.refusals import Cause, cause_of, may_be_of_a_row
from tests.fakes import ManualClock

URL = "https://api.example.test"
KEY = "sk-ant-secret"
BATCH = {
    "id": "msgbatch_1",
    "processing_status": "in_progress",
    "request_counts": {"processing": 1, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0},
    "created_at": "2026-11-22T00:31:15.123456789Z",
}


class Keys:
    """The keys that the secret holds, one after the other."""

    def __init__(self, *keys: str) -> None:
        self.keys = list(keys)

    def get(self) -> str:
        return self.keys[0]

    def refresh(self) -> str:
        if len(self.keys) > 1:
            self.keys.pop(0)
        return self.keys[0]


class Server:
    """Results with the next of its answers, the last one again and again; an exception is raised."""

    def __init__(self, *answers: httpx2.Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx2.Request] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        request.read()
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def error(status: int, kind: str = "some_error", message: str = "what happened", **more: Any) -> httpx2.Response:
    headers = more.pop("headers", {})
    return httpx2.Response(status, headers=headers, json={"type": "error", "error": {"type": kind, "message": message, **more}})


@pytest.fixture
def body(tmp_path: Path) -> Path:
    (tmp_path / "body").write_bytes(b'{"requests":[' + b"x" * 3_000_000 + b"]}")
    return tmp_path / "body"


def claude(server: Server, clock: ManualClock, *keys: str, workspace: str = "") -> AnthropicClaude:
    return AnthropicClaude(Keys(*(keys or (KEY,))), URL, clock, workspace=workspace, transport=httpx2.MockTransport(server))


def test_no_redirect_is_followed(clock: ManualClock) -> None:
    server = Server(httpx2.Response(307, headers={"location": "https://elsewhere.test/v1/messages/batches"}))
    api = claude(server, clock)
    for read in (api.page, api.models, lambda: api.retrieve("msgbatch_1"), lambda: api.cancel("msgbatch_1")):
        with pytest.raises(Unavailable):
            read()
    with pytest.raises(Unavailable), api.results("msgbatch_1"):
        pass
    assert {request.url.host for request in server.requests} == {"api.example.test"}


# ---------------------------------------------------------------- create


def test_a_create_sends_the_file_with_its_length(body: Path, clock: ManualClock) -> None:
    server = Server(httpx2.Response(200, json=BATCH))
    created = claude(server, clock).create(body)
    (request,) = server.requests
    assert (request.method, str(request.url)) == ("POST", f"{URL}/v1/messages/batches")
    assert request.content == body.read_bytes()
    assert request.headers["content-length"] == str(body.stat().st_size)
    assert request.headers["content-type"] == "application/json"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert "transfer-encoding" not in request.headers
    assert created.created_at.isoformat() == "2026-11-22T00:31:15.123457+00:00"


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422, 429, 529])
def test_a_definite_no(body: Path, clock: ManualClock, status: int) -> None:
    server = Server(error(status, "some_error", f"no: {KEY} " + "x" * 500))
    with pytest.raises(Refused) as caught:
        claude(server, clock).create(body)
    assert (caught.value.status, caught.value.kind, caught.value.retry_after) == (status, "some_error", None)
    assert str(caught.value).startswith("no: <key> x")
    assert len(str(caught.value)) == 300
    assert len(server.requests) == 1
    assert clock.slept == []


def test_a_refusal_tells_when_to_come_back_and_why(body: Path, clock: ManualClock) -> None:
    details = {"error_code": "enforced_spend_limit_reached"}
    server = Server(error(429, "rate_limit_error", headers={"retry-after": "7.5"}, details=details))
    with pytest.raises(Refused) as caught:
        claude(server, clock).create(body)
    assert (caught.value.retry_after, caught.value.code) == (7.5, "enforced_spend_limit_reached")


@pytest.mark.parametrize("text", ["Wed, 21 Oct 2026 07:28:00 GMT", "nan", "inf", "-1", ""])
def test_an_odd_retry_after_is_none(body: Path, clock: ManualClock, text: str) -> None:
    with pytest.raises(Refused) as caught:
        claude(Server(error(429, headers={"retry-after": text})), clock).create(body)
    assert caught.value.retry_after is None


def test_an_edge_that_finds_the_body_too_large_is_definite(body: Path, clock: ManualClock) -> None:
    with pytest.raises(Refused) as caught:
        claude(Server(httpx2.Response(413, text="<html>too large</html>")), clock).create(body)
    assert caught.value.kind == "request_too_large"


@pytest.mark.parametrize(
    "answer",
    [
        *(error(status) for status in (408, 409, 500, 502, 503, 504)),
        httpx2.Response(307, headers={"location": "/v1/elsewhere"}),
        *(httpx2.Response(status, text="<html>") for status in (301, 400, 401, 403, 404, 429, 500, 529)),
        httpx2.Response(400, json={"message": "not the API's words"}),
        httpx2.Response(200, text="<html>"),
        httpx2.Response(200, json={"id": "msgbatch_1"}),
        httpx2.Response(200, content=b"\xff\xfe"),
        httpx2.ReadTimeout(""),
        httpx2.WriteTimeout(""),
        httpx2.ReadError(""),
        httpx2.WriteError(""),
        httpx2.RemoteProtocolError(""),
        RuntimeError("a bug"),
    ],
    ids=lambda answer: str(answer) if isinstance(answer, httpx2.Response) else type(answer).__name__,
)
def test_everything_else_is_ambiguous_and_sent_once(body: Path, clock: ManualClock, answer: httpx2.Response | Exception) -> None:
    server = Server(answer)
    with pytest.raises(Ambiguous) as caught:
        claude(server, clock).create(body)
    assert len(server.requests) == 1
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("trouble", [httpx2.ConnectError(""), httpx2.ConnectTimeout(""), httpx2.PoolTimeout("")])
def test_no_connection_is_a_definite_no(body: Path, clock: ManualClock, trouble: Exception) -> None:
    with pytest.raises(Refused) as caught:
        claude(Server(trouble), clock).create(body)
    assert (caught.value.kind, caught.value.status) == ("connection_error", None)


@pytest.mark.parametrize("status", [401, 402, 403, 429])
def test_a_create_is_sent_once_with_the_key_that_was_named(body: Path, clock: ManualClock, status: int) -> None:
    server = Server(error(status), httpx2.Response(200, json=BATCH))
    api = claude(server, clock, "old", "new")
    old = api.key()
    with pytest.raises(Refused):
        api.create(body)
    new = api.key(fresh=True)
    assert new != old
    assert api.create(body).id == "msgbatch_1"
    assert [request.headers["authorization"] for request in server.requests] == ["Bearer old", "Bearer new"]


def test_a_key_is_named_by_a_fingerprint(clock: ManualClock) -> None:
    server = Server(httpx2.Response(200, json={"data": []}))
    api = claude(server, clock)
    assert len(api.key()) == 16
    assert KEY not in api.key()
    assert api.page().key == api.key() != claude(server, clock, "another").key()


@pytest.mark.parametrize("status", [401, 402, 403])
def test_a_refused_read_is_repeated_with_the_key_that_the_secret_holds_by_now(clock: ManualClock, status: int) -> None:
    server = Server(error(status), httpx2.Response(200, json={"data": []}))
    api = claude(server, clock, "old", "new")
    assert api.page().key == api.key()
    assert [request.headers["authorization"] for request in server.requests] == ["Bearer old", "Bearer new"]


def test_two_refused_keys_are_enough_for_a_read(clock: ManualClock) -> None:
    server = Server(error(401))
    with pytest.raises(Refused):
        claude(server, clock, "old", "new", "newer").page()
    assert len(server.requests) == 2


def test_a_key_that_cannot_be_read_sends_nothing(body: Path, clock: ManualClock) -> None:
    class NoKey(Keys):
        def get(self) -> str:
            raise Throttled("later")

    server = Server(httpx2.Response(200, json=BATCH))
    api = AnthropicClaude(NoKey(), URL, clock, transport=httpx2.MockTransport(server))
    with pytest.raises(Refused) as caught:
        api.create(body)
    assert caught.value.kind == "no_api_key"
    with pytest.raises(Unavailable):
        api.page()
    assert server.requests == []


def test_the_time_for_sending_is_bounded(body: Path, clock: ManualClock) -> None:
    server = Server(httpx2.Response(200, json=BATCH))
    api = AnthropicClaude(Keys(KEY), URL, clock, create_seconds=-60, transport=httpx2.MockTransport(server))
    with pytest.raises(Ambiguous, match="TimeoutError"):
        api.create(body)
    assert server.requests == []


# ---------------------------------------------------------------- minted keys, of Claude Platform on AWS

WORKSPACE = "wrkspc_01"
DENIED = "User: arn:aws:sts::1:assumed-role/r/f is not authorized to perform: aws-external-anthropic:CreateBatchInference"
FEDERATION = "Outbound web identity federation is disabled for your account"


def minting(server: Server, clock: ManualClock, *keys: str) -> AnthropicClaude:
    return claude(server, clock, *(keys or ("minted-1", "minted-2", "minted-3")), workspace=WORKSPACE)


def by_aws(status: int, kind: str, message: str) -> httpx2.Response:
    return httpx2.Response(status, headers={"x-amzn-errortype": f"{kind}:http://internal"}, json={"message": message})


def keys_of(server: Server) -> list[str]:
    return [request.headers["authorization"].removeprefix("Bearer ") for request in server.requests]


def test_every_call_names_the_workspace_and_no_other_way_does(body: Path, clock: ManualClock) -> None:
    server = Server(httpx2.Response(200, json=BATCH))
    api = minting(server, clock)
    api.create(body)
    api.retrieve("msgbatch_1")
    api.cancel("msgbatch_1")
    assert api.key(fresh=True)
    api.retrieve("msgbatch_1")
    assert [request.headers["anthropic-workspace-id"] for request in server.requests] == [WORKSPACE] * 4
    with_a_key = Server(httpx2.Response(200, json=BATCH))
    claude(with_a_key, clock).create(body)
    assert "anthropic-workspace-id" not in with_a_key.requests[0].headers


def test_minted_keys_have_the_fingerprint_of_their_workspace(clock: ManualClock) -> None:
    """What one of them has sent, the next one sees: a batch without an answer is settled by any of them."""
    server = Server(httpx2.Response(200, json={"data": []}))
    api = minting(server, clock)
    first = api.key()
    assert api.key(fresh=True) == first == api.page().key
    assert keys_of(server) == ["minted-2"]
    elsewhere = AnthropicClaude(Keys("minted-1"), URL, clock, workspace="wrkspc_02", transport=httpx2.MockTransport(server))
    assert elsewhere.key() != first


@pytest.mark.parametrize(
    "ended", [error(401, "authentication_error"), by_aws(403, "ExpiredTokenException", "The security token is expired")]
)
def test_a_create_whose_minted_key_has_ended_goes_once_more_with_another(
    body: Path, clock: ManualClock, ended: httpx2.Response
) -> None:
    server = Server(ended, httpx2.Response(200, json=BATCH))
    assert minting(server, clock).create(body).id == "msgbatch_1"
    assert keys_of(server) == ["minted-1", "minted-2"]
    assert [len(request.content) for request in server.requests] == [body.stat().st_size] * 2
    for_ever = Server(ended)
    with pytest.raises(Refused) as caught:
        minting(for_ever, clock).create(body)
    assert caught.value.status == ended.status_code
    assert keys_of(for_ever) == ["minted-1", "minted-2"]


def test_a_create_without_time_for_a_second_one_is_refused(body: Path, clock: ManualClock) -> None:
    server = Server(error(401))
    api = AnthropicClaude(
        Keys("minted-1", "minted-2"),
        URL,
        clock,
        workspace=WORKSPACE,
        create_seconds=0.0,
        transport=httpx2.MockTransport(server),
    )
    with pytest.raises(Refused):
        api.create(body)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        httpx2.Response(401, text="<html>"),
        httpx2.Response(403, json={"unknown": "words"}),
        httpx2.Response(400, json={"message": "AWS's form, but not about the key"}),
        httpx2.Response(500, json={"message": "internal"}),
        httpx2.ReadError("the key ended in mid-POST, and the connection with it"),
    ],
    ids=lambda answer: str(answer) if isinstance(answer, httpx2.Response) else type(answer).__name__,
)
def test_a_minted_key_does_not_make_the_lack_of_an_answer_definite(
    body: Path, clock: ManualClock, answer: httpx2.Response | Exception
) -> None:
    server = Server(answer)
    with pytest.raises(Ambiguous):
        minting(server, clock).create(body)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (by_aws(403, "AccessDeniedException", DENIED), "AccessDeniedException"),
        (httpx2.Response(403, json={"__type": "com.amazon#AccessDenied", "Message": DENIED}), "AccessDenied"),
        (error(403, "permission_error", DENIED), "permission_error"),
        (error(400, "invalid_request_error", FEDERATION), "invalid_request_error"),
        (error(401, "authentication_error", "invalid x-api-key"), "authentication_error"),
    ],
)
def test_what_aws_has_against_the_role_concerns_every_batch(
    body: Path, clock: ManualClock, answer: httpx2.Response, kind: str
) -> None:
    with pytest.raises(Refused) as caught:
        minting(Server(answer), clock).create(body)
    assert caught.value.kind == kind
    assert cause_of(caught.value) is Cause.role
    assert not may_be_of_a_row(Cause.role)


def test_a_file_that_the_workspace_does_not_have_is_no_matter_of_the_role(body: Path, clock: ManualClock) -> None:
    with pytest.raises(Refused) as caught:
        minting(Server(error(403, "permission_error", "requests.0: no access to file_1")), clock).create(body)
    assert cause_of(caught.value) is Cause.permission


def test_a_role_without_credentials_sends_nothing_and_is_a_matter_of_the_account(body: Path, clock: ManualClock) -> None:
    class NoKey(Keys):
        def get(self) -> str:
            raise ConfigurationError("no key can be minted")

    server = Server(httpx2.Response(200, json=BATCH))
    causes = []
    for workspace in (WORKSPACE, ""):
        api = AnthropicClaude(NoKey(), URL, clock, workspace=workspace, transport=httpx2.MockTransport(server))
        with pytest.raises(Refused) as caught:
            api.create(body)
        causes.append(cause_of(caught.value))
    assert causes == [Cause.role, Cause.key]
    assert server.requests == []


def test_a_refused_read_in_the_words_of_aws_is_a_refusal(clock: ManualClock) -> None:
    server = Server(by_aws(403, "AccessDeniedException", DENIED))
    with pytest.raises(Refused):
        minting(server, clock).page()
    assert keys_of(server) == ["minted-1", "minted-2"]


# ---------------------------------------------------------------- reads


@pytest.mark.parametrize(
    "answer", [error(500), error(429), error(529), error(408), httpx2.Response(502, text="<html>"), httpx2.ReadTimeout("")]
)
def test_a_read_is_tried_again_within_a_bound(clock: ManualClock, answer: httpx2.Response | Exception) -> None:
    server = Server(answer, answer, httpx2.Response(200, json=BATCH))
    assert claude(server, clock).retrieve("msgbatch_1").id == "msgbatch_1"
    assert clock.slept == [1.0, 2.0]
    for_ever = Server(answer)
    with pytest.raises(Unavailable):
        claude(for_ever, clock).retrieve("msgbatch_1")
    assert len(for_ever.requests) == 3


def test_a_read_waits_as_long_as_it_is_told_but_not_for_ever(clock: ManualClock) -> None:
    server = Server(error(429, headers={"retry-after": "19"}), httpx2.Response(200, json=BATCH))
    claude(server, clock).retrieve("msgbatch_1")
    assert clock.slept == [19.0]
    patient = Server(error(429, headers={"retry-after": "3600"}))
    with pytest.raises(Unavailable):
        claude(patient, clock).retrieve("msgbatch_1")
    assert len(patient.requests) == 1
    assert clock.slept == [19.0]


@pytest.mark.parametrize(("status", "expected"), [(404, NotFound), (400, Unavailable), (401, Refused), (403, Refused)])
def test_a_definite_answer_to_a_read_is_not_asked_for_again(clock: ManualClock, status: int, expected: type[Exception]) -> None:
    server = Server(error(status))
    api = claude(server, clock)

    def results() -> None:
        with api.results("msgbatch_1"):
            """The stream never begins."""

    for read in (lambda: api.retrieve("msgbatch_1"), results):
        with pytest.raises(expected):
            read()
    assert len(server.requests) == 2


def test_an_unreadable_answer_to_a_read_is_unavailable(clock: ManualClock) -> None:
    with pytest.raises(Unavailable):
        claude(Server(httpx2.Response(200, text="<html>")), clock).page()


def test_canceling_what_cannot_be_canceled_looks_at_it(clock: ManualClock) -> None:
    ended = httpx2.Response(200, json=BATCH | {"processing_status": "ended"})
    assert claude(Server(error(400), ended), clock).cancel("msgbatch_1").status == "ended"
    with pytest.raises(Unavailable):
        claude(Server(error(400), httpx2.Response(200, json=BATCH)), clock).cancel("msgbatch_1")


def test_an_id_is_quoted(clock: ManualClock) -> None:
    server = Server(httpx2.Response(200, json=BATCH))
    claude(server, clock).retrieve("../a b")
    assert server.requests[0].url.raw_path == b"/v1/messages/batches/..%2Fa%20b"


# ---------------------------------------------------------------- real connections


@contextmanager
def server_that(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """One connection on the loopback, served in a thread."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run() -> None:
            connection, _ = listener.accept()
            with connection:
                serve(connection)

        thread = threading.Thread(target=run)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(10)


def read_all(connection: socket.socket, length: int) -> None:
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536)
    left = length - len(received.split(b"\r\n\r\n", 1)[1])
    while left > 0:
        left -= len(connection.recv(65536))


def test_a_connection_dropped_while_sending_is_ambiguous(body: Path, clock: ManualClock) -> None:
    def drop(connection: socket.socket) -> None:
        connection.recv(1000)

    with server_that(drop) as url, pytest.raises(Ambiguous):
        AnthropicClaude(Keys(KEY), url, clock).create(body)


def test_a_connection_dropped_before_the_answer_is_ambiguous(body: Path, clock: ManualClock) -> None:
    length = body.stat().st_size
    with server_that(lambda connection: read_all(connection, length)) as url, pytest.raises(Ambiguous):
        AnthropicClaude(Keys(KEY), url, clock).create(body)


def test_an_answer_that_never_comes_is_ambiguous(body: Path, clock: ManualClock) -> None:
    def stall(connection: socket.socket) -> None:
        read_all(connection, body.stat().st_size)
        assert connection.recv(1) == b""  # the client gave up and closed

    with server_that(stall) as url, pytest.raises(Ambiguous, match="ReadTimeout"):
        AnthropicClaude(Keys(KEY), url, clock, create_seconds=1.0).create(body)


def test_nobody_listening_is_a_definite_no(body: Path, clock: ManualClock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(Refused) as caught:
        AnthropicClaude(Keys(KEY), url, clock).create(body)
    assert caught.value.kind == "connection_error"


@pytest.mark.parametrize("framing", ["Content-Length: 1000\r\n", "Transfer-Encoding: chunked\r\n"])
def test_a_results_stream_that_breaks_off_is_incomplete(clock: ManualClock, framing: str) -> None:
    def cut(connection: socket.socket) -> None:
        read_all(connection, 0)
        connection.sendall(f"HTTP/1.1 200 OK\r\n{framing}\r\n".encode() + b"3e8\r\n" * ("chunked" in framing) + b"x" * 100)

    received: list[bytes] = []
    with (
        server_that(cut) as url,
        AnthropicClaude(Keys(KEY), url, clock).results("msgbatch_1") as chunks,
        pytest.raises(Incomplete),
    ):
        received.extend(chunks)
    assert b"".join(received) == b"x" * 100
