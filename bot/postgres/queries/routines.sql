-- Functions, procedures and aggregates, whole. Those of extensions are left out here already: some have a thousand.
SELECT '1255:' || p.oid AS id,
       CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END AS kind,
       '2615:' || p.pronamespace AS home,
       NULL::text AS also,
       pg_catalog.quote_ident(p.proname) || '(' || pg_catalog.oidvectortypes(p.proargtypes) || ')' AS name,
       CASE WHEN p.prokind <> 'a' THEN pg_catalog.pg_get_functiondef(p.oid)
            ELSE (SELECT pg_catalog.concat_ws(' ',
                    '(' || pg_catalog.pg_get_function_arguments(p.oid) || ')',
                    'RETURNS', pg_catalog.pg_get_function_result(p.oid),
                    CASE g.aggkind WHEN 'h' THEN 'HYPOTHETICAL' WHEN 'o' THEN 'ORDERED SET' END,
                    'SFUNC', g.aggtransfn::regproc, 'STYPE', pg_catalog.format_type(g.aggtranstype, NULL),
                    'SSPACE ' || NULLIF(g.aggtransspace, 0),
                    'FINALFUNC ' || NULLIF(g.aggfinalfn, 0)::regproc::text,
                    CASE WHEN g.aggfinalextra THEN 'FINALFUNC_EXTRA' END,
                    'FINALFUNC_MODIFY ' || NULLIF(g.aggfinalmodify::text, 'r'),
                    'COMBINEFUNC ' || NULLIF(g.aggcombinefn, 0)::regproc::text,
                    'SERIALFUNC ' || NULLIF(g.aggserialfn, 0)::regproc::text,
                    'DESERIALFUNC ' || NULLIF(g.aggdeserialfn, 0)::regproc::text,
                    'INITCOND ' || pg_catalog.quote_literal(g.agginitval),
                    'MSFUNC ' || NULLIF(g.aggmtransfn, 0)::regproc::text,
                    'MINVFUNC ' || NULLIF(g.aggminvtransfn, 0)::regproc::text,
                    'MSTYPE ' || pg_catalog.format_type(NULLIF(g.aggmtranstype, 0), NULL),
                    'MSSPACE ' || NULLIF(g.aggmtransspace, 0),
                    'MFINALFUNC ' || NULLIF(g.aggmfinalfn, 0)::regproc::text,
                    CASE WHEN g.aggmfinalextra THEN 'MFINALFUNC_EXTRA' END,
                    'MFINALFUNC_MODIFY ' || NULLIF(g.aggmfinalmodify::text, 'r'),
                    'MINITCOND ' || pg_catalog.quote_literal(g.aggminitval),
                    'SORTOP ' || NULLIF(g.aggsortop, 0)::regoperator::text,
                    'PARALLEL ' || NULLIF(p.proparallel::text, 'u'))
                  FROM pg_catalog.pg_aggregate AS g WHERE g.aggfnoid = p.oid) END AS definition,
       pg_catalog.pg_get_userbyid(p.proowner)::text AS owner,
       NULL::text AS hidden
FROM pg_catalog.pg_proc AS p
JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND p.oid NOT IN (SELECT m.objid FROM pg_catalog.pg_extension AS e
                    JOIN pg_catalog.pg_depend AS m ON m.refclassid = 'pg_catalog.pg_extension'::regclass
                     AND m.refobjid = e.oid AND m.deptype = 'e'
                    WHERE m.classid = 'pg_catalog.pg_proc'::regclass)
