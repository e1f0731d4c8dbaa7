#!/bin/sh
# Two calls through the sidecar. Run it twice with the same RUN: the second time nothing is sent, and the answers are the same.
set -eu
: "${RUN:?a name for this work, the same whenever it is tried again}"
sidecar=${SIDECAR:-http://127.0.0.1:8377/orders}

step=0
call() {
    step=$((step + 1))
    curl --silent --show-error --fail-with-body --noproxy '*' "$sidecar$1" --data "$2" \
        --header "Journal-Run: $RUN" --header "Journal-Step: $step" \
        --write-out ' %{http_code} (replayed: %header{Journal-Replayed})\n'
}

call /orders "two apples"
call /orders "three pears"
