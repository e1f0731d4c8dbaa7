SET lock_timeout = '5s';
SET statement_timeout = '10min';
ALTER TABLE stock ADD CONSTRAINT stock_product FOREIGN KEY (product_id) REFERENCES products (id);
