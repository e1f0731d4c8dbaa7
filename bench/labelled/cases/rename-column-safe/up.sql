SET lock_timeout = '5s';
SET statement_timeout = '10min';
ALTER TABLE products RENAME CONSTRAINT products_sku_key TO products_sku_once;
