-- Everything else that pg_dump writes, few of each in any database. What a version of PostgreSQL does not have yet is read out of
-- the whole row as JSON. Values of options may be secrets: they are in `hidden`, where a change is seen and nothing shown.
SELECT '2615:' || n.oid AS id, 'schema' AS kind, NULL::text AS home, NULL::text AS also, pg_catalog.quote_ident(n.nspname) AS name,
       '' AS definition, pg_catalog.pg_get_userbyid(n.nspowner)::text AS owner, NULL::text AS hidden
FROM pg_catalog.pg_namespace AS n
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'

UNION ALL
SELECT '3079:' || e.oid, 'extension', NULL, NULL, pg_catalog.quote_ident(e.extname),
       pg_catalog.format('SCHEMA %s VERSION %s', e.extnamespace::regnamespace, e.extversion), NULL, NULL
FROM pg_catalog.pg_extension AS e

UNION ALL
SELECT '3466:' || v.oid, 'event trigger', NULL, NULL, pg_catalog.quote_ident(v.evtname),
       pg_catalog.concat_ws(' ', 'ON', v.evtevent, 'WHEN TAG IN (' || pg_catalog.array_to_string(v.evttags, ', ') || ')',
         'EXECUTE FUNCTION', v.evtfoid::regproc,
         CASE v.evtenabled WHEN 'D' THEN 'DISABLED' WHEN 'R' THEN 'ENABLE REPLICA' WHEN 'A' THEN 'ENABLE ALWAYS' END),
       pg_catalog.pg_get_userbyid(v.evtowner)::text, NULL
FROM pg_catalog.pg_event_trigger AS v

UNION ALL
SELECT '2612:' || l.oid, 'language', NULL, NULL, pg_catalog.quote_ident(l.lanname),
       pg_catalog.concat_ws(' ', CASE WHEN l.lanpltrusted THEN 'TRUSTED' END, 'HANDLER', l.lanplcallfoid::regproc,
         'INLINE ' || NULLIF(l.laninline, 0)::regproc::text, 'VALIDATOR ' || NULLIF(l.lanvalidator, 0)::regproc::text),
       pg_catalog.pg_get_userbyid(l.lanowner)::text, NULL
FROM pg_catalog.pg_language AS l
WHERE l.oid >= 16384

UNION ALL
SELECT '3576:' || f.oid, 'transform', NULL, NULL,
       pg_catalog.format('FOR %s LANGUAGE %I', pg_catalog.format_type(f.trftype, NULL), l.lanname),
       pg_catalog.concat_ws(', ', 'FROM SQL ' || NULLIF(f.trffromsql, 0)::regprocedure::text,
                                  'TO SQL ' || NULLIF(f.trftosql, 0)::regprocedure::text), NULL, NULL
FROM pg_catalog.pg_transform AS f
JOIN pg_catalog.pg_language AS l ON l.oid = f.trflang
WHERE f.oid >= 16384

UNION ALL
SELECT '2605:' || k.oid, 'cast', NULL, NULL,
       pg_catalog.format('(%s AS %s)', pg_catalog.format_type(k.castsource, NULL), pg_catalog.format_type(k.casttarget, NULL)),
       CASE k.castmethod WHEN 'i' THEN 'WITH INOUT' WHEN 'b' THEN 'WITHOUT FUNCTION'
                         ELSE 'WITH FUNCTION ' || k.castfunc::regprocedure END
         || CASE k.castcontext WHEN 'a' THEN ' AS ASSIGNMENT' WHEN 'i' THEN ' AS IMPLICIT' ELSE '' END, NULL, NULL
FROM pg_catalog.pg_cast AS k
WHERE k.oid >= 16384

UNION ALL
SELECT '2617:' || o.oid, 'operator', '2615:' || o.oprnamespace, NULL,
       pg_catalog.format('%s(%s, %s)', o.oprname, CASE WHEN o.oprleft = 0 THEN 'NONE' ELSE pg_catalog.format_type(o.oprleft, NULL) END,
                         pg_catalog.format_type(o.oprright, NULL)),
       pg_catalog.concat_ws(' ', 'FUNCTION', o.oprcode, 'COMMUTATOR ' || NULLIF(o.oprcom, 0)::regoperator::text,
         'NEGATOR ' || NULLIF(o.oprnegate, 0)::regoperator::text, 'RESTRICT ' || NULLIF(o.oprrest, 0)::regproc::text,
         'JOIN ' || NULLIF(o.oprjoin, 0)::regproc::text, CASE WHEN o.oprcanhash THEN 'HASHES' END,
         CASE WHEN o.oprcanmerge THEN 'MERGES' END),
       pg_catalog.pg_get_userbyid(o.oprowner)::text, NULL
FROM pg_catalog.pg_operator AS o
WHERE o.oid >= 16384

UNION ALL
SELECT '2753:' || f.oid, 'operator family', '2615:' || f.opfnamespace, NULL,
       pg_catalog.format('%I USING %I', f.opfname, m.amname),
       pg_catalog.concat_ws(', ',
         (SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ', 'OPERATOR', o.amopstrategy, o.amopopr::regoperator,
                                       'FOR ORDER BY ' || NULLIF(o.amopsortfamily, 0)::text), ', '
                   ORDER BY o.amopstrategy, o.amopopr::regoperator::text)
          FROM pg_catalog.pg_amop AS o WHERE o.amopfamily = f.oid),
         (SELECT pg_catalog.string_agg(pg_catalog.format('FUNCTION %s (%s, %s) %s', p.amprocnum,
                   pg_catalog.format_type(p.amproclefttype, NULL), pg_catalog.format_type(p.amprocrighttype, NULL),
                   p.amproc::regprocedure), ', '
                   ORDER BY p.amprocnum, p.amproc::regprocedure::text)
          FROM pg_catalog.pg_amproc AS p WHERE p.amprocfamily = f.oid)),
       pg_catalog.pg_get_userbyid(f.opfowner)::text, NULL
FROM pg_catalog.pg_opfamily AS f
JOIN pg_catalog.pg_am AS m ON m.oid = f.opfmethod
WHERE f.oid >= 16384

UNION ALL
SELECT '2616:' || o.oid, 'operator class', '2615:' || o.opcnamespace, NULL,
       pg_catalog.format('%I USING %I', o.opcname, m.amname),
       pg_catalog.concat_ws(' ', CASE WHEN o.opcdefault THEN 'DEFAULT' END, 'FOR TYPE', pg_catalog.format_type(o.opcintype, NULL),
         'FAMILY', (SELECT pg_catalog.format('%s.%I', f.opfnamespace::regnamespace, f.opfname)
                    FROM pg_catalog.pg_opfamily AS f WHERE f.oid = o.opcfamily),
         'STORAGE ' || pg_catalog.format_type(NULLIF(o.opckeytype, 0), NULL)),
       pg_catalog.pg_get_userbyid(o.opcowner)::text, NULL
FROM pg_catalog.pg_opclass AS o
JOIN pg_catalog.pg_am AS m ON m.oid = o.opcmethod
WHERE o.oid >= 16384

UNION ALL
SELECT '2601:' || m.oid, 'access method', NULL, NULL, pg_catalog.quote_ident(m.amname),
       pg_catalog.format('TYPE %s HANDLER %s', CASE m.amtype WHEN 'i' THEN 'INDEX' ELSE 'TABLE' END, m.amhandler), NULL, NULL
FROM pg_catalog.pg_am AS m
WHERE m.oid >= 16384

UNION ALL
SELECT '3456:' || c.oid, 'collation', '2615:' || c.collnamespace, NULL, pg_catalog.quote_ident(c.collname),
       (SELECT pg_catalog.string_agg(pg_catalog.format('%s = %s', pg_catalog.substr(f.key, 5), f.value), ', ' ORDER BY f.key)
        FROM pg_catalog.jsonb_each_text(pg_catalog.to_jsonb(c)) AS f
        WHERE f.key NOT IN ('oid', 'collname', 'collnamespace', 'collowner', 'collversion')),
       pg_catalog.pg_get_userbyid(c.collowner)::text, NULL
FROM pg_catalog.pg_collation AS c
WHERE c.oid >= 16384

UNION ALL
SELECT '2607:' || c.oid, 'conversion', '2615:' || c.connamespace, NULL, pg_catalog.quote_ident(c.conname),
       pg_catalog.format('%sFOR %s TO %s FROM %s', CASE WHEN c.condefault THEN 'DEFAULT ' ELSE '' END,
         pg_catalog.pg_encoding_to_char(c.conforencoding), pg_catalog.pg_encoding_to_char(c.contoencoding), c.conproc),
       pg_catalog.pg_get_userbyid(c.conowner)::text, NULL
FROM pg_catalog.pg_conversion AS c
WHERE c.oid >= 16384

UNION ALL
SELECT '3601:' || p.oid, 'text search parser', '2615:' || p.prsnamespace, NULL, pg_catalog.quote_ident(p.prsname),
       pg_catalog.concat_ws(' ', 'START', p.prsstart, 'GETTOKEN', p.prstoken, 'END', p.prsend, 'HEADLINE', p.prsheadline,
                            'LEXTYPES', p.prslextype), NULL, NULL
FROM pg_catalog.pg_ts_parser AS p
WHERE p.oid >= 16384

UNION ALL
SELECT '3764:' || t.oid, 'text search template', '2615:' || t.tmplnamespace, NULL, pg_catalog.quote_ident(t.tmplname),
       pg_catalog.concat_ws(' ', 'INIT', t.tmplinit, 'LEXIZE', t.tmpllexize), NULL, NULL
FROM pg_catalog.pg_ts_template AS t
WHERE t.oid >= 16384

UNION ALL
SELECT '3600:' || d.oid, 'text search dictionary', '2615:' || d.dictnamespace, NULL, pg_catalog.quote_ident(d.dictname),
       pg_catalog.concat_ws(' ', 'TEMPLATE',
         (SELECT pg_catalog.format('%s.%I', t.tmplnamespace::regnamespace, t.tmplname)
          FROM pg_catalog.pg_ts_template AS t WHERE t.oid = d.dicttemplate), d.dictinitoption),
       pg_catalog.pg_get_userbyid(d.dictowner)::text, NULL
FROM pg_catalog.pg_ts_dict AS d
WHERE d.oid >= 16384

UNION ALL
SELECT '3602:' || c.oid, 'text search configuration', '2615:' || c.cfgnamespace, NULL, pg_catalog.quote_ident(c.cfgname),
       pg_catalog.concat_ws(' ', 'PARSER',
         (SELECT pg_catalog.format('%s.%I', p.prsnamespace::regnamespace, p.prsname)
          FROM pg_catalog.pg_ts_parser AS p WHERE p.oid = c.cfgparser),
         (SELECT pg_catalog.string_agg(pg_catalog.format('%s: %s', m.maptokentype, m.mapdict::regdictionary), ', '
                                       ORDER BY m.maptokentype, m.mapseqno)
          FROM pg_catalog.pg_ts_config_map AS m WHERE m.mapcfg = c.oid)),
       pg_catalog.pg_get_userbyid(c.cfgowner)::text, NULL
FROM pg_catalog.pg_ts_config AS c
WHERE c.oid >= 16384

UNION ALL
SELECT '2328:' || f.oid, 'foreign data wrapper', NULL, NULL, pg_catalog.quote_ident(f.fdwname),
       pg_catalog.concat_ws(' ', 'HANDLER ' || NULLIF(f.fdwhandler, 0)::regproc::text,
         'VALIDATOR ' || NULLIF(f.fdwvalidator, 0)::regproc::text,
         'OPTIONS (' || (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(o.option_name), ', ')
                         FROM pg_catalog.pg_options_to_table(f.fdwoptions) AS o) || ')'),
       pg_catalog.pg_get_userbyid(f.fdwowner)::text, pg_catalog.md5(f.fdwoptions::text)
FROM pg_catalog.pg_foreign_data_wrapper AS f
WHERE f.oid >= 16384

UNION ALL
SELECT '1417:' || s.oid, 'server', NULL, NULL, pg_catalog.quote_ident(s.srvname),
       pg_catalog.concat_ws(' ', 'TYPE ' || pg_catalog.quote_literal(s.srvtype), 'VERSION ' || pg_catalog.quote_literal(s.srvversion),
         'FOREIGN DATA WRAPPER', (SELECT pg_catalog.quote_ident(f.fdwname)
                                  FROM pg_catalog.pg_foreign_data_wrapper AS f WHERE f.oid = s.srvfdw),
         'OPTIONS (' || (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(o.option_name), ', ')
                         FROM pg_catalog.pg_options_to_table(s.srvoptions) AS o) || ')'),
       pg_catalog.pg_get_userbyid(s.srvowner)::text, pg_catalog.md5(s.srvoptions::text)
FROM pg_catalog.pg_foreign_server AS s

UNION ALL
SELECT '1418:' || u.umid, 'user mapping', NULL, NULL,
       pg_catalog.format('FOR %s SERVER %I', CASE WHEN u.umuser = 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(u.usename) END, u.srvname),
       coalesce('OPTIONS (' || (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(o.option_name), ', ')
                                FROM pg_catalog.pg_options_to_table(u.umoptions) AS o) || ')', ''),
       NULL, pg_catalog.md5(u.umoptions::text)
FROM pg_catalog.pg_user_mappings AS u

UNION ALL
SELECT '6104:' || p.oid, 'publication', NULL, NULL, pg_catalog.quote_ident(p.pubname),
       pg_catalog.concat_ws(' ',
         CASE WHEN p.puballtables THEN 'FOR ALL TABLES' END,
         'FOR TABLES IN SCHEMA ' || (SELECT pg_catalog.string_agg(s.pnnspid::regnamespace::text, ', ' ORDER BY s.pnnspid::regnamespace::text)
                                     FROM pg_catalog.pg_publication_namespace AS s WHERE s.pnpubid = p.oid),
         'FOR TABLE ' || (SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ', r.prrelid::regclass,
                             '(' || (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' ORDER BY a.attnum)
                                     FROM pg_catalog.pg_attribute AS a
                                     WHERE a.attrelid = r.prrelid AND a.attnum = ANY (r.prattrs::int2[])) || ')',
                             'WHERE ' || pg_catalog.pg_get_expr(r.prqual, r.prrelid)), ', ' ORDER BY r.prrelid::regclass::text)
                          FROM pg_catalog.pg_publication_rel AS r WHERE r.prpubid = p.oid),
         'WITH (' || (SELECT pg_catalog.string_agg(pg_catalog.format('%s = %s', pg_catalog.substr(f.key, 4), f.value), ', ' ORDER BY f.key)
                      FROM pg_catalog.jsonb_each_text(pg_catalog.to_jsonb(p)) AS f
                      WHERE f.key NOT IN ('oid', 'pubname', 'pubowner', 'puballtables')) || ')'),
       pg_catalog.pg_get_userbyid(p.pubowner)::text, NULL
FROM pg_catalog.pg_publication AS p

UNION ALL
SELECT '826:' || d.oid, 'default privileges', NULL, NULL,
       pg_catalog.format('FOR ROLE %I%s ON %s', pg_catalog.pg_get_userbyid(d.defaclrole),
         CASE WHEN d.defaclnamespace <> 0 THEN ' IN SCHEMA ' || d.defaclnamespace::regnamespace ELSE '' END,
         CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS' WHEN 'T' THEN 'TYPES'
                              WHEN 'n' THEN 'SCHEMAS' WHEN 'L' THEN 'LARGE OBJECTS' ELSE d.defaclobjtype::text END),
       coalesce((SELECT pg_catalog.string_agg(g.what, '; ' ORDER BY g.what)
                 FROM (SELECT pg_catalog.string_agg(x.privilege_type || CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END,
                                                    ', ' ORDER BY x.privilege_type)
                              || ' to ' || CASE WHEN x.grantee = 0 THEN 'PUBLIC'
                                                ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(x.grantee)) END AS what
                       FROM pg_catalog.aclexplode(d.defaclacl) AS x GROUP BY x.grantee) AS g), 'none'), NULL, NULL
FROM pg_catalog.pg_default_acl AS d
