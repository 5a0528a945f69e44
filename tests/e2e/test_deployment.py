"""From a clone to a stack that answers, without what developers set up: by `sam deploy --guided`, and by `create-stack`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local import deploy
from tests.e2e import guided
from tests.e2e.laptop import ACCOUNT, API_KEY, ROOT, Laptop, Role
from tests.policies import policy
from tests.stack import rows

RELEASES = "releases"


class Clone:
    """A checkout that nothing was set up in, on a machine with Python 3.13, make and SAM CLI."""

    def __init__(self, folder: Path, laptop: Laptop) -> None:
        self.folder = folder / "clone"
        tools = folder / "tools"
        tools.mkdir()
        (tools / "sam").symlink_to(Path(sys.executable).parent / "sam")
        (tools / "python3.13").symlink_to(Path(sys.base_prefix, "bin", "python3.13"))
        files = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True
        ).stdout
        for name in filter(None, files.decode().split("\0")):
            if (ROOT / name).is_file():
                target = self.folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes((ROOT / name).read_bytes())
                target.chmod((ROOT / name).stat().st_mode)
        aws = {name: value for name, value in laptop.env.items() if name.startswith("AWS_")}
        path = os.pathsep.join([str(tools), "/usr/bin", "/bin"])
        self.environment = {**os.environ, **aws, "PATH": path, "SAM_CLI_TELEMETRY": "0", "AWS_MAX_ATTEMPTS": "2"}

    def build(self) -> None:
        self.run("sam", "build", "--parameter-overrides", f"Architecture={deploy.architecture()}")
        assert not (self.folder / ".venv").exists()

    def deploy_guided(self, stack: str, claude: str, who: Mapping[str, str] = MappingProxyType({}), **parameters: str) -> str:
        """What `sam deploy --guided` shows. `who`: the credentials of somebody else."""
        code, said = guided.run(
            ["sam", "deploy", "--guided"],
            self.folder,
            {**self.environment, **who},
            {
                "Stack Name": stack,
                "Parameter Architecture": deploy.architecture(),
                "Parameter ApiBaseUrl": claude,
                "Parameter RequireTls": "false",
                **{f"Parameter {name}": value for name, value in parameters.items()},
                "Deploy this changeset?": "y",
            },
        )
        assert code == 0, said[-3000:]
        return said

    def run(self, *command: str) -> str:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-3000:]
        return done.stdout


@pytest.fixture(scope="module")
def clone(laptop: Laptop, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    return Clone(tmp_path_factory.mktemp("deployment"), laptop)


@pytest.fixture(scope="module")
def packaged(laptop: Laptop, clone: Clone) -> str:
    """The address of the template of a release."""
    laptop.s3.create_bucket(Bucket=RELEASES)
    said = clone.run("make", "package", f"BUCKET={RELEASES}", f"ARCHITECTURE={deploy.architecture()}")
    assert ".aws-sam/packaged.yaml" in said
    assert not (clone.folder / ".venv").exists()
    laptop.s3.upload_file(str(clone.folder / ".aws-sam" / "packaged.yaml"), RELEASES, "batchdrop.yaml")
    return f"{laptop.env['AWS_ENDPOINT_URL']}/{RELEASES}/batchdrop.yaml"


def test_a_guided_deployment_from_a_clone(laptop: Laptop, clone: Clone) -> None:
    clone.build()
    said = clone.deploy_guided("batchdrop-guided", laptop.claude.base_url)
    assert "Successfully created/updated stack - batchdrop-guided" in said
    _answers(laptop, "batchdrop-guided")


def test_the_policy_of_a_deploy_role_suffices(laptop: Laptop, clone: Clone) -> None:
    """The emulator checks what SAM CLI calls; what CloudFormation calls then is in tests/template."""
    stack = "batchdrop-released"
    release = laptop.assume("release", _filled("deploy-role", laptop, stack))
    iam = laptop.client("iam")
    document = json.dumps(_filled("boundary", laptop, stack))
    boundary = iam.create_policy(PolicyName=f"{stack}-boundary", PolicyDocument=document)["Policy"]["Arn"]
    clone.build()
    # SAM CLI's own bucket refuses clear text, and that is how the emulator is reached here. Only root it lets in all the same.
    clone.run("sam", "package", "--resolve-s3", "--output-template-file", os.devnull)
    for bucket in laptop.s3.list_buckets()["Buckets"]:
        if bucket["Name"].startswith("aws-sam-cli-managed-default-"):
            laptop.s3.delete_bucket_policy(Bucket=bucket["Name"])
    clone.deploy_guided(stack, laptop.claude.base_url, release.variables(), PermissionsBoundaryArn=boundary)
    roles = [one for one in _resources(laptop, stack) if one.startswith(f"{stack}-") and "Role" in one]
    assert len(roles) == 7
    for role in roles:  # what the template says, and the emulator passes over
        iam.put_role_permissions_boundary(RoleName=role, PermissionsBoundary=boundary)
    said = clone.deploy_guided(
        stack, laptop.claude.base_url, release.variables(), PermissionsBoundaryArn=boundary, LogRetentionDays="30"
    )
    assert "Successfully created/updated stack" in said
    _refuses_what_is_not_the_stacks(release, laptop, stack)
    _answers(laptop, stack, release)


def _filled(name: str, laptop: Laptop, stack: str) -> dict[str, Any]:
    text = json.dumps(policy(name, stack=stack, account=ACCOUNT, region=laptop.env["AWS_DEFAULT_REGION"]))
    # The emulator names a secret after its stack, CloudFormation does not.
    return dict(json.loads(text.replace(":secret:ApiKey-", f":secret:{stack}-ApiKey-")))


def _refuses_what_is_not_the_stacks(release: Role, laptop: Laptop, stack: str) -> None:
    refused: dict[str, Callable[[], object]] = {
        "another stack": lambda: release("cloudformation").update_stack(StackName=laptop.stack, UsePreviousTemplate=True),
        "a queue": lambda: release("sqs").create_queue(QueueName="another"),
        "a role without the boundary": lambda: release("iam").create_role(
            RoleName=f"{stack}-mine", AssumeRolePolicyDocument="{}"
        ),
        "a wider boundary": lambda: release("iam").create_policy_version(
            PolicyArn=f"arn:aws:iam::{ACCOUNT}:policy/{stack}-boundary", PolicyDocument="{}", SetAsDefault=True
        ),
        "the key": lambda: release("secretsmanager").get_secret_value(SecretId=laptop.output("ApiKeySecret")),
        "a file": lambda: release("s3").put_object(Bucket=laptop.bucket, Key="inbox/a.jsonl", Body=b""),
    }
    for what, call in refused.items():
        with pytest.raises(ClientError, match=r"not authorized|AccessDenied") as error:
            call()
        assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] in {400, 403}, what


def _resources(laptop: Laptop, stack: str) -> list[str]:
    """The physical ids of a stack's resources."""
    pages = laptop.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack)
    return [one["PhysicalResourceId"] for page in pages for one in page["StackResourceSummaries"]]


def test_a_release_is_deployed_by_create_stack_alone(laptop: Laptop, packaged: str) -> None:
    with pytest.raises(ClientError, match="CAPABILITY_AUTO_EXPAND"):
        _create(laptop, packaged, "CAPABILITY_IAM")
    _create(laptop, packaged, "CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND")
    _answers(laptop, "batchdrop-created")


def _create(laptop: Laptop, template: str, *capabilities: str, **parameters: str) -> None:
    chosen = {
        "Architecture": deploy.architecture(),
        "ApiBaseUrl": laptop.claude.base_url,
        "RequireTls": "false",
        **parameters,
    }
    cloudformation = laptop.client("cloudformation")
    cloudformation.create_stack(
        StackName="batchdrop-created",
        TemplateURL=template,
        Capabilities=list(capabilities),
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in chosen.items()],
    )
    cloudformation.get_waiter("stack_create_complete").wait(StackName="batchdrop-created", WaiterConfig={"Delay": 1})


def _answers(laptop: Laptop, stack: str, release: Role | None = None) -> None:
    """A file that is dropped into the stack is answered, and the stack deleted, by whoever has deployed it."""
    with _taken(laptop, stack, release) as deployed, deployed.ticking():
        job = deployed.drop("inbox/first.jsonl", rows(3)).wait().wait_for("done")
        assert job.manifest()["counts"]["succeeded"] == 3
        # The last that finish does: a function that is at work while its role is deleted logs an error.
        work = {"Bucket": deployed.bucket, "Prefix": f"work/{job.id}/"}
        deployed.wait(lambda: not deployed.s3.list_objects_v2(**work)["KeyCount"], "finish to end")


@contextmanager
def _taken(laptop: Laptop, stack: str, release: Role | None) -> Iterator[Laptop]:
    """A stack that was deployed by other means, with a key. It is deleted at the end: its schedule would go on."""
    cloudformation = laptop.client("cloudformation")
    found: dict[str, Any] = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
    outputs = {one["OutputKey"]: one["OutputValue"] for one in found["Outputs"]}
    laptop.client("secretsmanager").put_secret_value(SecretId=outputs["ApiKeySecret"], SecretString=API_KEY)
    named = {"BATCHDROP_STACK": stack, "BATCHDROP_BUCKET": outputs["Bucket"], "BATCHDROP_TABLE": outputs["Table"]}
    try:
        yield Laptop({**laptop.env, **named}, laptop.claude, laptop.home)
    finally:
        (release or laptop.client)("cloudformation").delete_stack(StackName=stack)
