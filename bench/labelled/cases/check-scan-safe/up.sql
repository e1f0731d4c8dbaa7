SET lock_timeout = '5s';
SET statement_timeout = '10min';
BEGIN;
ALTER TABLE payments ADD CONSTRAINT payments_amount CHECK (amount_cents > 0) NOT VALID;
COMMIT;
BEGIN;
ALTER TABLE payments VALIDATE CONSTRAINT payments_amount;
COMMIT;
