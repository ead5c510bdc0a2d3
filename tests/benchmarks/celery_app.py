"""The Celery app of the contender `queued`; REDIS_URL is its broker."""

import os

from celery import Celery

celery = Celery("queued", broker=os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0"))


def _forward(payload: str) -> None:
    """What would map and post the body: no worker runs, so that only the acknowledgement is measured."""


forward = celery.task(_forward, name="forward", ignore_result=True)
