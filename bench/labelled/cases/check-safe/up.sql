SET lock_timeout = '5s';
SET statement_timeout = '10min';
ALTER TABLE products ADD CONSTRAINT products_weight CHECK (weight_g > 0);
