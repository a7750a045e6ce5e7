-- What search adds to Argilla's SQLite database. Statements end at an empty line.
CREATE TABLE IF NOT EXISTS errata_words (
    number INTEGER PRIMARY KEY,
    record_id CHAR(32) NOT NULL UNIQUE REFERENCES records (id) ON DELETE CASCADE,
    line TEXT
)

CREATE INDEX IF NOT EXISTS errata_words_unread ON errata_words (record_id) WHERE line IS NULL

-- The line holds words divided by blanks and nothing else; `ascii` divides nowhere else.
CREATE VIRTUAL TABLE IF NOT EXISTS errata_words_index USING fts5 (
    line, content = 'errata_words', content_rowid = 'number', tokenize = "ascii tokenchars '_'"
)

CREATE TRIGGER IF NOT EXISTS errata_words_written AFTER INSERT ON errata_words
WHEN NEW.line IS NOT NULL BEGIN
    INSERT INTO errata_words_index (rowid, line) VALUES (NEW.number, NEW.line);
END

CREATE TRIGGER IF NOT EXISTS errata_words_rewritten AFTER UPDATE OF line ON errata_words BEGIN
    INSERT INTO errata_words_index (errata_words_index, rowid, line)
    SELECT 'delete', OLD.number, OLD.line WHERE OLD.line IS NOT NULL;
    INSERT INTO errata_words_index (rowid, line)
    SELECT NEW.number, NEW.line WHERE NEW.line IS NOT NULL;
END

CREATE TRIGGER IF NOT EXISTS errata_words_gone AFTER DELETE ON errata_words
WHEN OLD.line IS NOT NULL BEGIN
    INSERT INTO errata_words_index (errata_words_index, rowid, line)
    VALUES ('delete', OLD.number, OLD.line);
END

CREATE TRIGGER IF NOT EXISTS errata_record_written AFTER INSERT ON records BEGIN
    INSERT INTO errata_words (record_id) VALUES (NEW.id);
END

CREATE TRIGGER IF NOT EXISTS errata_record_rewritten AFTER UPDATE OF fields ON records
WHEN OLD.fields IS NOT NEW.fields BEGIN
    UPDATE errata_words SET line = NULL WHERE record_id = NEW.id;
END

-- The numbers of each record's metadata, for queues in their order.
CREATE TABLE IF NOT EXISTS errata_numbers (
    record_id CHAR(32) NOT NULL REFERENCES records (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    dataset_id CHAR(32) NOT NULL,
    status VARCHAR NOT NULL,
    inserted_at DATETIME NOT NULL,
    least FLOAT NOT NULL,
    most FLOAT NOT NULL,
    PRIMARY KEY (record_id, name)
) WITHOUT ROWID

CREATE INDEX IF NOT EXISTS errata_numbers_down
ON errata_numbers (dataset_id, name, status, most DESC, inserted_at, record_id)

CREATE INDEX IF NOT EXISTS errata_numbers_up
ON errata_numbers (dataset_id, name, status, least, inserted_at, record_id)

-- What a number is, and that a list holds several, as `elements.py` has it.
CREATE VIEW IF NOT EXISTS errata_numbers_read AS
SELECT record_id, name, dataset_id, status, inserted_at,
    min(CAST(value AS FLOAT)) AS least, max(CAST(value AS FLOAT)) AS most
FROM (
    SELECT records.id AS record_id, one.key AS name, dataset_id, status, inserted_at,
        iif(one.type IN ('array', 'object'), part.type, one.type) AS kind,
        iif(one.type IN ('array', 'object'), part.value, one.value) AS value
    FROM records,
        json_each(iif(json_valid(metadata), metadata, NULL)) AS one,
        json_each(iif(one.type IN ('array', 'object'), one.value, '[0]')) AS part
    WHERE one.key IS NOT NULL
)
WHERE kind IN ('integer', 'real')
OR (value GLOB '*[0-9]*' AND trim(value, '0123456789.-') = '')
GROUP BY record_id, name

-- From here on nobody else writes until the triggers are there.
INSERT INTO errata_numbers
SELECT * FROM errata_numbers_read WHERE NOT EXISTS (SELECT 1 FROM errata_numbers)

CREATE TRIGGER IF NOT EXISTS errata_numbers_written AFTER INSERT ON records BEGIN
    INSERT INTO errata_numbers SELECT * FROM errata_numbers_read WHERE record_id = NEW.id;
END

CREATE TRIGGER IF NOT EXISTS errata_numbers_rewritten
AFTER UPDATE OF metadata, status, dataset_id, inserted_at ON records
WHEN (OLD.metadata, OLD.status, OLD.dataset_id, OLD.inserted_at)
IS NOT (NEW.metadata, NEW.status, NEW.dataset_id, NEW.inserted_at) BEGIN
    DELETE FROM errata_numbers WHERE record_id = OLD.id;
    INSERT INTO errata_numbers SELECT * FROM errata_numbers_read WHERE record_id = NEW.id;
END

-- The last columns are there so that a queue sorted or filtered by metadata is
-- answered from the index alone.
CREATE INDEX IF NOT EXISTS errata_records_by_status
ON records (dataset_id, status, id, inserted_at, metadata)

CREATE INDEX IF NOT EXISTS errata_records_by_age ON records (dataset_id, inserted_at, id)

INSERT INTO errata_words (record_id)
SELECT id FROM records WHERE id NOT IN (SELECT record_id FROM errata_words)

-- What SQLite should expect when it plans a query: a dataset holds many records and a record few
-- answers. Measuring it now, while the tables may be empty, would tell it the opposite.
ANALYZE errata_words

DELETE FROM sqlite_stat1
WHERE tbl IN ('records', 'responses', 'suggestions', 'errata_words', 'errata_numbers')

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
('records', 'sqlite_autoindex_records_1', '100000 1'),
('records', 'errata_records_by_status', '100000 50000 25000 1 1 1'),
('records', 'errata_records_by_age', '100000 50000 1 1'),
('records', 'ix_records_dataset_id', '100000 50000'),
('records', 'ix_records_status', '100000 50000'),
('records', 'sqlite_autoindex_records_2', '100000 1 1'),
('records', 'ix_records_external_id', '100000 1'),
('responses', 'sqlite_autoindex_responses_1', '100000 1'),
('responses', 'sqlite_autoindex_responses_2', '100000 2 1'),
('responses', 'ix_responses_record_id', '100000 2'),
('responses', 'ix_responses_user_id', '100000 10000'),
('responses', 'ix_responses_status', '100000 50000'),
('suggestions', 'sqlite_autoindex_suggestions_1', '200000 1'),
('suggestions', 'sqlite_autoindex_suggestions_2', '200000 2 1'),
('suggestions', 'ix_suggestions_record_id', '200000 2'),
('suggestions', 'ix_suggestions_question_id', '200000 20000'),
('errata_words', 'sqlite_autoindex_errata_words_1', '100000 1'),
('errata_words', 'errata_words_unread', '10 1'),
('errata_numbers', 'errata_numbers', '200000 2 1'),
('errata_numbers', 'errata_numbers_down', '200000 100000 50000 25000 100 1 1'),
('errata_numbers', 'errata_numbers_up', '200000 100000 50000 25000 100 1 1')
