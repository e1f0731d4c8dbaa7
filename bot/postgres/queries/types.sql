-- Types and domains. Those that come with a table, and arrays, are left out: they follow from another type.
SELECT '1247:' || t.oid AS id,
       CASE t.typtype WHEN 'd' THEN 'domain' ELSE 'type' END AS kind,
       '2615:' || t.typnamespace AS home,
       NULL::text AS also,
       pg_catalog.quote_ident(t.typname) AS name,
       CASE
         WHEN NOT t.typisdefined THEN 'not yet defined'
         WHEN t.typtype = 'e'
           THEN 'ENUM (' || coalesce((SELECT pg_catalog.string_agg(pg_catalog.quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder)
                                      FROM pg_catalog.pg_enum AS e WHERE e.enumtypid = t.oid), '') || ')'
         WHEN t.typtype = 'd'
           THEN pg_catalog.concat_ws(' ', pg_catalog.format_type(t.typbasetype, t.typtypmod),
                CASE WHEN t.typcollation <> b.typcollation THEN 'COLLATE ' || t.typcollation::regcollation::text END,
                'DEFAULT ' || pg_catalog.pg_get_expr(t.typdefaultbin, 0),
                CASE WHEN t.typnotnull THEN 'NOT NULL' END)
         WHEN t.typtype = 'c'
           THEN '(' || coalesce((SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ', pg_catalog.quote_ident(a.attname),
                                   pg_catalog.format_type(a.atttypid, a.atttypmod),
                                   CASE WHEN a.attcollation <> at.typcollation
                                        THEN 'COLLATE ' || a.attcollation::regcollation::text END), ', ' ORDER BY a.attnum)
                                 FROM pg_catalog.pg_attribute AS a
                                 JOIN pg_catalog.pg_type AS at ON at.oid = a.atttypid
                                 WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped), '') || ')'
         WHEN t.typtype = 'r'
           THEN (SELECT pg_catalog.concat_ws(' ', 'RANGE OF', pg_catalog.format_type(r.rngsubtype, NULL),
                          'OPCLASS', (SELECT pg_catalog.format('%I.%I', opn.nspname, o.opcname)
                                      FROM pg_catalog.pg_opclass AS o
                                      JOIN pg_catalog.pg_namespace AS opn ON opn.oid = o.opcnamespace WHERE o.oid = r.rngsubopc),
                          'COLLATE ' || NULLIF(r.rngcollation, 0)::regcollation::text,
                          'CANONICAL ' || NULLIF(r.rngcanonical, 0)::regproc::text,
                          'DIFF ' || NULLIF(r.rngsubdiff, 0)::regproc::text,
                          'MULTIRANGE', pg_catalog.format_type(r.rngmultitypid, NULL))
                 FROM pg_catalog.pg_range AS r WHERE r.rngtypid = t.oid)
         ELSE pg_catalog.concat_ws(' ', 'INPUT', t.typinput, 'OUTPUT', t.typoutput, 'RECEIVE', t.typreceive, 'SEND', t.typsend,
                'TYPMOD', t.typmodin, t.typmodout, 'ANALYZE', t.typanalyze, 'SUBSCRIPT', t.typsubscript, 'LENGTH', t.typlen,
                CASE WHEN t.typbyval THEN 'BY VALUE' END, 'ALIGNMENT', t.typalign, 'STORAGE', t.typstorage,
                'CATEGORY', t.typcategory, CASE WHEN t.typispreferred THEN 'PREFERRED' END,
                'DELIMITER', pg_catalog.quote_literal(t.typdelim::text),
                'ELEMENT ' || pg_catalog.format_type(NULLIF(t.typelem, 0), NULL),
                'DEFAULT ' || pg_catalog.quote_literal(t.typdefault), CASE WHEN t.typcollation <> 0 THEN 'COLLATABLE' END)
       END AS definition,
       pg_catalog.pg_get_userbyid(t.typowner)::text AS owner,
       NULL::text AS hidden
FROM pg_catalog.pg_type AS t
JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
LEFT JOIN pg_catalog.pg_class AS c ON c.oid = t.typrelid AND c.relkind = 'c'
LEFT JOIN pg_catalog.pg_type AS b ON b.oid = t.typbasetype
WHERE n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND t.typtype <> 'm'
  AND t.typinput <> 'pg_catalog.array_in'::regproc
  AND (t.typrelid = 0 OR c.oid IS NOT NULL)
