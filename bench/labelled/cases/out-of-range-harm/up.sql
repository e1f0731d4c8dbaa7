SET lock_timeout = '5s';
SET statement_timeout = '10min';
ALTER TABLE payments ALTER COLUMN amount_cents TYPE int;
