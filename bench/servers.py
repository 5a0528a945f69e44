"""What Batchdrop talks to while it is measured, each in a process of its own, so that what they cost is not charged to it.

S3 is `bench.standin`, which copies no byte it need not; table, queues, switch, secret and topic are MiniStack; the API is the
Claude emulator with its clock stopped, so that no time of the provider is in a figure.
"""

from __future__ import annotations

import http.client
import subprocess
import sys
import sysconfig
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import boto3

from bench import deployed
from bench.standin import FILE_HEADER
from local.aws import CREDENTIALS
from local.claude.client import Control, start
from local.paths import MINISTACK_PYTHON, ROOT
from local.processes import clean_environment, free_port

BUCKET = "bucket"
TABLE = "table"
_PATIENCE = 30.0
_KEYS = [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}]


class Servers(NamedTuple):
    s3: str
    claude: Control
    folder: Path
    environment: Mapping[str, str]
    """For a function: where everything is, and the settings that the template gives it."""

    def drop(self, key: str, file: Path) -> str:
        """Makes a file an object without reading it. Returns its version id."""
        address = urlsplit(self.s3)
        connection = http.client.HTTPConnection(address.netloc)
        connection.request("PUT", f"/{BUCKET}/{quote(key)}", headers={FILE_HEADER: str(file), "Content-Length": "0"})
        version = connection.getresponse().headers["x-amz-version-id"]
        connection.close()
        return version

    def client(self, service: str) -> Any:  # noqa: ANN401 - boto3 makes the type at run time
        session: Any = boto3.Session(
            CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"], region_name=CREDENTIALS["AWS_DEFAULT_REGION"]
        )
        endpoint = self.s3 if service == "s3" else self.environment["AWS_ENDPOINT_URL"]
        return session.client(service, endpoint_url=endpoint)

    def clear(self) -> None:
        """An empty table; objects and batches of earlier measurements stay, in nobody's way."""
        table = self.client("dynamodb")
        table.delete_table(TableName=TABLE)
        _create_table(table)
        self.claude.reset()


@contextmanager
def running(folder: Path, *claude_options: str) -> Iterator[Servers]:
    """Everything started, and ended at the end. `folder` is where S3's objects lie."""
    objects = folder / "objects"
    objects.mkdir()
    with (
        _standin(objects) as s3,
        _ministack(folder) as aws,
        start("--clock", "manual", "--spool", str(_made(folder / "claude")), *claude_options) as claude,
    ):
        place = {**CREDENTIALS, "AWS_ENDPOINT_URL": aws, "AWS_ENDPOINT_URL_S3": s3, "ANTHROPIC_BASE_URL": claude.base_url}
        servers = Servers(s3, claude, folder, place)
        settings = _set_up(servers)
        yield servers._replace(environment={**clean_environment(), **place, **settings})


def _set_up(servers: Servers) -> dict[str, str]:
    _create_table(servers.client("dynamodb"))
    queues = servers.client("sqs")
    named = {name: queues.create_queue(QueueName=name)["QueueUrl"] for name in ("plan", "submit", "collect", "finish", "control")}
    servers.client("ssm").put_parameter(Name="/bench/switch", Value="run", Type="String")
    servers.client("secretsmanager").create_secret(Name="key", SecretString="sk-ant-bench")
    topic = servers.client("sns").create_topic(Name="jobs")["TopicArn"]
    return {
        **deployed.limits(),
        "POWERTOOLS_METRICS_NAMESPACE": "Batchdrop",
        "POWERTOOLS_SERVICE_NAME": "bench",
        "BATCHDROP_ACCOUNT": "123456789012",
        "BATCHDROP_BUCKET": BUCKET,
        "BATCHDROP_TABLE": TABLE,
        "BATCHDROP_SWITCH": "/bench/switch",
        "BATCHDROP_API_KEY_SECRET": "key",
        "BATCHDROP_TOPIC": topic,
        "BATCHDROP_EVENT_BUS": "default",
        **{f"BATCHDROP_{name.upper()}_QUEUE": url for name, url in named.items()},
    }


def _create_table(table: Any) -> None:  # noqa: ANN401 - see Servers.client
    table.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=_KEYS,
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "shelf", "due")],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "open",
                "KeySchema": [
                    {"AttributeName": "shelf", "KeyType": "HASH"},
                    {"AttributeName": "due", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )


@contextmanager
def _standin(folder: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "bench.standin", str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


@contextmanager
def _ministack(folder: Path) -> Iterator[str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {
        **clean_environment(),
        **CREDENTIALS,
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "MINISTACK_HOST": "127.0.0.1",
        "SFTP_ENABLED": "0",
        "TMPDIR": str(_made(folder / "aws")),
    }
    server = [str(MINISTACK_PYTHON), "-I", str(ROOT / "local" / "ministack_server.py"), sysconfig.get_paths()["platlib"]]
    with (
        (folder / "ministack.log").open("wb") as log,
        subprocess.Popen(server, env=environment, stdout=log, stderr=log) as process,
    ):
        try:
            _wait_for(f"{url}/_ministack/health", process)
            yield url
        finally:
            process.terminate()


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < end:
        try:
            direct.open(url, timeout=2).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError("MiniStack did not start")


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder
