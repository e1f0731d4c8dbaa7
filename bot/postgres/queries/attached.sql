-- What belongs to a table and is no column, index or constraint: triggers, rules, policies, extended statistics. The triggers
-- that a partition has from its table name theirs.
SELECT '2620:' || g.oid AS id,
       'trigger' AS kind,
       '1259:' || g.tgrelid AS home,
       CASE WHEN g.tgparentid <> 0 THEN '2620:' || g.tgparentid END AS also,
       pg_catalog.quote_ident(g.tgname) AS name,
       pg_catalog.pg_get_triggerdef(g.oid)
         || CASE g.tgenabled WHEN 'D' THEN ' DISABLED' WHEN 'R' THEN ' ENABLE REPLICA' WHEN 'A' THEN ' ENABLE ALWAYS' ELSE '' END
         AS definition,
       NULL::text AS owner,
       NULL::text AS hidden
FROM pg_catalog.pg_trigger AS g
WHERE NOT g.tgisinternal

UNION ALL
SELECT '2618:' || r.oid,
       'rule',
       '1259:' || r.ev_class,
       NULL,
       pg_catalog.quote_ident(r.rulename),
       CASE WHEN r.rulename = '_RETURN' THEN '' ELSE pg_catalog.pg_get_ruledef(r.oid) END
         || CASE r.ev_enabled WHEN 'D' THEN ' DISABLED' WHEN 'R' THEN ' ENABLE REPLICA' WHEN 'A' THEN ' ENABLE ALWAYS' ELSE '' END,
       NULL,
       NULL
FROM pg_catalog.pg_rewrite AS r
WHERE r.oid >= 16384 AND (r.rulename <> '_RETURN' OR r.ev_enabled <> 'O')

UNION ALL
SELECT '3256:' || p.oid,
       'policy',
       '1259:' || p.polrelid,
       NULL,
       pg_catalog.quote_ident(p.polname),
       pg_catalog.concat_ws(' ',
         CASE WHEN p.polpermissive THEN 'AS PERMISSIVE' ELSE 'AS RESTRICTIVE' END,
         'FOR ' || CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE'
                                 ELSE 'ALL' END,
         'TO ' || (SELECT pg_catalog.string_agg(CASE WHEN u.role = 0 THEN 'PUBLIC'
                                                     ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(u.role)) END, ', '
                                                ORDER BY pg_catalog.pg_get_userbyid(u.role))
                   FROM pg_catalog.unnest(p.polroles) AS u (role)),
         'USING (' || pg_catalog.pg_get_expr(p.polqual, p.polrelid) || ')',
         'WITH CHECK (' || pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) || ')'),
       NULL,
       NULL
FROM pg_catalog.pg_policy AS p

UNION ALL
SELECT '3381:' || s.oid,
       'statistics',
       '2615:' || s.stxnamespace,
       '1259:' || s.stxrelid,
       pg_catalog.quote_ident(s.stxname),
       pg_catalog.pg_get_statisticsobjdef(s.oid)
         || CASE WHEN coalesce(s.stxstattarget, -1) >= 0 THEN ' STATISTICS ' || s.stxstattarget ELSE '' END,
       pg_catalog.pg_get_userbyid(s.stxowner)::text,
       NULL
FROM pg_catalog.pg_statistic_ext AS s
