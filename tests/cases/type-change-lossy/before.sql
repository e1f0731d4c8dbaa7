CREATE TABLE orders (id int PRIMARY KEY, total numeric(10,2));
INSERT INTO orders SELECT n, n / 10.0 FROM generate_series(1, 10) AS n;
