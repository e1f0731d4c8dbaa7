CREATE TABLE orders (id int PRIMARY KEY, code varchar(10));
INSERT INTO orders SELECT n, n::text FROM generate_series(1, 20000) AS n;
