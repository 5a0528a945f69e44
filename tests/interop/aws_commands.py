"""The AWS CLI, for the commands of the documents: `aws` in a shell is a client of one process that has the CLI loaded.

Loading it takes longer than most commands, and a page has dozens of them. The process forks for each command, which gets the
caller's files, folder and environment.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.interop.environment import PYTHON

ONLY_CHECKED = frozenset(
    {
        "create-change-set",
        "delete-bucket",
        "delete-stack",
        "describe-stack-drift-detection-status",
        "describe-stack-resource-drifts",
        "detect-stack-drift",
        "execute-change-set",
        "start-message-move-task",
        "update-stack",
    }
)
"""Not in moto as AWS has it, or the end of what other commands are about: the CLI checks the words and shows what would come."""
_SERVER = """
import json, os, socket, sys
from awscli.clidriver import create_clidriver
import awscli.customizations.s3.subcommands

driver = create_clidriver()
driver.session.get_data("cli")
for service in sys.argv[2:]:
    driver.session.get_service_model(service)

def run(given, files):
    for number, file in enumerate(files):
        os.dup2(file, number)
    os.chdir(given["folder"])
    kept = os.environ["AWS_DATA_PATH"]
    os.environ.clear()
    os.environ.update(given["environment"], AWS_DATA_PATH=kept)
    try:
        where = ["--endpoint-url", given["environment"]["AWS_ENDPOINT_URL"]]
        only_checked = ["--generate-cli-skeleton", "output"] if given["words"][1] in given["only_checked"] else []
        return driver.main([*where, *given["words"], *only_checked])
    except SystemExit as ended:
        return ended.code
    finally:
        sys.stdout.flush()

server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
while True:
    caller, _ = server.accept()
    data, files, _, _ = socket.recv_fds(caller, 1 << 20, 3)
    if not os.fork():
        code = run(json.loads(data), files)
        caller.send(bytes([code or 0]))
        os._exit(0)
    os.wait()
    caller.close()
    for file in files:
        os.close(file)
"""
_CLIENT = """
import json, os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({path!r})
given = {{"words": sys.argv[1:], "folder": os.getcwd(), "environment": dict(os.environ), "only_checked": {checked!r}}}
socket.send_fds(server, [json.dumps(given).encode()], [0, 1, 2])
sys.exit((server.recv(1) or bytes([255]))[0])
"""
_SECONDS = 60.0


@contextmanager
def aws_in(programs: Path, services: Sequence[str]) -> Iterator[None]:
    """`aws` in a folder of programs, as long as this lasts. `services`: those that it will be asked for, to be loaded once."""
    path = programs / "aws.socket"
    with subprocess.Popen([PYTHON, "-c", _SERVER, str(path), *services]) as server:
        try:
            end = time.monotonic() + _SECONDS
            while not path.exists() and server.poll() is None and time.monotonic() < end:
                time.sleep(0.05)
            (programs / "aws").write_text(f"#!{PYTHON} -SE\n{_CLIENT.format(path=str(path), checked=sorted(ONLY_CHECKED))}")
            (programs / "aws").chmod(0o755)
            yield
        finally:
            server.kill()
