"""Every example on the deployed stack prints what its page shows. Pages are written by `make docs`, on the handlers alone."""

from __future__ import annotations

import pytest

from local import drops
from tests.docs import outputs
from tests.e2e.laptop import Job, Laptop


@pytest.mark.parametrize("name", drops.names())
def test_an_example_prints_what_its_page_shows(laptop: Laptop, name: str) -> None:
    laptop.claude.settings(cache_hits=outputs.CACHE_HITS)
    chosen = drops.of_example(name)
    for drop in chosen:
        assert drop.recipe
        for key, path in drop.before.items():
            laptop.s3.put_object(Bucket=laptop.bucket, Key=key, Body=path.read_bytes())
    jobs = [laptop.drop(drop.key, drop.path).wait() for drop in chosen]
    for job in jobs:
        job.wait_for("done")
        assert job.audit() == []
    assert outputs.reported(map(_outputs, jobs)) == outputs.of_example(name)


def _outputs(job: Job) -> tuple[str, dict[str, bytes]]:
    found = job.laptop.s3.list_objects_v2(Bucket=job.laptop.bucket, Prefix=job.folder)["Contents"]
    names = (one["Key"].removeprefix(job.folder) for one in found)
    return job.key, {name: job.read(name) for name in names}
