SET lock_timeout = '5s';
SET statement_timeout = '10min';
ALTER TABLE orders ADD CONSTRAINT orders_customer FOREIGN KEY (customer_id) REFERENCES customers (id);
