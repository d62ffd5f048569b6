"""The tables of the SQLite store, which keep their own totals, and its longer statements."""

SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE responses (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    previous TEXT,
    live INTEGER NOT NULL,      -- 0: only history of younger responses
    final INTEGER NOT NULL,
    children INTEGER NOT NULL,
    created_at REAL NOT NULL,
    used_at REAL NOT NULL,
    lease REAL,
    replay TEXT,
    size INTEGER NOT NULL,
    input BLOB NOT NULL,
    output BLOB NOT NULL,
    response BLOB,              -- without its output
    events BLOB
);
CREATE INDEX responses_used ON responses (used_at) WHERE live = 1 AND final = 1;
CREATE INDEX responses_created ON responses (created_at) WHERE live = 1 AND final = 1;
CREATE INDEX responses_unneeded ON responses (id) WHERE live = 0 AND children = 0;
CREATE INDEX responses_replay ON responses (owner, replay) WHERE replay IS NOT NULL;
CREATE TABLE items (
    owner TEXT NOT NULL,
    id TEXT NOT NULL,
    response TEXT NOT NULL,
    PRIMARY KEY (owner, id)
) WITHOUT ROWID;
CREATE INDEX items_response ON items (response);
CREATE TABLE conversations (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    used_at REAL NOT NULL,
    object BLOB NOT NULL
);
CREATE INDEX conversations_used ON conversations (used_at);
CREATE TABLE conversation_items (
    position INTEGER PRIMARY KEY,
    conversation TEXT NOT NULL,
    id TEXT NOT NULL,
    item BLOB NOT NULL
);
CREATE UNIQUE INDEX conversation_items_id ON conversation_items (conversation, id);
CREATE INDEX conversation_items_by_id ON conversation_items (id);
CREATE TABLE totals (live INTEGER NOT NULL, bytes INTEGER NOT NULL);
INSERT INTO totals VALUES (0, 0);
CREATE TRIGGER response_added AFTER INSERT ON responses BEGIN
    UPDATE totals SET live = live + NEW.live, bytes = bytes + NEW.size;
END;
CREATE TRIGGER response_changed AFTER UPDATE OF live, size ON responses BEGIN
    UPDATE totals SET live = live + NEW.live - OLD.live, bytes = bytes + NEW.size - OLD.size;
END;
CREATE TRIGGER response_removed AFTER DELETE ON responses BEGIN
    UPDATE totals SET live = live - OLD.live, bytes = bytes - OLD.size;
    DELETE FROM items WHERE response = OLD.id;
END;
CREATE TRIGGER conversation_removed AFTER DELETE ON conversations BEGIN
    DELETE FROM conversation_items WHERE conversation = OLD.id;
END;
CREATE TRIGGER conversation_item_added AFTER INSERT ON conversation_items BEGIN
    UPDATE totals SET bytes = bytes + length(NEW.item);
END;
CREATE TRIGGER conversation_item_removed AFTER DELETE ON conversation_items BEGIN
    UPDATE totals SET bytes = bytes - length(OLD.item);
END;
"""
LIVE_SCHEMA = """
CREATE TABLE IF NOT EXISTS live_events (
    position INTEGER PRIMARY KEY,
    response TEXT NOT NULL,
    events BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS live_events_response ON live_events (response, position);
CREATE TRIGGER IF NOT EXISTS response_ended AFTER UPDATE OF final, live ON responses
WHEN NEW.final = 1 OR NEW.live = 0 BEGIN
    DELETE FROM live_events WHERE response = NEW.id;
END;
CREATE TRIGGER IF NOT EXISTS live_response_removed AFTER DELETE ON responses BEGIN
    DELETE FROM live_events WHERE response = OLD.id;
END;
"""
"""The events of responses that still run; gateways that know nothing of them work with the file as before."""
NOTES_SCHEMA = """
CREATE TABLE IF NOT EXISTS notes (
    position INTEGER PRIMARY KEY,   -- grows with every note
    name TEXT NOT NULL,
    owner TEXT NOT NULL,
    noted_at REAL NOT NULL,
    value TEXT NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS notes_name ON notes (name, owner);
CREATE INDEX IF NOT EXISTS notes_noted ON notes (noted_at);
"""
"""Which upstream keeps what, and the like; these tables came last."""

CHAIN = """
WITH RECURSIVE chain (id, depth) AS (
    SELECT ?, 0
    UNION ALL
    SELECT responses.previous, depth + 1 FROM chain JOIN responses USING (id) WHERE responses.previous IS NOT NULL
)
SELECT input, output FROM chain LEFT JOIN responses USING (id) ORDER BY depth DESC
"""
COLUMNS = "owner, lease, replay, input, output, response, events"
