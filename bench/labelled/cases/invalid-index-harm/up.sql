SET lock_timeout = '5s';
SET statement_timeout = '10min';
CREATE UNIQUE INDEX CONCURRENTLY payments_reference ON payments (reference);
