CREATE TABLE customers (id int PRIMARY KEY);
CREATE TABLE shops (id int PRIMARY KEY);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int, shop_id int);
CREATE INDEX ON orders (shop_id);
INSERT INTO orders (id) SELECT generate_series(1, 20000);
