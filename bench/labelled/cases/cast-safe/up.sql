SET lock_timeout = '5s';
SET statement_timeout = '10min';
ALTER TABLE products ALTER COLUMN old_code TYPE int USING old_code::int;
