-- +goose Up

-- What was predicted: no field of a house, and of a user a keyed hash.
-- Partitions of a month each are made by the program, and dropped when they
-- are older than JOURNAL_RETENTION.
CREATE TABLE predictions (
    at      timestamptz NOT NULL,
    id      uuid NOT NULL,    -- of the request
    record  integer NOT NULL, -- index of the house in it, from 0
    shadow  boolean NOT NULL, -- it was valued aside, and not answered
    version text NOT NULL,
    role    text NOT NULL,
    user_id text,             -- as in the log
    price   double precision NOT NULL,
    PRIMARY KEY (id, record, shadow, at)
) PARTITION BY RANGE (at);

-- When requests that named themselves were first seen, so that one that a
-- proxy sends to a second replica is kept once. The others have their time in
-- their id.
CREATE TABLE prediction_keys (
    id uuid PRIMARY KEY,
    at timestamptz NOT NULL
);
CREATE INDEX prediction_keys_at ON prediction_keys USING brin (at);

-- What valued houses then sold for.
CREATE TABLE outcomes (
    id          uuid NOT NULL,
    record      integer NOT NULL,
    price       double precision NOT NULL CHECK (price > 0 AND price <= 1e9),
    sold_on     date NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    corrections integer NOT NULL DEFAULT 0,
    measured    boolean NOT NULL DEFAULT false, -- by outcome_absolute_percentage_error
    PRIMARY KEY (id, record)
);
CREATE INDEX outcomes_unmeasured ON outcomes (received_at) WHERE NOT measured;
CREATE INDEX outcomes_received ON outcomes (received_at);

-- +goose Down
DROP TABLE outcomes;
DROP TABLE prediction_keys;
DROP TABLE predictions;
