SET lock_timeout = '5s';
SET statement_timeout = '10min';
ALTER TABLE suppliers DROP CONSTRAINT suppliers_pkey CASCADE;
