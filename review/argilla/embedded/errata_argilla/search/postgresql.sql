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

CREATE INDEX IF NOT EXISTS errata_records_by_status ON records (dataset_id, status, id)

CREATE INDEX IF NOT EXISTS errata_records_by_age ON records (dataset_id, inserted_at, id)

INSERT INTO errata_words (record_id)
SELECT id FROM records
WHERE NOT EXISTS (SELECT 1 FROM errata_words WHERE errata_words.record_id = records.id)
