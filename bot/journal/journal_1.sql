-- The journal's tables, version 1. They are made in the connection's own schema (`public`, unless its search_path says otherwise).

-- One execution. `key` names everything that decides the answer; `generation` counts the times it was asked for anew.
CREATE TABLE runs (
    run_id uuid PRIMARY KEY,
    key text NOT NULL,
    generation int NOT NULL,
    kind text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    retired boolean NOT NULL DEFAULT false, -- its answer is not to be given again
    -- The lease: who works on it, until when, and the fencing token, which every new holder raises.
    token bigint NOT NULL,
    holder text,
    lease_until timestamptz,
    UNIQUE (key, generation)
);

-- One outside effect, or one fact that took long to find out.
CREATE TABLE journal (
    run_id uuid NOT NULL REFERENCES runs ON DELETE CASCADE,
    step_id int NOT NULL,
    name text NOT NULL,
    request_hash text NOT NULL,
    idempotency_key text NOT NULL,
    -- in doubt: fired, or about to be, and no answer yet · done · not done: tried, and surely without effect
    state text NOT NULL CHECK (state IN ('in doubt', 'done', 'not done')),
    attempt int NOT NULL,
    token bigint NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    completed_at timestamptz,
    response_body jsonb,
    error text,
    PRIMARY KEY (run_id, step_id),
    CHECK ((state = 'done') = (completed_at IS NOT NULL))
);

-- A rehearsal is found again by what was rehearsed, whichever commit it was for.
CREATE INDEX journal_done_request ON journal (request_hash, completed_at DESC) WHERE state = 'done';
