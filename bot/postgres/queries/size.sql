-- How large the database is on disk; its folder is read for that.
SELECT pg_catalog.pg_database_size(pg_catalog.current_database())::bigint AS oid
