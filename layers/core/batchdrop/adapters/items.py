"""Records as DynamoDB items and back.

JOB#<id>       JOB            a job
JOB#<id>       BATCH#<name>   a batch; the name sorts in input order
API#<api id>   API            which batch an API batch belongs to
ADMISSION      ADMISSION      the admission record
SWITCH         SWITCH         its `position`
MODELS         MODELS         the list of models
RECIPES#<team> RECIPES        how many recipes have arrived in a team
MONEY#<purse>  MONEY          what was used of money there
MARK#<id>      <revision>     a change of a job that the indexes of jobs do not show yet
GROUP#<key>    GROUP          what was approved for the files of a folder with one recipe

Fields keep their names, all but the `state` of a job or batch, which is stored as `phase` (`version_0_1_0` says why); the counts
of a job are fields of the job itself. None is left out; times are texts of a fixed width; there are no fractions. Open work also
has `shelf` and `due`, the keys of the sparse index `open`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from batchdrop.adapters.version_0_1_0 import PHASE, partition, states_to_store, with_state
from batchdrop.domain.marks import MARKED, Mark
from batchdrop.domain.model_list import ModelList
from batchdrop.domain.open_work import Place, instant, place_of_batch, place_of_job
from batchdrop.domain.record import Record
from batchdrop.domain.records import Admission, Arrivals, Batch, Counters, Counts, Group, Job

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

type Value = AttributeValueTypeDef
type Item = dict[str, AttributeValueTypeDef]

INDEX = "open"
_ESCAPE = "\0"  # before a name that would be empty, or begins with it
JOB_SORT = "JOB"
BATCH_PREFIX = "BATCH#"
# Counters are written by addition only. Those of rows are stored one by one, and `queued` is the admission record's.
BATCH_COUNTERS = tuple(name for name in Counters.__struct_fields__ if name not in ("rows", "queued"))
JOB_COUNTERS = (*Counts.__struct_fields__, *BATCH_COUNTERS)
ADMISSION_COUNTERS = ("queued",)


def job_key(job_id: str) -> Item:
    return _key(f"JOB#{job_id}", JOB_SORT)


def batch_key(job_id: str, name: str) -> Item:
    return _key(f"JOB#{job_id}", f"{BATCH_PREFIX}{name}")


def claim_key(api_id: str) -> Item:
    return _key(f"API#{api_id}", "API")


def admission_key() -> Item:
    return _key("ADMISSION", "ADMISSION")


def switch_key() -> Item:
    return _key("SWITCH", "SWITCH")


def models_key() -> Item:
    return _key("MODELS", "MODELS")


def arrivals_key(team: str) -> Item:
    return _key(f"RECIPES#{team}", "RECIPES")


def group_key(key: str) -> Item:
    return _key(f"GROUP#{key}", "GROUP")


def purse_key(name: str) -> Item:
    return _key(f"MONEY#{name}", "MONEY")


def mark_key(mark: Mark) -> Item:
    return _key(f"MARK#{mark.job_id}", f"{mark.revision:012d}")


def mark_item(mark: Mark) -> Item:
    return fields_of(mark) | open_work_keys(Place(MARKED, mark.due)) | mark_key(mark)


def job_item(job: Job) -> Item:
    return fields_of(job) | open_work_keys(place_of_job(job)) | job_key(job.id)


def batch_item(batch: Batch) -> Item:
    return fields_of(batch) | open_work_keys(place_of_batch(batch)) | batch_key(batch.job_id, batch.name)


def claim_item(api_id: str, batch: Batch) -> Item:
    return _values({"job_id": batch.job_id, "batch_name": batch.name}) | claim_key(api_id)


def admission_item(admission: Admission) -> Item:
    return fields_of(admission) | admission_key()


def models_item(models: ModelList) -> Item:
    return fields_of(models) | models_key()


def group_item(group: Group) -> Item:
    return fields_of(group) | group_key(group.key)


def arrivals_item(arrivals: Arrivals) -> Item:
    return fields_of(arrivals) | arrivals_key(arrivals.team)


def open_work_keys(place: Place | None) -> Item:
    """Of the sparse index; none for what is no open work."""
    return {} if place is None else {"shelf": {"S": partition(place.shelf)}, "due": {"S": place.due}}


def fields_of(record: Record) -> Item:
    fields = msgspec.to_builtins(record, builtin_types=(datetime,))
    if isinstance(record, Job):
        fields |= fields.pop("counts")
    if isinstance(record, Job | Batch):
        fields |= states_to_store(record)
    return _values(fields)


def record_of[R: Record](item: Mapping[str, Any], kind: type[R]) -> R:
    """The keys of the table and of the index are no fields, and msgspec passes over them."""
    fields = with_state({name: from_value(value) for name, value in item.items()})
    if kind is Job:
        fields["counts"] = {name: fields[name] for name in Counts.__struct_fields__ if name in fields}
    return msgspec.convert(fields, kind)


def fields_in_item(kind: type[Record]) -> tuple[str, ...]:
    """The names under which the fields of a record are stored."""
    names = kind.__struct_encode_fields__
    return (*(name for name in names if name != "counts"), PHASE, *Counts.__struct_fields__) if kind is Job else names


def counted(counters: Counters) -> dict[str, int]:
    """What is added to the stored fields of a job, under their names."""
    amounts = msgspec.to_builtins(counters)
    del amounts["queued"]
    amounts |= amounts.pop("rows")
    return {name: amount for name, amount in amounts.items() if amount}


def to_value(plain: object) -> Value:
    """Raises TypeError for what the table must not hold, such as a fraction."""
    match plain:
        case bool():
            return {"BOOL": plain}
        case str():
            return {"S": plain}
        case int():
            return {"N": str(plain)}
        case datetime():
            return {"S": instant(plain)}
        case list() | tuple():
            return {"L": [to_value(entry) for entry in plain]}
        case dict():
            return {"M": _values(plain)}
        case _:
            raise TypeError(f"{type(plain).__name__} has no place in an item")


def from_value(value: Mapping[str, Any]) -> object:
    ((kind, held),) = value.items()
    match kind:
        case "S" | "BOOL":
            return held
        case "N":
            return int(held)
        case "L":
            return [from_value(entry) for entry in held]
        case "M":
            return {name.removeprefix(_ESCAPE): from_value(entry) for name, entry in held.items()}
        case _:
            raise TypeError(f"an item holds a value of kind {kind}")


def _values(fields: Mapping[str, object]) -> Item:
    return {_name(name): to_value(value) for name, value in fields.items() if value is not None}


def _name(name: str) -> str:
    """An answer may be empty, and be counted under that name. A name in a table has at least one character (DynamoDB Developer
    Guide, "Supported data types and naming rules"); MiniStack and moto take any."""
    return f"{_ESCAPE}{name}" if not name or name.startswith(_ESCAPE) else name


def _key(partition: str, sort: str) -> Item:
    return {"pk": {"S": partition}, "sk": {"S": sort}}
