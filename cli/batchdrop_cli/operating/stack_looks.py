"""What an operator can look at: whether a stack can do its work now. Nothing is written, and no secret is read."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

import boto3
from botocore.exceptions import ClientError

from batchdrop.adapters.clock import SystemClock
from batchdrop.adapters.dynamodb import DynamoLedger
from batchdrop.ports import SwitchState
from batchdrop_cli.amounts_said import duration, number
from batchdrop_cli.operating.deployed_stack import KEY_OUTPUT, WORKSPACE_OUTPUT, DeployedStack
from batchdrop_cli.operating.finding import Finding, Look, ok, problem, unknown
from batchdrop_cli.operating.positions import Switch
from batchdrop_cli.operating.spending_looks import spending_looks
from batchdrop_client.plain_text import plain

# `poll` runs every five minutes at the least: the alarm HeartbeatAlarm of the template.
_TICK_SECONDS = 600
# What the functions need (README, "Deploy"): the quota of a new account.
_LEAST_CONCURRENCY = 10
_LIST_OF_MODELS_AGE = timedelta(days=2)
_SHOWN_ALARMS = 5


def stack_looks(stack: DeployedStack) -> Iterator[tuple[str, Look]]:
    yield "stack", partial(_state, stack)
    yield "key", partial(_key, stack)
    yield "models", partial(_models, stack)
    yield "switch", partial(_switch, stack)
    yield from spending_looks(stack)
    yield "schedule", partial(_schedule, stack)
    yield "heartbeat", partial(_heartbeat, stack)
    for output in ("DeadLetters", "Undelivered"):
        yield output, partial(_empty, stack, output)
    yield "alarms", partial(_alarms, stack)
    yield "subscribers", partial(_subscribers, stack)
    yield "concurrency", _concurrency


def _state(stack: DeployedStack) -> Finding:
    if stack.state in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        return ok(f"{plain(stack.name)} is deployed ({stack.state}).")
    return problem(
        f"{plain(stack.name)} is in the state {stack.state}. Look at its events in CloudFormation, and deploy it again."
    )


def _key(stack: DeployedStack) -> Finding:
    if workspace := stack.outputs.get(WORKSPACE_OUTPUT):
        return ok(f"None is needed: keys are minted for the workspace {plain(workspace)}.")
    secret = boto3.client("secretsmanager").describe_secret(SecretId=stack.output(KEY_OUTPUT))
    if len(secret.get("VersionIdsToStages", {})) > 1:
        return ok("One was stored; its value is not looked at.")
    return problem("The secret holds a placeholder. Run the command in the stack's output PutApiKey.")


def _models(stack: DeployedStack) -> Finding:
    """The stack asks for the list once a day, with its key."""
    ledger = DynamoLedger(boto3.client("dynamodb"), stack.output("Table"), SystemClock())
    listed = ledger.get_models()
    if listed is None:
        return problem("The stack has never got the list of models from Claude. Look at key, switch and heartbeat.")
    if (changed := _key_changed(stack)) is not None and changed > listed.fetched_at:
        return unknown("The key was changed after the list of models came. Whether it works shows within a day, or with a file.")
    age = datetime.now(UTC) - listed.fetched_at
    told = f"The list of models came {duration(age.total_seconds())} ago"
    if age < _LIST_OF_MODELS_AGE:
        return ok(f"{told}: Claude can be reached with the key.")
    return problem(f"{told}. Look at the key, and at the log of the function poll.")


def _key_changed(stack: DeployedStack) -> datetime | None:
    """None: there is none, or one may not know."""
    if KEY_OUTPUT not in stack.outputs:
        return None
    try:
        return boto3.client("secretsmanager").describe_secret(SecretId=stack.outputs[KEY_OUTPUT]).get("LastChangedDate")
    except ClientError:
        return None


def _switch(stack: DeployedStack) -> Finding:
    parameter = stack.outputs.get("Switch", f"/{stack.name}/switch")
    positions = Switch(boto3.client("dynamodb"), stack.output("Table"), boto3.client("ssm"), parameter).positions()
    if positions.counts is SwitchState.run:
        return ok("It stands at run.")
    return problem(f"It stands at {positions.counts}: nothing is sent. To go on: batchdrop switch run --stack {stack.name}")


def _schedule(stack: DeployedStack) -> Finding:
    found = boto3.client("scheduler").get_schedule(Name=stack.output("Schedule"))
    if found.get("State") == "ENABLED":
        return ok(f"poll is invoked by {plain(found.get('ScheduleExpression', ''))}.")
    return problem(f"The schedule {plain(stack.outputs['Schedule'])} is disabled: nothing is watched. Enable it.")


def _heartbeat(stack: DeployedStack) -> Finding:
    now = datetime.now(UTC)
    found = boto3.client("cloudwatch").get_metric_data(
        MetricDataQueries=[
            {
                "Id": "ticks",
                "MetricStat": {
                    "Metric": {
                        "Namespace": "AWS/Lambda",
                        "MetricName": "Invocations",
                        "Dimensions": [{"Name": "FunctionName", "Value": stack.output("PollFunction")}],
                    },
                    "Period": 60,
                    "Stat": "Sum",
                },
            }
        ],
        StartTime=now - timedelta(seconds=_TICK_SECONDS),
        EndTime=now,
    )
    ticks = int(sum(sum(one.get("Values", [])) for one in found["MetricDataResults"]))
    minutes = _TICK_SECONDS // 60
    if ticks:
        return ok(f"poll ran {number(ticks, 'time')} in the last {minutes} minutes.")
    return problem(f"poll has not run for {minutes} minutes: nothing is watched. Look at schedule, quota and the log of poll.")


def _empty(stack: DeployedStack, output: str) -> Finding:
    queue = stack.output(output)
    found = boto3.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["ApproximateNumberOfMessages"])
    messages = int(found["Attributes"]["ApproximateNumberOfMessages"])
    if not messages:
        return ok("The queue is empty.")
    return problem(f"{number(messages, 'message')} could not be worked on. docs/operations.md says how to redrive them.")


def _alarms(stack: DeployedStack) -> Finding:
    pages = (
        boto3.client("cloudwatch").get_paginator("describe_alarms").paginate(AlarmNamePrefix=f"{stack.name}-", StateValue="ALARM")
    )
    names = [plain(one["AlarmName"]) for page in pages for one in page.get("MetricAlarms", [])]
    if not names:
        return ok("None is raised.")
    more = f" and {len(names) - _SHOWN_ALARMS} more" if names[_SHOWN_ALARMS:] else ""
    return problem(
        f"{number(len(names), 'alarm')}: {', '.join(names[:_SHOWN_ALARMS])}{more}. docs/operations.md has a heading for each."
    )


def _subscribers(stack: DeployedStack) -> Finding:
    topic = stack.output("AlarmTopic")
    pages = boto3.client("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
    found = [one.get("SubscriptionArn", "") for page in pages for one in page.get("Subscriptions", [])]
    confirmed = sum(arn.startswith("arn:") for arn in found)
    if confirmed:
        return ok(f"{number(confirmed, 'subscriber')} of the alarms {'has' if confirmed == 1 else 'have'} confirmed it.")
    if found:
        return problem("Nobody is told of alarms: no subscription is confirmed. Follow the link in the mail from AWS.")
    return problem("Nobody is told of alarms. Deploy with AlarmEmail, or subscribe somebody to the output AlarmTopic.")


def _concurrency() -> Finding:
    limit = boto3.client("lambda").get_account_settings()["AccountLimit"].get("UnreservedConcurrentExecutions", 0)
    if limit >= _LEAST_CONCURRENCY:
        return ok(f"{limit:,} functions of the account may run at the same time.")
    few = f"Only {number(limit, 'function')} may run at the same time, and {_LEAST_CONCURRENCY} are needed."
    return problem(f"{few} Have the quota raised, or less of it reserved.")
