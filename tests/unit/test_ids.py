"""Ids of jobs: the same for the same version of a file, and of the recipe that was improved meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import combinations

from msgspec.structs import replace

from batchdrop.domain import ids
from batchdrop.domain.records import ObjectRef

AT = datetime(2026, 11, 22, 0, 31, 15, tzinfo=UTC)
FILE = ObjectRef(bucket="bucket", key="inbox/team/a.csv", version_id="1", etag="e")
RECIPE = ObjectRef(bucket="bucket", key="inbox/team/recipe.yaml", version_id="2", etag="r")


def test_the_id_of_a_file_is_that_of_earlier_versions() -> None:
    assert ids.job_id(FILE, AT) == "20261122T003115Z-lzx7wpdyj25pcpup"


def test_every_version_of_a_recipe_makes_another_job() -> None:
    unversioned = replace(RECIPE, version_id=None)
    others = [
        ids.job_id(FILE, AT),
        ids.job_id(replace(FILE, version_id="9"), AT, RECIPE),
        ids.job_id(FILE, AT, RECIPE),
        ids.job_id(FILE, AT, replace(RECIPE, version_id="3")),
        ids.job_id(FILE, AT, replace(RECIPE, key="inbox/team/recipe.yml")),
        ids.job_id(FILE, AT, unversioned),
        ids.job_id(FILE, AT, replace(unversioned, etag="s")),
    ]
    assert all(one != other for one, other in combinations(others, 2))
    assert all(map(ids.is_job_id, others))
    assert {ids.uploaded_at(one) for one in others} == {AT}


def test_the_same_versions_make_the_same_job() -> None:
    assert ids.job_id(FILE, AT, RECIPE) == ids.job_id(FILE, AT, replace(RECIPE, etag="whatever", size=7))
    assert ids.token_of(ids.job_id(FILE, AT, RECIPE)) == ids.job_token(FILE, RECIPE)
