SET lock_timeout = '5s';
SET statement_timeout = '10min';
ALTER TABLE products ADD COLUMN maker text NOT NULL;
