"""Fast ticks: `python -m local.ticks` invokes the poll function every few seconds, as the schedule does every minute."""

from __future__ import annotations

import os
import time

import boto3
from botocore.exceptions import BotoCoreError, ClientError


def main() -> None:
    functions = boto3.client("lambda")
    while True:
        try:
            functions.invoke(
                FunctionName=os.environ["FUNCTION"], Payload=b'{"detail-type": "Scheduled Event", "source": "local.ticks"}'
            )
        except (BotoCoreError, ClientError) as error:
            print(error, flush=True)
        time.sleep(float(os.environ["BATCHDROP_TICK_SECONDS"]))


if __name__ == "__main__":
    main()
