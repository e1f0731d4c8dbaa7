CREATE TABLE customers (id int PRIMARY KEY, email text);
INSERT INTO customers SELECT n, 'c' || n % 9 FROM generate_series(1, 10) AS n;
