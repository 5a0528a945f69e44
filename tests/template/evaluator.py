"""What AWS says to a request within one account, by the policies of the template.

IAM user guide, "Policy evaluation logic" and "IAM JSON policy elements: Condition operators", as far as they are needed here.
Whatever a policy uses and this does not know is an error, never a match.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from tests.template.facts import Template, as_list, of_type

ACCOUNT = "123456789012"
REGION = "eu-central-1"
STACK = "batchdrop"
_PSEUDO = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::StackName": STACK,
    "AWS::URLSuffix": "amazonaws.com",
}
_NO_VALUE = object()

# Where the template gives a name.
_NAMES = ("FunctionName", "LayerName", "LogGroupName", "Name")
_ARNS = {
    "AWS::CloudWatch::Alarm": "arn:aws:cloudwatch:{at}:alarm:{name}",
    "AWS::DynamoDB::Table": "arn:aws:dynamodb:{at}:table/{name}",
    "AWS::Events::Rule": "arn:aws:events:{at}:rule/{name}",
    "AWS::IAM::Role": "arn:aws:iam::{account}:role/{name}",
    "AWS::Lambda::EventSourceMapping": "arn:aws:lambda:{at}:event-source-mapping:9a1a0f52-53c4-4f3c-8d5c-0e5f1c9d7b0e",
    "AWS::Lambda::Function": "arn:aws:lambda:{at}:function:{name}",
    "AWS::Lambda::LayerVersion": "arn:aws:lambda:{at}:layer:{name}:1",
    "AWS::Logs::LogGroup": "arn:aws:logs:{at}:log-group:{name}:*",
    "AWS::S3::Bucket": "arn:aws:s3:::{low}",
    "AWS::SSM::Parameter": "arn:aws:ssm:{at}:parameter{name}",
    "AWS::Scheduler::Schedule": "arn:aws:scheduler:{at}:schedule/default/{name}",
    "AWS::SecretsManager::Secret": "arn:aws:secretsmanager:{at}:secret:{logical_id}-1A2B3C4D5E6F-aB3dE6",
}

type Policy = Mapping[str, Any]


class Decision(StrEnum):
    allow = "allow"
    deny = "deny"
    """By a statement that says so."""
    nothing = "nothing"
    """No statement is about it, which is a no, too."""


class Request(NamedTuple):
    action: str
    resource: str
    principal: Mapping[str, str]
    """As a policy names it: `{"AWS": arn}` or `{"Service": name}`."""
    context: Mapping[str, str | tuple[str, ...]]
    """Keys as AWS writes them."""


# ---------------------------------------------------------------- what CloudFormation makes of the template


class Deployed:
    """The template's policies with their values filled in, as the stack has them."""

    def __init__(self, translated: Template, **parameters: str) -> None:
        self._template = translated
        self._parameters = {name: str(found.get("Default", "")) for name, found in translated["Parameters"].items()} | parameters
        conditions = translated.get("Conditions", {})
        self._conditions = {name: bool(self._value(found)) for name, found in conditions.items()}
        self.resources = {
            name: found
            for name, found in translated["Resources"].items()
            if found.get("Condition") is None or self._conditions[found["Condition"]]
        }

    def arn(self, logical_id: str) -> str:
        """Named as CloudFormation names it: after the stack, unless the template has a name or the type is an exception."""
        resource = self._template["Resources"][logical_id]
        kind, properties = resource["Type"], resource.get("Properties", {})
        given = next((self._value(properties[name]) for name in _NAMES if name in properties), "")
        shape = _ARNS.get(kind, f"arn:aws:{kind.split('::')[1].lower()}:{{at}}:{{name}}")
        name = given or f"{STACK}-{logical_id}-1A2B3C4D5E6F"
        return shape.format(at=f"{REGION}:{ACCOUNT}", account=ACCOUNT, name=name, low=name.lower(), logical_id=logical_id)

    def identity(self, role: str) -> list[Policy]:
        policies = self.resources[role]["Properties"]["Policies"]
        return [self._value(policy["PolicyDocument"]) for policy in policies]

    def of_bucket(self) -> Policy:
        (policy,) = of_type(self.resources, "AWS::S3::BucketPolicy").values()
        return self._document(policy["PolicyDocument"])

    def of_secret(self) -> Policy:
        (policy,) = of_type(self.resources, "AWS::SecretsManager::ResourcePolicy").values()
        return self._document(policy["ResourcePolicy"])

    def of_queue(self, logical_id: str) -> Policy:
        """The last one to be written counts: there must be one at most."""
        wanted = {"Ref": logical_id}
        found = [one for one in of_type(self.resources, "AWS::SQS::QueuePolicy").values() if wanted in one["Queues"]]
        assert len(found) <= 1, f"{logical_id} has {len(found)} policies, and SQS keeps one"
        return self._document(found[0]["PolicyDocument"]) if found else {"Statement": []}

    def policy_at(self, resource: str) -> Policy:
        """The policy of the resource that an ARN names, if it has one."""
        if resource.startswith(self.arn("Bucket")):
            return self.of_bucket()
        if resource == self.arn("ApiKey"):
            return self.of_secret()
        queues = {self.arn(name): name for name in of_type(self.resources, "AWS::SQS::Queue")}
        return self.of_queue(queues[resource]) if resource in queues else {"Statement": []}

    def _document(self, document: Any) -> Policy:
        filled: Policy = self._value(document)
        return filled

    def _value(self, value: Any) -> Any:
        match value:
            case {"Ref": "AWS::NoValue"}:
                return _NO_VALUE
            case Mapping() if len(value) == 1 and (name := next(iter(value))) in _FUNCTIONS:
                return _FUNCTIONS[name](self, value[name])
            case Mapping():
                assert not [key for key in value if key.startswith("Fn::")], value
                return {key: filled for key, one in value.items() if (filled := self._value(one)) is not _NO_VALUE}
            case list():
                return [filled for one in value if (filled := self._value(one)) is not _NO_VALUE]
            case _:
                return value

    def _attribute(self, wanted: Any) -> str:
        name, attribute = wanted if isinstance(wanted, list) else wanted.split(".")
        return self.arn(name) if attribute in {"Arn", "Id"} else name

    def _filled(self, text: str) -> str:
        return re.sub(r"\$\{([\w:]+)(\.\w+)?\}", lambda found: self._named(found[1], found[2] or ""), text)

    def _chosen(self, choice: Any) -> Any:
        condition, then, otherwise = choice
        return self._value(then if self._conditions[condition] else otherwise)

    def _referred(self, name: str) -> str:
        if name in _PSEUDO:
            return _PSEUDO[name]
        if name in self._parameters:
            return self._parameters[name]
        kind = self._template["Resources"][name]["Type"]
        arn = self.arn(name)
        if kind == "AWS::SSM::Parameter":
            return arn.partition(":parameter")[2]
        return arn if kind in {"AWS::SNS::Topic", "AWS::SecretsManager::Secret"} else arn.rpartition(":")[2]

    def _named(self, name: str, attribute: str) -> str:
        return self.arn(name) if attribute else self._referred(name)


_FUNCTIONS: dict[str, Callable[[Deployed, Any], Any]] = {
    "Ref": lambda stack, name: stack._referred(name),
    "Fn::GetAtt": lambda stack, wanted: stack._attribute(wanted),
    "Fn::Sub": lambda stack, text: stack._filled(text),
    "Fn::If": lambda stack, choice: stack._chosen(choice),
    "Fn::Split": lambda stack, parts: stack._value(parts[1]).split(parts[0]),
    "Fn::Equals": lambda stack, both: stack._value(both[0]) == stack._value(both[1]),
    "Fn::Not": lambda stack, conditions: not stack._value(conditions[0]),
    "Fn::And": lambda stack, conditions: all(map(stack._value, conditions)),
    "Condition": lambda stack, name: stack._value(stack._template["Conditions"][name]),
}


# ---------------------------------------------------------------- what IAM makes of the policies


def decide(request: Request, identity: Iterable[Policy], of_resource: Policy) -> Decision:
    """Of a request within the account: a Deny anywhere, else an Allow anywhere, else nothing."""
    effects = {statement["Effect"] for policy in identity for statement in _statements(policy) if _is_about(statement, request)}
    effects |= {
        statement["Effect"]
        for statement in _statements(of_resource)
        if _names(statement["Principal"], request.principal) and _is_about(statement, request)
    }
    return Decision.deny if "Deny" in effects else Decision.allow if "Allow" in effects else Decision.nothing


def _statements(policy: Policy) -> Iterator[Mapping[str, Any]]:
    for statement in as_list(policy["Statement"]):
        unknown = set(statement) - {"Sid", "Effect", "Principal", "Action", "Resource", "Condition"}
        assert not unknown, unknown
        yield statement


def _names(principal: Any, who: Mapping[str, str]) -> bool:
    if principal == "*":
        return True
    return any({name, "*"} & set(as_list(principal.get(kind, []))) for kind, name in who.items())


def _is_about(statement: Mapping[str, Any], request: Request) -> bool:
    return (
        any(_like(request.action.lower(), action.lower()) for action in as_list(statement["Action"]))
        and any(_like(request.resource, resource) for resource in as_list(statement["Resource"]))
        and all(
            _holds(operator, as_list(wanted), _seen(request.context, key))
            for operator, keys in statement.get("Condition", {}).items()
            for key, wanted in keys.items()
        )
    )


def _seen(context: Mapping[str, str | tuple[str, ...]], key: str) -> tuple[str, ...]:
    """Empty: the request has no such key."""
    found = {name.lower(): value for name, value in context.items()}.get(key.lower(), ())
    return (found,) if isinstance(found, str) else found


def _holds(operator: str, wanted: list[str], seen: tuple[str, ...]) -> bool:
    # These hold of no value at all, too.
    if operator == "ForAllValues:StringNotEquals":
        return all(value not in wanted for value in seen)
    if operator == "ForAllValues:StringEquals":
        return all(value in wanted for value in seen)
    test, negated = _OPERATORS[operator.removeprefix("ForAnyValue:")]
    # A key that is not there: no match, of which the negated operators are the opposite.
    matches = any(test(value, pattern) for value in seen for pattern in wanted)
    return not matches if negated else matches


def _like(text: str, pattern: str) -> bool:
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), text, re.DOTALL) is not None


def _arn_like(text: str, pattern: str) -> bool:
    """Each of the six parts for itself, so that `*` does not reach over a colon between the first five."""
    parts, patterns = text.split(":", 5), pattern.split(":", 5)
    return len(parts) == len(patterns) == 6 and all(map(_like, parts, patterns))


_OPERATORS: dict[str, tuple[Callable[[str, str], bool], bool]] = {
    "ArnEquals": (_arn_like, False),
    "ArnLike": (_arn_like, False),
    "ArnNotLike": (_arn_like, True),
    "Bool": (lambda text, pattern: text.lower() == pattern.lower(), False),
    "StringEquals": (lambda text, pattern: text == pattern, False),
    "StringLike": (_like, False),
}
