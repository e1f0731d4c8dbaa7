CREATE TABLE orders (id int PRIMARY KEY, total int);
INSERT INTO orders SELECT n, n - 5 FROM generate_series(1, 10) AS n;
