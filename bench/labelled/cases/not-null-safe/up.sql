SET lock_timeout = '5s';
SET statement_timeout = '10min';
ALTER TABLE countries ALTER COLUMN name SET NOT NULL;
