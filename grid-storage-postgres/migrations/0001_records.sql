-- A server's system of record. Numbers without sign are kept as the signed number of the same bits,
-- except sequences, which are compared and stay below 2^63. Names compare by bytes.
CREATE TABLE records (
    partition integer NOT NULL,
    namespace text COLLATE "C" NOT NULL,
    map text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    history bigint NOT NULL,
    sequence bigint NOT NULL,
    hlc bigint NOT NULL,
    run bigint NOT NULL,
    number bigint NOT NULL,
    expires_at_ms bigint,
    -- The value as people query it; NULL where JSON has no word for a part of it.
    value jsonb,
    -- The value as it is: the bytes that clients get back. NULL is a tombstone.
    value_cbor bytea,
    PRIMARY KEY (partition, namespace, map, key)
);

-- Documents of the size that values have are compressed for less gain than it costs.
ALTER TABLE records ALTER COLUMN value_cbor SET STORAGE EXTERNAL;

CREATE INDEX tombstones ON records (partition, sequence) WHERE value_cbor IS NULL;

-- What a partition remembers beside its records, as of the same sequence or an earlier one.
CREATE TABLE states (
    partition integer NOT NULL PRIMARY KEY,
    history bigint NOT NULL,
    sequence bigint NOT NULL,
    data bytea NOT NULL
);

-- What people read. The table belongs to the server; this keeps its shape when the table changes.
CREATE VIEW entries AS
SELECT
    namespace,
    map,
    key,
    value,
    value_cbor,
    -- The upper 48 bits of the stamp are milliseconds since 1970.
    to_timestamp(((hlc >> 16) & 281474976710655) / 1000.0) AS stamped_at,
    CASE
        WHEN expires_at_ms IS NULL THEN NULL
        -- The last day of the year 9999; what lies behind it, or looks negative, never comes.
        WHEN expires_at_ms BETWEEN 0 AND 253402300799999 THEN to_timestamp(expires_at_ms / 1000.0)
        ELSE 'infinity'
    END AS expires_at,
    value_cbor IS NULL AS deleted,
    partition,
    lpad(to_hex(history), 16, '0') AS history,
    sequence
FROM records;
