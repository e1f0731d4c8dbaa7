SET lock_timeout = '5s';
SET statement_timeout = '10min';
ALTER TABLE orders ALTER COLUMN number SET NOT NULL;
