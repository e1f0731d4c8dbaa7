-- A shop: 1,310,000 rows, made here so that nothing need be downloaded. Among them 2,187 customers without an e-mail address
-- and 350 orders in a state that the application no longer knows.
CREATE TABLE customers (
    id integer PRIMARY KEY,
    name text NOT NULL,
    email text,
    created_at timestamptz NOT NULL
);
INSERT INTO customers
SELECT n, 'Customer ' || n, CASE WHEN n % 91 <> 0 OR n > 199017 THEN 'c' || n || '@example.org' END,
       timestamptz '2020-01-01 00:00Z' + n * interval '15 minutes'
FROM generate_series(1, 200000) AS n;

CREATE TABLE products (
    id integer PRIMARY KEY,
    title text NOT NULL,
    price_cents integer NOT NULL
);
INSERT INTO products SELECT n, 'Product ' || n, 100 + (n * 37) % 9900 FROM generate_series(1, 10000) AS n;

CREATE TABLE orders (
    id integer PRIMARY KEY,
    customer_id integer NOT NULL REFERENCES customers,
    status text NOT NULL,
    placed_at timestamptz NOT NULL
);
INSERT INTO orders
SELECT n, 1 + (n * 7919::bigint) % 200000,
       CASE WHEN n % 1142 = 0 THEN 'legacy' WHEN n % 33 = 0 THEN 'refunded' WHEN n % 5 = 0 THEN 'open' ELSE 'paid' END,
       timestamptz '2024-01-01 00:00Z' + n * interval '2 minutes'
FROM generate_series(1, 400000) AS n;
CREATE INDEX orders_customer_id ON orders (customer_id);

CREATE TABLE order_items (
    order_id integer NOT NULL REFERENCES orders,
    line integer NOT NULL,
    product_id integer NOT NULL REFERENCES products,
    quantity integer NOT NULL,
    PRIMARY KEY (order_id, line)
);
INSERT INTO order_items
SELECT 1 + n / 2, n % 2, 1 + (n * 31) % 10000, 1 + n % 4
FROM generate_series(0, 699999) AS n;
