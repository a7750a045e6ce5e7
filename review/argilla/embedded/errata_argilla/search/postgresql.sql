-- What search adds to Argilla's PostgreSQL database. Statements end at an empty line.
CREATE TABLE IF NOT EXISTS errata_words (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    record_id UUID NOT NULL UNIQUE REFERENCES records (id) ON DELETE CASCADE,
    line TEXT,
    sought TSVECTOR
)

CREATE INDEX IF NOT EXISTS errata_words_unread ON errata_words (record_id) WHERE line IS NULL

CREATE INDEX IF NOT EXISTS errata_words_index ON errata_words USING gin (sought)

CREATE OR REPLACE FUNCTION errata_record_written() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO errata_words (record_id) VALUES (NEW.id);
    RETURN NULL;
END $$

CREATE OR REPLACE TRIGGER errata_record_written AFTER INSERT ON records
FOR EACH ROW EXECUTE FUNCTION errata_record_written()

CREATE OR REPLACE FUNCTION errata_record_rewritten() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    UPDATE errata_words SET line = NULL, sought = NULL WHERE record_id = NEW.id;
    RETURN NULL;
END $$

CREATE OR REPLACE TRIGGER errata_record_rewritten AFTER UPDATE OF fields ON records
FOR EACH ROW WHEN (OLD.fields::text IS DISTINCT FROM NEW.fields::text)
EXECUTE FUNCTION errata_record_rewritten()

-- The numbers of each record's metadata, for queues in their order.
CREATE TABLE IF NOT EXISTS errata_numbers (
    record_id UUID NOT NULL REFERENCES records (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    dataset_id UUID NOT NULL,
    status record_status_enum NOT NULL,
    inserted_at TIMESTAMP NOT NULL,
    least DOUBLE PRECISION NOT NULL,
    most DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (record_id, name)
)

CREATE INDEX IF NOT EXISTS errata_numbers_down
ON errata_numbers (dataset_id, name, status, most DESC, inserted_at, record_id)

CREATE INDEX IF NOT EXISTS errata_numbers_up
ON errata_numbers (dataset_id, name, status, least, inserted_at, record_id)

-- What a number is, and that a list holds several, as `elements.py` has it. JSON that is no JSONB
-- for PostgreSQL, for the sake of a zero byte, has none.
CREATE OR REPLACE FUNCTION errata_numbers_of(record records) RETURNS SETOF errata_numbers
LANGUAGE plpgsql AS $$ DECLARE document JSONB; BEGIN
    BEGIN
        document := record.metadata::jsonb;
    EXCEPTION WHEN data_exception THEN
        RETURN;
    END;
    IF jsonb_typeof(document) IS DISTINCT FROM 'object' THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT record.id, one.key, record.dataset_id, record.status, record.inserted_at,
        min(part.text::float8), max(part.text::float8)
    FROM jsonb_each(document) AS one (key, value),
        jsonb_array_elements_text(
            CASE jsonb_typeof(one.value) WHEN 'array' THEN one.value
            ELSE jsonb_build_array(one.value) END
        ) AS part (text)
    WHERE part.text ~ '^-?[0-9]{1,99}(\.[0-9]{1,99})?([eE][-+]?[0-9]{1,2})?$'
    GROUP BY one.key;
END $$

CREATE OR REPLACE FUNCTION errata_numbers_written() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF TG_OP = 'UPDATE' THEN
        DELETE FROM errata_numbers WHERE record_id = OLD.id;
    END IF;
    INSERT INTO errata_numbers SELECT * FROM errata_numbers_of(NEW);
    RETURN NULL;
END $$

CREATE OR REPLACE TRIGGER errata_numbers_written AFTER INSERT ON records
FOR EACH ROW EXECUTE FUNCTION errata_numbers_written()

CREATE OR REPLACE TRIGGER errata_numbers_rewritten
AFTER UPDATE OF metadata, status, dataset_id, inserted_at ON records
FOR EACH ROW WHEN (
    (OLD.metadata::text, OLD.status, OLD.dataset_id, OLD.inserted_at)
    IS DISTINCT FROM (NEW.metadata::text, NEW.status, NEW.dataset_id, NEW.inserted_at)
)
EXECUTE FUNCTION errata_numbers_written()

-- Nobody else writes a record between the last statement and the end of this transaction.
INSERT INTO errata_numbers
SELECT found.* FROM records, errata_numbers_of(records) AS found
WHERE NOT EXISTS (SELECT 1 FROM errata_numbers)

CREATE INDEX IF NOT EXISTS errata_records_by_status ON records (dataset_id, status, id)

CREATE INDEX IF NOT EXISTS errata_records_by_age ON records (dataset_id, inserted_at, id)

INSERT INTO errata_words (record_id)
SELECT id FROM records
WHERE NOT EXISTS (SELECT 1 FROM errata_words WHERE errata_words.record_id = records.id)
