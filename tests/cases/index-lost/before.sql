CREATE TABLE orders (id int PRIMARY KEY, customer_id int, number text);
INSERT INTO orders SELECT n, n % 100, 'A-' || n FROM generate_series(1, 20000) AS n;
CREATE INDEX orders_customer_id ON orders (customer_id);
CREATE INDEX orders_customer_id_again ON orders (customer_id, id);
CREATE INDEX orders_number ON orders (number);
