SET lock_timeout = '5s';
SET statement_timeout = '10min';
ALTER TABLE payments ADD CONSTRAINT payments_amount CHECK (amount_cents > 0);
