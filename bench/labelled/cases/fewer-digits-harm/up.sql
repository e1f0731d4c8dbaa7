SET lock_timeout = '5s';
SET statement_timeout = '10min';
ALTER TABLE products ALTER COLUMN cost TYPE numeric(10, 2);
