"""What `sam local invoke` is given, and the way from a container to this machine."""

from __future__ import annotations

import asyncio
import platform
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import DockerException

from local import containers, deploy, deployed
from local.aws import Aws
from local.changes import changed
from local.deployed import Deployed
from local.errors import CannotRun
from local.paths import BUILD, ROOT
from local.relay import relay

_FUNCTION = Deployed(
    logical_id="PlanFunction",
    name="batchdrop-local-plan",
    role="arn:aws:iam::000000000000:role/plan",
    variables={"BATCHDROP_TABLE": "table"},
    layers=["DependenciesLayer", "CoreLayer"],
    properties={"Runtime": "python3.13", "Handler": "app.handler"},
    queue_arn="arn:aws:sqs:us-east-1:000000000000:uploads",
)


def test_the_profile_reads_what_is_written() -> None:
    profile = tomllib.loads((ROOT / "samconfig.toml").read_text())["local"]["local_invoke"]["parameters"]
    assert {name: ROOT / path for name, path in profile.items()} == {
        "template_file": containers.TEMPLATE,
        "env_vars": containers.VARIABLES,
    }


def test_the_command_is_plain_but_for_a_system_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = [".venv/bin/sam", "local", "invoke", "PlanFunction", "--config-env", "local", "--event", "plan.json"]
    assert containers.command("PlanFunction", Path("plan.json")) == plain
    monkeypatch.setattr(containers, "INVOKE", Path("elsewhere"))
    assert {"--template-file", "--env-vars"} < set(containers.command("PlanFunction", Path("plan.json")))


def test_the_template_has_the_function_as_it_is_deployed() -> None:
    made = containers.template([_FUNCTION], {"PlanFunction": {"A": "1"}}, {"DependenciesLayer": Path("/linux")})["Resources"]
    assert made["PlanFunction"]["Properties"] == {
        "Runtime": "python3.13",
        "Handler": "app.handler",
        "CodeUri": str(BUILD / "PlanFunction"),
        "Layers": [{"Ref": "DependenciesLayer"}, {"Ref": "CoreLayer"}],
        "Environment": {"Variables": {"A": "1"}},
    }
    layers = {name: made[name]["Properties"]["ContentUri"] for name in _FUNCTION.layers}
    assert layers == {"DependenciesLayer": "/linux", "CoreLayer": str(BUILD / "CoreLayer")}


class _Engine:
    def __init__(self, name: str) -> None:
        self._name = name
        self.networks = self

    def info(self) -> dict[str, str]:
        return {"Name": self._name}

    def get(self, name: str) -> Any:
        assert name == "bridge"
        return SimpleNamespace(attrs={"IPAM": {"Config": [{"Gateway": "172.17.0.1"}]}})

    def close(self) -> None: ...


@pytest.mark.parametrize(("name", "reached"), [(platform.node(), "172.17.0.1"), ("docker-desktop", "host.docker.internal")])
def test_where_a_container_reaches_this_machine(monkeypatch: pytest.MonkeyPatch, name: str, reached: str) -> None:
    monkeypatch.setattr("docker.from_env", lambda: _Engine(name))
    assert containers.address() == reached


def test_no_engine_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> None:
        raise DockerException("no socket")

    monkeypatch.setattr("docker.from_env", none)
    with pytest.raises(CannotRun, match=r"start Docker\. It said: no socket"):
        containers.address()


def test_only_the_emulators_are_reached_at_another_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started: list[tuple[str, list[int]]] = []

    def process(at: str = "", ports: Any = ()) -> Any:
        return SimpleNamespace(stop=lambda: None, start=lambda _: started.append((at, list(ports))))

    monkeypatch.setattr("local.relay.process", process)
    monkeypatch.setattr(containers, "_credentials", lambda *_: {"AWS_ACCESS_KEY_ID": "of the role"})
    for name in ("INVOKE", "TEMPLATE", "VARIABLES"):
        monkeypatch.setattr(containers, name, tmp_path / name if name != "INVOKE" else tmp_path)
    function = _with(ANTHROPIC_BASE_URL="https://api.anthropic.com", BATCHDROP_PLAN_QUEUE="http://127.0.0.1:4566/queue")
    containers.prepare(Aws(4566), [function], "172.17.0.1")
    assert started == [("172.17.0.1", [4566])]
    written = (tmp_path / "VARIABLES").read_text()
    assert '"AWS_ENDPOINT_URL": "http://172.17.0.1:4566"' in written
    assert '"ANTHROPIC_BASE_URL": "https://api.anthropic.com"' in written
    containers.prepare(Aws(4566), [function], "host.docker.internal")
    assert len(started) == 1


def _with(**variables: str) -> Deployed:
    return Deployed(**{**vars(_FUNCTION), "variables": variables})


def test_on_a_mac_the_packages_are_built_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[str, dict[str, str]]] = []
    monkeypatch.setattr(deploy, "_sam", lambda command, arguments, environment: ran.append((arguments[0], environment)))
    assert deploy.packages(Aws(1)) == BUILD / "DependenciesLayer"
    assert ran == []
    monkeypatch.setattr(sys, "platform", "darwin")
    assert deploy.packages(Aws(1)) != BUILD / "DependenciesLayer"
    ((layer, environment),) = ran
    assert layer == "DependenciesLayer"
    assert "LAYER_PLATFORM" not in environment


def test_functions_go_on_whatever_happens() -> None:
    calls: list[tuple[str, Any]] = []
    lambdas = SimpleNamespace(
        list_event_source_mappings=lambda FunctionName: {"EventSourceMappings": [{"UUID": FunctionName}]},
        update_event_source_mapping=lambda UUID, Enabled: calls.append((UUID, Enabled)),
        put_function_concurrency=lambda FunctionName, ReservedConcurrentExecutions: calls.append((FunctionName, 0)),
        delete_function_concurrency=lambda FunctionName: calls.append((FunctionName, "free")),
    )
    aws: Any = SimpleNamespace(functions=lambda: lambdas)
    with pytest.raises(KeyboardInterrupt), deployed.still(aws, [_FUNCTION]):
        raise KeyboardInterrupt
    name = _FUNCTION.name
    assert calls == [(name, False), (name, 0), (name, "free"), (name, True)]


def test_what_changed_is_told_and_the_rest_is_not() -> None:
    before = {"job 1": "running", "job 2": "done", "work/part": "5 bytes", "status.json": "a" * 60}
    after = {"job 1": "finishing", "job 2": "done", "outbox/results.jsonl": "9 bytes", "status.json": "b" * 60}
    assert changed(before, after) == [
        "What changed:",
        "  job 1: running -> finishing",
        "  outbox/results.jsonl: none -> 9 bytes",
        "  status.json:",
        f"    {'a' * 60}",
        f"    -> {'b' * 60}",
        "  work/part: 5 bytes -> none",
    ]
    assert changed(after, after) == ["Nothing changed."]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux needs it, and has a second loopback address")
def test_what_arrives_at_another_address_is_passed_on() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.readline()).upper())
        await writer.drain()
        writer.close()

    async def talk() -> bytes:
        async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            relaying = asyncio.create_task(relay("127.0.0.2", [port]))
            await asyncio.sleep(0)
            reader, writer = await asyncio.open_connection("127.0.0.2", port)
            writer.write(b"answer\n")
            answer = await reader.read()
            writer.close()
            await writer.wait_closed()
            relaying.cancel()
            await asyncio.gather(relaying, return_exceptions=True)
            return answer

    assert asyncio.run(talk()) == b"ANSWER\n"
