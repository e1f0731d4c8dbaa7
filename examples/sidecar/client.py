"""Two calls through the sidecar. Run twice with the same RUN, nothing is sent the second time, and the answers are the same."""

import os
import uuid

import httpx

sidecar = httpx.Client(
    base_url=os.environ.get("SIDECAR", "http://127.0.0.1:8377/orders"),
    headers={
        "Journal-Run": os.environ["RUN"],  # the same whenever this work is tried again
        "Journal-Attempt": uuid.uuid4().hex,  # new for each process: its calls are numbered from 1 on
    },
    timeout=60,
    trust_env=False,
)

for order in ("two apples", "three pears"):
    answer = sidecar.post("/orders", content=order)
    if "Journal-Error" in answer.headers:  # the sidecar's own words, and not the upstream's
        raise SystemExit(answer.text)
    print(f"{order}: {answer.status_code} {answer.text} (replayed: {answer.headers['Journal-Replayed']})")
