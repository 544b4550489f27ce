-- Objects in files are named without the path of the data directory: `objects://PROJECT/DOMAIN/PATH`. The paths in other
-- tables are rewritten by `relative_urls.rs`.
CREATE TABLE object_directories (
    path      TEXT PRIMARY KEY,                -- where objects are kept, or were kept earlier
    rewritten INTEGER NOT NULL                 -- whether inputs and outputs no longer name it
) STRICT, WITHOUT ROWID;
