CREATE INDEX orders_customer ON orders (customer_id);
SELECT pg_sleep(1.3);  -- stands for whatever takes long
