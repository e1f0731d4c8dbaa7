CREATE TABLE customers (id int PRIMARY KEY, phone text, fax text);
INSERT INTO customers SELECT n, CASE WHEN n % 10 > 0 THEN '555-' || n END FROM generate_series(1, 100) AS n;
