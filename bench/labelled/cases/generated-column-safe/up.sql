SET lock_timeout = '5s';
SET statement_timeout = '10min';
ALTER TABLE warehouses ADD COLUMN half int GENERATED ALWAYS AS (capacity / 2) STORED;
