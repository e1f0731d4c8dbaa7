CREATE TABLE orders (id int PRIMARY KEY, customer_id int, total int);
INSERT INTO orders SELECT n, n % 5, n FROM generate_series(1, 100) AS n;
