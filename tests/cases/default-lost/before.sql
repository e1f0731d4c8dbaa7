CREATE TABLE customers (id int PRIMARY KEY, name text, created_at timestamptz NOT NULL DEFAULT now());
INSERT INTO customers SELECT n, 'Customer ' || n FROM generate_series(1, 100) AS n;
