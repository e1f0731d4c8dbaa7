SET lock_timeout = '5s';
SET statement_timeout = '10min';
ALTER TABLE audit_log ADD COLUMN source text NOT NULL DEFAULT 'web';
