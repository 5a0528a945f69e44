"""Apache Airflow 3: drop a file, wait without holding a worker, use the answers. BATCHDROP_BUCKET names the bucket.

The recipe is the recipe.yaml beside the file.
"""

from __future__ import annotations

import re
from datetime import timedelta

from airflow.sdk import Param, PokeReturnValue, dag, task
from airflow.sdk.exceptions import AirflowFailException

from batchdrop_client import NotNamed, Stack, Unreachable


def stack_of(run_id: str | None) -> Stack:
    """With a folder that is this run's alone, so that a task that runs again finds the job of the one before."""
    return Stack.from_environment(folder=f"workflows/{re.sub(r'[^A-Za-z0-9-]+', '-', str(run_id))}")


@dag(schedule=None, params={"file": Param("reviews.csv", type="string")})
def answers() -> None:
    # By then the job that a lost task has dropped is there to be found: the file is not paid twice.
    @task(retries=3, retry_delay=timedelta(minutes=5))
    def start(file: str, run_id: str | None = None) -> str:
        stack = stack_of(run_id)
        for earlier in stack.jobs(limit=1).jobs:
            return stack.job(earlier.job_id).folder
        return stack.drop(file, name="rows.csv", reference=str(run_id)).folder

    @task.sensor(poke_interval=300, timeout=timedelta(days=8).total_seconds(), mode="reschedule")
    def ended(folder: str, run_id: str | None = None) -> PokeReturnValue:
        try:
            status = stack_of(run_id).job(folder).status()
        except (NotNamed, Unreachable):  # it has not begun; or S3 answers in a moment
            return PokeReturnValue(is_done=False)
        print(status.message)  # also who has to approve what, while it waits for a person
        if status.has_ended and status.state != "done":
            raise AirflowFailException(status.message)
        return PokeReturnValue(is_done=status.has_ended, xcom_value=folder)

    @task
    def use(folder: str, run_id: str | None = None) -> int:
        job = stack_of(run_id).job(folder)
        for row in job.results():
            print(row.line, row.answer, row.error)
        return job.status().counts.succeeded

    use(ended(start("{{ params.file }}")))  # of each run Airflow tells its id


answers()
