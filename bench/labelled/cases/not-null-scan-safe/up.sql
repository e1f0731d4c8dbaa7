SET lock_timeout = '5s';
SET statement_timeout = '10min';
ALTER TABLE audit_log ALTER COLUMN actor SET NOT NULL;
