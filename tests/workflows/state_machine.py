"""An execution of the example: its states by MiniStack's interpreter, its calls of S3 by a client of the test's."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from local.paths import MINISTACK_PYTHON, ROOT
from tests.stack import BUCKET
from tests.template.evaluator import Decision, Request, decide

DEFINITION = ROOT / "examples" / "workflows" / "batchdrop.asl.json"
_INTERPRETER = ROOT / "tests" / "workflows" / "interpreter.py"
_ROLE = json.loads((ROOT / "examples" / "workflows" / "role.json").read_text().replace("BUCKET", BUCKET))
_CALLS = {
    "arn:aws:states:::aws-sdk:s3:putObject": ("put_object", "s3:PutObject"),
    "arn:aws:states:::aws-sdk:s3:getObject": ("get_object", "s3:GetObject"),
    "arn:aws:states:::aws-sdk:s3:listObjectsV2": ("list_objects_v2", "s3:ListBucket"),
}
MOST_BYTES = 262_144
"""Of the input or the result of a state: https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html"""


class Execution:
    """What it did, and how it ended."""

    def __init__(self, s3: Any, given: dict[str, Any], name: str, pass_time: Callable[[float], object]) -> None:
        self._s3 = s3
        self.waits: list[float] = []
        self.calls: list[str] = []
        with subprocess.Popen(
            [str(MINISTACK_PYTHON), "-I", str(_INTERPRETER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin
            assert process.stdout
            said: dict[str, Any] = {"definition": DEFINITION.read_text(), "name": name, "input": given}
            while True:
                process.stdin.write(json.dumps(said) + "\n")
                process.stdin.flush()
                asked = json.loads(process.stdout.readline())
                if "end" in asked:
                    break
                if "wait" in asked:
                    self.waits.append(asked["wait"])
                    pass_time(asked["wait"])
                    said = {}
                else:
                    said = self._call(asked["task"], asked["arguments"])
        self.status: str = asked["end"]["status"]
        self.error: str = asked["end"].get("error", "")
        self.cause: str = asked["end"].get("cause", "")
        self.output: dict[str, Any] = json.loads(asked["end"].get("output") or "{}")

    def _call(self, resource: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """With the names of results and errors that the integration of AWS has, which is made of the SDK for Java 2."""
        name, action = _CALLS[resource]
        self.calls.append(name)
        if not _may(action, arguments):
            return {"error": "S3.S3Exception", "cause": "Access Denied (Service: S3, Status Code: 403, Request ID: 1)"}
        try:
            found = getattr(self._s3, name)(**arguments)
        except ClientError as error:
            said, status = error.response["Error"], error.response["ResponseMetadata"]["HTTPStatusCode"]
            kind = "NoSuchKeyException" if said["Code"] == "NoSuchKey" else "S3Exception"
            return {"error": f"S3.{kind}", "cause": f"{said['Message']} (Service: S3, Status Code: {status}, Request ID: 1)"}
        if "Body" in found:
            found["Body"] = found["Body"].read().decode()
        del found["ResponseMetadata"]
        result = json.dumps(found, default=str)
        assert len(result.encode()) <= MOST_BYTES
        return {"result": json.loads(result)}


def _may(action: str, arguments: dict[str, Any]) -> bool:
    """Whether the role of the example allows it."""
    resource = "/".join(filter(None, (f"arn:aws:s3:::{arguments['Bucket']}", arguments.get("Key"))))
    context = {"s3:prefix": arguments["Prefix"]} if "Prefix" in arguments else {}
    return decide(Request(action, resource, {"AWS": "role"}, context), [_ROLE], {"Statement": []}) is Decision.allow
