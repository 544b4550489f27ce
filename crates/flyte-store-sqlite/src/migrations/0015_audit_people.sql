-- Who a subject was when the event happened: the log still names an account or an API key that is gone, and it is found by
-- an e-mail address that has changed since.
ALTER TABLE audit_records ADD COLUMN email TEXT;      -- as the account had it
ALTER TABLE audit_records ADD COLUMN email_key TEXT;  -- in lower case: what the filter compares
ALTER TABLE audit_records ADD COLUMN name TEXT;

-- Where it happened. Events without the detail are of older servers, which had the project only in the object.
ALTER TABLE audit_records ADD COLUMN project TEXT GENERATED ALWAYS AS (
    coalesce(
        json_extract(details, '$.project'),
        CASE
            WHEN event IN ('project_created', 'project_changed') THEN object
            WHEN event IN ('run_aborted', 'run_signalled') AND instr(object, '/') > 0
                THEN substr(object, 1, instr(object, '/') - 1)
        END
    )
) VIRTUAL;

CREATE INDEX audit_records_email ON audit_records (email_key, subject) WHERE email_key IS NOT NULL;
CREATE INDEX audit_records_object ON audit_records (object, id) WHERE object IS NOT NULL;
CREATE INDEX audit_records_project ON audit_records (project, id) WHERE project IS NOT NULL;
CREATE INDEX audit_records_address ON audit_records (address, id) WHERE address IS NOT NULL;
