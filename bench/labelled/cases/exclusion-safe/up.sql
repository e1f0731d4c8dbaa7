SET lock_timeout = '5s';
SET statement_timeout = '10min';
ALTER TABLE shifts ADD CONSTRAINT shifts_apart EXCLUDE USING gist (during WITH &&);
