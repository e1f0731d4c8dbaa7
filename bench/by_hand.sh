#!/bin/sh
# What a careful engineer does to learn by hand what a migration does: clones, counts the rows of all tables, dumps the schema,
# runs the file with the time of each statement, dumps and counts again, and shows what differs.
#
#   PGHOST=… PGUSER=… bench/by_hand.sh TEMPLATE FILE FOLDER [each]
#
# All tables are counted in one session, which is the quickest; with «each», by one psql for each table, which is simpler.
set -eu
template=$1 migration=$2 folder=$3 how=${4:-one}
clone="by_hand_$$"

ask() { psql -X -q -v ON_ERROR_STOP=1 "$@"; }

count_all() {
  if [ "$how" = each ]; then
    ask -At -d "$clone" -c "SELECT c.oid::regclass FROM pg_class AS c
      WHERE relkind IN ('r', 'm') AND relispopulated AND relnamespace::regnamespace::text !~ '^(pg_|information_schema)'
      ORDER BY 1" | while read -r table; do
      rows=$(ask -At -d "$clone" -c "SELECT count(*) FROM $table" </dev/null) || exit 1
      echo "$table|$rows"
    done
    return
  fi
  ask -At -d "$clone" <<'SQL'
SELECT format('SELECT %L, count(*) FROM %I.%I', n.nspname || '.' || c.relname, n.nspname, c.relname)
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND c.relispopulated AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY n.nspname, c.relname
\gexec
SQL
}

trap 'exit 130' INT TERM  # dash does not run what is to be done at the EXIT otherwise
trap 'ask -d postgres -c "DROP DATABASE IF EXISTS $clone WITH (FORCE)"' EXIT
ask -d postgres -c "CREATE DATABASE $clone TEMPLATE \"$template\" STRATEGY FILE_COPY"
count_all >"$folder/rows_before"
pg_dump -s -d "$clone" -f "$folder/schema_before"
psql -X -v ON_ERROR_STOP=1 -1 -d "$clone" -c '\timing on' -f "$migration" >"$folder/said"
pg_dump -s -d "$clone" -f "$folder/schema_after"
count_all >"$folder/rows_after"
cat "$folder/said"
diff "$folder/schema_before" "$folder/schema_after" || [ $? -eq 1 ]
diff "$folder/rows_before" "$folder/rows_after" || [ $? -eq 1 ]
