-- Every index, one row each. `parent`: the index of the partitioned table that one of a partition belongs to; `of_constraint`:
-- the constraint that stands for it; `more`: what its definition does not say; `leading`: the column, by number, or expression that
-- it begins with. pg_get_indexdef loads the whole table into the
-- session's cache first: so a plain one's definition is put together here, and a primary key's of its constraint's by who reads this.
SELECT i.indexrelid::bigint AS oid,
       i.indrelid::bigint AS table_oid,
       pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) AS name,
       pg_catalog.quote_ident(tn.nspname) || '.' || pg_catalog.quote_ident(t.relname) AS table_name,
       CASE WHEN k.contype IN ('p', 'u') AND c.relkind = 'i' AND NOT i.indisexclusion AND c.reloptions IS NULL
            THEN ''
            WHEN i.indexprs IS NULL AND i.indpred IS NULL AND i.indnatts = i.indnkeyatts AND c.relkind = 'i' AND p.plain
                 AND c.reloptions IS NULL AND NOT i.indnullsnotdistinct
            THEN 'CREATE ' || CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END || 'INDEX ' || pg_catalog.quote_ident(c.relname)
                 || ' ON ' || pg_catalog.quote_ident(tn.nspname) || '.' || pg_catalog.quote_ident(t.relname)
                 || ' USING ' || pg_catalog.quote_ident(m.amname) || ' (' || p.columns || ')'
            ELSE pg_catalog.pg_get_indexdef(i.indexrelid) END AS definition,
       i.indisvalid AS valid,
       NULLIF(c.relfilenode, 0)::bigint AS filenode,
       c.relnamespace::bigint AS schema_oid,
       pg_catalog.quote_ident(c.relname) AS own_name,
       h.inhparent::bigint AS parent,
       k.oid::bigint AS of_constraint,
       NULLIF(pg_catalog.concat_ws(' ',
         CASE WHEN c.reltablespace <> 0
              THEN 'TABLESPACE ' || (SELECT pg_catalog.quote_ident(s.spcname)
                                     FROM pg_catalog.pg_tablespace AS s WHERE s.oid = c.reltablespace) END,
         CASE WHEN i.indisclustered THEN 'CLUSTER' END,
         CASE WHEN i.indisreplident THEN 'REPLICA IDENTITY' END,
         CASE WHEN i.indexprs IS NOT NULL
              THEN (SELECT 'STATISTICS ' || pg_catalog.string_agg(a.attnum || ': ' || a.attstattarget, ', ' ORDER BY a.attnum)
                    FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = i.indexrelid AND a.attstattarget >= 0) END
       ), '') AS more,
       pg_catalog.array_to_string(c.reloptions, ', ') AS options,
       CASE WHEN i.indisunique AND k.conindid IS NULL
            THEN ARRAY(SELECT pg_catalog.pg_get_indexdef(i.indexrelid, position, true)
                       FROM pg_catalog.generate_series(1, i.indnkeyatts::int) AS position) END AS unique_columns,
       m.amname::text AS method,
       CASE WHEN i.indkey[0] <> 0 THEN i.indkey[0]::text ELSE pg_catalog.pg_get_indexdef(i.indexrelid, 1, true) END AS leading,
       i.indpred IS NOT NULL AS partial
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class AS t ON t.oid = i.indrelid
JOIN pg_catalog.pg_namespace AS tn ON tn.oid = t.relnamespace
JOIN pg_catalog.pg_am AS m ON m.oid = c.relam
LEFT JOIN pg_catalog.pg_constraint AS k ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')
LEFT JOIN (
  SELECT x.indexrelid,
         pg_catalog.string_agg(w.word, ', ' ORDER BY u.place) AS columns,
         pg_catalog.count(w.word) = pg_catalog.count(*) AS plain
  FROM pg_catalog.pg_index AS x
  CROSS JOIN LATERAL ROWS FROM (pg_catalog.unnest(x.indkey::int2[]), pg_catalog.unnest(x.indclass::oid[]),
                                pg_catalog.unnest(x.indcollation::oid[]), pg_catalog.unnest(x.indoption::int2[]))
    WITH ORDINALITY AS u (number, class, collation_oid, option, place)
  CROSS JOIN LATERAL (
    SELECT (SELECT CASE WHEN u.option = 0 AND u.collation_oid IN (0, a.attcollation) AND o.opcdefault
                             AND (o.opcintype = a.atttypid OR (o.opcintype = 25 AND a.atttypid = 1043))
                        THEN pg_catalog.quote_ident(a.attname) END
            FROM pg_catalog.pg_attribute AS a
            JOIN pg_catalog.pg_opclass AS o ON o.oid = u.class
            WHERE a.attrelid = x.indrelid AND a.attnum = u.number) AS word
    OFFSET 0
  ) AS w
  WHERE x.indexrelid >= 16384 AND x.indexprs IS NULL AND x.indpred IS NULL AND NOT x.indisprimary
  GROUP BY x.indexrelid
) AS p ON p.indexrelid = i.indexrelid
LEFT JOIN pg_catalog.pg_inherits AS h ON h.inhrelid = i.indexrelid
WHERE c.relpersistence <> 't'
  AND n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
ORDER BY i.indexrelid
