SET lock_timeout = '5s';
SET statement_timeout = '10min';
ALTER TABLE imports ALTER COLUMN amount TYPE int USING amount::int;
