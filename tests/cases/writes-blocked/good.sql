SELECT pg_sleep(1.3);  -- the same, before the lock is taken
CREATE INDEX orders_customer ON orders (customer_id);
