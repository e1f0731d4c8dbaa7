-- Tables, views and sequences as objects; what tables are made of is told by other queries.
SELECT '1259:' || c.oid AS id,
       CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table'
                      WHEN 'S' THEN 'sequence' ELSE 'table' END AS kind,
       '2615:' || c.relnamespace AS home,
       CASE WHEN c.relkind = 'S'
            THEN (SELECT '1259:' || o.refobjid || ':' || o.refobjsubid || ' 1259:' || o.refobjid
                  FROM pg_catalog.pg_depend AS o
                  WHERE o.classid = 'pg_catalog.pg_class'::regclass AND o.objid = c.oid AND o.objsubid = 0
                    AND o.refclassid = 'pg_catalog.pg_class'::regclass AND o.refobjsubid > 0 AND o.deptype IN ('a', 'i'))
            ELSE h.parents
       END AS also,
       pg_catalog.quote_ident(c.relname) AS name,
       pg_catalog.concat_ws(' ',
         CASE WHEN c.relpersistence = 'u' THEN 'UNLOGGED' END,
         CASE WHEN c.reloftype <> 0 THEN 'OF ' || pg_catalog.format_type(c.reloftype, NULL) END,
         CASE WHEN c.relispartition THEN 'PARTITION OF ' ELSE 'INHERITS ' END || h.names,
         CASE WHEN c.relispartition THEN pg_catalog.pg_get_expr(c.relpartbound, c.oid) END,
         CASE WHEN c.relkind = 'p' THEN 'PARTITION BY ' || pg_catalog.pg_get_partkeydef(c.oid) END,
         CASE WHEN c.relam NOT IN (0, 2)
              THEN 'USING ' || (SELECT pg_catalog.quote_ident(m.amname) FROM pg_catalog.pg_am AS m WHERE m.oid = c.relam) END,
         'WITH (' || pg_catalog.array_to_string(c.reloptions, ', ') || ')',
         'TOAST (' || pg_catalog.array_to_string(toast.reloptions, ', ') || ')',
         CASE WHEN c.reltablespace <> 0
              THEN 'TABLESPACE ' || (SELECT pg_catalog.quote_ident(s.spcname)
                                     FROM pg_catalog.pg_tablespace AS s WHERE s.oid = c.reltablespace) END,
         CASE WHEN c.relrowsecurity THEN 'ENABLE ROW LEVEL SECURITY' END,
         CASE WHEN c.relforcerowsecurity THEN 'FORCE ROW LEVEL SECURITY' END,
         CASE WHEN c.relkind IN ('r', 'p', 'm')
              THEN CASE c.relreplident WHEN 'n' THEN 'REPLICA IDENTITY NOTHING' WHEN 'f' THEN 'REPLICA IDENTITY FULL'
                                       WHEN 'i' THEN 'REPLICA IDENTITY USING INDEX' END END,
         CASE WHEN c.relkind IN ('v', 'm') THEN pg_catalog.pg_get_viewdef(c.oid) END,
         CASE WHEN c.relkind = 'v'
              THEN (SELECT pg_catalog.string_agg(pg_catalog.format('ALTER COLUMN %I SET DEFAULT %s', a.attname,
                                                                   pg_catalog.pg_get_expr(d.adbin, d.adrelid)),
                                                 ', ' ORDER BY a.attnum)
                    FROM pg_catalog.pg_attrdef AS d
                    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
                    WHERE d.adrelid = c.oid) END,
         CASE WHEN c.relkind = 'f'
              THEN (SELECT pg_catalog.format('SERVER %I', s.srvname)
                           || coalesce(' OPTIONS (' || pg_catalog.array_to_string(f.ftoptions, ', ') || ')', '')
                    FROM pg_catalog.pg_foreign_table AS f
                    JOIN pg_catalog.pg_foreign_server AS s ON s.oid = f.ftserver WHERE f.ftrelid = c.oid) END,
         CASE WHEN c.relkind = 'S'
              THEN (SELECT pg_catalog.concat_ws(' ', 'AS', pg_catalog.format_type(q.seqtypid, NULL), 'START', q.seqstart,
                                                'INCREMENT', q.seqincrement, 'MINVALUE', q.seqmin, 'MAXVALUE', q.seqmax,
                                                'CACHE', q.seqcache, CASE WHEN q.seqcycle THEN 'CYCLE' END)
                    FROM pg_catalog.pg_sequence AS q WHERE q.seqrelid = c.oid) END,
         CASE WHEN c.relkind = 'S'
              THEN (SELECT CASE o.deptype WHEN 'i' THEN 'IDENTITY OF ' ELSE 'OWNED BY ' END
                           || o.refobjid::regclass || '.' || pg_catalog.quote_ident(a.attname)
                    FROM pg_catalog.pg_depend AS o
                    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = o.refobjid AND a.attnum = o.refobjsubid
                    WHERE o.classid = 'pg_catalog.pg_class'::regclass AND o.objid = c.oid AND o.objsubid = 0
                      AND o.refclassid = 'pg_catalog.pg_class'::regclass AND o.refobjsubid > 0 AND o.deptype IN ('a', 'i')) END
       ) AS definition,
       pg_catalog.pg_get_userbyid(c.relowner)::text AS owner,
       NULL::text AS hidden
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_class AS toast ON toast.oid = c.reltoastrelid AND toast.reloptions IS NOT NULL
LEFT JOIN (
  SELECT i.inhrelid,
         pg_catalog.string_agg('1259:' || i.inhparent, ' ' ORDER BY i.inhseqno) AS parents,
         pg_catalog.string_agg(i.inhparent::regclass::text || CASE WHEN i.inhdetachpending THEN ' (detaching)' ELSE '' END, ', '
                               ORDER BY i.inhseqno) AS names
  FROM pg_catalog.pg_inherits AS i GROUP BY i.inhrelid
) AS h ON h.inhrelid = c.oid
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
  AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
