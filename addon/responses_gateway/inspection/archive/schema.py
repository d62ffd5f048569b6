"""The tables of the archive."""

SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE segments (         -- turns of one thread whose blobs build on each other; they go together
    id INTEGER PRIMARY KEY AUTOINCREMENT,   -- never used again: writers remember where they were
    turns INTEGER NOT NULL,
    latest REAL NOT NULL        -- when a turn of it was last written, in seconds since the epoch
);
CREATE INDEX segments_latest ON segments (latest);
CREATE TABLE turns (
    row INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    segment INTEGER NOT NULL,
    pid INTEGER NOT NULL,       -- of the process that serves it while it is in progress
    response TEXT NOT NULL,     -- id of the response
    opening TEXT NOT NULL,      -- digest of how the conversation begins
    new TEXT NOT NULL,          -- JSON: indexes of the input's items that came with this turn
    flow TEXT NOT NULL,
    session TEXT NOT NULL,
    thread TEXT NOT NULL,
    parent TEXT NOT NULL,
    agent TEXT NOT NULL,
    kind TEXT NOT NULL,
    client TEXT NOT NULL,
    version TEXT NOT NULL,
    number INTEGER NOT NULL,
    model TEXT NOT NULL,
    upstream_model TEXT NOT NULL,
    provider TEXT NOT NULL,
    url TEXT NOT NULL,
    opened REAL NOT NULL,
    sent INTEGER NOT NULL,
    answered INTEGER NOT NULL,
    first_byte INTEGER NOT NULL,
    first_token INTEGER NOT NULL,
    first_text INTEGER NOT NULL,
    ended INTEGER NOT NULL,
    spans TEXT NOT NULL,        -- JSON
    status TEXT NOT NULL,
    error TEXT NOT NULL,
    title TEXT NOT NULL,
    calls INTEGER NOT NULL,
    rounds INTEGER NOT NULL,
    healed INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    cost REAL,
    prefix_common INTEGER NOT NULL,
    prefix_size INTEGER NOT NULL,
    prefix_changed TEXT NOT NULL,
    size INTEGER NOT NULL,
    stored INTEGER NOT NULL
);
CREATE INDEX turns_thread ON turns (session, thread, opened);
CREATE INDEX turns_opened ON turns (opened);
CREATE INDEX turns_segment ON turns (segment);
CREATE INDEX turns_response ON turns (response) WHERE response <> '';
CREATE INDEX turns_opening ON turns (opening, opened);
CREATE INDEX turns_flow ON turns (flow);
CREATE INDEX turns_running ON turns (pid) WHERE status = 'in_progress';
CREATE TABLE blobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,   -- likewise
    turn INTEGER NOT NULL,      -- turns.row
    name TEXT NOT NULL,         -- request, chat/1 …, chunks/1 …, events, each stream's …/marks, facts, shell;
                                -- until a turn is over: early for facts, and early/STREAM/NUMBER for its streams
    base INTEGER,               -- blobs.id of the same segment
    depth INTEGER NOT NULL,     -- how many bases lie below
    reach INTEGER NOT NULL,     -- bytes of all of them
    head INTEGER NOT NULL,
    tail INTEGER NOT NULL,
    size INTEGER NOT NULL,      -- unpacked
    crc INTEGER NOT NULL,       -- unpacked, too: packed bytes do not tell that their base is another one
    data BLOB NOT NULL
);
CREATE UNIQUE INDEX blobs_turn ON blobs (turn, name);
CREATE TABLE said (turn INTEGER PRIMARY KEY, text BLOB NOT NULL);
CREATE VIRTUAL TABLE words USING fts5 (text, content = '', tokenize = "unicode61 remove_diacritics 2");
"""
