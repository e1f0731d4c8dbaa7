-- What belongs to an extension: told by the extension.
SELECT m.classid || ':' || m.objid AS id
FROM pg_catalog.pg_extension AS e
JOIN pg_catalog.pg_depend AS m
  ON m.refclassid = 'pg_catalog.pg_extension'::regclass AND m.refobjid = e.oid AND m.deptype = 'e'
