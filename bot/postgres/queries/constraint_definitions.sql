-- Every constraint of a table or domain with its definition, one row each; NOT NULL of a table's column is told with the column.
-- What a partition or child merely inherits is told by its parent. What is needed to count its rows: constraints.sql.
SELECT k.oid::bigint AS oid,
       k.conrelid::bigint AS table_oid,
       k.contypid::bigint AS domain_oid,
       pg_catalog.quote_ident(k.conname) AS name,
       k.contype::text AS type,
       k.convalidated AS validated,
       CASE WHEN k.contype = 'n' THEN 'NOT NULL' ELSE pg_catalog.pg_get_constraintdef(k.oid, true) END AS definition,
       pg_catalog.array_to_string(k.conkey, ' ') AS numbers,
       k.conindid::bigint AS index_oid,
       NULLIF(k.conparentid, 0)::bigint AS parent
FROM pg_catalog.pg_constraint AS k
JOIN pg_catalog.pg_namespace AS n ON n.oid = k.connamespace
WHERE ((k.contype = 'c' AND (k.conislocal OR k.contypid <> 0))
       OR (k.contype = 'f' AND k.conparentid = 0)
       OR k.contype IN ('p', 'u', 'x')
       OR (k.contype = 'n' AND k.contypid <> 0))
  AND n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
