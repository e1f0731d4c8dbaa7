SET lock_timeout = '5s';
SET statement_timeout = '10min';
CREATE INDEX orders_placed_at ON orders (placed_at);
