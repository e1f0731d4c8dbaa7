"""What we need of PostgreSQL: binaries, an embedded server, catalog snapshots, counts, locks, violations."""
