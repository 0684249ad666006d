-- +goose Up
-- Why a table was imported, and what it replaced: the digest, "" before the
-- first. Where that is not the digest of the import before, rows were changed
-- by hand in between.
ALTER TABLE demographics_imports
    ADD COLUMN why           text NOT NULL DEFAULT '',
    ADD COLUMN digest_before text NOT NULL DEFAULT '';

-- The figures that the last imports changed; null where the area was not
-- there.
CREATE TABLE demographics_changes (
    import_id bigint NOT NULL REFERENCES demographics_imports (id) ON DELETE CASCADE,
    zipcode   varchar(5) NOT NULL,
    before    jsonb,
    after     jsonb,
    PRIMARY KEY (import_id, zipcode)
);

-- +goose Down
DROP TABLE demographics_changes;
ALTER TABLE demographics_imports DROP COLUMN why, DROP COLUMN digest_before;
