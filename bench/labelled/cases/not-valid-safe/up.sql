SET lock_timeout = '5s';
SET statement_timeout = '10min';
ALTER TABLE order_lines ADD CONSTRAINT order_lines_product_id CHECK (product_id > 0) NOT VALID;
