CREATE TABLE customers (id int PRIMARY KEY, email text);
INSERT INTO customers SELECT n, CASE WHEN n % 10 > 0 THEN 'c' || n END FROM generate_series(1, 1000) AS n;
