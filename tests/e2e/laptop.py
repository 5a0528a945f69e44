"""The deployed stack on this machine, as a user, an operator and a test see it."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import psutil

from batchdrop.adapters.clock import SystemClock
from batchdrop.adapters.dynamodb import DynamoLedger
from batchdrop.adapters.s3 import S3Objects
from batchdrop.domain import ids, keys
from batchdrop.domain.records import ObjectRef
from batchdrop_cli.audit.evidence import EmulatorEvidence
from batchdrop_cli.audit.findings import Finding
from batchdrop_cli.audit.job_audit import AuditJob
from local.claude.client import Control, start

ROOT = Path(__file__).parents[2]
API_KEY = "sk-ant-planted-key-5150"
ACCOUNT = "000000000000"
# Bounds of waiting, never of judging: these machines are shared.
PATIENCE = 300.0
_LOOK = 0.2


class Laptop:
    """One running system. `claude` controls the emulator that the stack calls."""

    def __init__(
        self, environment: dict[str, str], claude: Control, home: Path, root: Path = ROOT, parameters: tuple[str, ...] = ()
    ) -> None:
        self._parameters = parameters
        self.env = environment
        self.claude = claude
        self.home = home
        self.root = root
        self.bucket = environment["BATCHDROP_BUCKET"]
        self.stack = environment["BATCHDROP_STACK"]
        self.s3 = self.client("s3")
        self.sqs = self.client("sqs")

    def client(self, service: str, **options: Any) -> Any:
        make: Any = boto3.client  # its overloads know every service by a literal name
        return make(
            service,
            endpoint_url=self.env["AWS_ENDPOINT_URL"],
            region_name=self.env["AWS_DEFAULT_REGION"],
            **{
                "aws_access_key_id": self.env["AWS_ACCESS_KEY_ID"],
                "aws_secret_access_key": self.env["AWS_SECRET_ACCESS_KEY"],
                **options,
            },
        )

    def assume(self, name: str, policy: dict[str, Any]) -> Role:
        """Somebody who has assumed a new role with that policy alone."""
        iam = self.client("iam")
        allowed = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}
        trust = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
        iam.put_role_policy(RoleName=name, PolicyName="only", PolicyDocument=json.dumps(policy))
        found = self.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
        return Role(self, found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"])

    # ---------------------------------------------------------------- the user

    def drop(self, key: str, body: bytes | Path) -> Job:
        if isinstance(body, Path):
            with body.open("rb") as file:
                version = self.s3.put_object(Bucket=self.bucket, Key=key, Body=file)["VersionId"]
        else:
            version = self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)["VersionId"]
        return self.job_of(key, version)

    def job_of(self, key: str, version: str) -> Job:
        seen = self.s3.head_object(Bucket=self.bucket, Key=key, VersionId=version)
        ref = ObjectRef(bucket=self.bucket, key=key, version_id=version)
        return Job(self, ids.job_id(ref, seen["LastModified"]), key, version)

    def create_folder(self, key: str) -> str:
        """As "Create folder" in the S3 console does it. The version of the object."""
        return str(self.s3.put_object(Bucket=self.bucket, Key=f"{key}/")["VersionId"])

    def exists(self, key: str) -> bool:
        return bool(self.s3.list_objects_v2(Bucket=self.bucket, Prefix=key, MaxKeys=1).get("KeyCount"))

    def demo(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`make demo` on this system, without a terminal."""
        return _run_local(self.home, self.claude, "demo", *_chosen(self._parameters), *arguments, root=self.root)

    def invoke(self, function: str) -> subprocess.CompletedProcess[str]:
        """`make invoke` on this system."""
        return _run_local(self.home, self.claude, "invoke", function, root=self.root)

    # ---------------------------------------------------------------- the operator

    def switch(self, state: str) -> None:
        item = {"pk": {"S": "SWITCH"}, "sk": {"S": "SWITCH"}, "position": {"S": state}}
        self.client("dynamodb").put_item(TableName=self.env["BATCHDROP_TABLE"], Item=item)

    def logs(self) -> str:
        """Every line that any function of the stack has logged."""
        logs = self.client("logs")
        lines: list[str] = []
        for group in logs.get_paginator("describe_log_groups").paginate():
            for one in group["logGroups"]:
                for page in logs.get_paginator("filter_log_events").paginate(logGroupName=one["logGroupName"]):
                    lines += [event["message"] for event in page["events"]]
        return "\n".join(lines)

    def output(self, name: str) -> str:
        """An output of the stack."""
        outputs = self.client("cloudformation").describe_stacks(StackName=self.stack)["Stacks"][0]["Outputs"]
        return str(next(one["OutputValue"] for one in outputs if one["OutputKey"] == name))

    def receive(self, queue_url: str) -> str:
        """Takes one message away from a queue, waiting for it, and returns its body."""
        taken: list[str] = []

        def take() -> bool:
            for message in self.sqs.receive_message(QueueUrl=queue_url).get("Messages", []):
                self.sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
                taken.append(message["Body"])
            return bool(taken)

        self.wait(take, "a message")
        return taken[0]

    def update(self, *parameters: str) -> None:
        """Deploys what the checkout holds now over the stack."""
        _local(self.home, self.claude, "up", *_chosen(parameters), root=self.root)

    def tick(self) -> None:
        """One run of poll. Nobody minds if it fails: the next one does the same."""
        self.client("lambda").invoke(FunctionName=f"{self.stack}-poll", Payload=b'{"source": "test"}')

    @contextmanager
    def ticking(self, seconds: float = 1.0) -> Iterator[None]:
        """A fast clock for a stack that has none."""
        ended = threading.Event()

        def run() -> None:
            while not ended.wait(seconds):
                self.tick()

        clock = threading.Thread(target=run)
        clock.start()
        try:
            yield
        finally:
            ended.set()
            clock.join()

    def ledger(self) -> DynamoLedger:
        return DynamoLedger(self.client("dynamodb"), self.env["BATCHDROP_TABLE"], SystemClock())

    def auditor(self) -> AuditJob:
        """The checker over this stack's table and bucket, and everything that the emulator has accepted."""

        def versions(key: str) -> int:
            found = self.s3.list_object_versions(Bucket=self.bucket, Prefix=key)
            return sum(one["Key"] == key for one in found.get("Versions", []))

        evidence = EmulatorEvidence(self.claude.base_url)
        return AuditJob(objects=S3Objects(self.s3, self.bucket), ledger=self.ledger(), evidence=evidence, count_versions=versions)

    # ---------------------------------------------------------------- the machine

    def workers(self, stage: str) -> list[psutil.Process]:
        """The processes that run one function now."""
        name = f"{self.stack}-{stage}"
        found = []
        for process in psutil.process_iter():
            try:
                inside = str(self.home) in " ".join(process.cmdline())
                if inside and process.environ().get("AWS_LAMBDA_FUNCTION_NAME") == name:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def peak_memory(self, stage: str) -> int:
        """Highest resident set of any worker of a function in its life, in bytes, as the kernel counted it."""
        peaks = [Path(f"/proc/{worker.pid}/status").read_text() for worker in self.workers(stage)]
        return max((int(found[1]) * 1024 for text in peaks if (found := re.search(r"VmHWM:\s+(\d+) kB", text))), default=0)

    def wait(self, condition: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"waited {seconds:.0f} s for {what}"
            time.sleep(_LOOK)


class Role(NamedTuple):
    laptop: Laptop
    access_key_id: str
    secret_access_key: str
    session_token: str

    def __call__(self, service: str) -> Any:
        """A client of the service."""
        keys = {f"aws_{name}": value for name, value in self._asdict().items() if name != "laptop"}
        return self.laptop.client(service, **keys)

    def variables(self) -> dict[str, str]:
        """The credentials, as a program finds them."""
        return {f"AWS_{name.upper()}": value for name, value in self._asdict().items() if name != "laptop"}


class Job:
    def __init__(self, laptop: Laptop, job_id: str, key: str, version: str) -> None:
        self.laptop = laptop
        self.id = job_id
        self.key = key
        self.version = version
        self.folder = keys.outbox_folder(key, job_id)

    def wait(self, seconds: float = PATIENCE) -> Job:
        """Until the manifest is there: then everything is."""
        self.laptop.wait(lambda: self.laptop.exists(self.folder + "manifest.json"), f"{self.key} to end", seconds)
        return self

    def wait_for(self, state: str) -> Job:
        self.laptop.wait(lambda: self.status().get("state") == state, f"{self.key} to be {state}")
        return self

    def asked(self) -> dict[str, Any]:
        """Its status once it asks."""
        self.laptop.wait(lambda: bool(self.status().get("question")), f"{self.key} to ask")
        return self.status()

    def read(self, name: str) -> bytes:
        return bytes(self.laptop.s3.get_object(Bucket=self.laptop.bucket, Key=self.folder + name)["Body"].read())

    def status(self) -> dict[str, Any]:
        return dict(json.loads(self.read("status.json"))) if self.laptop.exists(self.folder + "status.json") else {}

    def manifest(self) -> dict[str, Any]:
        return dict(json.loads(self.read("manifest.json")))

    def lines(self, name: str) -> list[dict[str, Any]]:
        if not self.laptop.exists(self.folder + name):
            return []
        return [json.loads(line) for line in self.read(name).split(b"\n") if line]

    def event(self) -> str:
        """The message that the upload rule sends for this object."""
        created = json.loads(json.loads((ROOT / "tests" / "events" / "plan-upload.json").read_text())["Records"][0]["body"])
        created["account"] = ACCOUNT
        created["detail"]["bucket"]["name"] = self.laptop.bucket
        created["detail"]["object"].update({"key": self.key, "version-id": self.version})
        created["time"] = f"{datetime.strptime(self.id.split('-')[0], '%Y%m%dT%H%M%S%z'):%Y-%m-%dT%H:%M:%SZ}"
        return json.dumps(created)

    def audit(self) -> list[Finding]:
        """Everything that is wrong with the job."""
        return self.laptop.auditor()(self.id)


def home(name: str) -> Path:
    """Where a laptop system for tests keeps everything: tests run in several processes, and each has its own."""
    return ROOT / ".local" / (name + os.environ.get("PYTEST_XDIST_WORKER", ""))


@contextmanager
def running(home: Path, *parameters: str, emulator: tuple[str, ...] = ("--seconds", "1"), root: Path = ROOT) -> Iterator[Laptop]:
    """A laptop system of its own in `home`, with the emulator taken for a real API: its key must reach it and nothing else.

    `root` is the checkout that is deployed, set up.
    """
    with start(*emulator) as claude:
        try:
            yield Laptop(_local(home, claude, "up", *_chosen(parameters), root=root), claude, home, root, parameters)
        finally:
            _local(home, claude, "down", root=root)


def beside(laptop: Laptop, stack: str, *parameters: str) -> Laptop:
    """A second stack in the same account and region, with the same API and key. Its poll runs only when it is told to."""
    exports = _local(laptop.home, laptop.claude, "beside", stack, *_chosen(parameters))
    return Laptop(exports, laptop.claude, laptop.home)


def _chosen(parameters: tuple[str, ...]) -> list[str]:
    return [word for parameter in parameters for word in ("--parameter", parameter)]


def _local(home: Path, claude: Control, *arguments: str, root: Path = ROOT) -> dict[str, str]:
    """Runs a checkout's `python -m local`; returns the variables that it prints."""
    done = _run_local(home, claude, *arguments, root=root)
    assert done.returncode == 0, done.stderr
    exports = [line.removeprefix("export ") for line in done.stdout.splitlines()]
    return dict(shlex.split(line)[0].split("=", 1) for line in exports)


def _run_local(home: Path, claude: Control, *arguments: str, root: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "BATCHDROP_LOCAL": str(home),
        "BATCHDROP_TICK_SECONDS": "1",
        "ANTHROPIC_API_KEY": API_KEY,
        "ANTHROPIC_BASE_URL": claude.base_url,
    }
    return subprocess.run(
        [str(root / ".venv" / "bin" / "python"), "-m", "local", *arguments],
        cwd=root,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
