"""The laptop system as a whole: the emulated AWS, Claude, the deployed stack, and a fast clock."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

from local import claude_api, deploy, relay
from local.aws import Aws
from local.claude_api import ClaudeApi
from local.errors import CannotRun
from local.paths import ENVIRONMENT, HOME, SYSTEM
from local.processes import Process, clean_environment, free_port

# EventBridge Scheduler runs once a minute at most; a demo need not wait for it. 0 leaves the ticks to the schedule.
_TICK_SECONDS = "BATCHDROP_TICK_SECONDS"
_USUAL_TICK_SECONDS = "2"

_SECRET = "ApiKeySecret"

type Say = Callable[[str], None]


@dataclass
class Memory:
    """What `.local/system.json` keeps between runs."""

    aws_port: int = 0
    claude_port: int = 0
    fingerprint: str = ""
    """Of what is deployed."""
    outputs: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls) -> Memory:
        return cls(**json.loads(SYSTEM.read_text())) if SYSTEM.exists() else cls()

    def save(self) -> None:
        HOME.mkdir(exist_ok=True)
        SYSTEM.write_text(json.dumps(asdict(self), indent=1))


@dataclass(frozen=True)
class System:
    """A running laptop system."""

    aws: Aws
    claude: ClaudeApi
    outputs: dict[str, str]
    stack: str

    def environment(self) -> dict[str, str]:
        """What `make up` prints. Never the API key."""
        return {
            **self.aws.environment(),
            "ANTHROPIC_BASE_URL": self.claude.url,
            "BATCHDROP_STACK": self.stack,
            "BATCHDROP_BUCKET": self.outputs["Bucket"],
            "BATCHDROP_TABLE": self.outputs["Table"],
            **self._access(),
            "BATCHDROP_SWITCH": self.outputs["Switch"],
            "BATCHDROP_PLAN_QUEUE": self.outputs["UploadsQueue"],
            "BATCHDROP_SUBMIT_QUEUE": self.outputs["SubmitQueue"],
            "BATCHDROP_COLLECT_QUEUE": self.outputs["CollectQueue"],
            "BATCHDROP_FINISH_QUEUE": self.outputs["FinishQueue"],
            "BATCHDROP_CONTROL_QUEUE": self.outputs["ControlsQueue"],
        }

    def _access(self) -> dict[str, str]:
        if _SECRET in self.outputs:
            return {"BATCHDROP_API_KEY_SECRET": self.outputs[_SECRET]}
        return {"BATCHDROP_WORKSPACE": self.outputs["Workspace"]}

    def exports(self) -> str:
        return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in self.environment().items())


def up(say: Say, extra: Sequence[str] = ()) -> System:
    """Starts what is not running and deploys what has changed. `extra` are template parameters, `Name=value`."""
    memory = Memory.load()
    aws = _start_aws(memory, say)
    claude = _start_claude(memory, say)
    overrides = deploy.parameters(claude.url, extra)
    fingerprint = deploy.fingerprint(overrides)
    if memory.fingerprint != fingerprint:
        say("Building and deploying the stack (sam build, sam deploy) ...")
        deploy.build(aws, overrides)
        memory.outputs = deploy.deploy(aws, deploy.stack_name(), overrides)
    _store_key(aws, claude, memory.outputs)
    if memory.fingerprint != fingerprint:
        _check(aws, memory.outputs["PollFunction"])
        memory.fingerprint = fingerprint
        memory.save()
    system = System(aws, claude, memory.outputs, deploy.stack_name())
    ENVIRONMENT.write_text(system.exports())
    _start_ticks(system)
    return system


def beside(stack: str, say: Say, extra: Sequence[str] = ()) -> System:
    """Deploys one more stack, as built by `up`, into the running AWS. It gets no extra ticks and is not remembered."""
    system = current()
    aws, claude = system.aws, system.claude
    say(f"Deploying the stack {stack} (sam deploy) ...")
    outputs = deploy.deploy(aws, stack, deploy.parameters(claude.url, extra))
    _store_key(aws, claude, outputs)
    _check(aws, outputs["PollFunction"])
    return System(aws, claude, outputs, stack)


def down() -> None:
    """Ends every process of this checkout's laptop system. Its data was in memory and is gone."""
    for process in (_ticks(), relay.process(), claude_api.emulator(0), Aws(0).process):
        process.stop()
    ENVIRONMENT.unlink(missing_ok=True)
    memory = Memory.load()
    memory.fingerprint = ""
    memory.save()


def current() -> System:
    """The one that is up. Raises CannotRun if there is none."""
    memory = Memory.load()
    if not (running() and memory.fingerprint):
        raise CannotRun("The laptop system is not running: run make up first.")
    return System(Aws(memory.aws_port), claude_api.choose(memory.claude_port), memory.outputs, deploy.stack_name())


def running() -> bool:
    return Aws(0).process.running()


def _start_aws(memory: Memory, say: Say) -> Aws:
    if not (Aws(memory.aws_port).process.running() and memory.aws_port):
        memory.aws_port = free_port(int(os.environ.get("BATCHDROP_AWS_PORT", memory.aws_port)))
        memory.fingerprint = ""
        memory.save()
        say(f"Starting MiniStack, the emulated AWS, on port {memory.aws_port} ...")
        Aws(memory.aws_port).start()
    return Aws(memory.aws_port)


def _start_claude(memory: Memory, say: Say) -> ClaudeApi:
    current = claude_api.choose(memory.claude_port)
    if current.process is None:
        say(f"Using the Claude API at {current.url} with the key from ANTHROPIC_API_KEY.")
        return current
    if not current.process.running():
        memory.claude_port = free_port(int(os.environ.get("BATCHDROP_CLAUDE_PORT", memory.claude_port)))
        memory.save()
        say(f"Starting the Claude emulator on port {memory.claude_port} ...")
        current = claude_api.choose(memory.claude_port)
        claude_api.start(current)
    return current


def _store_key(aws: Aws, claude: ClaudeApi, outputs: dict[str, str]) -> None:
    """With `ApiAccess=aws` there is no secret: keys are minted from the roles, which are MiniStack's and mean nothing to AWS."""
    if _SECRET in outputs:
        aws.secrets().put_secret_value(SecretId=outputs[_SECRET], SecretString=claude.key)
    elif claude.url == claude_api.REAL_URL:
        raise CannotRun("On the laptop, ApiAccess=aws works with the Claude emulator only: unset ANTHROPIC_API_KEY.")


def _check(aws: Aws, function: str) -> None:
    """Runs one tick at once: otherwise a function that cannot start would only show as a job that never appears."""
    answer = aws.functions().invoke(FunctionName=function, Payload=b'{"source": "local"}')
    if "FunctionError" in answer:
        raise CannotRun(f"{function} was deployed but fails: {answer['Payload'].read().decode()}")


def _ticks() -> Process:
    return Process("ticks", [sys.executable, "-m", "local.ticks"])


def _start_ticks(system: System) -> None:
    seconds = os.environ.get(_TICK_SECONDS, _USUAL_TICK_SECONDS)
    if seconds != "0" and not _ticks().running():
        _ticks().start(
            {
                **clean_environment(),
                **system.aws.environment(),
                _TICK_SECONDS: seconds,
                "FUNCTION": system.outputs["PollFunction"],
            }
        )
