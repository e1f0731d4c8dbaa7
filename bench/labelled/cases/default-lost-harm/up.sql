SET lock_timeout = '5s';
SET statement_timeout = '10min';
ALTER TABLE customers ALTER COLUMN created_at DROP DEFAULT;
