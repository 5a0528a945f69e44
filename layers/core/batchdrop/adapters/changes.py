"""One item's part in a DynamoDB transaction, with its expressions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from batchdrop.adapters.items import Item, Value, fields_in_item, to_value
from batchdrop.domain.record import Record

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef


class Action(NamedTuple):
    """One entry of a transaction, and what to call it when its condition fails."""

    item: TransactWriteItemTypeDef
    label: str


class Change:
    """Writes the expressions of one item: what is set, added and removed, and under which conditions."""

    def __init__(self, table: str, key: Item, label: str) -> None:
        self._table = table
        self._key = key
        self._label = label
        self._names: dict[str, str] = {}
        self._values: Item = {}
        self._conditions: list[str] = []
        self._sets: list[str] = []
        self._adds: dict[str, int] = {}
        self._whole: tuple[str, dict[str, object]] | None = None
        self._removes: list[str] = []

    # conditions

    def is_new(self) -> str:
        return "attribute_not_exists(pk)"

    def lacks(self, name: str) -> str:
        return f"attribute_not_exists({self._name(name)})"

    def equals(self, name: str, plain: object) -> str:
        return f"{self._name(name)} = {self._value(to_value(plain))}"

    def at_most(self, name: str, number: int) -> str:
        return f"{self._name(name)} <= {self._value(to_value(number))}"

    def require(self, *conditions: str) -> None:
        self._conditions += conditions

    # effects

    def add(self, name: str, number: int) -> None:
        self._adds[name] = self._adds.get(name, 0) + number

    def write(self, item: Item, kind: type[Record], *, keep: Sequence[str]) -> None:
        """Makes the stored fields those of `item`, all but `keep`; what `item` lacks is removed."""
        for name in (*fields_in_item(kind), "shelf", "due"):
            if name in keep:
                continue
            if name in item:
                self._sets.append(f"{self._name(name)} = {self._value(item[name])}")
            else:
                self._removes.append(self._name(name))

    def provide(self, item: Item) -> None:
        """Sets what the stored item lacks of these."""
        for name, value in item.items():
            self._sets.append(f"{self._name(name)} = if_not_exists({self._name(name)}, {self._value(value)})")

    def put(self, item: Item) -> None:
        self._whole = ("Put", {"Item": item})

    def delete(self) -> None:
        self._whole = ("Delete", {"Key": self._key})

    # the entry of the transaction

    def action(self) -> Action:
        verb, parts = self._whole or self._partial()
        expressions = {
            "ConditionExpression": " and ".join(self._conditions),
            "ExpressionAttributeNames": self._names,
            "ExpressionAttributeValues": self._values,
        }
        # DynamoDB refuses an empty condition, and an empty map of names or values.
        present = {name: part for name, part in expressions.items() if part}
        entry: Any = {verb: {"TableName": self._table, **parts, **present}}
        return Action(entry, self._label)

    def _partial(self) -> tuple[str, dict[str, object]]:
        adds = [f"{self._name(name)} {self._value(to_value(number))}" for name, number in self._adds.items()]
        clauses = (("SET", self._sets), ("ADD", adds), ("REMOVE", self._removes))
        text = " ".join(f"{verb} {', '.join(parts)}" for verb, parts in clauses if parts)
        return ("Update", {"Key": self._key, "UpdateExpression": text}) if text else ("ConditionCheck", {"Key": self._key})

    def _name(self, name: str) -> str:
        """An alias for every name: many of ours (`state`, `total`) are reserved words of DynamoDB."""
        self._names[f"#{name}"] = name
        return f"#{name}"

    def _value(self, value: Value) -> str:
        alias = f":v{len(self._values)}"
        self._values[alias] = value
        return alias
