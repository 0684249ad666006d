-- +goose Up
CREATE TABLE zipcode_demographics (
    zipcode varchar(5) PRIMARY KEY CHECK (zipcode ~ '^[0-9]{5}$'),
    ppltn_qty              real NOT NULL CHECK (ppltn_qty BETWEEN 0 AND 1e9),
    urbn_ppltn_qty         real NOT NULL CHECK (urbn_ppltn_qty BETWEEN 0 AND 1e9),
    sbrbn_ppltn_qty        real NOT NULL CHECK (sbrbn_ppltn_qty BETWEEN 0 AND 1e9),
    farm_ppltn_qty         real NOT NULL CHECK (farm_ppltn_qty BETWEEN 0 AND 1e9),
    non_farm_qty           real NOT NULL CHECK (non_farm_qty BETWEEN 0 AND 1e9),
    medn_hshld_incm_amt    real NOT NULL CHECK (medn_hshld_incm_amt BETWEEN 0 AND 1e9),
    medn_incm_per_prsn_amt real NOT NULL CHECK (medn_incm_per_prsn_amt BETWEEN 0 AND 1e9),
    hous_val_amt           real NOT NULL CHECK (hous_val_amt BETWEEN 0 AND 1e9),
    edctn_less_than_9_qty  real NOT NULL CHECK (edctn_less_than_9_qty BETWEEN 0 AND 1e9),
    edctn_9_12_qty         real NOT NULL CHECK (edctn_9_12_qty BETWEEN 0 AND 1e9),
    edctn_high_schl_qty    real NOT NULL CHECK (edctn_high_schl_qty BETWEEN 0 AND 1e9),
    edctn_some_clg_qty     real NOT NULL CHECK (edctn_some_clg_qty BETWEEN 0 AND 1e9),
    edctn_assoc_dgre_qty   real NOT NULL CHECK (edctn_assoc_dgre_qty BETWEEN 0 AND 1e9),
    edctn_bchlr_dgre_qty   real NOT NULL CHECK (edctn_bchlr_dgre_qty BETWEEN 0 AND 1e9),
    edctn_prfsnl_qty       real NOT NULL CHECK (edctn_prfsnl_qty BETWEEN 0 AND 1e9),
    per_urbn               real NOT NULL CHECK (per_urbn BETWEEN 0 AND 100),
    per_sbrbn              real NOT NULL CHECK (per_sbrbn BETWEEN 0 AND 100),
    per_farm               real NOT NULL CHECK (per_farm BETWEEN 0 AND 100),
    per_non_farm           real NOT NULL CHECK (per_non_farm BETWEEN 0 AND 100),
    per_less_than_9        real NOT NULL CHECK (per_less_than_9 BETWEEN 0 AND 100),
    per_9_to_12            real NOT NULL CHECK (per_9_to_12 BETWEEN 0 AND 100),
    per_hsd                real NOT NULL CHECK (per_hsd BETWEEN 0 AND 100),
    per_some_clg           real NOT NULL CHECK (per_some_clg BETWEEN 0 AND 100),
    per_assoc              real NOT NULL CHECK (per_assoc BETWEEN 0 AND 100),
    per_bchlr              real NOT NULL CHECK (per_bchlr BETWEEN 0 AND 100),
    per_prfsnl             real NOT NULL CHECK (per_prfsnl BETWEEN 0 AND 100),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- What was imported, newest last.
CREATE TABLE demographics_imports (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    imported_at timestamptz NOT NULL DEFAULT now(),
    imported_by text NOT NULL,
    file_name   text NOT NULL,
    sha256      text NOT NULL,
    digest      text NOT NULL, -- of the table, as the program computes it
    row_count   integer NOT NULL,
    added       integer NOT NULL,
    changed     integer NOT NULL,
    removed     integer NOT NULL
);

-- +goose StatementBegin
CREATE FUNCTION touch_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END $$;
-- +goose StatementEnd

CREATE TRIGGER zipcode_demographics_touch BEFORE UPDATE ON zipcode_demographics
    FOR EACH ROW EXECUTE FUNCTION touch_updated_at();

-- Whoever changes the table, the services that use it are told.
-- +goose StatementBegin
CREATE FUNCTION notify_demographics() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('zipcode_demographics', '');
    RETURN NULL;
END $$;
-- +goose StatementEnd

CREATE TRIGGER zipcode_demographics_notify AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON zipcode_demographics
    FOR EACH STATEMENT EXECUTE FUNCTION notify_demographics();

-- +goose Down
DROP TABLE demographics_imports;
DROP TABLE zipcode_demographics;
DROP FUNCTION notify_demographics();
DROP FUNCTION touch_updated_at();
