SET lock_timeout = '5s';
SET statement_timeout = '10min';
BEGIN;
ALTER TABLE order_lines ADD CONSTRAINT order_lines_product FOREIGN KEY (product_id) REFERENCES products (id) NOT VALID;
COMMIT;
BEGIN;
ALTER TABLE order_lines VALIDATE CONSTRAINT order_lines_product;
COMMIT;
