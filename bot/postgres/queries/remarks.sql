-- Comments, security labels and privileges: each belongs to another object, `home`, or to a column of it, `name`. What
-- PostgreSQL itself brings has thousands of comments: those are left out. Privileges are told as far as they differ from those
-- that such an object has by default, and of objects that an extension or PostgreSQL brings, from those it came with; then
-- `name` is the object, for no other query tells of it. Each different list of privileges is put into words once.
WITH held AS (
  SELECT 1259 AS class, c.oid, a.attnum::int AS sub, a.attname AS column_name, 'c' AS type, a.attacl AS acl, c.relowner AS owner
  FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
  WHERE a.attacl IS NOT NULL AND (c.oid >= 16384 OR c.relnamespace = 11)
  UNION ALL
  SELECT 1259, oid, 0, NULL, CASE relkind WHEN 'S' THEN 's' ELSE 'r' END, relacl, relowner
  FROM pg_catalog.pg_class WHERE relacl IS NOT NULL AND (oid >= 16384 OR relnamespace = 11)
  UNION ALL SELECT 1255, oid, 0, NULL, 'f', proacl, proowner FROM pg_catalog.pg_proc WHERE proacl IS NOT NULL AND (oid >= 16384 OR pronamespace = 11)
  UNION ALL SELECT 2615, oid, 0, NULL, 'n', nspacl, nspowner FROM pg_catalog.pg_namespace WHERE nspacl IS NOT NULL AND nspname <> 'information_schema'
  UNION ALL SELECT 1247, oid, 0, NULL, 'T', typacl, typowner FROM pg_catalog.pg_type WHERE typacl IS NOT NULL AND (oid >= 16384 OR typnamespace = 11)
  UNION ALL SELECT 2612, oid, 0, NULL, 'l', lanacl, lanowner FROM pg_catalog.pg_language WHERE lanacl IS NOT NULL
  UNION ALL SELECT 2328, oid, 0, NULL, 'F', fdwacl, fdwowner FROM pg_catalog.pg_foreign_data_wrapper WHERE fdwacl IS NOT NULL
  UNION ALL SELECT 1417, oid, 0, NULL, 'S', srvacl, srvowner FROM pg_catalog.pg_foreign_server WHERE srvacl IS NOT NULL
), granted AS MATERIALIZED (
  SELECT h.class, h.oid, h.sub, h.column_name, h.type, h.acl, h.owner, i.initprivs
  FROM held AS h
  LEFT JOIN pg_catalog.pg_init_privs AS i ON i.classoid = h.class AND i.objoid = h.oid AND i.objsubid = h.sub
  WHERE h.acl IS DISTINCT FROM i.initprivs
), worded AS MATERIALIZED (
  SELECT l.type, l.acl, l.owner, l.initprivs,
         (SELECT pg_catalog.string_agg(w.words, '; ' ORDER BY w.words)
          FROM (SELECT CASE WHEN y.given THEN '' ELSE 'without ' END
                       || pg_catalog.string_agg(y.privilege_type || CASE WHEN y.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END, ', '
                                                ORDER BY y.privilege_type)
                       || ' to ' || CASE WHEN y.grantee = 0 THEN 'PUBLIC'
                                         ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(y.grantee)) END
                       || CASE WHEN y.grantor = l.owner THEN ''
                               ELSE ' by ' || pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(y.grantor)) END AS words
                FROM (SELECT coalesce(now.grantor, was.grantor) AS grantor, coalesce(now.grantee, was.grantee) AS grantee,
                             coalesce(now.privilege_type, was.privilege_type) AS privilege_type,
                             coalesce(now.is_grantable, was.is_grantable) AS is_grantable, was.grantor IS NULL AS given
                      FROM pg_catalog.aclexplode(l.acl) AS now
                      FULL JOIN pg_catalog.aclexplode(coalesce(l.initprivs, pg_catalog.acldefault(l.type::"char", l.owner))) AS was
                        ON (now.grantor, now.grantee, now.privilege_type, now.is_grantable)
                         = (was.grantor, was.grantee, was.privilege_type, was.is_grantable)
                      WHERE now.grantor IS NULL OR was.grantor IS NULL) AS y
                GROUP BY y.given, y.grantee, y.grantor) AS w) AS words
  FROM (SELECT DISTINCT g.type, g.acl, g.owner, g.initprivs FROM granted AS g) AS l
), remarks AS (
  SELECT d.classoid AS class, d.objoid AS oid, d.objsubid AS sub, NULL::text AS brought, 'comment' AS kind, d.description AS words
  FROM pg_catalog.pg_description AS d
  WHERE d.objoid >= 16384 OR (d.classoid = 'pg_catalog.pg_namespace'::regclass AND d.objoid = 2200)
  UNION ALL
  SELECT s.classoid, s.objoid, s.objsubid, NULL, 'security label', s.provider || ': ' || s.label
  FROM pg_catalog.pg_seclabel AS s
  UNION ALL
  SELECT g.class, g.oid, g.sub,
         CASE WHEN g.class <> 2615 AND (g.initprivs IS NOT NULL OR g.oid < 16384)
              THEN pg_catalog.pg_describe_object(g.class, g.oid, g.sub) END,
         'privileges', w.words
  FROM granted AS g
  JOIN worded AS w ON (w.type, w.acl, w.owner) = (g.type, g.acl, g.owner) AND w.initprivs IS NOT DISTINCT FROM g.initprivs
  WHERE w.words IS NOT NULL
)
SELECT r.class || ':' || r.oid || ':' || r.sub || '/' || r.kind
         || CASE r.kind WHEN 'security label' THEN ' ' || pg_catalog.split_part(r.words, ':', 1) ELSE '' END AS id,
       r.kind,
       CASE WHEN r.brought IS NOT NULL THEN NULL
            WHEN c.relkind = 'c' THEN '1247:' || c.reltype ELSE r.class || ':' || r.oid END AS home,
       CASE WHEN r.sub <> 0 THEN r.class || ':' || r.oid || ':' || r.sub END AS also,
       coalesce(r.brought, pg_catalog.quote_ident(a.attname)) AS name,
       r.words AS definition,
       NULL::text AS owner,
       NULL::text AS hidden
FROM remarks AS r
LEFT JOIN pg_catalog.pg_attribute AS a ON r.class = 1259 AND r.sub <> 0 AND a.attrelid = r.oid AND a.attnum = r.sub
LEFT JOIN pg_catalog.pg_class AS c ON r.class = 1259 AND r.sub <> 0 AND c.oid = r.oid
