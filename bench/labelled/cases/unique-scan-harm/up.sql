SET lock_timeout = '5s';
SET statement_timeout = '10min';
ALTER TABLE orders ADD CONSTRAINT orders_number UNIQUE (number);
