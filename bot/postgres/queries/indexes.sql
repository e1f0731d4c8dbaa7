-- Every index, one row each; those of partitions are told by their parent.
SELECT i.indexrelid::bigint AS oid,
       i.indrelid::bigint AS table_oid,
       pg_catalog.format('%I.%I', n.nspname, c.relname) AS name,
       pg_catalog.format('%I.%I', tn.nspname, t.relname) AS table_name,
       pg_catalog.pg_get_indexdef(i.indexrelid) AS definition,
       i.indisvalid AS valid,
       pg_catalog.pg_relation_filenode(i.indexrelid)::bigint AS filenode
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class AS t ON t.oid = i.indrelid
JOIN pg_catalog.pg_namespace AS tn ON tn.oid = t.relnamespace
WHERE NOT c.relispartition
  AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
ORDER BY i.indexrelid
