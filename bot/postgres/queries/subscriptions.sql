-- Subscriptions, which only a superuser may read whole. The connection string holds a password: it is not shown.
SELECT '6100:' || s.oid AS id, 'subscription' AS kind, NULL::text AS home, NULL::text AS also,
       pg_catalog.quote_ident(s.subname) AS name,
       (SELECT pg_catalog.string_agg(pg_catalog.format('%s = %s', pg_catalog.substr(f.key, 4), f.value), ', ' ORDER BY f.key)
        FROM pg_catalog.jsonb_each_text(pg_catalog.to_jsonb(s)) AS f
        WHERE f.key NOT IN ('oid', 'subdbid', 'subname', 'subowner', 'subconninfo', 'subskiplsn')) AS definition,
       pg_catalog.pg_get_userbyid(s.subowner)::text AS owner,
       pg_catalog.md5(s.subconninfo) AS hidden
FROM pg_catalog.pg_subscription AS s
WHERE s.subdbid = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
