CREATE TABLE IF NOT EXISTS {table} (
    digest bytea PRIMARY KEY CHECK (octet_length(digest) = 32),
    id text NOT NULL UNIQUE CHECK (octet_length(id) BETWEEN 1 AND 64),
    revision bigint NOT NULL CHECK (revision > 0),
    record jsonb NOT NULL CHECK (octet_length(record::text) <= 32768),
    changed_at timestamptz NOT NULL DEFAULT now()
);

CREATE OR REPLACE FUNCTION {table}_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        PERFORM pg_notify('{channel}', '');
        RETURN NULL;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        PERFORM pg_notify('{channel}', encode(OLD.digest, 'hex'));
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM pg_notify('{channel}', encode(NEW.digest, 'hex'));
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER {name}_changed
    AFTER INSERT OR UPDATE OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION {table}_changed();

CREATE OR REPLACE TRIGGER {name}_emptied
    AFTER TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION {table}_changed();
