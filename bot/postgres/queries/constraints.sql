-- Everything that existing rows can break, one row each, with what is needed to count the rows that break it: CHECK, FOREIGN
-- KEY, UNIQUE (constraints and bare unique indexes), PRIMARY KEY, EXCLUDE, NOT NULL, and the bounds of a partition. What a
-- partition or child inherits is told by its parent.
WITH tables AS (
  SELECT c.oid, c.relname, n.nspname, c.relispartition, pg_catalog.format('%I.%I', n.nspname, c.relname) AS name,
         CASE c.relkind WHEN 'r' THEN 'ONLY ' ELSE '' END AS only
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p')
    AND c.relpersistence <> 't'
    AND n.nspname !~ '^pg_'
    AND n.nspname <> 'information_schema'
    AND true -- only some tables, if need be
)
SELECT k.oid::bigint AS oid,
       t.oid::bigint AS table_oid,
       t.name AS table_name,
       CASE WHEN k.contype = 'f' OR k.connoinherit THEN t.only ELSE '' END || t.name AS source,
       t.nspname::text AS schema,
       t.relname::text AS relation,
       NULL::text AS column_name,
       k.conname::text AS name,
       CASE k.contype WHEN 'c' THEN 'check' ELSE 'foreign key' END AS kind,
       k.convalidated AS validated,
       pg_catalog.pg_get_constraintdef(k.oid, true) AS definition,
       ARRAY(SELECT pg_catalog.quote_ident(a.attname)
             FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY AS u(num, ord)
             JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = u.num ORDER BY u.ord) AS columns,
       pg_catalog.pg_get_expr(k.conbin, k.conrelid) AS expression,
       (SELECT CASE r.relkind WHEN 'r' THEN 'ONLY ' ELSE '' END || pg_catalog.format('%I.%I', rn.nspname, r.relname)
        FROM pg_catalog.pg_class AS r
        JOIN pg_catalog.pg_namespace AS rn ON rn.oid = r.relnamespace WHERE r.oid = k.confrelid) AS referenced,
       ARRAY(SELECT pg_catalog.quote_ident(a.attname)
             FROM pg_catalog.unnest(k.confkey) WITH ORDINALITY AS u(num, ord)
             JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.confrelid AND a.attnum = u.num ORDER BY u.ord)
         AS referenced_columns,
       ARRAY(SELECT pg_catalog.format('OPERATOR(%I.%s)', opn.nspname, op.oprname)
             FROM pg_catalog.unnest(k.conpfeqop) WITH ORDINALITY AS u(oid, ord)
             JOIN pg_catalog.pg_operator AS op ON op.oid = u.oid
             JOIN pg_catalog.pg_namespace AS opn ON opn.oid = op.oprnamespace ORDER BY u.ord) AS operators,
       k.confmatchtype = 'f' AS match_full,
       false AS nulls_not_distinct,
       NULL::text AS index_definition,
       false AS bare_index,
       -- a period, or what is not enforced, is not counted; these columns are new in PostgreSQL 18
       (pg_catalog.to_jsonb(k) ->> 'conperiod' IS DISTINCT FROM 'true'
        AND pg_catalog.to_jsonb(k) ->> 'conenforced' IS DISTINCT FROM 'false') AS countable
FROM pg_catalog.pg_constraint AS k
JOIN tables AS t ON t.oid = k.conrelid
WHERE (k.contype = 'c' AND k.conislocal) OR (k.contype = 'f' AND k.conparentid = 0)

UNION ALL
SELECT i.indexrelid::bigint,
       t.oid::bigint,
       t.name,
       t.only || t.name,
       t.nspname::text,
       t.relname::text,
       NULL,
       c.relname::text,
       CASE WHEN i.indisprimary THEN 'primary key' WHEN i.indisexclusion THEN 'exclusion' ELSE 'unique' END,
       i.indisvalid,
       coalesce(pg_catalog.pg_get_constraintdef(k.oid, true), pg_catalog.pg_get_indexdef(i.indexrelid)),
       ARRAY(SELECT pg_catalog.pg_get_indexdef(i.indexrelid, position, true) || coalesce(
               (SELECT pg_catalog.format(' COLLATE %I.%I', con.nspname, co.collname)
                FROM pg_catalog.pg_collation AS co
                JOIN pg_catalog.pg_namespace AS con ON con.oid = co.collnamespace
                WHERE co.oid = i.indcollation[position - 1]
                  AND co.oid <> coalesce((SELECT a.attcollation FROM pg_catalog.pg_attribute AS a
                                          WHERE a.attrelid = i.indrelid AND a.attnum = i.indkey[position - 1]), 100)), '')
             FROM pg_catalog.generate_series(1, i.indnkeyatts::int) AS position),
       pg_catalog.pg_get_expr(i.indpred, i.indrelid),
       NULL,
       ARRAY[]::text[],
       ARRAY(SELECT pg_catalog.format('OPERATOR(%I.%s)', opn.nspname, op.oprname)
             FROM pg_catalog.unnest(k.conexclop) WITH ORDINALITY AS u(oid, ord)
             JOIN pg_catalog.pg_operator AS op ON op.oid = u.oid
             JOIN pg_catalog.pg_namespace AS opn ON opn.oid = op.oprnamespace ORDER BY u.ord),
       false,
       i.indnullsnotdistinct,
       CASE WHEN i.indisexclusion
            THEN pg_catalog.replace(pg_catalog.pg_get_indexdef(i.indexrelid),
                                    'CREATE INDEX ' || pg_catalog.quote_ident(c.relname) || ' ON', 'CREATE INDEX ON') END,
       k.oid IS NULL,
       pg_catalog.to_jsonb(k) ->> 'conperiod' IS DISTINCT FROM 'true'
FROM pg_catalog.pg_index AS i
JOIN tables AS t ON t.oid = i.indrelid
JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
LEFT JOIN pg_catalog.pg_constraint AS k ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')
WHERE (i.indisunique OR i.indisexclusion) AND NOT c.relispartition

UNION ALL
SELECT a.attnum::bigint,
       t.oid::bigint,
       t.name,
       t.only || t.name,
       t.nspname::text,
       t.relname::text,
       a.attname::text,
       coalesce(k.conname::text, a.attname::text),
       'not null',
       coalesce(k.convalidated, true),
       pg_catalog.format('%I NOT NULL', a.attname),
       ARRAY[pg_catalog.quote_ident(a.attname)],
       NULL,
       NULL,
       ARRAY[]::text[],
       ARRAY[]::text[],
       false,
       false,
       NULL,
       false,
       true
FROM pg_catalog.pg_attribute AS a
JOIN tables AS t ON t.oid = a.attrelid
LEFT JOIN pg_catalog.pg_constraint AS k ON k.conrelid = a.attrelid AND k.contype = 'n' AND k.conkey = ARRAY[a.attnum]
WHERE a.attnotnull AND a.attnum > 0 AND NOT a.attisdropped AND (a.attislocal OR NOT t.relispartition)

UNION ALL
SELECT t.oid::bigint,
       t.oid::bigint,
       t.name,
       t.name,
       t.nspname::text,
       t.relname::text,
       NULL,
       t.relname::text,
       'partition bounds',
       true,
       pg_catalog.pg_get_partition_constraintdef(t.oid),
       ARRAY[]::text[],
       pg_catalog.pg_get_partition_constraintdef(t.oid),
       NULL,
       ARRAY[]::text[],
       ARRAY[]::text[],
       false,
       false,
       NULL,
       false,
       true
FROM tables AS t
WHERE t.relispartition AND pg_catalog.pg_get_partition_constraintdef(t.oid) IS NOT NULL
