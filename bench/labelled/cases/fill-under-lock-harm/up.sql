SET lock_timeout = '5s';
SET statement_timeout = '10min';
ALTER TABLE orders ADD COLUMN region text;
UPDATE orders SET region = 'EU';
